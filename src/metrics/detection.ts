import { ValueError } from "../gpu/errors.js";
import { bootstrapInterval, type BootstrapOptions, type Interval } from "./bootstrap.js";
import { checkPaired, type Numbers } from "./classification.js";
import { auroc, averagePrecision, fprAtTpr } from "./ranking.js";

/** How well a score that is larger for in-distribution examples tells them from the others; all 0 to 1. */
export interface DetectionMetrics {
  /** The same whichever side is called positive; 0.5 is chance. */
  readonly auroc: number;
  /** Average precision with the in-distribution examples as positives; their share is chance. */
  readonly auprIn: number;
  /** Average precision with the out-of-distribution examples as positives, by the negated score. */
  readonly auprOut: number;
  /** The share of out taken for in where 95 % of in are taken for in. */
  readonly fpr95InPositive: number;
  /** The share of in taken for out where 95 % of out are taken for out. */
  readonly fpr95OutPositive: number;
}

/**
 * AUROC, and AUPR and the false-positive rate at a true-positive rate in both conventions: in-distribution as
 * the positives (Hendrycks and Gimpel; ODIN) and out-of-distribution as the positives (pytorch-ood and
 * OpenOOD). Equal scores share a threshold, and count half in the AUROC.
 *
 * @param inside scores of in-distribution examples
 * @param outside scores of out-of-distribution examples
 * @param truePositiveRate of the two last numbers; 0.95 by default
 * @throws ValueError if a score is NaN or either list is empty
 * @example
 * detectionMetrics([3, 2], [1, 0]).auroc; // 1
 */
export function detectionMetrics(
  inside: Numbers,
  outside: Numbers,
  truePositiveRate = 0.95,
): DetectionMetrics {
  const { scores, labels } = joined(inside, outside);
  const negated = scores.map((score) => -score);
  const flipped = labels.map((label) => 1 - label);
  return {
    auroc: auroc(scores, labels),
    auprIn: averagePrecision(scores, labels),
    auprOut: averagePrecision(negated, flipped),
    fpr95InPositive: fprAtTpr(scores, labels, truePositiveRate),
    fpr95OutPositive: fprAtTpr(negated, flipped, truePositiveRate),
  };
}

/**
 * The percentile bootstrap interval of the AUROC, each side resampled in its size: what `bootstrapInterval` of
 * `auroc` with the labels as groups gives, with one sort for all resamples.
 *
 * @param inside scores of in-distribution examples
 * @param outside scores of out-of-distribution examples
 * @param options `seed`, `resamples`, `confidence`
 * @throws ValueError if a score is NaN, either list is empty or an option is out of range
 * @example
 * const { low, high } = aurocInterval(inside, outside, { seed: 1 });
 */
export function aurocInterval(
  inside: Numbers,
  outside: Numbers,
  options: Omit<BootstrapOptions, "groups">,
): Interval {
  const { scores, labels } = joined(inside, outside);
  auroc(scores, labels); // refuses what has no AUROC
  const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || 0);
  // Infinities of one sign have a difference of NaN, which the `|| 0` makes a tie.
  const drawn = new Uint32Array(scores.length);
  const statistic = (indices: Uint32Array): number => {
    drawn.fill(0);
    for (const index of indices) drawn[index]++;
    let wins = 0;
    let insideAbove = 0;
    for (let at = 0; at < order.length; ) {
      const score = scores[order[at]];
      let [tiedInside, tiedOutside] = [0, 0];
      for (; at < order.length && scores[order[at]] === score; at++) {
        if (labels[order[at]] === 1) tiedInside += drawn[order[at]];
        else tiedOutside += drawn[order[at]];
      }
      wins += tiedOutside * (insideAbove + tiedInside / 2);
      insideAbove += tiedInside;
    }
    return wins / (inside.length * outside.length);
  };
  return bootstrapInterval(scores.length, statistic, { ...options, groups: labels });
}

function joined(inside: Numbers, outside: Numbers): { scores: Float64Array; labels: Uint8Array } {
  if (inside.length === 0 || outside.length === 0) {
    throw new ValueError(
      `inside has ${inside.length} scores and outside ${outside.length}, and at least one each is taken`,
    );
  }
  const scores = new Float64Array(inside.length + outside.length);
  scores.set(Array.from(inside));
  scores.set(Array.from(outside), inside.length);
  return { scores, labels: Uint8Array.from(scores, (_, i) => (i < inside.length ? 1 : 0)) };
}

/**
 * The share of examples that are classified rightly without an attack and under every attack, 0 to 1.
 *
 * @param labels the right classes
 * @param predictions classes, first those of the clean examples, then those under each attack
 * @throws ShapeError if lengths differ; ValueError if there are no predictions or no examples
 * @example
 * robustAccuracy([1, 2], [1, 2], [1, 0]); // 1 / 2
 */
export function robustAccuracy(labels: Numbers, ...predictions: readonly Numbers[]): number {
  if (predictions.length === 0)
    throw new ValueError("predictions are missing; give those of the clean examples and those under attack");
  for (const [i, list] of predictions.entries()) checkPaired(list, `predictions ${i}`, labels, "labels");
  let robust = 0;
  for (let i = 0; i < labels.length; i++) {
    if (predictions.every((list) => list[i] === labels[i])) robust++;
  }
  return robust / labels.length;
}
