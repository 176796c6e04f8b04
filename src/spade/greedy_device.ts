/** Exact OBS of all rows on the device, by a kernel, and which of their steps count. */
import greedyWgsl from "../../shaders/spade_greedy.wgsl";
import { defineKernel } from "../gpu/kernel.js";
import { full, sub } from "../ops/elementwise.js";
import { concat, slice } from "../ops/movement.js";
import { sum } from "../ops/reduce.js";
import { empty, type Tensor, tensor, zeros } from "../tensor.js";
import { MOST_BYTES } from "./gram.js";
import type { GreedyRows, RowsCall } from "./greedy_rows.js";
import { maskOf } from "./selection.js";

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
    vectors: "readWrite",
    blocks: "readWrite",
    costs: "readWrite",
  },
  shape: () => ({}),
  uniforms: ({ w }, call) => ({
    first_row: call.firstRow,
    rows_a_sample: call.rowsASample,
    outputs: call.outputs,
    size: w[1],
    group: call.group,
    first_step: call.firstStep,
    end_step: call.endStep,
    steps: call.steps,
    run: call.pattern?.of ?? 0,
    keep: call.pattern?.keep ?? 0,
  }),
  grid: ({ w }) => [w[0]],
  work: ({ w: [rows, size] }, { firstStep, endStep, group }) =>
    rows * size * (endStep - firstStep) * group * (firstStep + endStep) * group,
});

/** Steps a dispatch, so that none takes long. */
const STEPS_A_CALL = 16;

/** @param rows [rows, d] */
export function rowsOnDevice(rows: Tensor, inverse: Tensor, call: RowsCall): GreedyRows {
  const { gpu, shape } = rows;
  const { steps, rowsASample, removed, pattern } = call;
  const samples = shape[0] / rowsASample;
  const counts = tensor(gpu, new Uint32Array(samples).fill(removed), [samples, 1]);
  try {
    return gpu.scope(() => {
      const costs = zeros(gpu, [samples, 1, steps, rowsASample]);
      const all = greedyRows(rows, inverse, full(gpu, [shape[0]], steps), costs, call);
      if (pattern) return all;
      const mask = maskOf(costs, full(gpu, [samples, 1, steps], 1), counts);
      const limits = sum(sub(1, mask), { axes: [2] }).reshape([shape[0]]);
      return greedyRows(rows, inverse, limits, costs, call);
    });
  } finally {
    counts.dispose();
  }
}

/** All rows, as many at a time as their vectors fit. @param rows [rows, size] */
function greedyRows(
  rows: Tensor,
  inverse: Tensor,
  limits: Tensor,
  costs: Tensor,
  { group, steps, outputs, rowsASample, pattern }: RowsCall,
): GreedyRows {
  const { gpu, shape } = rows;
  const [count, size] = shape;
  const some = Math.max(1, Math.floor(MOST_BYTES / (4 * size * Math.max(size, 2 * group + 1))));
  const parts: GreedyRows[] = [];
  for (let firstRow = 0; firstRow < count; firstRow += some) {
    const part = gpu.scope(() => {
      const w = slice(rows, [firstRow, 0], [Math.min(firstRow + some, count), size]);
      const kept = empty(gpu, w.shape);
      const vectors = empty(gpu, [w.shape[0], size, size]);
      const blocks = empty(gpu, [w.shape[0], size, 2 * group + 1]);
      for (let firstStep = 0; firstStep < steps; firstStep += STEPS_A_CALL) {
        const endStep = Math.min(firstStep + STEPS_A_CALL, steps);
        const call = { firstRow, rowsASample, outputs, group, firstStep, endStep, steps, pattern };
        greedy.run({ inverse, limits, w, kept, vectors, blocks, costs }, call);
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
