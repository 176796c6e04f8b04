import { ValueError } from "../gpu/errors.js";
import { checkPaired, type Numbers } from "./classification.js";

/**
 * A threshold of detection scores: a score at or above it says "positive" (label 1) rather than "negative"
 * (label 0). Equal scores share one threshold, and infinite scores rank like any other.
 */
interface Threshold {
  /** Positives and negatives with a score of at least this threshold. */
  truePositives: number;
  falsePositives: number;
}

interface Ranking {
  /** From the highest score to the lowest. */
  thresholds: Threshold[];
  positives: number;
  negatives: number;
}

function rank(scores: Numbers, labels: Numbers): Ranking {
  checkPaired(scores, "scores", labels, "labels");
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i])) {
      throw new ValueError(`scores holds nan at index ${i}; find out where it comes from`);
    }
    if (labels[i] !== 0 && labels[i] !== 1) {
      throw new ValueError(
        `labels holds ${labels[i]} at index ${i}, but 0 (negative) and 1 (positive) are taken`,
      );
    }
  }
  const order = Array.from(scores, (_, i) => i).sort((a, b) =>
    scores[a] < scores[b] ? 1 : scores[a] > scores[b] ? -1 : 0,
  );
  const thresholds: Threshold[] = [];
  let truePositives = 0;
  let falsePositives = 0;
  for (const [position, index] of order.entries()) {
    truePositives += labels[index];
    falsePositives += 1 - labels[index];
    if (position + 1 === order.length || scores[order[position + 1]] !== scores[index]) {
      thresholds.push({ truePositives, falsePositives });
    }
  }
  if (truePositives === 0 || falsePositives === 0) {
    throw new ValueError(
      `labels has ${truePositives} ones and ${falsePositives} zeros; at least one each is needed`,
    );
  }
  return { thresholds, positives: truePositives, negatives: falsePositives };
}

/**
 * Area under the receiver operating characteristic: the probability that a positive scores above a negative,
 * ties counting half (the Mann-Whitney statistic with mid-ranks).
 *
 * @param scores any numbers, higher for positive
 * @param labels 1 for positive, 0 for negative
 * @returns 0 to 1; 0.5 is chance
 * @throws ValueError if a score is NaN, a label neither 0 nor 1, or one of the two classes is empty
 * @throws ShapeError if the lengths differ
 * @example
 * auroc([0.9, 0.8, 0.1], [1, 0, 0]); // 1
 */
export function auroc(scores: Numbers, labels: Numbers): number {
  const { thresholds, positives, negatives } = rank(scores, labels);
  let wins = 0;
  let positivesAbove = 0;
  let negativesAbove = 0;
  for (const { truePositives, falsePositives } of thresholds) {
    const tiedNegatives = falsePositives - negativesAbove;
    wins += tiedNegatives * (positivesAbove + (truePositives - positivesAbove) / 2);
    positivesAbove = truePositives;
    negativesAbove = falsePositives;
  }
  return wins / (positives * negatives);
}

/**
 * Average precision: Σ (recall_n − recall_{n−1}) · precision_n over the thresholds from the highest down, the
 * step sum rather than the trapezoid.
 *
 * @param scores any numbers, higher for positive
 * @param labels 1 for positive, 0 for negative
 * @returns 0 to 1; the share of positives is chance
 * @throws ValueError if a score is NaN, a label neither 0 nor 1, or one of the two classes is empty
 * @throws ShapeError if the lengths differ
 * @example
 * averagePrecision([0.9, 0.8, 0.1], [1, 0, 1]); // 1/2 · 1 + 1/2 · 2/3
 */
export function averagePrecision(scores: Numbers, labels: Numbers): number {
  const { thresholds, positives } = rank(scores, labels);
  let sum = 0;
  let positivesAbove = 0;
  for (const { truePositives, falsePositives } of thresholds) {
    const precision = truePositives / (truePositives + falsePositives);
    sum += ((truePositives - positivesAbove) / positives) * precision;
    positivesAbove = truePositives;
  }
  return sum;
}

/**
 * The false-positive rate at the first threshold, from the highest down, whose true-positive rate is at least
 * `truePositiveRate`.
 *
 * @param scores any numbers, higher for positive
 * @param labels 1 for positive, 0 for negative
 * @param truePositiveRate above 0, at most 1; 0.95 by default
 * @returns 0 to 1; `truePositiveRate` is about chance
 * @throws ValueError if a score is NaN, a label neither 0 nor 1, one of the two classes is empty, or the rate
 *   is out of range
 * @throws ShapeError if the lengths differ
 * @example
 * fprAtTpr([0.9, 0.8, 0.1], [1, 0, 1]); // 1
 */
export function fprAtTpr(scores: Numbers, labels: Numbers, truePositiveRate = 0.95): number {
  if (!(truePositiveRate > 0 && truePositiveRate <= 1)) {
    throw new ValueError(`truePositiveRate is ${truePositiveRate}, but it must be above 0 and at most 1`);
  }
  const { thresholds, positives, negatives } = rank(scores, labels);
  const first = thresholds.find(({ truePositives }) => truePositives / positives >= truePositiveRate);
  return first!.falsePositives / negatives;
}
