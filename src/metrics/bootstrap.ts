import { ValueError } from "../gpu/errors.js";
import { philoxBits } from "../random.js";
import type { Numbers } from "./classification.js";

export interface BootstrapOptions {
  seed: number;
  /** How many resamples; 1,000 by default. */
  resamples?: number;
  /** The share of the resamples inside the interval, 0.95 by default. */
  confidence?: number;
  /**
   * A group for each example, such as its label: each resample then has every group in its size, so that a
   * statistic such as `auroc` never meets an empty class.
   */
  groups?: Numbers;
}

export interface Interval {
  low: number;
  high: number;
}

/**
 * The percentile bootstrap interval of a statistic (B. Efron, "Bootstrap methods: another look at the
 * jackknife", Annals of Statistics 7, 1979): the statistic of samples drawn from the examples with
 * replacement, its quantiles interpolated linearly.
 * Resample r draws from Philox stream r, so the same seed gives the same interval everywhere.
 *
 * @param count how many examples there are
 * @param statistic computes the number from the indices of a resample
 * @param options `seed`, `resamples`, `confidence`, `groups`
 * @throws ValueError if an option is out of range or the statistic gives NaN
 * @example
 * const interval = bootstrapInterval(labels.length, (indices) => {
 *   const pick = (values: number[]) => Array.from(indices, (i) => values[i]);
 *   return auroc(pick(scores), pick(labels));
 * }, { seed: 7, groups: labels });
 */
export function bootstrapInterval(
  count: number,
  statistic: (indices: Uint32Array) => number,
  options: BootstrapOptions,
): Interval {
  const { seed, resamples = 1000, confidence = 0.95, groups } = options;
  if (!Number.isInteger(count) || count < 1 || !Number.isInteger(resamples) || resamples < 1) {
    throw new ValueError(
      `count is ${count} and resamples ${resamples}, but positive whole numbers are taken`,
    );
  }
  if (!(confidence > 0 && confidence < 1)) {
    throw new ValueError(`confidence is ${confidence}, but it must be between 0 and 1`);
  }
  const pools = groupIndices(count, groups);
  const statistics = Float64Array.from({ length: resamples }, (_, stream) => {
    const value = statistic(resample(pools, philoxBits(count, seed, stream)));
    if (Number.isNaN(value)) {
      throw new ValueError(
        `the statistic of resample ${stream} is nan; let it give a number for every resample`,
      );
    }
    return value;
  });
  statistics.sort();
  const tail = (1 - confidence) / 2;
  return { low: quantile(statistics, tail), high: quantile(statistics, 1 - tail) };
}

function groupIndices(count: number, groups: Numbers | undefined): number[][] {
  if (groups && groups.length !== count) {
    throw new ValueError(
      `groups has ${groups.length} entries, but count is ${count}; give one for each example`,
    );
  }
  const pools = new Map<number, number[]>();
  for (let i = 0; i < count; i++) {
    const group = groups ? groups[i] : 0;
    const pool = pools.get(group);
    if (pool) {
      pool.push(i);
    } else {
      pools.set(group, [i]);
    }
  }
  return [...pools.values()];
}

/** As many draws from each pool as it holds; `bits` has a word for each. */
function resample(pools: readonly number[][], bits: Uint32Array): Uint32Array {
  const indices = new Uint32Array(bits.length);
  let next = 0;
  for (const pool of pools) {
    for (let draw = 0; draw < pool.length; draw++, next++) {
      indices[next] = pool[Math.floor((bits[next] * pool.length) / 2 ** 32)];
    }
  }
  return indices;
}

function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  const low = sorted[below];
  const rise = sorted[above] - low;
  return rise === 0 ? low : low + (position - below) * rise;
}
