import { decodePng, encodePng } from "handgrad/io";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FormatError, ShapeError, ValueError } from "../src/gpu/errors.js";
import { arrayToPixels, pixelsToArray } from "../src/io/pixels.js";
import { readPngHeader } from "../src/io/png.js";
import { philoxBits } from "../src/random.js";
import { joinBytes } from "./helpers/bytes.js";
import { assertRejects } from "./helpers/errors.js";
import { fuzzReader, largestAllocation } from "./helpers/fuzz.js";
import { makePng, pngChunk, repairPng } from "./helpers/png.js";

const test = suite("png");

let gray: Uint8Array<ArrayBuffer>;
let color: Uint8Array<ArrayBuffer>;

test.before(async () => {
  gray = await makePng({ width: 3, height: 2, colorType: 0, lines: [0, 0, 128, 255, 0, 1, 2, 3] });
  color = await makePng({ width: 2, height: 1, colorType: 2, lines: [0, 10, 20, 30, 255, 0, 1] });
});

test("gray, RGB and RGBA as they are", async () => {
  assert.equal(await decodePng(gray), {
    width: 3,
    height: 2,
    channels: 1,
    data: new Uint8Array([0, 128, 255, 1, 2, 3]),
  });
  assert.equal((await decodePng(color)).data, new Uint8Array([10, 20, 30, 255, 0, 1]));
  const translucent = await makePng({
    width: 2,
    height: 1,
    colorType: 6,
    lines: [0, 9, 8, 7, 255, 0, 0, 0, 0],
  });
  assert.equal(await decodePng(translucent), {
    width: 2,
    height: 1,
    channels: 4,
    data: new Uint8Array([9, 8, 7, 255, 0, 0, 0, 0]),
  });
});

test("palettes, few bits, filters and interlacing", async () => {
  const palette = pngChunk("PLTE", [1, 2, 3, 250, 251, 252]);
  const indexed = await makePng({
    width: 3,
    height: 1,
    bitDepth: 1,
    colorType: 3,
    extra: [palette],
    lines: [0, 0b01000000],
  });
  assert.equal((await decodePng(indexed)).data, new Uint8Array([1, 2, 3, 250, 251, 252, 1, 2, 3]));
  const nibbles = await makePng({ width: 3, height: 1, bitDepth: 4, colorType: 0, lines: [0, 0x0f, 0x80] });
  assert.equal((await decodePng(nibbles)).data, new Uint8Array([0, 255, 136]));
  const filtered = await makePng({ width: 2, height: 2, colorType: 0, lines: [1, 5, 5, 2, 1, 1] });
  assert.equal((await decodePng(filtered)).data, new Uint8Array([5, 10, 6, 11]));
  // Adam7 on 2 × 2 pixels: pass 1 has the first pixel, pass 6 the second, pass 7 the second row.
  const interlaced = await makePng({
    width: 2,
    height: 2,
    colorType: 0,
    interlace: 1,
    lines: [0, 1, 0, 2, 0, 3, 4],
  });
  assert.equal((await decodePng(interlaced)).data, new Uint8Array([1, 2, 3, 4]));
});

test("channels on demand", async () => {
  assert.equal((await decodePng(gray, { channels: 3 })).data.subarray(3, 6), new Uint8Array([128, 128, 128]));
  assert.equal(
    (await decodePng(color, { channels: 4 })).data,
    new Uint8Array([10, 20, 30, 255, 255, 0, 1, 255]),
  );
  const luma = [Math.round(0.299 * 10 + 0.587 * 20 + 0.114 * 30), Math.round(0.299 * 255 + 0.114)];
  assert.equal((await decodePng(color, { channels: 1 })).data, new Uint8Array(luma));
});

test("what is written comes back", async () => {
  for (const channels of [1, 3, 4] as const) {
    const data = Uint8Array.from(philoxBits(37 * 23 * channels, channels), (bits) => bits >>> 24);
    // Opaque, since a browser's canvas keeps only such colors exactly.
    for (let i = 3; channels === 4 && i < data.length; i += 4) data[i] = 255;
    const bytes = await encodePng({ width: 37, height: 23, channels, data });
    assert.equal(await decodePng(bytes, { channels }), { width: 37, height: 23, channels, data });
  }
});

test("bytes to numbers in channel order, and back", () => {
  const pixels = {
    width: 2,
    height: 1,
    channels: 3 as const,
    data: new Uint8Array([0, 51, 102, 153, 204, 255]),
  };
  const array = pixelsToArray(pixels);
  assert.equal(array.shape, [3, 1, 2]);
  assert.equal(array.data, new Float32Array([0, 153 / 255, 51 / 255, 204 / 255, 102 / 255, 1]));
  assert.equal(arrayToPixels(array), pixels);
  assert.equal(
    arrayToPixels({ shape: [1, 2], data: new Float32Array([0.501, 1]) }).data,
    new Uint8Array([128, 255]),
  );
});

