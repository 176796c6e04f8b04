/**
 * What a stream's accuracies say. R[i][j] is the accuracy on task j after learning task i; T tasks. The conventions in use
 * differ; these are ours, and what others call the same is said with each.
 */
import { ValueError } from "../gpu/errors.js";

export interface ContinualMetrics {
  /** ACC, the mean of the last row: what is known in the end (Lopez-Paz and Ranzato 2017; Avalanche's stream accuracy). */
  readonly acc: number;
  /**
   * Learning accuracy, the mean of the diagonal: how well each task was learnt when it was met (Riemer et al. 2019).
   */
  readonly learning: number;
  /**
   * Forgetting, the mean over j < T of max over l < T of R[l][j], less R[T][j] (Chaudhry et al. 2018): the maximum is over
   * rows before the last, so it may be negative. Mammoth's maximum takes the last row in, Avalanche's forgetting is minus BWT.
   */
  readonly forgetting: number;
  /** Backward transfer, the mean over j < T of R[T][j] - R[j][j] (Lopez-Paz and Ranzato 2017). */
  readonly bwt: number;
  /**
   * Forward transfer, the mean over j > 1 of R[j-1][j] less the accuracy of the untrained network on task j (Lopez-Paz and
   * Ranzato 2017); undefined without the latter.
   */
  readonly fwt?: number;
}

/**
 * @param R square, R[i][j] from 0 to 1
 * @param untrained accuracy of the untrained network on each task, for forward transfer
 * @returns one task has nothing to forget and nothing to transfer: 0
 * @throws ValueError if R is not square
 * @example
 * const { acc, forgetting } = continualMetrics([[0.98, 0.1], [0.9, 0.97]]); // 0.935, 0.08
 */
export function continualMetrics(
  R: readonly (readonly number[])[],
  untrained?: readonly number[],
): ContinualMetrics {
  const tasks = R.length;
  if (tasks === 0 || R.some((row) => row.length !== tasks)) {
    throw new ValueError(
      `continualMetrics: R has ${tasks} rows of ${R.map((row) => row.length)} columns, and as many columns as rows are taken`,
    );
  }
  if (untrained && untrained.length !== tasks) {
    throw new ValueError(
      `continualMetrics: untrained has ${untrained.length} accuracies, and one for each of ${tasks} tasks is taken`,
    );
  }
  const last = R[tasks - 1];
  const earlier = last.slice(0, -1);
  const best = earlier.map((_, j) => Math.max(...R.slice(0, -1).map((row) => row[j])));
  const later = Array.from({ length: tasks - 1 }, (_, j) => j + 1);
  return {
    acc: mean(last),
    learning: mean(R.map((row, i) => row[i])),
    forgetting: mean(earlier.map((accuracy, j) => best[j] - accuracy)),
    bwt: mean(earlier.map((accuracy, j) => accuracy - R[j][j])),
    ...(untrained && { fwt: mean(later.map((j) => R[j - 1][j] - untrained[j])) }),
  };
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

/** A mean with its 95 % interval. */
export interface MeanInterval {
  readonly mean: number;
  /** Standard deviation of the sample; 0 for one value. */
  readonly sd: number;
  /** Student's t interval of the mean, [low, high]; missing for one value. */
  readonly ci?: readonly [number, number];
}

/** Two-sided 95 % quantiles of Student's t by degrees of freedom, from 1. */
const T95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/**
 * Mean, standard deviation and 95 % interval by Student's t; give differences of pairs for a paired comparison.
 * @throws ValueError for no values
 * @example
 * const { ci } = meanInterval(mine.map((acc, seed) => acc - theirs[seed]));
 */
export function meanInterval(values: readonly number[]): MeanInterval {
  const n = values.length;
  if (n === 0) throw new ValueError("meanInterval: values is empty, and at least one value is taken");
  const middle = mean(values);
  if (n === 1) return { mean: middle, sd: 0 };
  const sd = Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (n - 1));
  // Beyond the table by Cornish and Fisher's first terms, exact to three digits.
  const z = 1.959964;
  const t = T95[n - 2] ?? z + (z ** 3 + z) / (4 * (n - 1));
  const half = (t * sd) / Math.sqrt(n);
  return { mean: middle, sd, ci: [middle - half, middle + half] };
}
