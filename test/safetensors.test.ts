import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FormatError, ShapeError, ValueError } from "../src/gpu/errors.js";
import { decodeSafetensors, encodeSafetensors } from "../src/io/safetensors.js";
import { fromBase64, joinBytes } from "./helpers/bytes.js";
import { assertRejects } from "./helpers/errors.js";
import { fuzzReader, largestAllocation } from "./helpers/fuzz.js";

const test = suite("safetensors");

/** A file of a header text and a number of data bytes 3, 10, 17, … */
function file(header: string | Uint8Array, dataBytes: number): Uint8Array<ArrayBuffer> {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const length = [0, 8, 16, 24].map((shift) => (text.length >>> shift) & 0xff);
  return joinBytes(
    length,
    [0, 0, 0, 0],
    text,
    Uint8Array.from({ length: dataBytes }, (_, i) => (i * 7 + 3) & 0x3f),
  );
}

// What the Python package safetensors 0.8.0 wrote.
const written = fromBase64(
  "yAAAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJieSI6InRlc3QifSwibiI6eyJkdHlwZSI6Ikk2NCIsInNoYXBlIjpbMl0sImRhdGFfb2Zmc2V0" +
    "cyI6WzAsMTZdfSwidyI6eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMiwyXSwiZGF0YV9vZmZzZXRzIjpbMTYsMzJdfSwiaCI6eyJkdHlwZSI6" +
    "IkYxNiIsInNoYXBlIjpbMl0sImRhdGFfb2Zmc2V0cyI6WzMyLDM2XX19ICAgIAMAAAAAAAAAAAAAAQAAAAAAAIA/AAAAQAAAQEAAAJBAADgA" +
    "wA==",
);

test("a file of the reference implementation", () => {
  const { tensors, metadata } = decodeSafetensors(written);
  assert.equal(metadata, { by: "test" });
  assert.equal([...tensors.keys()], ["n", "w", "h"]);
  assert.equal(tensors.get("w"), { shape: [2, 2], data: new Float32Array([1, 2, 3, 4.5]) });
  assert.equal(tensors.get("h"), { shape: [2], data: new Float32Array([0.5, -2]) });
  assert.equal(tensors.get("n"), { shape: [2], data: new Float32Array([3, 2 ** 24]) });
});

test("every type that fits float32", () => {
  const read = (dtype: string, bytes: number[]) => {
    const header = `{"t":{"dtype":"${dtype}","shape":[1],"data_offsets":[0,${bytes.length}]}}`;
    return decodeSafetensors(joinBytes(file(header, 0), bytes)).tensors.get("t")!.data[0];
  };
  assert.is(read("BF16", [0xc0, 0x3f]), 1.5);
  assert.is(read("F64", [0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f]), Math.fround(0.1));
  assert.is(read("I8", [0xfe]), -2);
  assert.is(read("U8", [0xfe]), 254);
  assert.is(read("I16", [0xfe, 0xff]), -2);
  assert.is(read("U16", [0xfe, 0xff]), 65534);
  assert.is(read("I32", [0xfe, 0xff, 0xff, 0xff]), -2);
  assert.is(read("U32", [0, 0, 0, 0xff]), 0xff000000);
  assert.is(read("U64", [7, 0, 0, 0, 0, 0, 0, 0]), 7);
  assert.is(read("BOOL", [1]), 1);
});

test("what is written comes back, names, metadata and order too", () => {
  const tensors = new Map([
    ["dense.weight", { shape: [3, 2], data: new Float32Array([1, -0, 1e-45, 3e38, 5, 6]) }],
    ["leer é \"'\n", { shape: [0, 4], data: new Float32Array(0) }],
    ["__proto__", { shape: [], data: new Float32Array([9]) }],
    ["12", { shape: [1], data: new Float32Array([12]) }],
  ]);
  const bytes = encodeSafetensors(tensors, { seed: "7" });
  const back = decodeSafetensors(bytes);
  assert.equal(back.metadata, { seed: "7" });
  assert.equal(back.tensors.size, 4);
  for (const [name, { shape, data }] of tensors) {
    assert.equal(back.tensors.get(name), { shape, data });
  }
  const headerLength = new DataView(bytes.buffer).getUint32(0, true);
  assert.is(headerLength % 8, 0);
  assert.equal(decodeSafetensors(encodeSafetensors([])), { tensors: new Map(), metadata: {} });
});

test("a view into a larger buffer, at an odd place", () => {
  const inside = joinBytes([1, 2, 3], written, [4]).subarray(3, 3 + written.length);
  assert.equal(decodeSafetensors(inside), decodeSafetensors(written));
});

