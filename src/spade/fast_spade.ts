/**
 * FastSPADE: block OBS (Frantar and Alistarh, SparseGPT, 2023). Columns go from left to right; what removing a weight
 * costs is made up for, as well as can be, by the weights of its row that come after it.
 */
import sweepWgsl from "../../shaders/spade_sweep.wgsl";
import tailWgsl from "../../shaders/spade_tail.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { mul } from "../ops/elementwise.js";
import { copy, empty, type Tensor, tensor } from "../tensor.js";
import type { Factors, LayerProblem, Solution } from "./layer_problem.js";
import { type ColumnRange, countsOfBlocks, selectPattern, selectSmallest } from "./selection.js";

interface BlockCall extends ColumnRange {
  readonly block: number;
}

const shapeUniforms = (w: readonly number[]) => ({ problems: w[0] * w[1], size: w[2], outputs: w[3] });

const sweep = defineKernel<BlockCall>({
  name: "spade_sweep",
  wgsl: sweepWgsl,
  bindings: { mask: "read", u: "read", w: "readWrite", errors: "readWrite" },
  shape: () => ({}),
  uniforms: ({ w }, { first, end, block }) => ({ ...shapeUniforms(w), first, end, block }),
  grid: ({ w }, limits) => gridFor(w[0] * w[1] * w[3], 64, limits),
  work: ({ w }, { block }) => 10 * w[0] * w[1] * w[3] * block * block,
});

const tail = defineKernel<BlockCall>({
  name: "spade_tail",
  wgsl: tailWgsl,
  bindings: { errors: "read", u: "read", w: "readWrite" },
  shape: () => ({}),
  uniforms: ({ w }, { first, end, block }) => ({ ...shapeUniforms(w), first, end, block }),
  grid: ({ w: [samples, groups, size, outputs] }, limits, { end }) =>
    gridFor(samples * groups * Math.ceil(outputs / 4) * Math.ceil((size - end) / 4), 64, limits),
  work: ({ w }, { end, block }) => 4 * w[0] * w[1] * w[3] * (w[2] - end) * block,
});

export interface FastSpadeOptions {
  /** Columns a block. */
  readonly blockSize: number;
  /** Weights to remove of each sample. */
  readonly removed: number;
  readonly ratio: number;
  readonly threshold: "layer" | "block";
  readonly pattern?: { readonly keep: number; readonly of: number };
}

/** @param factors of the problem's Hessians */
export function fastSpade(problem: LayerProblem, factors: Factors, options: FastSpadeOptions): Solution {
  const { dense, size, samples } = problem;
  const { gpu } = dense;
  const { blockSize, pattern, threshold } = options;
  const given = countsOf(problem, options);
  const solved = gpu.scope(() => {
    const { u, scale, alive } = factors;
    const mask = empty(gpu, dense.shape);
    let counts = given;
    if (threshold === "layer" && !pattern) {
      selectSmallest(dense, scale, given, mask, { first: 0, end: size, block: 0 });
      counts = countsOfBlocks(mask, blockSize);
    }
    // The reference takes the weights of dead inputs out before it looks at anything.
    const weights = threshold === "block" ? mul(dense, alive.reshape([...alive.shape, 1])) : copy(dense);
    const errors = empty(gpu, [samples, problem.groups, blockSize, problem.outputs]);
    for (let first = 0, block = 0; first < size; first += blockSize, block++) {
      const range = { first, end: Math.min(first + blockSize, size) };
      if (pattern) selectPattern(weights, scale, mask, { ...range, ...pattern });
      else selectSmallest(weights, scale, counts, mask, { ...range, block });
      sweep.run({ mask, u, w: weights, errors }, { ...range, block: blockSize });
      if (range.end < size) tail.run({ errors, u, w: weights }, { ...range, block: blockSize });
    }
    return { weights, mask };
  });
  given.dispose();
  return { ...solved, damping: factors.damping };
}

/** u32 [samples, 1] for the whole layer, or [samples, blocks]: the same share of each. */
function countsOf(
  { dense, samples, size, groups, outputs }: LayerProblem,
  options: FastSpadeOptions,
): Tensor {
  const { threshold, ratio, removed, blockSize } = options;
  if (threshold === "layer") return tensor(dense.gpu, new Uint32Array(samples).fill(removed), [samples, 1]);
  const blocks = Math.ceil(size / blockSize);
  const counts = Uint32Array.from({ length: samples * blocks }, (_, index) => {
    const first = (index % blocks) * blockSize;
    return Math.floor(ratio * groups * outputs * (Math.min(first + blockSize, size) - first) + 0.5);
  });
  return tensor(dense.gpu, counts, [samples, blocks]);
}
