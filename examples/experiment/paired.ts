// Means over seeds, and what pairs of runs with the same seed say of a difference.
import { ValueError } from "handgrad";

export interface Spread {
  readonly mean: number;
  /** Of the sample, over count - 1; 0 for a single value. */
  readonly sd: number;
}

/** @throws ValueError without values */
export function spreadOf(values: readonly number[]): Spread {
  const { length } = values;
  if (length === 0) throw new ValueError("spread: values is empty, and at least one value is taken");
  const mean = values.reduce((sum, value) => sum + value, 0) / length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, sd: length > 1 ? Math.sqrt(squares / (length - 1)) : 0 };
}

/** Of Student's t with 1, 2, … degrees of freedom: the bounds of the middle 95 %. */
const T_95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** The bound for `degrees` of freedom; from 31 on by its expansion around the normal's. */
function t95(degrees: number): number {
  return T_95[degrees - 1] ?? 1.959964 + 2.37227 / degrees + 2.8225 / degrees ** 2;
}

export interface PairedDifference {
  readonly mean: number;
  /** Where the mean difference lies at 95 % if differences are normal; absent for a single pair. */
  readonly ci?: readonly [low: number, high: number];
}

/**
 * The mean of a - b over pairs with the interval of Student's t.
 * @throws ValueError unless there are as many of both, and at least one
 * @example
 * pairedDifference([0.91, 0.93], [0.9, 0.9]); // mean 0.02, ci [-0.107, 0.147]
 */
export function pairedDifference(a: readonly number[], b: readonly number[]): PairedDifference {
  if (a.length !== b.length || a.length === 0)
    throw new ValueError(
      `pairedDifference: there are ${a.length} and ${b.length} values, and pairs are taken`,
    );
  const { mean, sd } = spreadOf(a.map((value, index) => value - b[index]));
  if (a.length === 1) return { mean };
  const half = (t95(a.length - 1) * sd) / Math.sqrt(a.length);
  return { mean, ci: [mean - half, mean + half] };
}
