/**
 * Insertion and deletion (Petsiuk, Das and Saenko, "RISE", BMVC 2018): what a prediction does while pixels
 * come or go in the order of a map. Only the order counts, not the values.
 */
import { ShapeError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import { philoxPermutation } from "../random.js";
import type { Tensor } from "../tensor.js";
import {
  type Baseline,
  baselineOf,
  checkCount,
  checkImages,
  type ExplainOptions,
  targetsOf,
} from "./definition.js";
import { maskedScores, type MaskedScoresOptions } from "./masked_scores.js";
import { classesOf } from "./passes.js";

export interface PerturbationOptions extends MaskedScoresOptions {
  readonly target: ExplainOptions["target"];
  /** What missing pixels show; default "blur" for insertion, "mean" for deletion. */
  readonly baseline?: Baseline;
  /** Points of a curve after the first; default 32, at most the number of pixels. */
  readonly steps?: number;
  /** Of the order among pixels of equal value; default 0. */
  readonly seed?: number;
}

export interface PerturbationResult {
  /** The score after 0, 1, …, `steps` steps, [images][steps + 1]. */
  readonly curves: readonly Float64Array[];
  /** The area under each curve over the share of pixels, by trapezoids. */
  readonly areas: Float64Array;
}

/**
 * The target's probability while the pixels of the image appear, those where the map is largest first. A
 * larger area is better. Score maps of a trace on the dense network, whose prediction is explained.
 * @param model the network that scores
 * @param x images [n, c, h, w]
 * @param maps [n, h, w]
 * @throws ShapeError, ValueError
 * @example
 * const { areas } = await insertion(model, images, maps, { target: labels });
 * const difference = pairedInterval(areas, areasOfAnother, { seed: 1 }); // of handgrad/metrics
 */
export function insertion(
  model: Sequential,
  x: Tensor,
  maps: Tensor,
  options: PerturbationOptions,
): Promise<PerturbationResult> {
  return perturb("insertion", model, x, maps, { baseline: "blur", ...options });
}

/** The same while pixels disappear, those where the map is largest first. A smaller area is better. */
export function deletion(
  model: Sequential,
  x: Tensor,
  maps: Tensor,
  options: PerturbationOptions,
): Promise<PerturbationResult> {
  return perturb("deletion", model, x, maps, { baseline: "mean", ...options });
}

async function perturb(
  name: "insertion" | "deletion",
  model: Sequential,
  x: Tensor,
  maps: Tensor,
  options: PerturbationOptions & { readonly baseline: Baseline },
): Promise<PerturbationResult> {
  checkImages(name, x);
  const [images, , height, width] = x.shape;
  const pixels = height * width;
  if (maps.shape.join() !== [images, height, width].join()) {
    throw new ShapeError(
      `${name}: maps has shape [${maps.shape}], and [${[images, height, width]}] is taken; join channels first`,
    );
  }
  const { target, baseline, seed = 0, score = "probability", batch, onProgress } = options;
  checkCount(name, "steps", options.steps ?? 1);
  const steps = Math.min(options.steps ?? 32, pixels);
  const targets = await targetsOf(name, target, images, classesOf(name, model, x));
  const values = await maps.data();
  const ranks = Array.from({ length: images }, (_, image) =>
    ranksOf(values.subarray(image * pixels, (image + 1) * pixels), seed, image),
  );
  const baselines = baselineOf(name, x, baseline);
  try {
    const masks = {
      count: steps + 1,
      segments: Uint32Array.from({ length: pixels }, (_, pixel) => pixel),
      segmentCount: pixels,
      baselines,
      write: (image: number, step: number, keep: Float32Array): void => {
        const moved = Math.round((step / steps) * pixels);
        const own = ranks[image];
        for (let pixel = 0; pixel < pixels; pixel++)
          keep[pixel] = Number(own[pixel] < moved === (name === "insertion"));
      },
    };
    const scores = await maskedScores(name, model, x, targets, masks, { score, batch, onProgress });
    const curves = ranks.map((_, image) => scores.slice(image * (steps + 1), (image + 1) * (steps + 1)));
    return { curves, areas: Float64Array.from(curves, areaUnder) };
  } finally {
    baselines.dispose();
  }
}

/** The place of each pixel from the largest value down; equal ones in an order drawn. */
function ranksOf(values: ArrayLike<number>, seed: number, image: number): Uint32Array {
  const order = Array.from(philoxPermutation(values.length, seed, image)).sort(
    (a, b) => values[b] - values[a],
  );
  const ranks = new Uint32Array(values.length);
  order.forEach((pixel, rank) => {
    ranks[pixel] = rank;
  });
  return ranks;
}

function areaUnder(curve: Float64Array): number {
  let sum = 0;
  for (let i = 1; i < curve.length; i++) sum += (curve[i - 1] + curve[i]) / 2;
  return sum / (curve.length - 1);
}
