import { decodePng, encodePng } from "handgrad/io";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fashionFromIdx, fashionFromSheets } from "../src/data/fashion.js";
import { datasetFromIdx } from "../src/data/idx_dataset.js";
import { digitsFromJson } from "../src/data/mnist.js";
import { FormatError } from "../src/gpu/errors.js";
import { bigEndian32, compress, joinBytes } from "./helpers/bytes.js";
import { assertRejects } from "./helpers/errors.js";

const test = suite("dataset files");

const idxImages = (count: number) =>
  joinBytes(
    [0, 0, 8, 3],
    bigEndian32(count),
    bigEndian32(2),
    bigEndian32(3),
    new Uint8Array(count * 6).map((_, i) => i),
  );
const idxLabels = (labels: number[]) => joinBytes([0, 0, 8, 1], bigEndian32(labels.length), labels);

test("a pair of idx files", async () => {
  const dataset = await datasetFromIdx({ images: idxImages(2), labels: idxLabels([1, 0]) }, ["a", "b"]);
  assert.equal([dataset.count, ...dataset.shape], [2, 1, 2, 3]);
  assert.equal(
    dataset.images,
    Uint8Array.from({ length: 12 }, (_, i) => i),
  );
  assert.equal(dataset.labels, new Uint32Array([1, 0]));
});

test("idx files that do not belong together", async () => {
  const refuse = (images: Uint8Array, labels: Uint8Array, message: RegExp) =>
    assertRejects(
      () => datasetFromIdx({ images, labels }, ["a", "b"], { name: "t10k" }),
      FormatError,
      message,
    );
  await refuse(idxImages(2), idxLabels([1]), /^t10k: labels has shape \[1\], but \[2\]/);
  await refuse(idxLabels([1]), idxLabels([1]), /^t10k: images has shape \[1\]/);
  await refuse(idxImages(1), idxImages(1), /^t10k: labels has shape/);
  await refuse(idxImages(1), idxLabels([2]), /^t10k: labels holds 2, but there are 2 classes/);
  await refuse(idxImages(1).slice(0, -1), idxLabels([1]), /^t10k: images is truncated/);
});

test("the four files of Fashion-MNIST", async () => {
  const files: Record<string, Uint8Array> = {
    "train-images-idx3-ubyte.gz": await compress(idxImages(2), "gzip"),
    "train-labels-idx1-ubyte.gz": await compress(idxLabels([9, 0]), "gzip"),
    "t10k-images-idx3-ubyte.gz": await compress(idxImages(1), "gzip"),
    "t10k-labels-idx1-ubyte.gz": await compress(idxLabels([3]), "gzip"),
  };
  const { train, test: held } = await fashionFromIdx(async (name) => files[name]);
  assert.equal(
    Array.from(train.labels, (label) => train.classNames[label]),
    ["Ankle boot", "T-shirt/top"],
  );
  assert.equal(
    Array.from(held.labels, (label) => held.classNames[label]),
    ["Dress"],
  );
});

/** One digit whose pixel 0 says its class and whose other pixels are a ramp, cut to three decimals. */
const digitText = (digit: number) =>
  JSON.stringify({
    data: Array.from({ length: 784 }, (_, i) => Number(((i === 0 ? digit : i % 256) / 255).toFixed(3))),
  });

test("digits of the package mnist, back to bytes", () => {
  const dataset = digitsFromJson(Array.from({ length: 10 }, (_, digit) => digitText(digit)));
  assert.equal(
    dataset.labels,
    Uint32Array.from({ length: 10 }, (_, digit) => digit),
  );
  for (let digit = 0; digit < 10; digit++) {
    const image = dataset.subset([digit]).images;
    assert.equal(
      Array.from(image),
      Array.from({ length: 784 }, (_, i) => (i === 0 ? digit : i % 256)),
    );
  }
});

test("digit files that are refused", async () => {
  const refuse = (text: string, message: RegExp) => {
    const texts = Array.from({ length: 10 }, (_, digit) => digitText(digit));
    texts[4] = text;
    return assertRejects(() => digitsFromJson(texts), FormatError, message);
  };
  await refuse(digitText(4).slice(0, -20), /^4\.json is truncated or not json/);
  await refuse("null", /^4\.json is truncated or not json/);
  await refuse('{"data":[0,1]}', /^4\.json has 2 numbers as its data/);
  await refuse('{"data":{}}', /^4\.json has object as its data/);
  await refuse(
    digitText(4)
      .replace("[", "[-1,")
      .replace(/,[^,]*\]/, "]"),
    /^4\.json holds -1 at index 0/,
  );
  await refuse(
    digitText(4)
      .replace("[", '["1",')
      .replace(/,[^,]*\]/, "]"),
    /^4\.json holds "1" at index 0/,
  );
  await assertRejects(() => digitsFromJson([]), FormatError, /^texts holds 0 texts/);
});

test("sheets of tiles", async () => {
  // Tile t of a sheet is filled with t mod 251; each sheet of a part is the same.
  const data = new Uint8Array(1120 * 700);
  for (let i = 0; i < data.length; i++) {
    data[i] = (Math.floor(Math.floor(i / 1120) / 28) * 40 + Math.floor((i % 1120) / 28)) % 251;
  }
  data[28 + 1120] = 255;
  const sheet = await encodePng({ width: 1120, height: 700, channels: 1, data });
  const small = await encodePng({ width: 2, height: 2, channels: 1, data: new Uint8Array(4) });
  const labels = { train: `${"9".repeat(11999)}1`, test: "5".repeat(2000) };
  const asked: string[] = [];
  const reader =
    (overrides: Record<string, Uint8Array> = {}) =>
    async (name: string) => {
      asked.push(name);
      return (
        overrides[name] ?? (name.endsWith(".png") ? sheet : new TextEncoder().encode(JSON.stringify(labels)))
      );
    };
  const { train, test: held } = await fashionFromSheets(reader(), decodePng);
  assert.equal([train.count, held.count], [12000, 2000]);
  assert.equal([train.labels[0], train.labels[11999], held.labels[0]], [9, 1, 5]);
  assert.ok(asked.includes("train-11.png") && asked.includes("test-01.png") && new Set(asked).size === 15);
  const image = train.subset([11999]).images;
  assert.ok(image.every((byte) => byte === 999 % 251));
  assert.is(held.images[1001 * 784 + 28], 255);
  const refuse = (overrides: Record<string, Uint8Array>, message: RegExp) =>
    assertRejects(() => fashionFromSheets(reader(overrides), decodePng), FormatError, message);
  await refuse({ "test-00.png": small }, /^test-00\.png has 2 × 2 pixels, but 1120 × 700/);
  await refuse(
    { "labels.json": new TextEncoder().encode('{"train":"9"}') },
    /no text of 12000 digits as "train"/,
  );
  await refuse({ "labels.json": new Uint8Array([0]) }, /labels\.json is truncated or not json/);
});

test.run();
