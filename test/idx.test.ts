import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FormatError } from "../src/gpu/errors.js";
import { decodeIdx } from "../src/io/idx.js";
import { bigEndian32, compress, joinBytes } from "./helpers/bytes.js";
import { assertRejects } from "./helpers/errors.js";
import { fuzzReader, largestAllocation } from "./helpers/fuzz.js";

const test = suite("idx");

const digits = joinBytes(
  [0, 0, 8, 3],
  bigEndian32(2),
  bigEndian32(2),
  bigEndian32(3),
  [1, 2, 3, 4, 5, 6, 250, 251, 252, 253, 254, 255],
);

test("bytes in their shape", async () => {
  const { shape, data } = await decodeIdx(digits);
  assert.equal(shape, [2, 2, 3]);
  assert.equal(data, new Uint8Array([1, 2, 3, 4, 5, 6, 250, 251, 252, 253, 254, 255]));
});

test("every number type, most significant byte first", async () => {
  const read = async (type: number, bytes: number[]) =>
    (await decodeIdx(joinBytes([0, 0, type, 1], bigEndian32(1), bytes))).data;
  assert.equal(await read(9, [0xfe]), new Int8Array([-2]));
  assert.equal(await read(11, [0xff, 0xfe]), new Int16Array([-2]));
  assert.equal(await read(12, [0, 0, 1, 2]), new Int32Array([258]));
  assert.equal(await read(13, [0x3f, 0xc0, 0, 0]), new Float32Array([1.5]));
  assert.equal(await read(14, [0xc0, 0x04, 0, 0, 0, 0, 0, 0]), new Float64Array([-2.5]));
});

test("a view into a larger buffer", async () => {
  const inside = joinBytes([9, 9, 9], digits, [9]).subarray(3, 3 + digits.length);
  assert.equal(await decodeIdx(inside), await decodeIdx(digits));
});

test("gzip", async () => {
  assert.equal(await decodeIdx(await compress(digits, "gzip")), await decodeIdx(digits));
});

test("truncated and oversized files", async () => {
  const named = { name: "train.idx" };
  await assertRejects(
    () => decodeIdx(digits.slice(0, -1), named),
    FormatError,
    /^train\.idx is truncated: it needs 28/,
  );
  await assertRejects(() => decodeIdx(digits.slice(0, 9), named), FormatError, /^train\.idx is truncated/);
  await assertRejects(() => decodeIdx(new Uint8Array(0), named), FormatError, /^train\.idx is truncated/);
  await assertRejects(
    () => decodeIdx(joinBytes(digits, [0]), named),
    FormatError,
    /^train\.idx is oversized/,
  );
});

test("truncated and oversized gzip", async () => {
  const zipped = await compress(digits, "gzip");
  await assertRejects(() => decodeIdx(zipped.slice(0, -9)), FormatError, /damaged or truncated/);
  await assertRejects(() => decodeIdx(zipped.slice(0, 2)), FormatError, /damaged or truncated/);
  await assertRejects(
    () => decodeIdx(joinBytes(zipped, "behind")),
    FormatError,
    /damaged|other bytes behind/,
  );
  const longer = await compress(joinBytes(digits, [0]), "gzip");
  await assertRejects(() => decodeIdx(longer), FormatError, /oversized/);
  const shorter = await compress(digits.slice(0, -1), "gzip");
  await assertRejects(() => decodeIdx(shorter), FormatError, /truncated: it needs 28 bytes, but 27 came/);
});

test("files of another kind", async () => {
  for (const magic of [
    [1, 0, 8, 3],
    [0, 0, 10, 3],
    [0, 0, 8, 0],
    [0, 0, 8, 9],
  ]) {
    await assertRejects(
      () => decodeIdx(joinBytes(magic, digits.slice(4))),
      FormatError,
      /is not an idx file/,
    );
  }
});

test("a header that claims too much allocates nothing", async () => {
  const claims = joinBytes(
    [0, 0, 8, 3],
    bigEndian32(0xffffffff),
    bigEndian32(0xffffffff),
    bigEndian32(0xffffffff),
  );
  const allowed = joinBytes([0, 0, 8, 3], bigEndian32(1000), bigEndian32(1000), bigEndian32(1000), [1, 2, 3]);
  for (const plain of [claims, allowed]) {
    for (const bytes of [plain, await compress(plain, "gzip")]) {
      const largest = await largestAllocation(() =>
        assertRejects(() => decodeIdx(bytes), FormatError, /more than \d+ bytes|truncated/),
      );
      assert.ok(largest <= 100_000, `${largest} bytes`);
    }
  }
  await assertRejects(() => decodeIdx(digits, { maxBytes: 27 }), FormatError, /raise maxBytes/);
});

test("a decompression bomb is stopped at the header's size", async () => {
  const bomb = await compress(joinBytes(digits.slice(0, 16), new Uint8Array(2 ** 16)), "gzip");
  await assertRejects(() => decodeIdx(bomb), FormatError, /oversized/);
  const zeros = new Uint8Array(2 ** 26);
  zeros.set(digits);
  const large = await compress(zeros, "gzip");
  const largest = await largestAllocation(() =>
    assertRejects(() => decodeIdx(large), FormatError, /oversized/),
  );
  assert.ok(largest <= 2 ** 20, `${largest} bytes`);
});

test("random damage gives a FormatError or numbers, never much memory", async () => {
  const read = (bytes: Uint8Array) => decodeIdx(bytes, { maxBytes: 2 ** 16 });
  const plain = await fuzzReader(digits, read, { rounds: 1500, maxBytes: 2 ** 16 });
  const zipped = await fuzzReader(await compress(digits, "gzip"), read, { rounds: 300, maxBytes: 2 ** 17 });
  assert.ok(plain >= 500 && zipped >= 200, `${plain} and ${zipped} refused`);
});

test.run();
