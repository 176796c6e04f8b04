import { halfToNumber } from "../float16.js";
import { FormatError } from "../gpu/errors.js";
import type { NumberArray } from "./array.js";

/** The number types that files hold. */
export type ElementType =
  | "f16"
  | "bf16"
  | "f32"
  | "f64"
  | "i8"
  | "u8"
  | "i16"
  | "u16"
  | "i32"
  | "u32"
  | "i64"
  | "u64"
  | "bool";

/** Bytes of one number. */
export const elementBytes: Readonly<Record<ElementType, number>> = {
  f16: 2,
  bf16: 2,
  f32: 4,
  f64: 8,
  i8: 1,
  u8: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  i64: 8,
  u64: 8,
  bool: 1,
};

const hostIsBigEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0;

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let start = 0; start < bytes.length; start += size) {
    bytes.subarray(start, start + size).reverse();
  }
}

/**
 * Reads numbers out of a file into an array of their own. The half-width floats become float32, 64-bit
 * integers float64, booleans bytes of 0 and 1.
 *
 * @param bytes exactly the bytes of the numbers, at any alignment
 * @throws FormatError if a 64-bit integer is beyond 2^53 or a boolean is neither 0 nor 1
 */
export function readElements(
  bytes: Uint8Array,
  type: ElementType,
  bigEndian: boolean,
  name: string,
): NumberArray {
  const copy = new Uint8Array(bytes);
  if (bigEndian !== hostIsBigEndian && elementBytes[type] > 1) {
    swapBytes(copy, elementBytes[type]);
  }
  const { buffer } = copy;
  switch (type) {
    case "f16":
      return Float32Array.from(new Uint16Array(buffer), halfToNumber);
    case "bf16":
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (half) => half << 16).buffer);
    case "f32":
      return new Float32Array(buffer);
    case "f64":
      return new Float64Array(buffer);
    case "i8":
      return new Int8Array(buffer);
    case "u8":
      return copy;
    case "i16":
      return new Int16Array(buffer);
    case "u16":
      return new Uint16Array(buffer);
    case "i32":
      return new Int32Array(buffer);
    case "u32":
      return new Uint32Array(buffer);
    case "i64":
      return wideToNumbers(new BigInt64Array(buffer), name);
    case "u64":
      return wideToNumbers(new BigUint64Array(buffer), name);
    case "bool":
      return checkBooleans(copy, name);
  }
}

/** The bytes of an array, little-endian. */
export function littleEndianBytes(data: NumberArray): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  if (hostIsBigEndian && data.BYTES_PER_ELEMENT > 1) {
    swapBytes(copy, data.BYTES_PER_ELEMENT);
  }
  return copy;
}

function wideToNumbers(wide: BigInt64Array | BigUint64Array, name: string): Float64Array {
  const numbers = new Float64Array(wide.length);
  for (let i = 0; i < wide.length; i++) {
    numbers[i] = Number(wide[i]);
    if (!Number.isSafeInteger(numbers[i])) {
      throw new FormatError(
        `${name} holds the integer ${wide[i]} at index ${i}, but at most 2^53 - 1 is taken`,
      );
    }
  }
  return numbers;
}

function checkBooleans(bytes: Uint8Array, name: string): Uint8Array {
  const wrong = bytes.findIndex((byte) => byte > 1);
  if (wrong >= 0) {
    throw new FormatError(
      `${name} holds the boolean ${bytes[wrong]} at index ${wrong}, but it must be 0 or 1`,
    );
  }
  return bytes;
}
