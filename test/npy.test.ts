import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FormatError, ShapeError } from "../src/gpu/errors.js";
import { toFloat32 } from "../src/io/array.js";
import { decodeNpy, encodeNpy } from "../src/io/npy.js";
import { fromBase64, joinBytes } from "./helpers/bytes.js";
import { assertRejects } from "./helpers/errors.js";
import { fuzzReader } from "./helpers/fuzz.js";

const test = suite("npy");

/** Files that NumPy 2.4.6 wrote: the start, the header padded by spaces to 128 bytes, the data. */
function numpyFile(fields: string, data: string): Uint8Array<ArrayBuffer> {
  const header = `{${fields}, }`.padEnd(117, " ");
  return joinBytes([0x93], "NUMPY", [1, 0, 118, 0], header, [10], fromBase64(data));
}

const float32File = numpyFile(
  "'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
  "AADAPwAAAMAAAEBAAACAQAAAoECmm8Q7",
);

test("float32 as NumPy writes it", () => {
  const { shape, data } = decodeNpy(float32File);
  assert.equal(shape, [2, 3]);
  assert.equal(data, new Float32Array([1.5, -2, 3, 4, 5, 6e-3]));
});

test("other number types as NumPy writes them", () => {
  const big = numpyFile(
    "'descr': '>f8', 'fortran_order': False, 'shape': (3,)",
    "P/AAAAAAAABABAAAAAAAAP435DyIAHWc",
  );
  assert.equal(decodeNpy(big), { shape: [3], data: new Float64Array([1, 2.5, -1e300]) });
  const half = numpyFile("'descr': '<f2', 'fortran_order': False, 'shape': (5,)", "ADxVtf97AQAAfA==");
  const halves = new Float32Array([1, -0.333251953125, 65504, 2 ** -24, Number.POSITIVE_INFINITY]);
  assert.equal(decodeNpy(half), { shape: [5], data: halves });
  const wide = numpyFile(
    "'descr': '<i8', 'fortran_order': False, 'shape': (1, 2)",
    "+/////////8AAAAAAAEAAA==",
  );
  assert.equal(decodeNpy(wide), { shape: [1, 2], data: new Float64Array([-5, 2 ** 40]) });
  const booleans = numpyFile("'descr': '|b1', 'fortran_order': False, 'shape': (2,)", "AQA=");
  assert.equal(decodeNpy(booleans), { shape: [2], data: new Uint8Array([1, 0]) });
  const scalar = numpyFile("'descr': '|u1', 'fortran_order': False, 'shape': ()", "Bw==");
  assert.equal(decodeNpy(scalar), { shape: [], data: new Uint8Array([7]) });
});

test("what is written is what NumPy writes, byte for byte", () => {
  const data = new Float32Array([1.5, -2, 3, 4, 5, 6e-3]);
  assert.equal(encodeNpy({ shape: [2, 3], data }), float32File);
});

test("every type and shape comes back", () => {
  const shapes = [[6], [1, 6], [2, 3], [3, 1, 2, 1], [0, 6]];
  for (const shape of shapes) {
    const count = shape.reduce((product, size) => product * size, 1);
    for (const make of [
      Float32Array,
      Float64Array,
      Int8Array,
      Uint8Array,
      Int16Array,
      Uint16Array,
      Int32Array,
      Uint32Array,
    ]) {
      const data = new make(Array.from({ length: count }, (_, i) => i * 21));
      const bytes = encodeNpy({ shape, data });
      assert.equal(decodeNpy(bytes), { shape, data });
      assert.is((bytes.length - data.byteLength) % 64, 0);
    }
  }
});

test("float32 on demand: rounding floats, exact integers", async () => {
  assert.equal(toFloat32({ shape: [1], data: new Float64Array([0.1]) }).data, new Float32Array([0.1]));
  assert.equal(
    toFloat32({ shape: [2], data: new Int32Array([-7, 2 ** 24]) }).data,
    new Float32Array([-7, 2 ** 24]),
  );
  const wide = { shape: [1], data: new Int32Array([2 ** 24 + 1]) };
  await assertRejects(() => toFloat32(wide, "labels"), FormatError, /^labels holds 16777217 at index 0/);
  const huge = { shape: [1], data: new Float64Array([1e300]) };
  await assertRejects(() => toFloat32(huge), FormatError, /which float32 cannot/);
});

test("files that are refused", async () => {
  const named = { name: "a.npy" };
  const refuse = (bytes: Uint8Array, message: RegExp) =>
    assertRejects(() => decodeNpy(bytes, named), FormatError, message);
  const withFields = (fields: string) => numpyFile(fields, "AADAPwAAAMAAAEBAAACAQAAAoECmm8Q7");
  await refuse(float32File.slice(0, -1), /^a\.npy is truncated or oversized.*takes 24 bytes, but 23/);
  await refuse(joinBytes(float32File, [0]), /truncated or oversized.*but 25/);
  await refuse(float32File.slice(0, 60), /^a\.npy is truncated: its header ends at byte 128/);
  await refuse(joinBytes("PK", float32File.slice(2)), /is not an npy file/);
  await refuse(joinBytes(float32File.slice(0, 6), [4], float32File.slice(7)), /version 4/);
  await refuse(withFields("'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)"), /Fortran order/);
  await refuse(withFields("'descr': '<c8', 'fortran_order': False, 'shape': (3,)"), /type '<c8'/);
  await refuse(withFields("'descr': '|O', 'fortran_order': False, 'shape': (3,)"), /type '\|O'/);
  await refuse(withFields("'descr': '<f4', 'fortran_order': False"), /damaged npy header/);
  await refuse(
    withFields("'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': True"),
    /damaged npy header/,
  );
  await refuse(
    withFields("'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999999)"),
    /oversized/,
  );
  const wide = numpyFile("'descr': '<u8', 'fortran_order': False, 'shape': (1,)", "//////////8=");
  await refuse(wide, /holds the integer 18446744073709551615 at index 0/);
});

test("an array that does not fill its shape is not written", async () => {
  await assertRejects(
    () => encodeNpy({ shape: [2, 2], data: new Float32Array(3) }),
    ShapeError,
    /\[2,2\] but 3 numbers/,
  );
});

test("random damage gives a FormatError or numbers, never much memory", async () => {
  const refused = await fuzzReader(float32File, (bytes) => decodeNpy(bytes), {
    rounds: 3000,
    maxBytes: 1024,
  });
  assert.ok(refused >= 1000, `${refused} refused`);
});

test.run();
