/**
 * SPADE: exact OBS of every row for itself, all rows at once; how many weights each row loses is decided by the costs of
 * all rows together, so that the layer's total is exact.
 */
import { ValueError } from "../gpu/errors.js";
import { add, mul, sub } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { transpose } from "../ops/movement.js";
import type { Tensor } from "../tensor.js";
import { rowsOnDevice } from "./greedy_device.js";
import { rowsOnHost } from "./greedy_host.js";
import type { Factors, LayerProblem, Solution } from "./layer_problem.js";
import { removedByPattern } from "./selection.js";

export interface ExactOptions {
  /** Neighboring weights that go together. */
  readonly groupSize: number;
  /** Of each sample. */
  readonly removed: number;
  readonly pattern?: { readonly keep: number; readonly of: number };
  /** Where the rows are solved; default: where the adapter is software, on the CPU, which is many times as fast there. */
  readonly where?: "host" | "device";
}

/** @throws ValueError for groups that do not divide a row, or together with a pattern */
export async function exactSpade(
  problem: LayerProblem,
  factors: Factors,
  options: ExactOptions,
): Promise<Solution> {
  const { dense, groups, size, outputs } = problem;
  const { groupSize, removed, pattern } = options;
  const { gpu } = dense;
  if (size % groupSize !== 0 || (pattern && groupSize > 1)) {
    throw new ValueError(
      `solve: groupSize is ${groupSize}, and a divisor of the ${size} inputs of layer "${problem.name}" is taken` +
        `${pattern ? ", with a pattern 1" : ""}`,
    );
  }
  const steps = pattern ? removedByPattern(size, pattern) : size / groupSize;
  const { u, alive } = factors;
  const column = alive.reshape([...alive.shape, 1]);
  const given = gpu.scope(() => ({
    inverse: ordered(problem, matmul(u, u, { transposeA: true }), groupSize),
    // Dead inputs cost nothing.
    rows: rowsOf(problem, mul(dense, column), groupSize),
  }));
  const call = {
    group: groupSize,
    steps,
    outputs,
    rowsASample: groups * outputs,
    removed: removed / groupSize,
    pattern,
  };
  const where = options.where ?? (adapterTraits(gpu).software ? "host" : "device");
  try {
    const solve = where === "host" ? rowsOnHost : rowsOnDevice;
    const { w, kept } = await solve(given.rows, given.inverse, call);
    const solved = gpu.scope(() => {
      const mask = columnsOf(problem, kept, groupSize);
      // What the count did not reach of the dead inputs' weights stays as it is.
      const spared = mul(mul(dense, mask), sub(1, column));
      return { weights: add(columnsOf(problem, w, groupSize), spared), mask };
    });
    for (const held of [w, kept]) held.dispose();
    return { ...solved, damping: factors.damping };
  } finally {
    for (const held of [given.inverse, given.rows, column]) held.dispose();
  }
}

/** Groups are runs of input channels of one tap, as in the reference: the channels then come last. */
function isReordered({ area }: LayerProblem, group: number): boolean {
  return area > 1 && group > 1;
}

function ordered(problem: LayerProblem, inverse: Tensor, group: number): Tensor {
  const { size, area } = problem;
  if (!isReordered(problem, group)) return inverse;
  const split = inverse.reshape([-1, size / area, area, size / area, area]);
  return transpose(split, [0, 2, 1, 4, 3]).reshape(inverse.shape);
}

/** [samples, groups, d, outputs] → [rows, d] */
function rowsOf(problem: LayerProblem, columns: Tensor, group: number): Tensor {
  const { samples, groups, size, outputs, area } = problem;
  const rows = [samples * groups * outputs, size];
  if (!isReordered(problem, group))
    return transpose(columns.reshape([samples * groups, size, outputs]), [0, 2, 1]).reshape(rows);
  const split = columns.reshape([samples * groups, size / area, area, outputs]);
  return transpose(split, [0, 3, 2, 1]).reshape(rows);
}

/** [rows, d] → [samples, groups, d, outputs] */
function columnsOf(problem: LayerProblem, rows: Tensor, group: number): Tensor {
  const { samples, groups, size, outputs, area } = problem;
  const shape = [samples, groups, size, outputs];
  if (!isReordered(problem, group))
    return transpose(rows.reshape([samples * groups, outputs, size]), [0, 2, 1]).reshape(shape);
  const split = rows.reshape([samples * groups, outputs, area, size / area]);
  return transpose(split, [0, 3, 2, 1]).reshape(shape);
}
