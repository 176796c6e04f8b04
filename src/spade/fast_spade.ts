/**
 * FastSPADE: block OBS (Frantar and Alistarh, SparseGPT, 2023). Columns go from left to right; what removing a weight
 * costs is made up for, as well as can be, by the weights of its row that come after it.
 */
import tailWgsl from "../../shaders/spade_tail.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import type { Constants } from "../gpu/wgsl.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { mul } from "../ops/elementwise.js";
import { copy, empty, type Tensor, tensor } from "../tensor.js";
import { type ColumnRange, errorsOf, type Pattern, runBlocks } from "./blocks.js";
import type { Factors, LayerProblem, Solution } from "./layer_problem.js";
import { maskOf } from "./selection.js";

interface TailCall extends ColumnRange {
  readonly software: boolean;
}

const tail = defineKernel<TailCall>({
  name: "spade_tail",
  wgsl: tailWgsl,
  bindings: { errors: "read", u: "read", w: "readWrite" },
  shape: () => ({}),
  constants: ({ w }, { software }) => tailTile(software, w[3]),
  uniforms: ({ w: [samples, groups, size, outputs], errors }, { first, end }) => ({
    problems: samples * groups,
    size,
    outputs,
    first,
    end,
    room: errors[1],
  }),
  grid: ({ w: [samples, groups, size, outputs] }, limits, { end }, { TILE_R, TILE_K, WORKGROUP_SIZE }) => {
    const tiles = Math.ceil(outputs / Number(TILE_R)) * Math.ceil((size - end) / Number(TILE_K));
    return gridFor(samples * groups * tiles, Number(WORKGROUP_SIZE), limits);
  },
  work: ({ w }, { first, end }) => 2 * w[0] * w[1] * w[3] * (w[2] - end) * (end - first),
});

/** Loads are dear on software adapters, which have few lanes to fill. */
function tailTile(software: boolean, outputs: number): Constants {
  if (!software) return { TILE_R: 4, TILE_K: 4, WORKGROUP_SIZE: 64 };
  return { TILE_R: outputs > 8 ? 16 : 8, TILE_K: 8, WORKGROUP_SIZE: 16 };
}

/** Columns whose errors go on to all columns behind them together: within so many each block takes them by itself. */
const TOGETHER = 72;

export interface FastSpadeOptions {
  /** Columns a block. */
  readonly blockSize: number;
  /** Weights to remove of each sample. */
  readonly removed: number;
  readonly ratio: number;
  readonly threshold: "layer" | "block";
  readonly pattern?: Pattern;
  /** Whether to use the kernels for software adapters; default: what the adapter is. */
  readonly software?: boolean;
}

/** @param factors of the problem's Hessians */
export function fastSpade(problem: LayerProblem, factors: Factors, options: FastSpadeOptions): Solution {
  const { dense, size } = problem;
  const { gpu } = dense;
  const { blockSize, pattern, threshold, software = adapterTraits(gpu).software } = options;
  const given = countsOf(problem, options);
  const solved = gpu.scope(() => {
    const { u, scale, alive } = factors;
    // What the whole layer's costs remove of each block is in its mask.
    const isGiven = threshold === "block" || pattern !== undefined;
    const mask = isGiven ? empty(gpu, dense.shape) : maskOf(dense, scale, given);
    const counts = isGiven ? given : undefined;
    // The reference takes the weights of dead inputs out before it looks at anything.
    const weights = threshold === "block" ? mul(dense, alive.reshape([...alive.shape, 1])) : copy(dense);
    const step = blockSize * Math.max(1, Math.round(TOGETHER / blockSize));
    const errors = errorsOf(dense, Math.min(step, size));
    for (let first = 0; first < size; first += step) {
      const range = { first, end: Math.min(first + step, size) };
      const call = { ...range, blockSize, pattern, software };
      runBlocks({ scale, u, counts, w: weights, mask, errors }, call);
      if (range.end < size) tail.run({ errors, u, w: weights }, { ...range, software });
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
