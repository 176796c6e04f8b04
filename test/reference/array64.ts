/**
 * Float64 arrays on the CPU: what the references compute with. Everything here is row-major and dense,
 * and written to be read, not to be fast.
 */
export interface Array64 {
  shape: number[];
  data: Float64Array;
}

/** Number of elements of a shape; 1 for the scalar shape []. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** An array of a shape from its values in row-major order; zeros if there are none. */
export function array64(shape: readonly number[], values?: ArrayLike<number>): Array64 {
  const size = sizeOf(shape);
  if (values && values.length !== size) {
    throw new Error(`array64: ${values.length} values for shape [${shape}], which takes ${size}`);
  }
  return { shape: [...shape], data: values ? Float64Array.from(values) : new Float64Array(size) };
}

/** The position of an element along each axis, from its row-major offset. */
export function indexOf(offset: number, shape: readonly number[]): number[] {
  const index: number[] = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = offset % shape[axis];
    offset = Math.floor(offset / shape[axis]);
  }
  return index;
}

/** The row-major offset of an element, from its position along each axis. */
export function offsetOf(index: readonly number[], shape: readonly number[]): number {
  let offset = 0;
  for (let axis = 0; axis < shape.length; axis++) offset = offset * shape[axis] + index[axis];
  return offset;
}

/** A new array with `f` of every element. */
export function map(x: Array64, f: (value: number, offset: number) => number): Array64 {
  return { shape: [...x.shape], data: x.data.map((value, offset) => f(value, offset)) };
}

/** |x|: an op on these tells how large its sums get before anything cancels (see `relativeError`). */
export function absolute(x: Array64): Array64 {
  return map(x, Math.abs);
}

/** The same values with another shape of the same size. */
export function reshape(x: Array64, shape: readonly number[]): Array64 {
  return array64(shape, x.data);
}

/** Σ x·y over all elements: with y the gradient from above it is the scalar that gradients are checked on. */
export function dot(x: Array64, y: Array64): number {
  if (x.data.length !== y.data.length) throw new Error(`dot: sizes ${x.data.length} and ${y.data.length}`);
  let sum = 0;
  for (let i = 0; i < x.data.length; i++) sum += x.data[i] * y.data[i];
  return sum;
}

/** An axis counted from the end when negative, as an axis from 0. */
export function axisFrom0(axis: number, rank: number): number {
  const from0 = axis < 0 ? axis + rank : axis;
  if (from0 < 0 || from0 >= rank) throw new Error(`axis ${axis} of an array of rank ${rank}`);
  return from0;
}

/**
 * Runs `f` on every line along an axis of arrays of one shape. `f` gets one line of each array and gives
 * a new line, whose length may differ.
 */
export function alongAxis(
  arrays: Array64[],
  axis: number,
  f: (...lines: number[][]) => ArrayLike<number>,
): Array64 {
  const { shape } = arrays[0];
  const along = axisFrom0(axis, shape.length);
  const length = shape[along];
  const outer = sizeOf(shape.slice(0, along));
  const inner = sizeOf(shape.slice(along + 1));
  let result: Array64 | undefined;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const lines = arrays.map(({ data }) =>
        Array.from({ length }, (_, position) => data[(o * length + position) * inner + i]),
      );
      const line = f(...lines);
      result ??= array64([...shape.slice(0, along), line.length, ...shape.slice(along + 1)]);
      for (let position = 0; position < line.length; position++) {
        result.data[(o * line.length + position) * inner + i] = line[position];
      }
    }
  }
  return result!;
}
