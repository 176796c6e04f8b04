/**
 * Stable argsort along the last axis, without atomics and barriers: short rows by counting, long ones by a
 * radix sort of four bits a pass. Equal elements keep their order, so the result is the same on every
 * adapter.
 */
import blockPrefixSumWgsl from "../../shaders/block_prefix_sum.wgsl";
import blockSumWgsl from "../../shaders/block_sum.wgsl";
import radixCountWgsl from "../../shaders/radix_count.wgsl";
import radixScatterWgsl from "../../shaders/radix_scatter.wgsl";
import sortByRankWgsl from "../../shaders/sort_by_rank.wgsl";
import sortKeysWgsl from "../../shaders/sort_keys.wgsl";
import { defineKernel, gridFor, type Shape, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { strideGrid } from "./stride_grid.js";
import { withWords } from "./words.js";

/** Up to this length n comparisons an element beat the passes of the radix sort. */
const LONGEST_RANKED_ROW = 256;
/** How many vec4 an invocation takes in order; its counters are bytes. */
const CHUNK = 32;
const BITS_A_PASS = 4;
/** Words an invocation of the prefix sum adds up. */
const BLOCK = 64;
const LARGEST_WORD = 0xffffffff;

export interface OrderOptions {
  readonly descending?: boolean;
  /** How many places of each row are wanted, from the first; default all. */
  readonly keep?: number;
  /** u32 values above it count as equal to it: fewer bits take fewer passes. */
  readonly limit?: number;
  /** [..., keep] u32; the caller sees to it that it is not x. */
  readonly out?: Tensor;
}

interface Rows {
  readonly rows: number;
  readonly n: number;
  /** vec4 of a padded row. */
  readonly quads: number;
  readonly chunks: number;
  readonly keep: number;
  /** The shape of the result. */
  readonly shape: Shape;
}

interface Pass extends Rows {
  readonly shift: number;
  readonly first: boolean;
  readonly last: boolean;
}

const sortKeys = defineKernel<Rows & { isFloat: boolean; descending: boolean; limit: number }>({
  name: "sort_keys",
  wgsl: sortKeysWgsl,
  bindings: { x: "read", keys: "write" },
  shape: (_inputs, { rows, quads }) => ({ keys: [rows, 4 * quads] }),
  uniforms: ({ keys }, { n, isFloat, descending, limit }) => ({
    n,
    width: keys[1],
    count: sizeOf(keys),
    is_float: Number(isFloat),
    flip: descending ? LARGEST_WORD : 0,
    limit,
  }),
  grid: ({ keys }, limits) => strideGrid(sizeOf(keys), limits),
});

const sortByRank = defineKernel<Rows>({
  name: "sort_by_rank",
  wgsl: sortByRankWgsl,
  bindings: { keys: "read", indices: "write" },
  shape: (_inputs, { shape }) => ({ indices: shape }),
  uniforms: (_shapes, { rows, n, quads, keep }) => ({ rows, n, quads, keep }),
  grid: (_shapes, limits, { rows, quads }) => gridFor(rows * quads, 64, limits),
  work: (_shapes, { rows, n }) => 4 * rows * n * n,
});

const radixCount = defineKernel<Pass>({
  name: "radix_count",
  wgsl: radixCountWgsl,
  bindings: { keys: "read", counts: "write" },
  constants: { CHUNK },
  shape: (_inputs, { rows, chunks }) => ({ counts: [rows, 16, chunks] }),
  uniforms: (_shapes, { rows, quads, chunks, shift }) => ({ rows, quads, chunks, shift }),
  grid: (_shapes, limits, { rows, chunks }) => gridFor(rows * chunks, 64, limits),
  work: ({ keys }) => 10 * sizeOf(keys),
});

const radixScatter = defineKernel<Pass>({
  name: "radix_scatter",
  wgsl: radixScatterWgsl,
  bindings: { keys: "read", indices: "optional", starts: "read", keys_out: "write", indices_out: "write" },
  constants: { CHUNK },
  shape: ({ keys }, { last, shape }) => ({ keys_out: last ? [1] : keys, indices_out: last ? shape : keys }),
  uniforms: (_shapes, { rows, quads, chunks, keep, shift, first, last }) => ({
    rows,
    quads,
    chunks,
    keep,
    shift,
    first: Number(first),
    last: Number(last),
  }),
  grid: (_shapes, limits, { rows, chunks }) => gridFor(rows * chunks, 64, limits),
  work: ({ keys }) => 20 * sizeOf(keys),
});

const blockSum = defineKernel({
  name: "block_sum",
  wgsl: blockSumWgsl,
  bindings: { x: "read", sums: "write" },
  shape: ({ x }) => ({ sums: [4 * Math.ceil(sizeOf(x) / BLOCK / 4)] }),
  uniforms: ({ x, sums }) => ({ count: sizeOf(x), blocks: sums[0] }),
  grid: ({ sums }, limits) => gridFor(sums[0], 64, limits),
  work: ({ x }) => sizeOf(x),
});

const blockPrefixSum = defineKernel({
  name: "block_prefix_sum",
  wgsl: blockPrefixSumWgsl,
  bindings: { starts: "optional", x: "readWrite" },
  shape: () => ({}),
  uniforms: ({ x, starts }) => ({ count: sizeOf(x), has_starts: starts ? 1 : 0 }),
  grid: ({ x }, limits) => gridFor(Math.ceil(sizeOf(x) / BLOCK), 64, limits),
  work: ({ x }) => sizeOf(x),
});

/** The exclusive prefix sum of u32 values in place; their number is a multiple of 4. */
function prefixSum(x: Tensor): void {
  if (x.size <= BLOCK) {
    blockPrefixSum.run({ x }, undefined);
    return;
  }
  const starts = blockSum.run({ x }, undefined).sums;
  prefixSum(starts);
  blockPrefixSum.run({ starts, x }, undefined);
  starts.dispose();
}

/**
 * The positions of the first elements of each row in order, equal elements by position.
 * @param x [..., n], u32 or f32
 * @returns [..., keep] u32
 */
export function orderOfRows(x: Tensor, options: OrderOptions = {}): Tensor {
  const n = x.shape[x.rank - 1];
  const { descending = false, keep = n, limit = LARGEST_WORD, out } = options;
  const outer = x.shape.slice(0, -1);
  const quads = Math.ceil(n / 4);
  const rows: Rows = {
    rows: sizeOf(outer),
    n,
    quads,
    chunks: Math.ceil(quads / CHUNK),
    keep,
    shape: [...outer, keep],
  };
  const isFloat = x.dtype === "f32";
  return x.gpu.scope(() => {
    const { keys } = withWords({ x }, (words) =>
      sortKeys.run({ x: words.x }, { ...rows, isFloat, descending, limit }),
    );
    if (n <= LONGEST_RANKED_ROW) return sortByRank.run({ keys }, rows, { out: { indices: out } }).indices;
    const bits = 32 - (descending ? 0 : Math.clz32(limit));
    // The padding has all bits set, so it stays behind whatever number of them is looked at.
    return radixSort(keys, rows, Math.max(Math.ceil(bits / BITS_A_PASS), 1), out);
  });
}

function radixSort(sortedBy: Tensor, rows: Rows, passes: number, out: Tensor | undefined): Tensor {
  let keys = sortedBy;
  let indices: Tensor | undefined;
  for (let index = 0; index < passes; index++) {
    const last = index === passes - 1;
    const pass: Pass = { ...rows, shift: BITS_A_PASS * index, first: index === 0, last };
    const starts = radixCount.run({ keys }, pass).counts;
    prefixSum(starts);
    const next = radixScatter.run({ keys, indices, starts }, pass, last ? { out: { indices_out: out } } : {});
    for (const used of [starts, keys, indices]) used?.dispose();
    keys = next.keys_out;
    indices = next.indices_out;
  }
  return indices as Tensor;
}
