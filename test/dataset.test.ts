import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Dataset } from "../src/data/dataset.js";
import { ShapeError, ValueError } from "../src/gpu/errors.js";
import { philoxPermutation } from "../src/random.js";
import { assertRejects } from "./helpers/errors.js";

const test = suite("dataset");

/** Images of 2 channels, 1 × 2 pixels, whose first byte is their index; every third one is of class 1. */
function make(count: number): Dataset {
  const images = Uint8Array.from({ length: count * 4 }, (_, i) => (i % 4 === 0 ? i / 4 : 10 * (i % 4)));
  const labels = Uint32Array.from({ length: count }, (_, i) => (i % 3 === 0 ? 1 : 0));
  return new Dataset({ images, labels, shape: [2, 1, 2], classNames: ["a", "b"] });
}

const indicesOf = (dataset: Dataset) =>
  Array.from({ length: dataset.count }, (_, i) => dataset.images[i * 4]);

test("a batch is floats in [0, 1] with its shape and labels", () => {
  const { images, labels } = make(5).batch([3, 1, 3]);
  assert.equal(images.shape, [3, 2, 1, 2]);
  const image = (index: number) => [index, 10, 20, 30].map((byte) => Math.fround(byte / 255));
  assert.equal(Array.from(images.data), [...image(3), ...image(1), ...image(3)]);
  assert.equal(labels, new Uint32Array([1, 0, 1]));
});

test("subset and shuffle keep image and label together and leave the dataset alone", () => {
  const dataset = make(200);
  const shuffled = dataset.shuffle(7);
  const order = Array.from(philoxPermutation(200, 7));
  assert.equal(indicesOf(shuffled), order);
  assert.equal(
    Array.from(shuffled.labels),
    order.map((index) => (index % 3 === 0 ? 1 : 0)),
  );
  assert.equal(
    indicesOf(dataset),
    Array.from({ length: 200 }, (_, i) => i),
  );
  assert.equal(indicesOf(dataset.shuffle(7)), order);
  assert.not.equal(indicesOf(dataset.shuffle(8)), order);
  assert.equal(indicesOf(dataset.subset([9, 2])), [9, 2]);
  assert.is(dataset.subset([]).count, 0);
});

test("split without a seed cuts in order, with one it cuts the shuffled dataset", () => {
  const [first, second] = make(10).split([6, 3]);
  assert.equal(
    [indicesOf(first), indicesOf(second)],
    [
      [0, 1, 2, 3, 4, 5],
      [6, 7, 8],
    ],
  );
  const [a, b] = make(10).split([6, 4], { seed: 3 });
  assert.equal([...indicesOf(a), ...indicesOf(b)], indicesOf(make(10).shuffle(3)));
});

test("a stratified split gives every part the shares of the classes, in the shuffled order", () => {
  for (const seed of [undefined, 1, 2]) {
    const dataset = make(100);
    const parts = dataset.split([50, 30, 20], { seed, stratified: true });
    const all = parts.flatMap(indicesOf);
    assert.equal(
      [...all].sort((x, y) => x - y),
      indicesOf(dataset),
    );
    const order = seed === undefined ? indicesOf(dataset) : indicesOf(dataset.shuffle(seed));
    for (const part of parts) {
      const ones = part.labels.reduce((sum, label) => sum + label, 0);
      assert.ok(Math.abs(ones - 0.34 * part.count) <= 1, `${ones} of ${part.count}`);
      const places = indicesOf(part).map((index) => order.indexOf(index));
      assert.equal(
        [...places].sort((x, y) => x - y),
        places,
      );
    }
  }
});

test("normalize works channel by channel, on bytes and on floats", () => {
  const dataset = make(2);
  const { images } = dataset.normalize([0.5, 0.25], [0.5, 2]);
  const channelOf = [0, 0, 1, 1];
  const expected = [0, 10, 20, 30, 1, 10, 20, 30].map((byte, i) => {
    const channel = channelOf[i % 4];
    return (byte / 255 - [0.5, 0.25][channel]) / [0.5, 2][channel];
  });
  for (const [i, value] of expected.entries()) assert.ok(Math.abs(images[i] - value) <= 1e-6);
  assert.equal(dataset.toFloat().normalize([0.5, 0.25], [0.5, 2]).images, images);
});

test("channel statistics normalize to mean 0 and standard deviation 1", () => {
  const dataset = make(50);
  const { mean, std } = dataset.channelStatistics();
  const { mean: newMean, std: newStd } = dataset.normalize(mean, std).channelStatistics();
  for (const channel of [0, 1]) {
    assert.ok(Math.abs(newMean[channel]) <= 1e-6 && Math.abs(newStd[channel] - 1) <= 1e-6);
  }
});

test("what does not fit is refused", async () => {
  const dataset = make(4);
  const parts = {
    images: new Uint8Array(4),
    labels: new Uint32Array(1),
    shape: [1, 2, 2] as const,
    classNames: ["a"],
  };
  await assertRejects(
    () => new Dataset({ ...parts, images: new Uint8Array(5) }),
    ShapeError,
    /^images has 5 numbers/,
  );
  await assertRejects(() => new Dataset({ ...parts, shape: [1, 2, 0] }), ShapeError, /^shape is \[1,2,0\]/);
  await assertRejects(
    () => new Dataset({ ...parts, labels: new Uint32Array([1]) }),
    ValueError,
    /^labels holds 1 at 0/,
  );
  for (const index of [-1, 4, 0.5, Number.NaN]) {
    await assertRejects(
      () => dataset.batch([0, index]),
      ValueError,
      /^indices holds .* at 1, but there are 4 images/,
    );
  }
  await assertRejects(() => dataset.split([3, 2]), ValueError, /^sizes is \[3,2\]/);
  await assertRejects(() => dataset.split([-1]), ValueError, /^sizes is \[-1\]/);
  await assertRejects(() => dataset.normalize([0], [1]), ValueError, /2 finite numbers each/);
  await assertRejects(() => dataset.normalize([0, 0], [1, 0]), ValueError, /std positive/);
  await assertRejects(() => dataset.normalize([0, Number.NaN], [1, 1]), ValueError, /^mean is/);
  await assertRejects(() => dataset.subset([]).channelStatistics(), ValueError, /is empty/);
});

test.run();
