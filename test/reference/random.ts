import { philoxBlock, seedKey } from "../../src/random.js";

/** Which of a seed's numbers: the stream, and the two words that a counter tensor holds. */
export interface Draw {
  seed: number;
  stream?: number;
  draw?: readonly [number, number];
}

/** The upper 24 bits of `count` words from a block on: element i comes of word i mod 4 of block ⌊i / 4⌋. */
export function draws24(count: number, { seed, stream = 0, draw = [0, 0] }: Draw, firstBlock = 0): number[] {
  const key = seedKey(seed);
  const result: number[] = [];
  for (let block = firstBlock; result.length < count; block++) {
    result.push(...Array.from(philoxBlock([block, stream, ...draw], key), (word) => word >>> 8));
  }
  return result.slice(0, count);
}

/** low + u·(high - low) in float32, each operation rounded, for u = draw · 2^-24 in [0, 1). */
export function uniform(count: number, which: Draw, low = 0, high = 1): number[] {
  const [from, to] = [Math.fround(low), Math.fround(high)];
  const width = Math.fround(to - from);
  return draws24(count, which).map((draw) => Math.fround(from + Math.fround(draw * 2 ** -24 * width)));
}

/** Box and Muller's transform of the uniform draws, in float64. */
export function normal(count: number, which: Draw): number[] {
  const u = draws24(4 * Math.ceil(count / 4), which).map((draw) => draw * 2 ** -24);
  return Array.from({ length: count }, (_, i) => {
    const first = i - (i % 2);
    const radius = Math.sqrt(-2 * Math.log(1 - u[first]));
    const angle = 2 * Math.PI * u[first + 1];
    return radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  });
}
