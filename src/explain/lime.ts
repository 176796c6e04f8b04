/** Local linear models (Ribeiro, Singh and Guestrin, "Why should I trust you?", KDD 2016). */
import type { Sequential } from "../layers/sequential.js";
import { philoxBits } from "../random.js";
import { type Tensor, tensor } from "../tensor.js";
import {
  type Baseline,
  baselineOf,
  checkCount,
  checkNumber,
  type ExplainOptions,
  targetsOf,
} from "./definition.js";
import { maskedScores, type Score } from "./masked_scores.js";
import { checkCommon, classesOf, joined } from "./passes.js";
import { ridge } from "./ridge.js";
import { type SegmentOptions, segmentsOf, spread } from "./segments.js";

export interface LimeOptions extends ExplainOptions, SegmentOptions {
  /** Masked copies of each image; default 400. More than segments, or the ridge decides. */
  readonly samples?: number;
  /** What masked segments show; default 0. */
  readonly baseline?: Baseline;
  /**
   * The width of the kernel e^(-d² / width²) over the cosine distance d of a mask to the whole image;
   * default 0.25.
   */
  readonly kernelWidth?: number;
  /** The weight of Σ w² in the fit; default 1. */
  readonly ridge?: number;
  /** Default "logit". */
  readonly score?: Score;
}

/** Philox streams of masks begin here; each image has its own. */
const MASK_STREAM = 0x4c000000;

/**
 * The weights of the linear model of which segments are there that fits the scores of masked copies best,
 * near ones counting more. Each segment is there with probability ½.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, 1, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await lime(model, images, { target: 3, cell: 4, samples: 500 });
 */
export async function lime(
  model: Sequential,
  x: Tensor,
  {
    samples = 400,
    baseline = 0,
    segments,
    cell,
    kernelWidth = 0.25,
    ridge: penalty = 1,
    ...options
  }: LimeOptions,
): Promise<Tensor> {
  const name = "lime";
  checkCommon(name, x, options);
  checkCount(name, "samples", samples);
  checkNumber(name, "kernelWidth", kernelWidth, Number.MIN_VALUE);
  checkNumber(name, "ridge", penalty, Number.MIN_VALUE);
  const [images, , height, width] = x.shape;
  const { seed = 0, firstImage = 0 } = options;
  const parts = segmentsOf(name, { segments, cell }, height, width);
  const { segmentCount } = parts;
  const targets = await targetsOf(name, options.target, images, classesOf(name, model, x));
  const baselines = baselineOf(name, x, baseline);
  try {
    const bitsOf = lastUsed((image: number) =>
      philoxBits(samples * segmentCount, seed, (MASK_STREAM + firstImage + image) >>> 0),
    );
    const write = (image: number, mask: number, keep: Float32Array): void => {
      const bits = bitsOf(image);
      for (let segment = 0; segment < segmentCount; segment++) {
        keep[segment] = bits[mask * segmentCount + segment] >>> 31;
      }
    };
    const masks = { ...parts, count: samples, baselines, write };
    const scores = await maskedScores(name, model, x, targets, masks, options);
    const weights = new Float64Array(images * segmentCount);
    const keep = new Float32Array(segmentCount);
    for (let image = 0; image < images; image++) {
      const rows = Array.from({ length: samples }, (_, mask) => {
        write(image, mask, keep);
        const distance = 1 - Math.sqrt(keep.reduce((sum, value) => sum + value, 0) / segmentCount);
        return {
          values: Float64Array.from(keep),
          result: scores[image * samples + mask],
          weight: Math.exp(-((distance / kernelWidth) ** 2)),
        };
      });
      weights.set(ridge(rows, penalty), image * segmentCount);
    }
    return joined(tensor(x.gpu, spread(parts, weights), [images, 1, height, width]), options);
  } finally {
    baselines.dispose();
  }
}

/** Remembers the result for the last argument. */
function lastUsed<T>(make: (image: number) => T): (image: number) => T {
  let held: { image: number; value: T } | undefined;
  return (image) => {
    if (held?.image !== image) held = { image, value: make(image) };
    return held.value;
  };
}
