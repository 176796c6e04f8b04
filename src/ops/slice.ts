/** Boxes cut out of tensors and margins put around them. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Shape } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import {
  checkAxes,
  copyBox,
  joinAxes,
  type MovementGradOptions,
  type MovementOptions,
  padKernel,
  stridesOf,
} from "./boxes.js";
import { fromWords, withWords } from "./words.js";

export interface PadOptions extends MovementOptions {
  /** Default 0. */
  readonly value?: number;
}

/** @throws ShapeError, ValueError unless 0 <= starts <= ends <= shape for each axis */
function checkBox(op: string, shape: Shape, starts: readonly number[], ends: readonly number[]): void {
  if (starts.length !== shape.length || ends.length !== shape.length) {
    throw new ShapeError(
      `${op}: starts [${starts}] and ends [${ends}] take one entry for each axis of [${shape}]`,
    );
  }
  shape.forEach((size, axis) => {
    const [start, end] = [starts[axis], ends[axis]];
    if (Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end && end <= size) return;
    throw new ValueError(
      `${op}: axis ${axis} from ${start} to ${end} is not within 0 to ${size} of [${shape}]`,
    );
  });
}

/**
 * The box of x that begins at `starts` and ends before `ends`.
 * @param x any shape, f32 or u32
 * @param starts an entry an axis, from 0
 * @param ends an entry an axis, at most the axis's size
 * @throws ShapeError for another number of entries; ValueError for a box that is not within x
 * @example
 * const firstTen = slice(x, [0, 0], [10, x.shape[1]]);
 */
export function slice(
  x: Tensor,
  starts: readonly number[],
  ends: readonly number[],
  { out }: MovementOptions = {},
): Tensor {
  checkBox("slice", x.shape, starts, ends);
  const shape = starts.map((start, axis) => ends[axis] - start);
  const [strideX, strideY] = [stridesOf(x.shape), stridesOf(shape)];
  const axes = joinAxes(
    "slice",
    shape.map((size, axis) => ({ size, strideX: strideX[axis], strideY: strideY[axis] })),
  );
  const startX = starts.reduce((offset, start, axis) => offset + start * strideX[axis], 0);
  return withWords({ x, out }, (words) => {
    const { y } = copyBox.run({ x: words.x }, { shape, axes, startX, startY: 0 }, { out: { y: words.out } });
    return fromWords(y, x.dtype, out);
  });
}

/**
 * dx of `slice`: dy in its box, zeros elsewhere.
 * @param dy the shape of the forward op's result
 * @param starts the forward op's
 * @throws ShapeError for another number of entries; ValueError for a box that is not within inputShape
 * @example
 * const dx = sliceGrad(dy, [0, 0], { inputShape: x.shape });
 */
export function sliceGrad(
  dy: Tensor,
  starts: readonly number[],
  { inputShape, out }: MovementGradOptions,
): Tensor {
  const ends = starts.map((start, axis) => start + dy.shape[axis]);
  checkBox("sliceGrad", inputShape, starts, ends);
  return runPad("sliceGrad", dy, starts, inputShape, 0, out);
}

/**
 * x with a margin of one value around it.
 * @param x any shape, f32 or u32
 * @param before how many elements come before each axis, an entry an axis
 * @param after how many come behind
 * @throws ShapeError for another number of entries; ValueError for a negative one, or a value that the dtype
 *   has not
 * @example
 * const framed = pad(images, [0, 0, 2, 2], [0, 0, 2, 2]);
 */
export function pad(
  x: Tensor,
  before: readonly number[],
  after: readonly number[],
  { value = 0, out }: PadOptions = {},
): Tensor {
  if (before.length !== x.rank || after.length !== x.rank) {
    throw new ShapeError(
      `pad: before [${before}] and after [${after}] take one entry for each axis of [${x.shape}]`,
    );
  }
  if (![...before, ...after].every((margin) => Number.isInteger(margin) && margin >= 0)) {
    throw new ValueError(
      `pad: before [${before}] and after [${after}] must be whole numbers of at least 0; slice cuts off`,
    );
  }
  const fits = x.dtype === "f32" ? Number.isFinite(Math.fround(value)) : value >>> 0 === value;
  if (!fits) throw new ValueError(`pad: value is ${value}, which is no ${x.dtype}`);
  const shape = x.shape.map((size, axis) => before[axis] + size + after[axis]);
  return runPad("pad", x, before, shape, value, out);
}

/**
 * dx of `pad`: dy without the margin.
 * @param dy the shape of the forward op's result
 * @param before the forward op's
 * @throws ShapeError for another number of entries; ValueError if the inner box is not within dy
 * @example
 * const dx = padGrad(dy, [0, 0, 2, 2], { inputShape: images.shape });
 */
export function padGrad(
  dy: Tensor,
  before: readonly number[],
  { inputShape, out }: MovementGradOptions,
): Tensor {
  const ends = before.map((margin, axis) => margin + inputShape[axis]);
  checkBox("padGrad", dy.shape, before, ends);
  return slice(dy, before, ends, { out });
}

function runPad(
  op: string,
  x: Tensor,
  before: readonly number[],
  shape: Shape,
  value: number,
  out: Tensor | undefined,
): Tensor {
  const axes: { size: number; sizeX: number; before: number }[] = [];
  for (let axis = x.rank - 1; axis >= 0; axis--) {
    const [size, sizeX] = [shape[axis], x.shape[axis]];
    const inner = axes[axes.length - 1];
    // An axis goes in with the one inside it if that has no margin.
    if (inner && inner.size === inner.sizeX) {
      axes[axes.length - 1] = {
        size: size * inner.size,
        sizeX: sizeX * inner.size,
        before: before[axis] * inner.size,
      };
    } else axes.push({ size, sizeX, before: before[axis] });
  }
  const word = x.dtype === "f32" ? new Uint32Array(Float32Array.of(value).buffer)[0] : value;
  checkAxes(op, axes);
  return withWords({ x, out }, (words) => {
    const { y } = padKernel.run({ x: words.x }, { shape, axes, word }, { out: { y: words.out } });
    return fromWords(y, x.dtype, out);
  });
}
