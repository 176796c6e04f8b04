/** Tensors one after the other along an axis. */
import { ShapeError } from "../gpu/errors.js";
import { sizeOf } from "../gpu/kernel.js";
import { empty, type Tensor } from "../tensor.js";
import { refuseShared } from "./aliasing.js";
import { axisOf, copyIntoBox, joinAxes, type MovementOptions } from "./boxes.js";
import { slice } from "./slice.js";
import { withWords } from "./words.js";

/**
 * Tensors one after the other along an axis.
 * @param tensors at least one; equal in dtype and in all axes but this
 * @param axis from the end when negative
 * @throws ShapeError if the tensors do not fit each other, or for an `out` of another shape or dtype, or that
 *   is one of them; ValueError for an axis out of range
 * @example
 * const both = concat([a, b], 1); // [n, a + b]
 */
export function concat(tensors: readonly Tensor[], axis: number, { out }: MovementOptions = {}): Tensor {
  const [first] = tensors;
  if (!first) throw new ShapeError("concat: tensors is empty, and at least one tensor is taken");
  const along = axisOf("concat", axis, first.rank);
  const shape = [...first.shape];
  shape[along] = tensors.reduce((length, { shape }) => length + shape[along], 0);
  for (const x of tensors) {
    const fits = x.rank === first.rank && x.shape.every((size, i) => i === along || size === first.shape[i]);
    if (!fits || x.dtype !== first.dtype) {
      throw new ShapeError(
        `concat: ${x.dtype} [${x.shape}] does not go with ${first.dtype} [${first.shape}]: ` +
          `dtypes and all axes but ${along} must be equal`,
      );
    }
    refuseShared("concat", out, { "one of the tensors": x });
  }
  if (out && (out.shape.join() !== shape.join() || out.dtype !== first.dtype)) {
    throw new ShapeError(
      `concat: out is ${out.dtype} [${out.shape}], and the result is ${first.dtype} [${shape}]`,
    );
  }
  return first.gpu.scope(() => {
    const y = out ?? empty(first.gpu, shape, { dtype: first.dtype });
    const inner = sizeOf(shape.slice(along + 1));
    let before = 0;
    for (const x of tensors) {
      const length = x.shape[along] * inner;
      const axes = joinAxes("concat", [
        { size: sizeOf(shape.slice(0, along)), strideX: length, strideY: shape[along] * inner },
        { size: length, strideX: 1, strideY: 1 },
      ]);
      withWords({ x, y }, (words) => copyIntoBox.run(words, { shape, axes, startX: 0, startY: before }));
      before += length;
    }
    return y;
  });
}

/**
 * The gradients of `concat`: dy cut into the pieces that went in.
 * @param dy the shape of the forward op's result
 * @param axis the forward op's
 * @param sizes the sizes of the inputs along the axis
 * @throws ShapeError if the sizes do not add up to that of dy; ValueError for an axis out of range
 * @example
 * const [da, db] = concatGrad(dy, 1, [a.shape[1], b.shape[1]]);
 */
export function concatGrad(dy: Tensor, axis: number, sizes: readonly number[]): Tensor[] {
  const along = axisOf("concatGrad", axis, dy.rank);
  if (sizes.reduce((sum, size) => sum + size, 0) !== dy.shape[along]) {
    throw new ShapeError(
      `concatGrad: sizes [${sizes}] must add up to ${dy.shape[along]}, axis ${along} of dy [${dy.shape}]`,
    );
  }
  return dy.gpu.scope(() => {
    let before = 0;
    return sizes.map((size) => {
      const starts = dy.shape.map((_, i) => (i === along ? before : 0));
      before += size;
      return slice(
        dy,
        starts,
        dy.shape.map((whole, i) => (i === along ? before : whole)),
      );
    });
  });
}
