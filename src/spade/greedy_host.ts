/** Exact OBS of all rows in float64 on the CPU, and which of their steps count. */
import { type Tensor, tensor } from "../tensor.js";
import { GreedyRow } from "./greedy_row.js";
import type { GreedyRows, RowsCall } from "./greedy_rows.js";

/** Of solved rows that are held until the counts are known; the others are solved again up to theirs. */
const HELD_BYTES = 2 ** 28;

/**
 * @param rows [rows, d]
 * @param inverse [rows / outputs, d, d]
 */
export async function rowsOnHost(
  rows: Tensor,
  inverse: Tensor,
  call: RowsCall,
  heldBytes = HELD_BYTES,
): Promise<GreedyRows> {
  const [given, inverses] = await Promise.all([rows.data(), inverse.data()]);
  const [count, d] = rows.shape;
  const { group, steps, outputs, rowsASample, removed, pattern } = call;
  const held = Math.floor(heldBytes / (8 * steps * group * d));
  const rowOf = (index: number): Float32Array => given.subarray(index * d, (index + 1) * d) as Float32Array;
  const w = new Float32Array(count * d);
  const kept = new Float32Array(count * d);
  let matrix = { problem: -1, inverse: new Float64Array(0) };
  for (let first = 0; first < count; first += rowsASample) {
    const solver = (index: number, most: number): GreedyRow => {
      const problem = Math.floor(index / outputs);
      if (problem !== matrix.problem) {
        const start = problem * d * d;
        matrix = { problem, inverse: Float64Array.from(inverses.subarray(start, start + d * d)) };
      }
      return new GreedyRow(rowOf(index), matrix.inverse, { group, steps: most, pattern });
    };
    const costs: Float64Array[] = [];
    const solved: GreedyRow[] = [];
    for (let index = first; index < first + rowsASample; index++) {
      const row = solver(index, steps);
      costs.push(row.costs);
      if (solved.length < held) solved.push(row);
    }
    const limits = pattern ? new Uint32Array(rowsASample).fill(steps) : cheapest(costs, removed);
    for (let index = first; index < first + rowsASample; index++) {
      const limit = limits[index - first];
      const row = solved[index - first] ?? solver(index, limit);
      const [start, end] = [index * d, (index + 1) * d];
      row.write(limit, w.subarray(start, end), kept.subarray(start, end));
    }
  }
  return { w: tensor(rows.gpu, w, rows.shape), kept: tensor(rows.gpu, kept, rows.shape) };
}

/** How many of the `count` cheapest steps are each row's; of equal costs the first row's, and its first, go first. */
function cheapest(costs: readonly Float64Array[], count: number): Uint32Array {
  const all = costs.flatMap((own, row) => Array.from(own, (cost, step) => ({ cost, row, step })));
  all.sort((a, b) => a.cost - b.cost || a.row - b.row || a.step - b.step);
  const limits = new Uint32Array(costs.length);
  for (const { row } of all.slice(0, count)) limits[row]++;
  return limits;
}
