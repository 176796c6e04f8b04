/** Solvers that only choose: what stays, stays as it is. */
import { gatherRows } from "../ops/movement.js";
import { full, mul } from "../ops/elementwise.js";
import { randomUniform } from "../ops/random.js";
import { type Tensor, tensor } from "../tensor.js";
import type { Pattern } from "./blocks.js";
import type { LayerProblem, Solution } from "./layer_problem.js";
import { maskOf } from "./selection.js";

export interface BaselineOptions {
  readonly solver: "magnitude" | "random" | "selection";
  /** Weights to remove of each sample. */
  readonly removed: number;
  /** In the place of that. */
  readonly pattern?: Pattern;
  readonly seed: number;
  /** Of the draws of `random`: a layer's own. */
  readonly stream: number;
}

/** Removes by |w|, at random, or by w² H_jj. */
export function chooseOnly(problem: LayerProblem, options: BaselineOptions): Solution {
  const { dense, samples, groups, size } = problem;
  const { gpu } = dense;
  const { solver, removed, pattern, seed, stream } = options;
  const counts = tensor(gpu, new Uint32Array(samples).fill(removed), [samples, 1]);
  const places = diagonalPlaces(problem);
  const solved = gpu.scope(() => {
    const scores = solver === "random" ? randomUniform(gpu, dense.shape, { seed, stream }) : dense;
    const lines = [samples, groups, size];
    const scale =
      solver === "selection"
        ? gatherRows(problem.h.reshape([-1, 1]), places).reshape(lines)
        : full(gpu, lines, 1);
    const mask = maskOf(scores, scale, pattern ?? counts);
    return { weights: mul(dense, mask), mask };
  });
  counts.dispose();
  places.dispose();
  return { ...solved, damping: new Array<number>(samples).fill(0) };
}

/** Where the diagonals are in all Hessians. */
function diagonalPlaces({ h, samples, groups, size }: LayerProblem): Tensor {
  const place = (index: number): number => index * size + (index % size);
  return tensor(
    h.gpu,
    Uint32Array.from({ length: samples * groups * size }, (_, index) => place(index)),
  );
}
