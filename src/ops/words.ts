/**
 * Ops that only move values (transpose, gather, sort) see every tensor as 32-bit words: one kernel then
 * serves f32 and u32, and the bits stay what they are (a load as a float may flush denormals).
 */
import { ShapeError } from "../gpu/errors.js";
import type { DType } from "../gpu/kernel.js";
import { Tensor } from "../tensor.js";

/**
 * Calls `body` with u32 views of the tensors and releases the views after it. A disposed tensor is passed as
 * it is, for the kernel to refuse it.
 * @throws ShapeError for f16, of which two stand in a word
 */
export function withWords<Names extends string, Result>(
  tensors: Readonly<Record<Names, Tensor | undefined>>,
  body: (words: Record<Names, Tensor | undefined>) => Result,
): Result {
  for (const name in tensors) {
    if (tensors[name]?.dtype !== "f16") continue;
    throw new ShapeError(`"${name}" is f16, and f32 or u32 is taken; cast it with toF32()`);
  }
  const views: Tensor[] = [];
  const words: Record<string, Tensor | undefined> = {};
  for (const name in tensors) {
    const tensor = tensors[name];
    words[name] = tensor && retype(tensor, "u32");
    if (words[name] && words[name] !== tensor) views.push(words[name]);
  }
  try {
    return body(words as Record<Names, Tensor | undefined>);
  } finally {
    for (const view of views) view.dispose();
  }
}

/**
 * The result of a kernel on words under its own dtype: `out` if the caller gave it, else a tensor in place of
 * `words`, which is released.
 */
export function fromWords(words: Tensor, dtype: DType, out?: Tensor): Tensor {
  if (out) return out;
  const result = retype(words, dtype);
  if (result !== words) words.dispose();
  return result;
}

/** An f16 tensor's buffer as a row of words, two values each; a disposed tensor as it is. */
export function asWords(halves: Tensor): Tensor {
  return retype(halves, "u32", [halves.byteLength / 4]);
}

/** The same buffer under another dtype. */
function retype(tensor: Tensor, dtype: DType, shape = tensor.shape): Tensor {
  const { gpu, storage } = tensor;
  if (tensor.dtype === dtype || !storage) return tensor;
  storage.references++;
  return new Tensor(gpu, shape, dtype, storage);
}
