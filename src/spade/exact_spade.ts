/**
 * SPADE: exact OBS of every row for itself, all rows at once; how many weights each row loses is decided by the costs of
 * all rows together, so that the layer's total is exact.
 */
import greedyWgsl from "../../shaders/spade_greedy.wgsl";
import { ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel } from "../gpu/kernel.js";
import { add, full, mul, sub } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { concat, slice, transpose } from "../ops/movement.js";
import { sum } from "../ops/reduce.js";
import { empty, type Tensor, tensor, zeros } from "../tensor.js";
import { MOST_BYTES } from "./gram.js";
import type { Factors, LayerProblem, Solution } from "./layer_problem.js";
import { removedByPattern, selectSmallest } from "./selection.js";

interface GreedyCall {
  readonly firstRow: number;
  readonly rowsASample: number;
  readonly outputs: number;
  readonly group: number;
  readonly firstStep: number;
  readonly endStep: number;
  readonly steps: number;
  readonly pattern?: { readonly keep: number; readonly of: number };
}

const greedy = defineKernel<GreedyCall>({
  name: "spade_greedy",
  wgsl: greedyWgsl,
  bindings: {
    inverse: "read",
    limits: "read",
    w: "readWrite",
    kept: "readWrite",
    order: "readWrite",
    vectors: "readWrite",
    blocks: "readWrite",
    costs: "readWrite",
  },
  constants: (_shapes, { group }, gpu) => ({
    LANES: lanesOf(gpu),
    GROUP: group,
    PLACES: group < 4 ? 4 : 2,
    UNROLL: group <= MOST_UNROLLED,
  }),
  shape: () => ({}),
  uniforms: ({ w }, call) => ({
    first_row: call.firstRow,
    rows_a_sample: call.rowsASample,
    outputs: call.outputs,
    size: w[1],
    first_step: call.firstStep,
    end_step: call.endStep,
    steps: call.steps,
    run: call.pattern?.of ?? 0,
    keep: call.pattern?.keep ?? 0,
  }),
  grid: ({ w }) => [w[0]],
  work: ({ w: [rows, size] }, { firstStep, endStep, group }) => {
    const known = (group * (firstStep + endStep)) / 2;
    return 2 * rows * (endStep - firstStep) * group * known * (size - known);
  },
});

/** Larger groups stay in loops: their text would take long to compile. */
const MOST_UNROLLED = 9;

/** Barriers between more lanes than a software adapter's subgroup has are dear. */
function lanesOf(gpu: Gpu): number {
  const { software, lanes } = adapterTraits(gpu);
  return software ? lanes || 8 : 64;
}

export interface ExactOptions {
  /** Neighboring weights that go together. */
  readonly groupSize: number;
  /** Of each sample. */
  readonly removed: number;
  readonly pattern?: { readonly keep: number; readonly of: number };
}

/** Steps a dispatch, so that none takes long. */
const STEPS_A_CALL = 16;

/** @throws ValueError for groups that do not divide a row, or together with a pattern */
export function exactSpade(problem: LayerProblem, factors: Factors, options: ExactOptions): Solution {
  const { dense, samples, groups, size, outputs } = problem;
  const { groupSize, removed, pattern } = options;
  const { gpu } = dense;
  if (size % groupSize !== 0 || (pattern && groupSize > 1)) {
    throw new ValueError(
      `solve: groupSize is ${groupSize}, and a divisor of the ${size} inputs of layer "${problem.name}" is taken` +
        `${pattern ? ", with a pattern 1" : ""}`,
    );
  }
  const steps = pattern ? removedByPattern(size, pattern) : size / groupSize;
  const counts = tensor(gpu, new Uint32Array(samples).fill(removed / groupSize), [samples, 1]);
  const solved = gpu.scope(() => {
    const { u, alive } = factors;
    const column = alive.reshape([...alive.shape, 1]);
    const inverse = ordered(problem, matmul(u, u, { transposeA: true }), groupSize);
    // Dead inputs cost nothing.
    const rows = rowsOf(problem, mul(dense, column), groupSize);
    const all = samples * groups * outputs;
    const costs = zeros(gpu, [samples, 1, steps, groups * outputs]);
    const run = (limits: Tensor) =>
      greedyRows(rows, inverse, limits, costs, { ...options, steps, outputs, rowsASample: groups * outputs });
    let limits = full(gpu, [all], steps);
    let state = run(limits);
    if (!pattern) {
      const mask = empty(gpu, costs.shape);
      const range = { first: 0, end: steps, block: 0 };
      selectSmallest(costs, full(gpu, [samples, 1, steps], 1), counts, mask, range);
      limits = sum(sub(1, mask), { axes: [2] }).reshape([all]);
      state = run(limits);
    }
    const mask = columnsOf(problem, state.kept, groupSize);
    // What the count did not reach of the dead inputs' weights stays as it is.
    const spared = mul(mul(dense, mask), sub(1, column));
    return { weights: add(columnsOf(problem, state.w, groupSize), spared), mask };
  });
  counts.dispose();
  return { ...solved, damping: factors.damping };
}

interface GreedyOptions extends ExactOptions {
  readonly steps: number;
  readonly outputs: number;
  readonly rowsASample: number;
}

/** All rows, as many at a time as their vectors fit. @param rows [rows, size] */
function greedyRows(
  rows: Tensor,
  inverse: Tensor,
  limits: Tensor,
  costs: Tensor,
  options: GreedyOptions,
): { w: Tensor; kept: Tensor } {
  const { gpu, shape } = rows;
  const [count, size] = shape;
  const { groupSize: group, steps, outputs, rowsASample, pattern } = options;
  const quads = Math.ceil(size / 4);
  const some = Math.max(1, Math.floor(MOST_BYTES / (4 * size * Math.max(4 * quads, group + 2))));
  const parts: { w: Tensor; kept: Tensor }[] = [];
  for (let firstRow = 0; firstRow < count; firstRow += some) {
    const part = gpu.scope(() => {
      const w = slice(rows, [firstRow, 0], [Math.min(firstRow + some, count), size]);
      const kept = full(gpu, w.shape, 1);
      const order = empty(gpu, [w.shape[0], size / group], { dtype: "u32" });
      const vectors = empty(gpu, [w.shape[0], quads, size, 4]);
      const blocks = empty(gpu, [w.shape[0], group * (group + 2), size / group]);
      for (let firstStep = 0; firstStep < steps; firstStep += STEPS_A_CALL) {
        const endStep = Math.min(firstStep + STEPS_A_CALL, steps);
        const call = { firstRow, rowsASample, outputs, group, firstStep, endStep, steps, pattern };
        greedy.run({ inverse, limits, w, kept, order, vectors, blocks, costs }, call);
      }
      return { w, kept };
    });
    parts.push(part);
  }
  if (parts.length === 1) return parts[0];
  return {
    w: concat(
      parts.map(({ w }) => w),
      0,
    ),
    kept: concat(
      parts.map(({ kept }) => kept),
      0,
    ),
  };
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
