/** Which form of sparse weights is fastest: by what a kept weight costs in each of them, as measured. */
import type { Gpu } from "../gpu/gpu.js";
import { adapterTraits } from "./matmul_plan.js";
import type { KeepOptions } from "./sparse_keep.js";
import { type BlockSize, compressWeights, maskOf, type SparseMatrix } from "./sparse_matrix.js";

/** Time a stored weight takes, as a multiple of what a weight takes in the dense product. */
export interface SparseCosts {
  /** By block size, "inputs×outputs". */
  readonly blocks: Readonly<Record<string, number>>;
  readonly unstructured: number;
}

/**
 * Measured on forward, input and weight gradient together (128×784×256 and 256×512×512; blocks at 80 %, unstructured at
 * 90 and 95 % sparsity, where they are about as fast as the dense product of the same adapter); `hardware` is an estimate from
 * the loads a multiply-add needs. A form wins over the dense product where the share of stored weights is below
 * 1 / cost: blocks of 8×8 from 64 % sparsity on (swiftshader) and 58 % (lavapipe), unstructured weights from 91 and 90 %.
 */
export const SPARSE_COSTS: Readonly<Record<"swiftshader" | "lavapipe" | "hardware", SparseCosts>> = {
  swiftshader: { blocks: { "16×16": 2.4, "8×8": 2.8, "4×4": 4.7 }, unstructured: 11.5 },
  lavapipe: { blocks: { "16×16": 2.1, "8×8": 2.4, "4×4": 3.3 }, unstructured: 10 },
  hardware: { blocks: { "16×16": 2, "8×8": 3, "4×4": 5 }, unstructured: 12 },
};

/** The built-in costs of an adapter. */
export function sparseCosts(gpu: Gpu): SparseCosts {
  const { software, lanes } = adapterTraits(gpu);
  if (!software) return SPARSE_COSTS.hardware;
  return gpu.info.architecture === "swiftshader" || lanes === 4
    ? SPARSE_COSTS.swiftshader
    : SPARSE_COSTS.lavapipe;
}

/**
 * The kept weights in the form that takes least time: stored weights (in blocks also those that are not kept) times
 * what one costs. Which weights are kept does not depend on the form: blocks are not dropped as a whole.
 */
export function chooseSparseForm(
  gpu: Gpu,
  weights: ArrayLike<number>,
  shape: readonly [inputs: number, outputs: number],
  options: KeepOptions & { readonly block?: BlockSize },
  costs: SparseCosts = sparseCosts(gpu),
): SparseMatrix {
  const dense = compressWeights(weights, shape, { ...options, form: "masked" });
  const mask = maskOf(dense);
  let [best, least] = [dense, weights.length];
  const consider = (candidate: SparseMatrix, cost: number): void => {
    const total = candidate.values.length * cost;
    if (total < least) [best, least] = [candidate, total];
  };
  for (const [name, cost] of Object.entries(costs.blocks)) {
    const [inputs, outputs] = name.split("×").map(Number);
    if (options.block && (options.block[0] !== inputs || options.block[1] !== outputs)) continue;
    consider(compressWeights(weights, shape, { mask, form: "blocks", block: [inputs, outputs] }), cost);
  }
  consider(compressWeights(weights, shape, { mask, form: "unstructured" }), costs.unstructured);
  return best;
}
