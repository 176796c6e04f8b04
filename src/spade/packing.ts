/** Tensors one behind the other in one buffer, for kernels that take those of many layers at once. */
import { DisposedError } from "../gpu/errors.js";
import { empty, type Tensor } from "../tensor.js";

/** @returns [elements of all], copies */
export function packed(tensors: readonly Tensor[]): Tensor {
  const [{ gpu, dtype }] = tensors;
  const all = empty(gpu, [tensors.reduce((sum, { size }) => sum + size, 0)], { dtype });
  let at = 0;
  for (const tensor of tensors) {
    move(tensor, 0, all, at, tensor.size);
    at += tensor.size;
  }
  return all;
}

/** What stands from element `at` on, as `like`: a copy, unless that is all there is. */
export function unpacked(all: Tensor, at: number, like: Tensor): Tensor {
  if (all.size === like.size) return all.reshape(like.shape);
  const own = empty(all.gpu, like.shape, { dtype: all.dtype });
  move(all, at, own, 0, own.size);
  return own;
}

/** In elements of four bytes. */
function move(source: Tensor, from: number, target: Tensor, to: number, count: number): void {
  const [own, other] = [source.storage, target.storage];
  if (!own || !other)
    throw new DisposedError(
      "solve: the calibration was disposed while it was solved; dispose of it afterwards",
    );
  source.gpu.record({
    kind: "copy",
    source: own,
    target: other,
    joins: to > 0,
    byteLength: 4 * count,
    sourceOffset: 4 * from,
    targetOffset: 4 * to,
  });
}
