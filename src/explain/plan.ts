/** Which points of which images a run of a program takes. */
import type { Gpu } from "../gpu/gpu.js";
import { philoxBlock, seedKey } from "../random.js";
import { empty, type Tensor } from "../tensor.js";

/** Stands for no image: what pads a batch. */
const PADDING = 0xffffffff;
/** Philox streams of what is drawn on the host. */
const ALPHA_STREAM = 0x616c;
const BASELINE_STREAM = 0x6261;

/** At which points a core is run, and how its maps become one. */
export interface Draws {
  /** Points an image; default 1, the image itself. */
  readonly count?: number;
  /** How far from the baseline to the image each point is: one number a point, or drawn from 0 to 1. */
  readonly alphas?: readonly number[] | "random";
  /** Of the points; default 1 / count. */
  readonly weights?: readonly number[];
  /** [m, c, h, w]; default zeros. The caller's. */
  readonly baselines?: Tensor;
  /** Each point has a baseline of its own; else m is 1, or the number of images. */
  readonly randomBaselines?: boolean;
  /** Of the noise, as a share of each image's range. */
  readonly std?: number;
  /** Maps are multiplied by x less the baseline. */
  readonly change?: boolean;
}

/** The plan of one program's runs: `slots` images with `copies` points each. */
export class Plan {
  readonly entries: Tensor;
  readonly images: Tensor;
  readonly weights: Tensor;
  readonly slots: Tensor;

  constructor(
    gpu: Gpu,
    readonly slotCount: number,
    readonly copies: number,
  ) {
    const rows = slotCount * copies;
    this.entries = empty(gpu, [rows, 4], { dtype: "u32" });
    this.images = empty(gpu, [rows], { dtype: "u32" });
    this.weights = empty(gpu, [rows]);
    this.slots = empty(gpu, [slotCount], { dtype: "u32" });
  }

  /** Points `firstDraw`… of images `firstImage`…; what is past the end counts for nothing. */
  write(
    firstImage: number,
    imageCount: number,
    firstDraw: number,
    { count, alphaOf, weightOf, baselineOf }: PointRule,
  ): void {
    const { slotCount, copies } = this;
    const words = new Uint32Array(slotCount * copies * 4);
    const floats = new Float32Array(words.buffer);
    const weights = new Float32Array(slotCount * copies);
    const images = new Uint32Array(slotCount * copies);
    for (let slot = 0, row = 0; slot < slotCount; slot++) {
      const image = Math.min(firstImage + slot, imageCount - 1);
      for (let copy = 0; copy < copies; copy++, row++) {
        const draw = Math.min(firstDraw + copy, count - 1);
        images[row] = image;
        words.set([image, baselineOf(image, draw), draw], 4 * row);
        floats[4 * row + 3] = alphaOf(image, draw);
        weights[row] = firstDraw + copy < count ? weightOf(draw) : 0;
      }
    }
    const isThere = (slot: number): boolean => firstImage + slot < imageCount;
    this.entries.write(words);
    this.images.write(images);
    this.weights.write(weights);
    this.slots.write(
      Uint32Array.from({ length: slotCount }, (_, slot) => (isThere(slot) ? firstImage + slot : PADDING)),
    );
  }

  dispose(): void {
    for (const held of [this.entries, this.images, this.weights, this.slots]) held.dispose();
  }
}

/** What each point is. */
interface PointRule {
  readonly count: number;
  alphaOf(image: number, draw: number): number;
  weightOf(draw: number): number;
  baselineOf(image: number, draw: number): number;
}

/** What each point of each image is; draws hang on the image's number and the seed. */
export function pointRule(draws: Draws, imageCount: number, seed: number, firstImage: number): PointRule {
  const { count = 1, alphas, weights, baselines, randomBaselines = false } = draws;
  const key = seedKey(seed);
  const word = (image: number, draw: number, stream: number): number =>
    philoxBlock([draw, stream, firstImage + image, 0], key)[0] >>> 8;
  const baselineCount = baselines?.shape[0] ?? 1;
  return {
    count,
    alphaOf: (image, draw) =>
      alphas === "random" ? word(image, draw, ALPHA_STREAM) * 2 ** -24 : (alphas?.[draw] ?? 1),
    weightOf: (draw) => weights?.[draw] ?? 1 / count,
    baselineOf: (image, draw) => {
      if (randomBaselines) return Math.floor((word(image, draw, BASELINE_STREAM) * baselineCount) / 2 ** 24);
      return baselineCount === imageCount && imageCount > 1 ? image : 0;
    },
  };
}
