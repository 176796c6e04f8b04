/** What a sample says of every layer: the Hessians of the layers' inputs over its augmented copies. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { sizeOf } from "../gpu/kernel.js";
import { Conv2d } from "../layers/conv2d.js";
import type { Dense } from "../layers/dense.js";
import type { Layer, Saved } from "../layers/layer.js";
import { Residual, Sequential } from "../layers/sequential.js";
import { convGeometry } from "../ops/conv_geometry.js";
import { broadcastTo } from "../ops/elementwise.js";
import { concat, slice } from "../ops/movement.js";
import type { Shape, Tensor } from "../tensor.js";
import { augment } from "./augment.js";
import { gaussianNoise } from "./augmentations.js";
import { addGram, MOST_BYTES } from "./gram.js";
import { type GramShape, gramShape } from "./gram_items.js";
import { beginFactors, deviceGroups, LayerProblem, largestFirst } from "./layer_problem.js";
import { type FastPass, fastPass, foldBatchNorm } from "./network.js";
import type { CalibrationOptions } from "./options.js";
import { layersNamed, type PrunableLayer } from "./sites.js";

/** Samples that are solved together. */
export interface SampleBatch {
  readonly first: number;
  readonly count: number;
  readonly problems: ReadonlyMap<string, LayerProblem>;
  /** What the dense network makes of the samples themselves, [count, classes]. */
  readonly dense: Tensor;
}

interface CalibrationTimes {
  /** In seconds, of all batches. */
  augment: number;
  hessian: number;
  /** When the device was done with the last Hessian, in milliseconds. */
  end: number;
}

/** Made by `calibrate`, used by `solve` as often as wanted: factors and solved layers are kept until `dispose`. */
export class Calibration {
  /** Names of the prepared layers. */
  readonly layers: readonly string[];
  private disposed = false;

  /** Use `calibrate`. */
  constructor(
    /** The network that is pruned: the caller's, or a copy of it with batch norm folded. */
    readonly model: Sequential,
    private readonly ownsModel: boolean,
    /** [b, …] */
    readonly samples: Tensor,
    readonly batches: readonly SampleBatch[],
    /** Complete once the device is done with the Hessians. */
    readonly times: Readonly<CalibrationTimes>,
  ) {
    this.layers = [...(batches[0]?.problems.keys() ?? [])];
  }

  /** The number of samples. */
  get count(): number {
    return this.samples.shape[0];
  }