test("arrays that are no image", async () => {
  const refuse = (
    shape: number[],
    values: number[],
    kind: typeof ShapeError | typeof ValueError,
    message: RegExp,
  ) => assertRejects(() => arrayToPixels({ shape, data: new Float32Array(values) }), kind, message);
  await refuse([2, 1, 1], [0, 0], ShapeError, /^array has shape \[2,1,1\]/);
  await refuse([1, 1, 1, 1], [0], ShapeError, /^array has shape/);
  await refuse([2, 2], [0, 0, 0], ShapeError, /^array has width 2/);
  await refuse([1, 1], [1.01], ValueError, /holds 1\.0\d+ at index 0, but 0 to 1/);
  await refuse([1, 1], [Number.NaN], ValueError, /holds NaN/);
  const short = { width: 2, height: 2, channels: 1 as const, data: new Uint8Array(3) };
  await assertRejects(() => encodePng(short), ShapeError, /^pixels has width 2/);
});

test("files that are refused on both hosts", async () => {
  const refuse = (bytes: Uint8Array, message: RegExp) =>
    assertRejects(() => decodePng(bytes, { name: "a.png" }), FormatError, message);
  await refuse(joinBytes("GIF89a", gray.slice(6)), /^a\.png is not a png file/);
  await refuse(gray.slice(0, 20), /is not a png file, or too short/);
  await refuse(gray.slice(0, -1), /^a\.png is a truncated png/);
  await refuse(gray.slice(0, -12), /^a\.png is a truncated png/);
  await refuse(joinBytes(gray, [0]), /^a\.png is oversized/);
  const flipped = gray.slice();
  flipped[45] ^= 1;
  await refuse(flipped, /checksum of its chunk at byte 33/);
  await refuse(
    await makePng({ width: 3, height: 2, colorType: 0, lines: [0, 0, 128, 255, 0, 1, 2] }),
    /but 7 decompress/,
  );
  await refuse(
    await makePng({ width: 3, height: 1, colorType: 0, lines: [0, 1, 2, 3, 4] }),
    /but more decompress/,
  );
  await refuse(await makePng({ width: 1, height: 1, colorType: 0, lines: [5, 1] }), /is a damaged png/);
  await refuse(await makePng({ width: 1, height: 1, colorType: 3, lines: [0, 0] }), /palette do not agree/);
  await refuse(
    await makePng({ width: 1, height: 1, colorType: 5, lines: [0, 0] }),
    /kind that does not exist/,
  );
  await refuse(
    await makePng({ width: 1, height: 1, bitDepth: 3, colorType: 0, lines: [0, 0] }),
    /does not exist/,
  );
  await refuse(await makePng({ width: 0, height: 1, colorType: 0, lines: [] }), /has 0 × 1 pixels/);
  const unknown = [pngChunk("ABCD")];
  await refuse(
    await makePng({ width: 1, height: 1, colorType: 0, lines: [0, 0], extra: unknown }),
    /unknown or out of place/,
  );
});

test("sizes in the header are checked before anything is decoded", async () => {
  const claims = await makePng({ width: 2 ** 31, height: 2 ** 31, colorType: 6, lines: [0] });
  const bomb = await makePng({
    width: 1000,
    height: 1000,
    colorType: 0,
    interlace: 1,
    lines: new Uint8Array(2 ** 25),
  });
  const largest = await largestAllocation(async () => {
    await assertRejects(() => decodePng(claims), FormatError, /raise maxPixels/);
    await assertRejects(
      () => decodePng(gray, { maxPixels: 5 }),
      FormatError,
      /3 × 2 pixels in its header, but 1 to 5/,
    );
    await assertRejects(() => decodePng(bomb), FormatError, /but more decompress/);
  });
  assert.ok(largest <= 2 ** 20, `${largest} bytes`);
  assert.equal(readPngHeader(claims, "a", 2 ** 62), {
    width: 2 ** 31,
    height: 2 ** 31,
    bitDepth: 8,
    colorType: 6,
    interlaced: false,
  });
});

test("random damage gives a FormatError or pixels, never much memory", async () => {
  const read = (bytes: Uint8Array) => decodePng(bytes, { maxPixels: 2 ** 12 });
  const options = { rounds: 250, maxBytes: 2 ** 16 };
  const damaged = await fuzzReader(gray, read, options);
  const repaired = await fuzzReader(color, read, { ...options, repair: repairPng });
  assert.ok(damaged >= 200 && repaired >= 100, `${damaged} and ${repaired} refused`);
});

test.run();
