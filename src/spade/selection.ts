/** Which weights go: exact counts of the smallest scores, and n:m patterns. */
import blockCountsWgsl from "../../shaders/spade_block_counts.wgsl";
import patternWgsl from "../../shaders/spade_pattern.wgsl";
import selectWgsl from "../../shaders/spade_select.wgsl";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";

/** Columns from `first` to `end` of [samples, groups, size, outputs]. */
export interface ColumnRange {
  readonly first: number;
  readonly end: number;
}

interface SelectCall extends ColumnRange {
  readonly block: number;
}

const selectKernel = defineKernel<SelectCall>({
  name: "spade_select",
  wgsl: selectWgsl,
  bindings: { w: "read", scale: "read", counts: "read", mask: "readWrite" },
  shape: () => ({}),
  uniforms: ({ w, counts }, { first, end, block }) => ({
    samples: w[0],
    groups: w[1],
    size: w[2],
    outputs: w[3],
    first,
    end,
    block,
    blocks: counts[1],
  }),
  grid: ({ w }) => [w[0]],
  work: ({ w }, { first, end }) => (40 * sizeOf(w) * (end - first)) / w[2],
});

const blockCountsKernel = defineKernel<{ readonly blockSize: number }>({
  name: "spade_block_counts",
  wgsl: blockCountsWgsl,
  bindings: { mask: "read", counts: "write" },
  shape: ({ mask }, { blockSize }) => ({ counts: [mask[0], Math.ceil(mask[2] / blockSize)] }),
  uniforms: ({ mask, counts }, { blockSize }) => ({
    samples: mask[0],
    groups: mask[1],
    size: mask[2],
    outputs: mask[3],
    block_size: blockSize,
    blocks: counts[1],
  }),
  grid: ({ counts }, limits) => gridFor(sizeOf(counts), 64, limits),
  work: ({ mask }) => 4 * sizeOf(mask),
});

interface PatternCall extends ColumnRange {
  readonly keep: number;
  readonly of: number;
}

const patternKernel = defineKernel<PatternCall>({
  name: "spade_pattern",
  wgsl: patternWgsl,
  bindings: { w: "read", scale: "read", mask: "readWrite" },
  shape: () => ({}),
  uniforms: ({ w }, { first, end, keep, of }) => ({
    problems: w[0] * w[1],
    size: w[2],
    outputs: w[3],
    first,
    end,
    keep,
    length: of,
  }),
  grid: ({ w }, limits, { first, end, of }) =>
    gridFor(w[0] * w[1] * w[3] * Math.ceil((end - first) / of), 64, limits),
  work: ({ w }, { of }) => 4 * of * sizeOf(w),
});

/**
 * Writes the mask of a range of columns: 0 for the `counts[sample][block]` weights with the smallest w² · scale.
 * @param scale [samples, groups, size]
 * @param counts u32 [samples, blocks]
 */
export function selectSmallest(
  w: Tensor,
  scale: Tensor,
  counts: Tensor,
  mask: Tensor,
  call: SelectCall,
): void {
  selectKernel.run({ w, scale, counts, mask }, call);
}

/** u32 [samples, blocks]: what a mask removes of each block of columns. */
export function countsOfBlocks(mask: Tensor, blockSize: number): Tensor {
  return blockCountsKernel.run({ mask }, { blockSize }).counts;
}

/** Writes the mask of a range of columns: of every `of` ones of a row, counted from 0, `keep` have 1. */
export function selectPattern(w: Tensor, scale: Tensor, mask: Tensor, call: PatternCall): void {
  patternKernel.run({ w, scale, mask }, call);
}

/** Removed weights of a row of `size` columns: a shorter last run keeps its share, rounded up. */
export function removedByPattern(size: number, { keep, of }: { keep: number; of: number }): number {
  const rest = size % of;
  return Math.floor(size / of) * (of - keep) + rest - Math.ceil((rest * keep) / of);
}
