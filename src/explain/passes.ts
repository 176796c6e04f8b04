/**
 * Runs a method that goes through the network and back, at one or many points an image, batch by batch. One
 * program makes the points, goes forward and back, and adds up what it finds; a run writes only its plan.
 */
import { ShapeError } from "../gpu/errors.js";
import type { Program } from "../gpu/program.js";
import type { Sequential } from "../layers/sequential.js";
import { mul, sub } from "../ops/elementwise.js";
import { gatherRows } from "../ops/movement.js";
import { max, min } from "../ops/reduce.js";
import { type Tensor, tensor, zeros } from "../tensor.js";
import {
  type ChannelJoin,
  checkChoice,
  checkCount,
  checkImages,
  type ExplainOptions,
  type Sign,
  targetsOf,
} from "./definition.js";
import { addRows, joinChannels, pointsOf } from "./kernels.js";
import { type Draws, Plan, pointRule } from "./plan.js";

/** What one pass goes from. */
export interface Pass {
  readonly model: Sequential;
  /** [rows, c, h, w] */
  readonly points: Tensor;
  /** u32 [rows]: the image that each point belongs to. */
  readonly images: Tensor;
  /** [rows, classes]: 1 at the target, else 0, which is the gradient of the target's logit. */
  readonly seeds: Tensor;
}

export type { Draws } from "./plan.js";

/** Goes forward and back; records ops. @returns [rows, channels of the map, h, w] */
export type Core = (pass: Pass) => Tensor;

/** A method as it is run. */
export interface PassMethod {
  readonly core: Core;
  readonly draws?: Draws;
  /** Channels of the map, where they are not the image's. */
  readonly mapChannels?: number;
}

const DEFAULT_BATCH = 64;

/**
 * The maps of a method, before channels are joined.
 * @returns [n, channels of the map, h, w], the caller's
 */
export async function runPasses(
  name: string,
  model: Sequential,
  x: Tensor,
  { core, draws = {}, mapChannels = x.shape[1] }: PassMethod,
  options: ExplainOptions,
): Promise<Tensor> {
  const { batch = DEFAULT_BATCH, seed = 0, firstImage = 0, onProgress } = options;
  const { gpu } = x;
  const imageCount = x.shape[0];
  checkCount(name, "batch", batch);
  checkCount(name, "firstImage", firstImage, 0);
  const rule = pointRule(draws, imageCount, seed, firstImage);
  const copies = Math.min(rule.count, batch);
  const slotCount = Math.min(imageCount, Math.max(1, Math.floor(batch / copies)));
  const owned: { dispose(): void }[] = [];
  const total = zeros(gpu, [imageCount, mapChannels, ...x.shape.slice(2)]);
  let finished = false;
  try {
    const keep = <T extends { dispose(): void }>(held: T): T => {
      owned.push(held);
      return held;
    };
    const oneHot = keep(await seedsOf(name, model, x, options.target));
    const { baselines, std = 0, change = false } = draws;
    const deviation = std > 0 ? keep(gpu.scope(() => deviations(x, std))) : undefined;
    const plan = keep(new Plan(gpu, slotCount, copies));
    let program: Program | undefined;
    let done = 0;
    const passes = imageCount * rule.count;
    for (let image = 0; image < imageCount; image += slotCount) {
      for (let draw = 0; draw < rule.count; draw += copies) {
        plan.write(image, imageCount, draw, rule);
        if (program) program.run();
        else {
          program = keep(
            gpu.program(() => {
              const points = pointsOf({ x, plan: plan.entries, baselines, deviation }, { seed, firstImage });
              const seeds = gatherRows(oneHot, plan.images);
              const maps = core({ model, points, images: plan.images, seeds });
              const { entries, weights, slots } = plan;
              addRows({ maps, plan: entries, weights, slots, x, baselines, total }, { copies, change });
            }),
          );
        }
        done += Math.min(slotCount, imageCount - image) * Math.min(copies, rule.count - draw);
        await (onProgress ? gpu.finish() : gpu.flush());
        onProgress?.({ method: name, done, total: passes });
      }
    }
    finished = true;
    return total;
  } finally {
    for (const held of owned.reverse()) held.dispose();
    if (!finished) total.dispose();
  }
}

/**
 * Runs a method and joins the channels of its maps.
 * @param defaults the method's own sign and channels
 */
export async function explainByPasses(
  name: string,
  model: Sequential,
  x: Tensor,
  method: PassMethod,
  options: ExplainOptions,
  defaults: { readonly sign?: Sign; readonly channels?: ChannelJoin } = {},
): Promise<Tensor> {
  checkCommon(name, x, options);
  const maps = await runPasses(name, model, x, method, options);
  return joined(maps, options, defaults);
}

/** @throws ShapeError, ValueError for what every method takes */
export function checkCommon(name: string, x: Tensor, { sign, channels }: ExplainOptions): void {
  checkImages(name, x);
  if (sign !== undefined) checkChoice(name, "sign", sign, ["signed", "absolute", "positive", "negative"]);
  if (channels !== undefined) checkChoice(name, "channels", channels, ["sum", "max", "keep"]);
}

/** Joins channels and takes the sign; the maps given are released. */
export function joined(
  maps: Tensor,
  options: ExplainOptions,
  defaults: { readonly sign?: Sign; readonly channels?: ChannelJoin } = {},
): Tensor {
  const { sign = defaults.sign ?? "signed", channels = defaults.channels ?? "sum" } = options;
  try {
    return joinChannels(maps, channels, sign);
  } finally {
    maps.dispose();
  }
}

/** [n, classes]: 1 at each image's target. */
async function seedsOf(
  name: string,
  model: Sequential,
  x: Tensor,
  target: ExplainOptions["target"],
): Promise<Tensor> {
  const [count] = x.shape;
  const classes = classesOf(name, model, x);
  const targets = await targetsOf(name, target, count, classes);
  const oneHot = new Float32Array(count * classes);
  targets.forEach((value, image) => {
    oneHot[image * classes + value] = 1;
  });
  return tensor(x.gpu, oneHot, [count, classes]);
}

/** How many classes a network tells apart. @throws ShapeError unless it gives [n, classes] */
export function classesOf(name: string, model: Pick<Sequential, "outputShape">, x: Tensor): number {
  const output = model.outputShape(x.shape);
  if (output.length === 2) return output[1];
  throw new ShapeError(`${name}: the model gives [${output}], and logits [n, classes] are taken`);
}

/** [n]: the noise's standard deviation of each image. */
function deviations(x: Tensor, std: number): Tensor {
  const axes = [1, 2, 3];
  return mul(sub(max(x, { axes }), min(x, { axes })), std);
}
