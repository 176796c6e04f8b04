/** The Weibull distribution, fitted by maximum likelihood in float64. */
import { ValueError } from "../../gpu/errors.js";

/** P(X <= x) = 1 - e^(-(x / scale)^shape) for x >= 0. */
export interface Weibull {
  readonly shape: number;
  readonly scale: number;
}

const HALVINGS = 200;

/**
 * The shape k and scale λ of greatest likelihood: k solves
 * Σ x^k ln x / Σ x^k - 1 / k = mean ln x, whose left side grows with k, and λ^k = mean x^k.
 * @param values above 0, two different ones at least
 * @throws ValueError for other values
 * @example
 * const { shape, scale } = fitWeibull([3.1, 2.7, 4.4]);
 */
export function fitWeibull(values: ArrayLike<number>): Weibull {
  const list = Float64Array.from(values);
  const largest = list.reduce((most, value) => Math.max(most, value), 0);
  const odd = list.find((value) => !(value > 0 && value < Infinity));
  if (odd !== undefined)
    throw new ValueError(`fitWeibull: values hold ${odd}, and finite numbers above 0 are taken`);
  // Relative to the largest value, so that no power overflows.
  const logs = list.map((value) => Math.log(value / largest));
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
  if (!(mean < 0)) {
    throw new ValueError(
      `fitWeibull: values are ${list.length} equal numbers, and two different ones are taken`,
    );
  }
  const slope = (shape: number): number => {
    let [powers, weighted] = [0, 0];
    for (const log of logs) {
      const power = Math.exp(shape * log);
      powers += power;
      weighted += power * log;
    }
    return weighted / powers - 1 / shape - mean;
  };
  let [low, high] = [0, 1];
  while (slope(high) < 0) [low, high] = [high, 2 * high];
  for (let i = 0; i < HALVINGS && low < high; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (slope(middle) < 0) low = middle;
    else high = middle;
  }
  const shape = (low + high) / 2;
  const power = logs.reduce((sum, log) => sum + Math.exp(shape * log), 0) / logs.length;
  return { shape, scale: largest * power ** (1 / shape) };
}
