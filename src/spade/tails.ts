/** What the errors of some columns change in all columns behind them. */
import tailWgsl from "../../shaders/spade_tail.wgsl";
import subgroupTailWgsl from "../../shaders/spade_tail_subgroup.wgsl";
import { defineKernel, gridFor, type Kernel } from "../gpu/kernel.js";
import type { Constants } from "../gpu/wgsl.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import type { Tensor } from "../tensor.js";
import type { ColumnRange } from "./blocks.js";

interface TailCall extends ColumnRange {
  /** The column of the first errors. */
  readonly from: number;
  readonly software: boolean;
}

function tailKernel(
  name: string,
  wgsl: string,
  tile: (software: boolean, outputs: number) => TailTile,
): Kernel<TailCall> {
  return defineKernel<TailCall>({
    name,
    wgsl,
    bindings: { errors: "read", u: "read", w: "readWrite" },
    shape: () => ({}),
    constants: ({ w }, { software }) => tile(software, w[3]).constants,
    uniforms: ({ w: [samples, groups, size, outputs], errors }, { first, end, from }) => ({
      problems: samples * groups,
      size,
      outputs,
      first,
      end,
      room: errors[1],
      skipped: first - from,
    }),
    grid: ({ w: [samples, groups, size, outputs] }, limits, { end, software }) => {
      const { rows, columns, perGroup } = tile(software, outputs);
      const tiles = Math.ceil(outputs / rows) * Math.ceil((size - end) / columns);
      return gridFor(samples * groups * tiles, perGroup, limits);
    },
    work: ({ w }, { first, end }) => 2 * w[0] * w[1] * w[3] * (w[2] - end) * (end - first),
  });
}

/** Rows and columns that an invocation, or a workgroup that shares its loads, computes; how many of them a workgroup holds. */
interface TailTile {
  readonly rows: number;
  readonly columns: number;
  readonly perGroup: number;
  readonly constants: Constants;
}

const tail = tailKernel("spade_tail", tailWgsl, (software, outputs) => {
  // Loads are dear on software adapters, which have few lanes to fill.
  const [rows, columns, perGroup] = software ? [outputs > 8 ? 16 : 8, 8, 16] : [4, 4, 64];
  return { rows, columns, perGroup, constants: { TILE_R: rows, TILE_K: columns, WORKGROUP_SIZE: perGroup } };
});

/** On software adapters, by lanes of a subgroup. */
const sharedTails: Readonly<Record<number, Kernel<TailCall>>> = {
  4: sharedTail(4, 16, 8),
  8: sharedTail(8, 8, 4),
};

/** @param mostRows of the rows and columns that a lane loads */
function sharedTail(lanes: number, mostRows: number, columns: number): Kernel<TailCall> {
  return tailKernel("spade_tail_subgroup", subgroupTailWgsl, (_software, outputs) => {
    const rows = Math.min(mostRows, 4 * Math.ceil(outputs / (4 * lanes)));
    const constants = { LANES: lanes, TILE_R: rows, TILE_K: columns };
    return { rows: rows * lanes, columns: columns * lanes, perGroup: 1, constants };
  });
}

interface TailTensors {
  /** [problems, columns, outputs in whole vec4] */
  readonly errors: Tensor;
  /** [problems, size, size] */
  readonly u: Tensor;
  /** [samples, groups, size, outputs]; columns from `end` on change. */
  readonly w: Tensor;
}

/** w_rk -= Σ_j e_rj U_jk, first <= j < end <= k. */
export function passOn(tensors: TailTensors, call: TailCall): void {
  const kernel = (call.software && sharedTails[adapterTraits(tensors.w.gpu).lanes]) || tail;
  kernel.run({ ...tensors }, call);
}
