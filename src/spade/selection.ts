/** Which weights go: exact counts of the smallest scores, and n:m patterns; and what block OBS does with their errors. */
import blocksWgsl from "../../shaders/spade_blocks.wgsl";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { adapterTraits } from "../ops/matmul_plan.js";
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
}

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
  constants: (_shapes, { pattern }, gpu) => ({
    PATTERN: pattern !== undefined,
    WORKGROUP_SIZE: adapterTraits(gpu).software ? 64 : 256,
  }),
  uniforms: ({ w, counts, errors }, { first, end, blockSize, pattern }) => ({
    samples: w[0],
    groups: w[1],
    size: w[2],
    outputs: w[3],
    first,
    end,
    block_size: blockSize,
    block: Math.floor(first / blockSize),
    blocks: counts?.[1] ?? 0,
    room: errors[2],
    keep: pattern?.keep ?? 0,
    length: pattern?.of ?? 1,
    parts: partsOf(w, pattern),
  }),
  grid: ({ w }, limits, { pattern }) => gridFor(w[0] * partsOf(w, pattern), 1, limits),
  work: ({ w }, { first, end, blockSize }) =>
    ((40 + end - first + blockSize) * sizeOf(w) * (end - first)) / w[2],
});

/** Workgroups a sample: without counts the rows do not know of each other. */
function partsOf([, groups, , outputs]: readonly number[], pattern?: Pattern): number {
  return pattern ? Math.ceil((groups * outputs) / 64) : 1;
}

/**
 * The mask of whole layers: 0 for the weights with the smallest w² · scale.
 * @param w [samples, groups, size, outputs]
 * @param scale [samples, groups, size]
 * @param which u32 [samples, 1], how many of each sample; or a pattern
 * @returns as w
 */
export function maskOf(w: Tensor, scale: Tensor, which: Tensor | Pattern): Tensor {
  const { gpu, shape } = w;
  const mask = empty(gpu, shape);
  const [counts, pattern] = "keep" in which ? [undefined, which] : [which, undefined];
  const call = { first: 0, end: shape[2], blockSize: shape[2], pattern };
  gpu.scope(() => {
    blocksKernel.run({ scale, counts, w, mask, errors: empty(gpu, shape) }, call);
  });
  return mask;
}

/** Removed weights of a row of `size` columns: a shorter last run keeps its share, rounded up. */
export function removedByPattern(size: number, { keep, of }: Pattern): number {
  const rest = size % of;
  return Math.floor(size / of) * (of - keep) + rest - Math.ceil((rest * keep) / of);
}
