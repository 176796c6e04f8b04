/** Block OBS on runs of blocks, or what they would remove. */
import blocksWgsl from "../../shaders/spade_blocks.wgsl";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { empty, type Tensor } from "../tensor.js";

/** Of every `of` columns of a row, counted from 0, `keep` stay. */
export interface Pattern {
  readonly keep: number;
  readonly of: number;
}

/** Columns from `first` to `end` of [samples, groups, size, outputs]. */
export interface ColumnRange {
  readonly first: number;
  readonly end: number;
}

export interface BlocksCall extends ColumnRange {
  readonly blockSize: number;
  /** In the place of counts. */
  readonly pattern?: Pattern;
  /** Whether the workgroups are those for software adapters. */
  readonly software: boolean;
}

/** Room for the errors of so many columns: a column's in whole vec4. */
export function errorsOf({ gpu, shape: [samples, groups, , outputs] }: Tensor, columns: number): Tensor {
  return empty(gpu, [samples * groups, columns, 4 * Math.ceil(outputs / 4)]);
}

/** Columns whose errors go on to all columns behind them together: within so many each block takes them by itself. */
const TOGETHER = 72;

/** So many columns, in whole blocks. */
export function columnsTogether(blockSize: number): number {
  return blockSize * Math.max(1, Math.round(TOGETHER / blockSize));
}

/**
 * Chooses the weights of all blocks from `first` to `end`, and with u passes their errors on as far as `end`. scale:
 * [samples, groups, size]; u: [samples · groups, size, size], without it weights are only chosen, and w stays as it is;
 * counts: u32 [samples, blocks], without it as many weights of a block go as its mask has zeros; w, mask: [samples, groups,
 * size, outputs]; errors: of `errorsOf`, written.
 */
export const blocksKernel = defineKernel<BlocksCall>({
  name: "spade_blocks",
  wgsl: blocksWgsl,
  bindings: {
    scale: "read",
    u: "optional",
    counts: "optional",
    w: "readWrite",
    mask: "readWrite",
    errors: "readWrite",
  },
  shape: () => ({}),
  constants: (_shapes, { pattern, software }) => ({
    PATTERN: pattern !== undefined,
    WORKGROUP_SIZE: lanesOf(software),
  }),
  uniforms: ({ w, counts, errors }, call) => ({
    samples: w[0],
    groups: w[1],
    size: w[2],
    outputs: w[3],
    room: errors[1],
    first: call.first,
    end: call.end,
    block_size: call.blockSize,
    block: Math.floor(call.first / call.blockSize),
    blocks: counts?.[1] ?? 0,
    keep: call.pattern?.keep ?? 0,
    length: call.pattern?.of ?? 1,
    parts: partsOf(w, call),
  }),
  grid: ({ w }, limits, call) => gridFor(w[0] * partsOf(w, call), 1, limits),
  work: ({ w }, { first, end, blockSize }) =>
    ((40 + end - first + blockSize) * sizeOf(w) * (end - first)) / w[2],
});

const lanesOf = (software: boolean): number => (software ? 64 : 256);

/** Workgroups a sample: with a pattern the rows do not know of each other. */
function partsOf([, groups, , outputs]: readonly number[], { pattern, software }: BlocksCall): number {
  return pattern ? Math.ceil((groups * outputs) / lanesOf(software)) : 1;
}
