import { ValueError } from "./gpu/errors.js";

/**
 * Philox4x32-10, the counter-based generator of J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011. This file defines, for the whole library, which
 * numbers a seed stands for; the WGSL kernels give the same bits.
 *
 *   key        (low 32 bits of the seed, high 32 bits of the seed)
 *   counter    (block, stream, 0, 0)
 *   bits       element i is word i mod 4 of block floor(i / 4)
 *   uniform    (bits >>> 8) * 2^-24, exact in float32 and below 1
 *   permutation of n   the stable argsort of n sort keys, smallest first, equal keys by smaller index;
 *              sort key i is word 0 of block i
 *
 * Streams make independent sequences of one seed. Uniform and permutation share their counters, so a
 * program that draws both from one seed gives each its own stream.
 */

const roundMultiplier0 = 0xd2511f53;
const roundMultiplier1 = 0xcd9e8d57;
const keyStep0 = 0x9e3779b9;
const keyStep1 = 0xbb67ae85;
const rounds = 10;

/** Counters are 32-bit, so this many blocks of four words is one stream. */
const blocksPerStream = 2 ** 32;

/** Upper half of the 64-bit product of two unsigned 32-bit numbers, by 16-bit halves as the WGSL does. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) >>> 0;
}

/**
 * One block of Philox4x32-10: four 32-bit words from four words of counter and two of key.
 *
 * @param counter four unsigned 32-bit words
 * @param key two unsigned 32-bit words
 * @param out where the four words go; a new array by default
 * @returns `out`
 * @example
 * philoxBlock([0, 0, 0, 0], [0, 0]); // Uint32Array [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
 */
export function philoxBlock(
  counter: ArrayLike<number>,
  key: ArrayLike<number>,
  out: Uint32Array = new Uint32Array(4),
): Uint32Array {
  let [word0, word1, word2, word3] = [counter[0], counter[1], counter[2], counter[3]];
  let key0 = key[0];
  let key1 = key[1];
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(roundMultiplier0, word0);
    const low0 = Math.imul(roundMultiplier0, word0) >>> 0;
    const high1 = multiplyHigh(roundMultiplier1, word2);
    const low1 = Math.imul(roundMultiplier1, word2) >>> 0;
    word0 = (high1 ^ word1 ^ key0) >>> 0;
    word1 = low1;
    word2 = (high0 ^ word3 ^ key1) >>> 0;
    word3 = low0;
    key0 = (key0 + keyStep0) >>> 0;
    key1 = (key1 + keyStep1) >>> 0;
  }
  out[0] = word0;
  out[1] = word1;
  out[2] = word2;
  out[3] = word3;
  return out;
}

/**
 * The two key words of a seed.
 *
 * @param seed an integer from 0 to 2^53 - 1
 * @throws ValueError if the seed is anything else
 */
export function seedKey(seed: number): [number, number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ValueError(`seed is ${seed}, but it must be an integer from 0 to 2^53 - 1`);
  }
  return [seed >>> 0, Math.floor(seed / 2 ** 32)];
}

function checkDraw(count: number, stream: number, blocks: number): void {
  if (!Number.isSafeInteger(count) || count < 0 || blocks > blocksPerStream) {
    throw new ValueError(
      `count is ${count}, but it must be an integer from 0 to what one stream holds (2^32 blocks)`,
    );
  }
  if (!Number.isSafeInteger(stream) || stream < 0 || stream >= 2 ** 32) {
    throw new ValueError(`stream is ${stream}, but it must be an integer from 0 to 2^32 - 1`);
  }
}

/**
 * `count` random 32-bit words of a seed.
 *
 * @param count how many words
 * @param seed an integer from 0 to 2^53 - 1
 * @param stream which of the seed's sequences, 0 to 2^32 - 1
 * @throws ValueError if an argument is out of range
 * @example
 * const words = philoxBits(100, 7); // Uint32Array(100), the same on every machine
 */
export function philoxBits(count: number, seed: number, stream = 0): Uint32Array<ArrayBuffer> {
  const blocks = Math.ceil(count / 4);
  checkDraw(count, stream, blocks);
  const key = seedKey(seed);
  const bits = new Uint32Array(count);
  const words = new Uint32Array(4);
  for (let block = 0; block < blocks; block++) {
    philoxBlock([block, stream, 0, 0], key, words);
    for (let i = block * 4, word = 0; word < 4 && i < count; i++, word++) {
      bits[i] = words[word];
    }
  }
  return bits;
}

/**
 * `count` random numbers in [0, 1), multiples of 2^-24.
 *
 * @param count how many numbers
 * @param seed an integer from 0 to 2^53 - 1
 * @param stream which of the seed's sequences, 0 to 2^32 - 1
 * @throws ValueError if an argument is out of range
 * @example
 * const noise = philoxUniform(784, 7);
 */
export function philoxUniform(count: number, seed: number, stream = 0): Float32Array<ArrayBuffer> {
  const bits = philoxBits(count, seed, stream);
  const numbers = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    numbers[i] = (bits[i] >>> 8) * 2 ** -24;
  }
  return numbers;
}

/**
 * A random order of 0 … count - 1.
 *
 * @param count how many indices
 * @param seed an integer from 0 to 2^53 - 1
 * @param stream which of the seed's sequences, 0 to 2^32 - 1
 * @throws ValueError if an argument is out of range
 * @example
 * const order = philoxPermutation(10000, 7); // order[0] is the index that comes first
 */
export function philoxPermutation(count: number, seed: number, stream = 0): Uint32Array<ArrayBuffer> {
  checkDraw(count, stream, count);
  const key = seedKey(seed);
  const sortKeys = new Uint32Array(count);
  const words = new Uint32Array(4);
  for (let i = 0; i < count; i++) {
    sortKeys[i] = philoxBlock([i, stream, 0, 0], key, words)[0];
  }
  return stableArgsort(sortKeys);
}

/** Radix sort by the lower, then the upper 16 bits; counting sort keeps equal keys in their order. */
function stableArgsort(sortKeys: Uint32Array): Uint32Array<ArrayBuffer> {
  let order = new Uint32Array(sortKeys.length).map((_, i) => i);
  for (const shift of [0, 16]) {
    const starts = new Uint32Array(65537);
    for (const sortKey of sortKeys) {
      starts[((sortKey >>> shift) & 0xffff) + 1]++;
    }
    for (let digit = 0; digit < 65536; digit++) {
      starts[digit + 1] += starts[digit];
    }
    const next = new Uint32Array(order.length);
    for (const index of order) {
      next[starts[(sortKeys[index] >>> shift) & 0xffff]++] = index;
    }
    order = next;
  }
  return order;
}
