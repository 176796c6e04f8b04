/**
 * How good maps are against a mask of the true cause, and how far two networks differ on the images
 * explained.
 */
import { ShapeError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import { auroc } from "../metrics/ranking.js";
import type { Tensor } from "../tensor.js";
import { checkImages, type ExplainOptions, targetsOf } from "./definition.js";
import { classesOf } from "./passes.js";

/** A measure of one map against one mask. */
export type MapMeasure = (map: ArrayLike<number>, mask: ArrayLike<number>) => number;

/**
 * The area under the ROC curve of a map against a mask, ties counting half: a map of one value scores 0.5.
 * @param map h · w numbers, larger where the method points
 * @param mask h · w numbers, 1 where the cause is, else 0
 * @returns 0 to 1
 * @throws ValueError for NaN in the map, another number in the mask, or a mask that is all or nothing;
 *   ShapeError
 * @example
 * maskAuc([0.1, 0.9, 0.3, 0.2], [0, 1, 0, 0]); // 1
 */
export function maskAuc(map: ArrayLike<number>, mask: ArrayLike<number>): number {
  return auroc(map, mask);
}

/**
 * Whether the largest value of a map lies in the mask (Zhang et al., "Top-down neural attention", 2018); of
 * several largest, the share of them: a map of one value scores the mask's share of the image.
 * @param map h · w numbers
 * @param mask h · w numbers, 1 where the cause is, else 0
 * @returns 0 to 1
 * @throws ShapeError for other lengths
 */
export function pointingGame(map: ArrayLike<number>, mask: ArrayLike<number>): number {
  if (map.length !== mask.length || map.length === 0) {
    throw new ShapeError(
      `pointingGame: map has ${map.length} numbers and mask ${mask.length}; equally many are taken`,
    );
  }
  let largest = -Infinity;
  let hits = 0;
  let count = 0;
  for (let i = 0; i < map.length; i++) {
    if (map[i] > largest) [largest, hits, count] = [map[i], 0, 0];
    if (map[i] === largest) {
      count++;
      hits += mask[i] > 0 ? 1 : 0;
    }
  }
  return count === 0 ? 0 : hits / count;
}

/**
 * A measure of each map of a batch.
 * @param maps [n, h, w]
 * @param masks n · h · w numbers, 1 where the cause is, else 0, or a tensor of them
 * @returns one number an image
 * @throws ShapeError for other sizes; what the measure throws
 * @example
 * const aucs = await measureMaps(maps, masks, maskAuc);
 * const gain = pairedInterval(aucsOfTrace, aucs, { seed: 1 }); // of handgrad/metrics
 */
export async function measureMaps(
  maps: Tensor,
  masks: Tensor | ArrayLike<number>,
  measure: MapMeasure,
): Promise<Float64Array> {
  const [count] = maps.shape;
  const size = maps.size / count;
  const truth = Array.from("storage" in masks ? await masks.data() : masks);
  if (maps.rank !== 3 || truth.length !== maps.size) {
    throw new ShapeError(
      `measureMaps: maps has shape [${maps.shape}] and masks ${truth.length} numbers; [n, h, w] and as many are taken`,
    );
  }
  const values = await maps.data();
  return Float64Array.from({ length: count }, (_, image) => {
    const part = [image * size, (image + 1) * size] as const;
    return measure(values.subarray(...part), truth.slice(...part));
  });
}

/** How far a network is from another one on some images. */
export interface OutputChange {
  /** 1 where both have the same largest logit, else 0. */
  readonly agreement: Float64Array;
  /** The target's logit less that of the dense network. */
  readonly targetLogitChange: Float64Array;
}

/**
 * What became of the predictions where one network stands for another, such as a trace for the dense one.
 * @param dense the network that is explained
 * @param model the one that stands for it
 * @param x images [n, c, h, w]
 * @param target the class explained of each image, or of all
 * @throws ShapeError, ValueError
 * @example
 * const { agreement, targetLogitChange } = await outputChange(model, trace.model, image, 3);
 */
export async function outputChange(
  dense: Sequential,
  model: Sequential,
  x: Tensor,
  target: ExplainOptions["target"],
): Promise<OutputChange> {
  checkImages("outputChange", x);
  const [count] = x.shape;
  const classes = classesOf("outputChange", dense, x);
  if (classesOf("outputChange", model, x) !== classes)
    throw new ShapeError("outputChange: the two networks have different numbers of classes");
  const targets = await targetsOf("outputChange", target, count, classes);
  const outputs = x.gpu.scope(() => [dense.forward(x).y, model.forward(x).y]);
  try {
    const [before, after] = await Promise.all(outputs.map((logits) => logits.data()));
    const best = (logits: ArrayLike<number>, image: number): number => {
      let found = 0;
      for (let i = 1; i < classes; i++)
        if (logits[image * classes + i] > logits[image * classes + found]) found = i;
      return found;
    };
    return {
      agreement: Float64Array.from(targets, (_, image) => Number(best(before, image) === best(after, image))),
      targetLogitChange: Float64Array.from(
        targets,
        (value, image) => after[image * classes + value] - before[image * classes + value],
      ),
    };
  } finally {
    for (const logits of outputs) logits.dispose();
  }
}
