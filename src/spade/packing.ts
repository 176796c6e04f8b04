/** Tensors one behind the other in one buffer, for kernels that take those of many layers at once. */
import { empty, type Tensor } from "../tensor.js";

/** @returns [elements of all] */
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

/** Copies of what stands from element `at` on, as `like`. */
export function unpacked(all: Tensor, at: number, like: Tensor): Tensor {
  const own = empty(all.gpu, like.shape, { dtype: all.dtype });
  move(all, at, own, 0, own.size);
  return own;
}

/** In elements of four bytes. */
function move(source: Tensor, from: number, target: Tensor, to: number, count: number): void {
  source.gpu.record({
    kind: "copy",
    source: source.storage as NonNullable<Tensor["storage"]>,
    target: target.storage as NonNullable<Tensor["storage"]>,
    byteLength: 4 * count,
    sourceOffset: 4 * from,
    targetOffset: 4 * to,
  });
}
