import { FormatError, ShapeError } from "../gpu/errors.js";

/** The typed arrays in which readers give numbers. */
export type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/**
 * A plain array on the host: row-major data and its shape. What readers give, what writers take, and what a
 * tensor is uploaded from.
 */
export interface HostArray<Data extends NumberArray = Float32Array> {
  shape: number[];
  data: Data;
}

/** The product of the sizes, or undefined if a size is not a whole number or the product is past 2^53. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      return undefined;
    }
    count *= size;
  }
  return Number.isSafeInteger(count) ? count : undefined;
}

/**
 * Checks that an array holds as many numbers as its shape says.
 *
 * @throws ShapeError if not
 */
export function checkHostArray(array: HostArray<NumberArray>, name: string): void {
  const count = elementCount(array.shape);
  if (count !== array.data.length) {
    throw new ShapeError(
      `${name} has shape [${array.shape}] but ${array.data.length} numbers; ` +
        "give it as many as its shape says",
    );
  }
}

/**
 * The same array in float32. Floats are rounded to nearest; whole numbers must be exact in float32.
 *
 * @param array any shape and type
 * @param name what the error calls it
 * @throws FormatError if a finite number overflows or a whole number of an integer array would change
 * @example
 * const labels = toFloat32(decodeNpy(bytes));
 */
export function toFloat32(array: HostArray<NumberArray>, name = "array"): HostArray {
  const { shape, data } = array;
  if (data instanceof Float32Array) {
    return { shape, data };
  }
  return { shape, data: roundToFloat32(data, !(data instanceof Float64Array), name) };
}

/** Rounds to float32; with `exact`, a number that rounding would change is refused. */
export function roundToFloat32(data: NumberArray, exact: boolean, name: string): Float32Array<ArrayBuffer> {
  const rounded = new Float32Array(data);
  for (let i = 0; i < rounded.length; i++) {
    if (rounded[i] === data[i] || Number.isNaN(data[i])) {
      continue;
    }
    if (exact || !Number.isFinite(rounded[i])) {
      throw new FormatError(
        `${name} holds ${data[i]} at index ${i}, which float32 cannot; store it in another way`,
      );
    }
  }
  return rounded;
}
