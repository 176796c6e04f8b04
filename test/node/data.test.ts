import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadDna, loadFashion, loadMnist } from "../../src/data/index.js";
import { FormatError } from "../../src/gpu/errors.js";
import { readFileBytes } from "../../src/io/index.js";
import { assertRejects } from "../helpers/errors.js";

const test = suite("data on Node");

/** FNV-1a, 32 bits: enough to notice any change of the bytes. */
function hash(bytes: ArrayLike<number>): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) state = Math.imul(state ^ bytes[i], 0x01000193) >>> 0;
  return state;
}

test("the 10,000 digits of the package mnist, split 8,000 and 2,000", async () => {
  const digits = await loadMnist();
  assert.is(digits.count, 10000);
  const [train, held] = digits.split([8000, 2000], { seed: 7, stratified: true });
  assert.equal([train.count, held.count, ...held.shape], [8000, 2000, 1, 28, 28]);
  for (let digit = 0; digit < 10; digit++) {
    const total = digits.labels.filter((label) => label === digit).length;
    const share = held.labels.filter((label) => label === digit).length;
    assert.ok(Math.abs(share - total / 5) <= 1, `${share} of ${total}`);
  }
  const { mean, std } = digits.channelStatistics();
  // Those of MNIST's 60,000 training images are 0.1307 and 0.3081.
  assert.ok(Math.abs(mean[0] - 0.1307) <= 0.003 && Math.abs(std[0] - 0.3081) <= 0.003, `${mean} ${std}`);
});

test("the subset of Fashion-MNIST in data/fashion", async () => {
  const { train, test: held } = await loadFashion();
  assert.equal([train.count, held.count, ...train.shape], [12000, 2000, 1, 28, 28]);
  assert.equal(Array.from(train.labels.subarray(0, 4)), [9, 0, 0, 3]);
  assert.equal(Array.from(held.labels.subarray(0, 4)), [9, 2, 1, 1]);
  const hashes = [train, held].flatMap(({ images, labels }) => [hash(images), hash(labels)]);
  // Of the first images and labels in the original IDX files.
  assert.equal(hashes, [0x8c011f5f, 0xd0849fba, 0x3c4c760e, 0x0fd2717d]);
});

test("the splice junctions in data/dna: where GT and AG must stand, they do", async () => {
  const { count, labels, shape, images } = await loadDna();
  assert.equal([count, ...shape], [3186, 4, 1, 60]);
  const base = (index: number, at: number) =>
    "ACGT"[[0, 1, 2, 3].findIndex((channel) => images[(index * 4 + channel) * 60 + at] === 255)];
  const share = (label: number, at: number, pair: string): number => {
    const own = [...labels.keys()].filter((index) => labels[index] === label);
    return own.filter((index) => base(index, at) + base(index, at + 1) === pair).length / own.length;
  };
  assert.ok(share(0, 30, "GT") > 0.98 && share(1, 28, "AG") > 0.98 && share(2, 30, "GT") < 0.2);
});

test("files that are not there or too large", async () => {
  const folder = await mkdtemp(join(tmpdir(), "handgrad-"));
  try {
    const path = join(folder, "a.bin");
    await writeFile(path, new Uint8Array([1, 2, 3]));
    assert.equal(await readFileBytes(path), new Uint8Array([1, 2, 3]));
    await assertRejects(
      () => readFileBytes(path, { maxBytes: 2 }),
      FormatError,
      /not a file of at most 2 bytes/,
    );
    await assertRejects(() => readFileBytes(folder), FormatError, /is not a file/);
    await assertRejects(() => readFileBytes(join(folder, "none")), FormatError, /cannot be opened: ENOENT/);
    await assertRejects(() => loadMnist({ directory: folder }), FormatError, /0\.json cannot be opened/);
    await assertRejects(() => loadDna({ directory: folder }), FormatError, /sequences\.txt cannot be opened/);
    await assertRejects(
      () => loadFashion({ directory: folder }),
      FormatError,
      /labels\.json cannot be opened/,
    );
    await assertRejects(
      () => loadFashion({ idxDirectory: folder }),
      FormatError,
      /train-images-idx3-ubyte\.gz cannot/,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.run();