test("headers that are refused", async () => {
  const refuse = (header: string, dataBytes: number, message: RegExp) =>
    assertRejects(() => decodeSafetensors(file(header, dataBytes), { name: "w.st" }), FormatError, message);
  const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) =>
    `{"dtype":"F32","shape":[${shape}],"data_offsets":[${begin},${end}]}`;
  await refuse(`{"a":${f32(0, 8)}}`, 7, /^w\.st is truncated or oversized/);
  await refuse(`{"a":${f32(0, 8)}}`, 9, /^w\.st is truncated or oversized/);
  await refuse(
    `{"a":${f32(0, 8)},"b":${f32(12, 16)}}`,
    16,
    /"b" begins at byte 12, but the tensors before it end at 8/,
  );
  await refuse(`{"a":${f32(0, 8)},"b":${f32(4, 12)}}`, 12, /"b" begins at byte 4/);
  await refuse(`{"a":${f32(4, 8)}}`, 8, /"a" begins at byte 4/);
  await refuse(`{"a":${f32(0, 4)},"a":${f32(4, 8)}}`, 8, /the key "a" stands twice/);
  await refuse(`{"a":${f32(0, 4)},"\\u0061" : ${f32(4, 8)}}`, 8, /the key "a" stands twice/);
  await refuse(
    `{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}`,
    4,
    /the key "shape" stands twice/,
  );
  await refuse(`{"a":${f32(0, 8, [3])}}`, 8, /data_offsets \[0,8\], but F32 of shape \[3\] takes 12/);
  await refuse(`{"a":${f32(8, 0, [2])}}`, 8, /data_offsets/);
  await refuse(`{"a":${f32(0, 8, [-2])}}`, 8, /has shape \[-2\]/);
  await refuse(`{"a":${f32(0, 8, [1.5])}}`, 8, /has shape \[1\.5\]/);
  await refuse(`{"a":${f32(0, 8, [2 ** 40, 2 ** 40])}}`, 8, /has shape/);
  await refuse(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, 4, /\[begin, end\] is taken/);
  await refuse(`{"a":{"dtype":"F32","shape":[1],"data_offsets":["0",4]}}`, 4, /\[begin, end\] is taken/);
  await refuse(`{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}`, 1, /dtype "F8_E4M3"/);
  await refuse(`{"a":{"dtype":"toString","shape":[1],"data_offsets":[0,1]}}`, 1, /dtype "toString"/);
  await refuse(`{"a":null}`, 0, /dtype undefined/);
  await refuse(`{"__metadata__":{"seed":7}}`, 0, /__metadata__ that is not an object of texts/);
  await refuse(`{"__metadata__":[]}`, 0, /__metadata__/);
  await refuse("[]", 0, /not an object/);
  await refuse("{", 0, /not json/);
  await refuse("", 0, /not json/);
  await refuse(
    `{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}`,
    4,
    /holds 403769859 at index 0, which float32/,
  );
});

test("damaged beginnings", async () => {
  await assertRejects(() => decodeSafetensors(new Uint8Array(7)), FormatError, /has 7 bytes/);
  const invalid = file(new Uint8Array([0x7b, 0xff, 0x7d]), 0);
  await assertRejects(() => decodeSafetensors(invalid), FormatError, /not json in utf-8/);
  const claims = joinBytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "{}");
  const largest = await largestAllocation(() =>
    assertRejects(
      () => decodeSafetensors(claims),
      FormatError,
      /header claims 9223372036854775807 bytes, but 2 can/,
    ),
  );
  assert.ok(largest <= 1024, `${largest} bytes`);
});

test("what cannot be written", async () => {
  const one = { shape: [1], data: new Float32Array(1) };
  await assertRejects(
    () =>
      encodeSafetensors([
        ["a", one],
        ["a", one],
      ]),
    ValueError,
    /"a" twice/,
  );
  await assertRejects(() => encodeSafetensors([["__metadata__", one]]), ValueError, /reserved/);
  await assertRejects(
    () => encodeSafetensors([["a", { ...one, shape: [2] }]]),
    ShapeError,
    /"a" has shape \[2\]/,
  );
});

test("random damage gives a FormatError or numbers, never much memory", async () => {
  const refused = await fuzzReader(written, (bytes) => decodeSafetensors(bytes), {
    rounds: 3000,
    maxBytes: 1024,
  });
  assert.ok(refused >= 1000, `${refused} refused`);
});

test.run();
