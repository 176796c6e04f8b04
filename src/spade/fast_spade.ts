/**
 * FastSPADE: block OBS (Frantar and Alistarh, SparseGPT, 2023). Columns go from left to right; what removing a weight
 * costs is made up for, as well as can be, by the weights of its row that come after it.
 */
import { adapterTraits } from "../ops/matmul_plan.js";
import { mul } from "../ops/elementwise.js";
import { copy, empty, type Tensor, tensor } from "../tensor.js";
import { blocksKernel, columnsTogether, errorsOf, type Pattern } from "./blocks.js";
import type { Factors, LayerProblem, Solution } from "./layer_problem.js";
import { maskOf } from "./selection.js";
import { passOn } from "./tails.js";
import { isSolvedWhole, packs, solvePacked } from "./whole_layers.js";

/** A layer of some samples. */
export interface LayerJob {
  readonly problem: LayerProblem;
  readonly factors: Factors;
  /** Columns a block. */
  readonly blockSize: number;
  /** Weights to remove of each sample. */
  readonly removed: number;
  readonly ratio: number;
}

export interface FastSpadeOptions {
  readonly threshold: "layer" | "block";
  readonly pattern?: Pattern;
  /** Whether to use the kernels for software adapters; default: what the adapter is. */
  readonly software?: boolean;
}

/** @returns in the order of the layers */
export function fastSpade(jobs: readonly LayerJob[], options: FastSpadeOptions): Solution[] {
  const isWhole = options.threshold === "layer" && options.pattern === undefined;
  const whole = jobs.filter((job) => isWhole && options.software !== false && isSolvedWhole(job));
  const solutions = new Map<LayerJob, Solution>();
  try {
    for (const group of packs(whole))
      for (const [index, solution] of solvePacked(group).entries()) solutions.set(group[index], solution);
    return jobs.map((job) => {
      const solution = solutions.get(job) ?? solveByBlocks(job, options);
      solutions.set(job, solution);
      return solution;
    });
  } catch (error) {
    disposeSolutions([...solutions.values()]);
    throw error;
  }
}

export function disposeSolutions(solutions: readonly Solution[]): void {
  for (const { weights, mask } of solutions) for (const held of [weights, mask]) held.dispose();
}

/** A dispatch for the blocks of so many columns, another for what their errors change behind them. */
function solveByBlocks(job: LayerJob, options: FastSpadeOptions): Solution {
  const { problem, factors, blockSize } = job;
  const { dense, size } = problem;
  const { gpu } = dense;
  const { pattern, threshold, software = adapterTraits(gpu).software } = options;
  const given = countsOf(job, options);
  const solve = () => {
    const { u, scale, alive } = factors;
    // What the whole layer's costs remove of each block is in its mask.
    const isGiven = threshold === "block" || pattern !== undefined;
    const mask = isGiven ? empty(gpu, dense.shape) : maskOf(dense, scale, given);
    const counts = isGiven ? given : undefined;
    // The reference takes the weights of dead inputs out before it looks at anything.
    const weights = threshold === "block" ? mul(dense, alive.reshape([...alive.shape, 1])) : copy(dense);
    const step = columnsTogether(blockSize);
    const errors = errorsOf(dense, Math.min(step, size));
    for (let first = 0; first < size; first += step) {
      const range = { first, end: Math.min(first + step, size) };
      const call = { ...range, blockSize, pattern, software };
      blocksKernel.run({ scale, u, counts, w: weights, mask, errors }, call);
      if (range.end < size) passOn({ errors, u, w: weights }, { ...range, from: first, software });
    }
    return { weights, mask };
  };
  try {
    return { ...gpu.scope(solve), damping: factors.damping };
  } finally {
    given.dispose();
  }
}

/** u32 [samples, 1] for the whole layer, or [samples, blocks]: the same share of each. */
function countsOf({ problem, ratio, removed, blockSize }: LayerJob, { threshold }: FastSpadeOptions): Tensor {
  const { dense, samples, size, groups, outputs } = problem;
  if (threshold === "layer") return tensor(dense.gpu, new Uint32Array(samples).fill(removed), [samples, 1]);
  const blocks = Math.ceil(size / blockSize);
  const counts = Uint32Array.from({ length: samples * blocks }, (_, index) => {
    const first = (index % blocks) * blockSize;
    return Math.floor(ratio * groups * outputs * (Math.min(first + blockSize, size) - first) + 0.5);
  });
  return tensor(dense.gpu, counts, [samples, blocks]);
}
