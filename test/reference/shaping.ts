import { type Array64, array64, axisFrom0, indexOf, offsetOf } from "./array64.js";

/** y's axis i is x's axis `permutation[i]`; the axes reversed if none is given. */
export function transpose(x: Array64, permutation?: readonly number[]): Array64 {
  const order = permutation ?? x.shape.map((_, axis) => x.shape.length - 1 - axis);
  const y = array64(order.map((axis) => x.shape[axis]));
  for (let i = 0; i < x.data.length; i++) {
    const index = indexOf(i, x.shape);
    y.data[
      offsetOf(
        order.map((axis) => index[axis]),
        y.shape,
      )
    ] = x.data[i];
  }
  return y;
}

/** The box that begins at `starts` and ends before `ends`, an entry an axis. */
export function slice(x: Array64, starts: readonly number[], ends: readonly number[]): Array64 {
  const y = array64(starts.map((start, axis) => ends[axis] - start));
  for (let i = 0; i < y.data.length; i++) {
    const index = indexOf(i, y.shape).map((position, axis) => position + starts[axis]);
    y.data[i] = x.data[offsetOf(index, x.shape)];
  }
  return y;
}

/** dx of `slice`: dy in its box, zeros elsewhere. */
export function sliceGrad(
  dy: Array64,
  starts: readonly number[],
  { inputShape }: { inputShape: readonly number[] },
): Array64 {
  const dx = array64(inputShape);
  for (let i = 0; i < dy.data.length; i++) {
    const index = indexOf(i, dy.shape).map((position, axis) => position + starts[axis]);
    dx.data[offsetOf(index, inputShape)] = dy.data[i];
  }
  return dx;
}

/** The arrays one after the other along an axis. */
export function concat(arrays: readonly Array64[], axis: number): Array64 {
  const along = axisFrom0(axis, arrays[0].shape.length);
  const shape = [...arrays[0].shape];
  shape[along] = arrays.reduce((length, x) => length + x.shape[along], 0);
  const y = array64(shape);
  let before = 0;
  for (const x of arrays) {
    for (let i = 0; i < x.data.length; i++) {
      const index = indexOf(i, x.shape);
      index[along] += before;
      y.data[offsetOf(index, shape)] = x.data[i];
    }
    before += x.shape[along];
  }
  return y;
}

/** y[i, ...] = x[rows[i], ...]. */
export function gatherRows(x: Array64, rows: Array64): Array64 {
  const width = x.data.length / x.shape[0];
  const y = array64([rows.data.length, ...x.shape.slice(1)]);
  rows.data.forEach((row, i) => {
    for (let j = 0; j < width; j++) y.data[i * width + j] = x.data[row * width + j];
  });
  return y;
}

/** dx of `gatherRows`: a row that was taken several times adds up. */
export function gatherRowsGrad(
  dy: Array64,
  rows: Array64,
  { inputShape }: { inputShape: readonly number[] },
): Array64 {
  const dx = array64(inputShape);
  const width = dx.data.length / inputShape[0];
  rows.data.forEach((row, i) => {
    for (let j = 0; j < width; j++) dx.data[row * width + j] += dy.data[i * width + j];
  });
  return dx;
}
