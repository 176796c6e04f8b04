/** Which weights go: exact counts of the smallest scores, and n:m patterns. */
import { adapterTraits } from "../ops/matmul_plan.js";
import { empty, type Tensor } from "../tensor.js";
import { blocksKernel, errorsOf, type Pattern } from "./blocks.js";

/**
 * The mask of whole layers: 0 for the weights with the smallest w² · scale.
 * @param w [samples, groups, size, outputs]
 * @param scale [samples, groups, size]
 * @param which u32 [samples, 1], how many of each sample; or a pattern
 * @returns as w
 */
export function maskOf(w: Tensor, scale: Tensor, which: Tensor | Pattern): Tensor {
  const { gpu, shape } = w;
  const mask = empty(gpu, shape);
  const [counts, pattern] = "keep" in which ? [undefined, which] : [which, undefined];
  const { software } = adapterTraits(gpu);
  const call = { first: 0, end: shape[2], blockSize: shape[2], pattern, software };
  gpu.scope(() => {
    blocksKernel.run({ scale, counts, w, mask, errors: errorsOf(w, shape[2]) }, call);
  });
  return mask;
}

/** Removed weights of a row of `size` columns: a shorter last run keeps its share, rounded up. */
export function removedByPattern(size: number, { keep, of }: Pattern): number {
  const rest = size % of;
  return Math.floor(size / of) * (of - keep) + rest - Math.ceil((rest * keep) / of);
}