  /** Releases the tensors; the network and the samples are left alone. Idempotent. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const { problems, dense } of this.batches) {
      for (const problem of problems.values()) problem.dispose();
      dense.dispose();
    }
    if (this.ownsModel) this.model.dispose();
    this.samples.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const DEFAULTS = { samples: 256, augment: [gaussianNoise(0.1)], seed: 0, damping: 0.01 };

/**
 * One pass of the dense network over augmented copies of each sample, and the Hessian H = 2/N Σ x xᵀ of every layer's
 * inputs, a convolution's windows taken as inputs of their own. No binding passes 64 MiB.
 * @param samples [b, channels, height, width] or [b, inputs]
 * @throws ValueError for a layer that is not there or an option out of range; ShapeError for samples that do not fit
 * @example
 * const calibration = await calibrate(model, sample, { samples: 64, augment: [gaussianNoise(0.1)] });
 * const [light] = await solve(calibration, { ratios: 0.5 });
 * const [heavy] = await solve(calibration, { ratios: 0.95 });
 * calibration.dispose();
 */
export async function calibrate(
  model: Sequential,
  samples: Tensor,
  options: CalibrationOptions = {},
): Promise<Calibration> {
  return calibrateFor(model, samples, options, false);
}

/**
 * As `calibrate`.
 * @param factored whether factors will be wanted: they are then begun behind the Hessians, a layer's that the CPU makes
 *   behind its own, and not waited for
 */
export async function calibrateFor(
  model: Sequential,
  samples: Tensor,
  options: CalibrationOptions,
  factored: boolean,
): Promise<Calibration> {
  const { damping } = { ...DEFAULTS, ...options };
  checkOptions(model, samples, options);
  const fold = options.batchNorm === "fold";
  const network = fold ? foldBatchNorm(model) : model;
  const pass = fastPass(network);
  const batches: SampleBatch[] = [];
  const opened: LayerProblem[] = [];
  const times = { augment: 0, hessian: 0, end: 0 };
  try {
    const sites = layersNamed(network, options.layers);
    const plan = planOf(network, sites, samples.shape, options);
    for (let first = 0; first < samples.shape[0]; first += plan.batch) {
      const count = Math.min(plan.batch, samples.shape[0] - first);
      const problems = new Map<string, LayerProblem>();
      for (const { name, layer } of sites) {
        const problem = new LayerProblem(name, layer, count, damping);
        opened.push(problem);
        problems.set(name, problem);
      }
      const own = rowsOf(samples, first, count);
      const from = options.calibration ? rowsOf(options.calibration, first, count) : own;
      try {
        const dense = await addCopies(pass, from, own, problems, plan, options, { times, factored });
        batches.push({ first, count, problems, dense });
      } finally {
        for (const held of new Set([own, from])) held.dispose();
      }
    }
    return new Calibration(network, fold, samples.reshape(samples.shape), batches, times);
  } catch (error) {
    for (const problem of opened) problem.dispose();
    for (const { dense } of batches) dense.dispose();
    if (fold) network.dispose();
    throw error;
  } finally {
    pass.network.dispose();
  }
}

/**
 * Adds the copies of some samples to their Hessians, as many of them at a time as the plan says.
 * @param own the samples that are pruned to
 * @returns what the network makes of those
 */
async function addCopies(
  pass: FastPass,
  samples: Tensor,
  own: Tensor,
  problems: ReadonlyMap<string, LayerProblem>,
  { images, affordable }: CalibrationPlan,
  options: CalibrationOptions,
  { times, factored }: { times: CalibrationTimes; factored: boolean },
): Promise<Tensor> {
  const { gpu } = samples;
  const { samples: copies, augment: augmentations, seed } = { ...DEFAULTS, ...options };
  const count = samples.shape[0];
  // With the copies where there is room: a pass of so few images takes as many dispatches as one of many.
  const isJoined = count * (copies + 1) <= affordable;
  let dense: Tensor | undefined;
  try {
    for (let first = 0; first < copies; first += images) {
      const some = Math.min(images, copies - first);
      const start = performance.now();
      // A chunk of a sample's copies draws from streams of its own.
      const x = augment(samples, some, augmentations, { seed, stream: (first / images) * STREAMS_A_CHUNK });
      let copied: Promise<number>;
      let inputs: Map<string, Tensor>;
      try {
        await gpu.flush();
        // The pass is recorded while the device makes the copies, so that it finds its work when they are done.
        copied = doneAt(gpu);
        copied.catch(() => {}); // whoever waits for results sees the error
        const made = gpu.scope(() => forwardOf(pass, isJoined ? concat([x, own], 0) : x, problems));
        inputs = made.inputs;
        if (isJoined) dense = gpu.scope(() => rowsOf(made.y, count * copies, count));
        made.y.dispose();
      } finally {
        x.dispose();
      }
      const isLast = first + some === copies;
      addHessians(inputs, problems, {
        images: some,
        scale: 2 / copies,
        accumulate: first > 0,
        factored: factored && isLast,
      });
      await gpu.flush();
      const summed = Promise.all([copied, doneAt(gpu)]).then(([ready, end]) => {
        // The device may still have been at the Hessians before these, which nobody waited for.
        times.augment += (ready - Math.max(start, times.end)) / 1000;
        times.hessian += (end - ready) / 1000;
        times.end = end;
      });
      summed.catch(() => {}); // as above
      // Who solves waits for the factors.
      if (factored && isLast) break;
      await gpu.finish();
      await summed;
    }
    return dense ?? gpu.scope(() => pass.network.forward(own).y);
  } catch (error) {
    dense?.dispose();
    throw error;
  }
}

const STREAMS_A_CHUNK = 64;

interface ChunkOptions {
  /** Copies of each sample. */
  readonly images: number;
  readonly scale: number;
  readonly accumulate: boolean;
  /** Whether factors are to be begun behind the Hessians. */
  readonly factored: boolean;
}

/** What the copies that come first in the layers' inputs add to the Hessians. Releases the inputs. */
function addHessians(
  inputs: ReadonlyMap<string, Tensor>,
  problems: ReadonlyMap<string, LayerProblem>,
  { images, scale, accumulate, factored }: ChunkOptions,
): void {
  const inOrder = largestFirst(problems.values());
  const onDevice = factored ? deviceGroups(inOrder).flat() : [];
  for (const problem of inOrder) {
    const input = inputs.get(problem.name) as Tensor;
    const flat = input.rank === 4 ? input : input.reshape([...input.shape, 1, 1]);
    const shape = gramShapeOf(problem.layer, [images, ...flat.shape.slice(1)]);
    addGram(flat, problem.h, shape, { samples: problem.samples, scale, accumulate });
    if (flat !== input) flat.dispose();
    input.dispose();
    // What the CPU is to factor it gets at once; the device takes all others together.
    if (factored && !onDevice.includes(problem)) beginFactors([problem]);
  }
  beginFactors(onDevice);
}

/** When the device is done with what was submitted so far, in milliseconds. */
async function doneAt(gpu: Gpu): Promise<number> {
  await gpu.unlessLost(gpu.device.queue.onSubmittedWorkDone());
  return performance.now();
}

/** One pass of the network in evaluation mode: the layers' inputs, and what it makes of x. */
function forwardOf(
  { network, names }: FastPass,
  x: Tensor,
  wanted: ReadonlyMap<string, unknown>,
): { inputs: Map<string, Tensor>; y: Tensor } {
  const found = new Map<string, Tensor>();
  const visit = (layer: Layer, { tensors, inner = [] }: Saved): void => {
    const name = names.get(layer);
    if (name !== undefined && wanted.has(name)) found.set(name, tensors.x.reshape(tensors.x.shape));
    const isResidual = layer instanceof Residual;
    const parts = layer instanceof Sequential ? layer.layers : isResidual ? [layer.body, layer.shortcut] : [];
    for (const [index, part] of parts.entries()) if (part) visit(part, inner[index]);
  };
  const { y, saved } = network.forward(x);
  visit(network, saved);
  return { inputs: found, y };
}

/** @param input [images of a sample, channels, height, width] */
function gramShapeOf(layer: Conv2d | Dense, input: Shape): GramShape {
  const { weight } = layer.parameters;
  const isConv = layer instanceof Conv2d;
  const shape = isConv ? weight.shape : [1, weight.shape[0], 1, 1];
  const shapes = { op: "calibrate", wide: ["input", input], weight: ["weight", shape] } as const;
  return gramShape(convGeometry(shapes, isConv ? layer.config : {}));
}

interface CalibrationPlan {
  /** How many samples go together, and how many copies of each at a time. */
  readonly batch: number;
  readonly images: number;
  /** Images at a time of which no layer's pass 64 MiB. */
  readonly affordable: number;
}

function planOf(
  model: Sequential,
  sites: readonly PrunableLayer[],
  shape: Shape,
  options: CalibrationOptions,
): CalibrationPlan {
  const { samples: copies } = { ...DEFAULTS, ...options };
  const affordable = Math.max(1, Math.floor(MOST_BYTES / (4 * largestImage(model, [1, ...shape.slice(1)]))));
  const images = Math.min(copies, affordable);
  const matrices = sites.map(({ layer }) => {
    const { weight } = layer.parameters;
    const groups = layer instanceof Conv2d ? (layer.config.groups ?? 1) : 1;
    const size = layer instanceof Conv2d ? weight.size / weight.shape[0] : weight.shape[0];
    // A layer's weights and what changes in them stand side by side.
    return Math.max(groups * size * size, 2 * weight.size);
  });
  const together = Math.floor(MOST_BYTES / (4 * Math.max(1, ...matrices)));
  const batch = Math.max(1, Math.min(shape[0], Math.floor(affordable / images), together));
  return { batch, images, affordable };
}

/** The most elements of one image that a layer reads or writes, with room for a border and whole vec4 of channels. */
function largestImage(layer: Layer, input: Shape): number {
  if (layer instanceof Residual) {
    const paths = [layer.body, ...(layer.shortcut ? [layer.shortcut] : [])];
    return Math.max(...paths.map((path) => largestImage(path, input)));
  }
  const layers = layer instanceof Sequential ? layer.layers : [layer];
  let [most, shape] = [padded(input), input];
  for (const inner of layers) {
    if (inner instanceof Sequential || inner instanceof Residual)
      most = Math.max(most, largestImage(inner, shape));
    shape = inner.outputShape(shape);
    most = Math.max(most, padded(shape));
  }
  return most;
}

function padded(shape: Shape): number {
  if (shape.length !== 4) return sizeOf(shape);
  const [count, channels, height, width] = shape;
  return count * 4 * Math.ceil(channels / 4) * (height + 8) * (width + 8);
}

/** Samples `first` to `first + count`, no copy of them where these are all; a single one stands for all. */
export function rowsOf(samples: Tensor, first: number, count: number): Tensor {
  const rest = samples.shape.slice(1);
  if (samples.shape[0] === count) return samples.reshape(samples.shape);
  if (samples.shape[0] === 1) return broadcastTo(samples, [count, ...rest]);
  const zeros = rest.map(() => 0);
  return slice(samples, [first, ...zeros], [first + count, ...rest]);
}

function checkOptions(model: Sequential, samples: Tensor, options: CalibrationOptions): void {
  const { samples: copies, damping } = { ...DEFAULTS, ...options };
  const { calibration } = options;
  if (!(Number.isInteger(copies) && copies >= 1))
    throw new ValueError(`calibrate: samples is ${copies}, and a whole number of at least 1 is taken`);
  if (!(damping >= 0 && damping <= 1e3))
    throw new ValueError(
      `calibrate: damping is ${damping}, and a share of the mean diagonal, from 0 on, is taken`,
    );
  if (!(samples.shape[0] >= 1))
    throw new ShapeError(`calibrate: samples has shape [${samples.shape}], and at least one sample is taken`);
  model.outputShape(samples.shape);
  if (!calibration) return;
  const fits = calibration.shape[0] === 1 || calibration.shape[0] === samples.shape[0];
  if (fits && `${calibration.shape.slice(1)}` === `${samples.shape.slice(1)}`) return;
  throw new ShapeError(
    `calibrate: calibration has shape [${calibration.shape}], and one sample, or one for each, of the shape of ` +
      `samples [${samples.shape}] is taken`,
  );
}
