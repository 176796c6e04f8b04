import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ValueError } from "../src/gpu/errors.js";
import { philoxBits, philoxBlock, philoxPermutation, philoxUniform, seedKey } from "../src/random.js";
import { assertRejects } from "./helpers/errors.js";

const test = suite("philox");

// The known answers of philox4x32-10 that come with Random123 (kat_vectors).
const knownAnswers = [
  {
    counter: [0, 0, 0, 0],
    key: [0, 0],
    words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
];

test("known answers of Random123", () => {
  for (const { counter, key, words } of knownAnswers) {
    assert.equal(Array.from(philoxBlock(counter, key)), words);
  }
});

test("element i is word i mod 4 of block floor(i / 4) of the stream, with the key of the seed", () => {
  const seed = 5 * 2 ** 32 + 9;
  assert.equal(seedKey(seed), [9, 5]);
  const bits = philoxBits(11, seed, 3);
  for (let i = 0; i < 11; i++) {
    assert.is(bits[i], philoxBlock([Math.floor(i / 4), 3, 0, 0], [9, 5])[i % 4]);
  }
});

test("uniform numbers are the upper 24 bits, below 1", () => {
  const bits = philoxBits(20000, 7);
  const numbers = philoxUniform(20000, 7);
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) {
    assert.is(numbers[i] * 2 ** 24, Math.floor(bits[i] / 256));
    sum += numbers[i];
  }
  // The mean of n uniform numbers has standard deviation 1 / sqrt(12 n).
  assert.ok(Math.abs(sum / 20000 - 0.5) <= 4 / Math.sqrt(12 * 20000));
});

test("a permutation is the stable argsort of the first word of each block", () => {
  for (const count of [0, 1, 2, 1000, 70001]) {
    const keys = Array.from({ length: count }, (_, i) => philoxBlock([i, 2, 0, 0], [7, 0])[0]);
    const expected = keys.map((_, i) => i).sort((a, b) => keys[a] - keys[b] || a - b);
    assert.equal(Array.from(philoxPermutation(count, 7, 2)), expected);
  }
});

test("seeds and streams give different numbers, the same ones the same", () => {
  const draws = [philoxBits(8, 1), philoxBits(8, 2), philoxBits(8, 1, 1), philoxBits(8, 2 ** 32 + 1)];
  assert.is(new Set(draws.map(String)).size, 4);
  assert.equal(philoxBits(8, 1), draws[0]);
});

test("wrong seeds, streams and counts are refused", async () => {
  for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) {
    await assertRejects(() => philoxUniform(4, seed), ValueError, /^seed is /);
  }
  await assertRejects(() => philoxBits(4, 1, 2 ** 32), ValueError, /^stream is /);
  await assertRejects(() => philoxBits(-4, 1), ValueError, /^count is /);
  await assertRejects(() => philoxPermutation(2 ** 32 + 1, 1), ValueError, /^count is /);
});

test.run();
