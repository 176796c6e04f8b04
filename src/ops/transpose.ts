/** The axes of a tensor in another order. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Shape } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import {
  axisOf,
  type Box,
  copyBox,
  joinAxes,
  type MovementOptions,
  stridesOf,
  type Tiles,
  transposeTile,
} from "./boxes.js";
import { fromWords, withWords } from "./words.js";

/**
 * The axes in another order: axis i of the result is axis permutation[i] of x.
 * @param x any shape, f32 or u32
 * @param permutation each axis once, from the end when negative; all of them reversed by default
 * @throws ShapeError for a permutation of another length, or an `out` of another shape; ValueError for an
 *   axis that is missing
 * @example
 * const nhwc = transpose(nchw, [0, 2, 3, 1]);
 */
export function transpose(x: Tensor, permutation?: readonly number[], { out }: MovementOptions = {}): Tensor {
  const order = permutationOf(x.shape, permutation);
  const shape = order.map((axis) => x.shape[axis]);
  const strides = stridesOf(x.shape);
  const strideY = stridesOf(shape);
  const axes = joinAxes(
    "transpose",
    order.map((axis, i) => ({ size: shape[i], strideX: strides[axis], strideY: strideY[i] })),
  );
  return withWords({ x, out }, (words) => {
    const outputs = { out: { y: words.out } };
    const tiles = tilesOf(shape, axes);
    const { y } = tiles
      ? transposeTile.run({ x: words.x }, tiles, outputs)
      : copyBox.run({ x: words.x }, { shape, axes, startX: 0, startY: 0 }, outputs);
    return fromWords(y, x.dtype, out);
  });
}

/** @throws ShapeError, ValueError */
function permutationOf(shape: Shape, permutation: readonly number[] | undefined): number[] {
  const rank = shape.length;
  if (!permutation) return shape.map((_, axis) => rank - 1 - axis);
  if (permutation.length !== rank) {
    throw new ShapeError(
      `transpose: permutation [${permutation}] must name each of the ${rank} axes of x [${shape}] once`,
    );
  }
  const order = permutation.map((axis) => axisOf("transpose", axis, rank));
  if (new Set(order).size !== rank) {
    throw new ValueError(
      `transpose: permutation [${permutation}] must name each of the ${rank} axes of x [${shape}] once`,
    );
  }
  return order;
}

/** The call of the tile kernel if joined axes swap two, with a batch before them or not, and 4 divides both. */
function tilesOf(shape: Shape, axes: Box["axes"]): Tiles | undefined {
  const [inner, outer, batch] = axes;
  if (axes.length < 2 || axes.length > 3) return undefined;
  // y is [batch, n, m] of x [batch, m, n]: its inner axis steps over n elements of x, its outer one over 1.
  const [m, n] = [inner.size, outer.size];
  const isSwap = inner.strideX === n && outer.strideX === 1 && (!batch || batch.strideX === m * n);
  if (!isSwap || m % 4 !== 0 || n % 4 !== 0) return undefined;
  return { shape, batch: batch?.size ?? 1, m, n };
}

/**
 * dx of `transpose`: the axes of dy back in their places.
 * @param dy the shape of the forward op's result
 * @param permutation the forward op's
 * @throws as `transpose`
 * @example
 * const dnchw = transposeGrad(dnhwc, [0, 2, 3, 1]);
 */
export function transposeGrad(
  dy: Tensor,
  permutation?: readonly number[],
  options: MovementOptions = {},
): Tensor {
  if (!permutation) return transpose(dy, undefined, options);
  const inverse: number[] = [];
  permutationOf(dy.shape, permutation).forEach((axis, i) => {
    inverse[axis] = i;
  });
  return transpose(dy, inverse, options);
}
