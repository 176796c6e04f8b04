/** What the kernels that draw random numbers share: which numbers are drawn, and checks of the options. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Shapes, UniformValue } from "../gpu/kernel.js";
import { seedKey } from "../random.js";
import type { Tensor } from "../tensor.js";

/** Which numbers are drawn. */
export interface DrawOptions {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Which of the seed's independent sequences, 0 (default) to 2^32 - 1. */
  readonly stream?: number;
  /** u32 [1] or [2]: how often was drawn; see `advance`. */
  readonly counter?: Tensor;
}

/** The options, which JavaScript may have left out. @throws ValueError if so */
export function givenOptions<T extends object>(op: string, options: T | undefined): T {
  if (typeof options === "object" && options !== null) return options;
  throw new ValueError(
    `${op}: options is ${options}, and an object with a seed is taken, such as { seed: 7 }`,
  );
}

/** @throws ShapeError if there is a counter of another shape than [1] and [2] */
export function checkCounter(op: string, { counter }: Shapes): void {
  if (counter && (counter.length !== 1 || (counter[0] !== 1 && counter[0] !== 2))) {
    throw new ShapeError(
      `${op}: counter has shape [${counter}], and [1] or [2] is taken; make it with zeros`,
    );
  }
}

/** The uniforms that say which numbers are drawn. @throws ValueError for a seed or stream out of range */
export function drawUniforms(
  { counter }: Shapes,
  { seed, stream = 0 }: DrawOptions,
): Record<string, UniformValue> {
  if (!(Number.isInteger(stream) && stream >= 0 && stream < 2 ** 32)) {
    throw new ValueError(`stream is ${stream}, and a whole number from 0 to 2^32 - 1 is taken`);
  }
  const [low, high] = seedKey(seed);
  return { stream, key_low: low, key_high: high, counter_words: counter ? counter[0] : 0 };
}

/** @throws ValueError if `value` is not a number from 0 to 1 */
export function checkShare(op: string, name: string, value: number): void {
  if (!(value >= 0 && value <= 1))
    throw new ValueError(`${op}: ${name} is ${value}, and a number from 0 to 1 is taken`);
}

/** How many of the 2^24 possible draws lie below a probability. */
export function thresholdOf(probability: number): number {
  return Math.round(probability * 2 ** 24);
}

/** What the kept elements of a dropout are multiplied by. */
export function keepScale(rate: number): number {
  return rate === 1 ? 0 : 1 / (1 - rate);
}
