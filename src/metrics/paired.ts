import { bootstrapInterval, type BootstrapOptions, type Interval } from "./bootstrap.js";
import { checkPaired, type Numbers } from "./classification.js";

/** A mean and where it lies. */
export interface Estimate extends Interval {
  readonly mean: number;
}

/**
 * The mean of values with its percentile bootstrap interval.
 *
 * @param values one number an example
 * @param options `seed`, `resamples`, `confidence`
 * @throws ValueError if there are none, one is NaN, or an option is out of range
 * @example
 * const { mean, low, high } = meanInterval(areas, { seed: 1 });
 */
export function meanInterval(values: Numbers, options: BootstrapOptions): Estimate {
  const meanOf = (indices: ArrayLike<number>): number => {
    let sum = 0;
    for (let i = 0; i < indices.length; i++) sum += values[indices[i]];
    return sum / indices.length;
  };
  const interval = bootstrapInterval(values.length, meanOf, options);
  return { mean: meanOf(Array.from(values, (_, i) => i)), ...interval };
}

/**
 * The mean of a - b over examples that were measured both ways, with its percentile bootstrap interval:
 * examples are drawn, and with each both of its numbers, so what makes an example easy or hard for both
 * cancels.
 *
 * @param a one number an example
 * @param b one number an example, in the same order
 * @param options `seed`, `resamples`, `confidence`
 * @throws ShapeError if the lengths differ; ValueError if there are none, one is NaN, or an option is out
 *   of range
 * @example
 * const gain = pairedInterval(traceAucs, denseAucs, { seed: 1 });
 * if (gain.low > 0) console.log("better");
 */
export function pairedInterval(a: Numbers, b: Numbers, options: BootstrapOptions): Estimate {
  checkPaired(a, "a", b, "b");
  return meanInterval(
    Array.from(a, (value, i) => value - b[i]),
    options,
  );
}
