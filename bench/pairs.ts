/** Times two things pair by pair, so that a machine that slows down for a while slows both. */

export interface Sample {
  readonly median: number;
  /** Quarters of the samples lie below and above. */
  readonly low: number;
  readonly high: number;
}

export interface PairTiming {
  /** Milliseconds of one run of the first and of the second, pair by pair. */
  readonly first: readonly number[];
  readonly second: readonly number[];
  /** The first's time over the second's, of the pairs. */
  readonly gain: Sample;
}

/** Milliseconds for `count` runs that are waited for once. */
export type Timer = (count: number) => Promise<number>;

/** @throws RangeError without samples: a median of nothing would be NaN */
export function summarize(values: readonly number[]): Sample {
  if (values.length === 0) throw new RangeError("summarize: there are no samples");
  const sorted = [...values].sort((x, y) => x - y);
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
  };
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}

/** How many runs take about `milliseconds`; the first ones warm up. */
export async function calibrate(time: Timer, milliseconds: number): Promise<number> {
  await time(1);
  for (let count = 1; ; count *= 4) {
    const taken = await time(count);
    if (taken >= milliseconds / 4 || count >= 1024) {
      return Math.max(1, Math.round((count * milliseconds) / Math.max(taken, 0.01)));
    }
  }
}

/** The order turns from pair to pair, so that nobody always follows the other. */
export async function timePairs(
  [first, second]: readonly [Timer, Timer],
  [firstCount, secondCount]: readonly [number, number],
  pairs: number,
): Promise<PairTiming> {
  const times: [number[], number[]] = [[], []];
  for (let pair = 0; pair < pairs; pair++) {
    const one = async (): Promise<void> => void times[0].push((await first(firstCount)) / firstCount);
    const other = async (): Promise<void> => void times[1].push((await second(secondCount)) / secondCount);
    if (pair % 2 === 0) {
      await one();
      await other();
    } else {
      await other();
      await one();
    }
  }
  const gain = summarize(times[0].map((ms, i) => ms / times[1][i]));
  return { first: times[0], second: times[1], gain };
}
