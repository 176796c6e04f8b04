/** Tiles of the sparse kernels: what suits an adapter and a number of rows. */
import type { AdapterTraits } from "./matmul_plan.js";

/** How one invocation cuts a product with block-sparse weights. */
export interface BlockPlan {
  /** `subgroup` shares the weights between the lanes of a subgroup. */
  readonly kernel: "subgroup" | "register_tile";
  /** Rows of an invocation. */
  readonly tile: number;
  /** Outputs of an invocation; divides the block's side. */
  readonly width: number;
  /** Invocations of a workgroup, which are the lanes that share weights with `subgroup`. */
  readonly group: number;
}

/**
 * The plan for `rows` rows (pixels, if `channelsFirst`) and blocks with `side` outputs.
 * Software adapters: loads are dear, so a tile as large as compiles in time; 4 lanes (SwiftShader) compile faster
 * than 8 (lavapipe). GPUs: small tiles, many invocations, neighbors sharing the weights through the cache.
 */
export function blockPlan(
  { software, lanes, deterministic }: AdapterTraits,
  rows: number,
  side: number,
  channelsFirst: boolean,
): BlockPlan {
  if (!software) return { kernel: "register_tile", tile: 4, width: 4, group: 64 };
  if (lanes !== 4 && lanes !== 8 && lanes !== 16) {
    const tile = rows <= 4 && !deterministic ? 4 : 8;
    return { kernel: "register_tile", tile, width: largestPart(side, 8), group: 8 };
  }
  const [tallest, widest] = lanes === 4 ? [8, 16] : [4, 8];
  // Fewer rows than a workgroup has would leave lanes idle; with the channels first a lane has four at least.
  const fewer = rows <= lanes && !channelsFirst ? 1 : rows <= 4 * lanes ? 4 : tallest;
  const fitting = deterministic ? tallest : fewer;
  const tile = Math.min(fitting, tallest);
  return { kernel: "subgroup", tile, width: largestPart(side, widest), group: lanes };
}

/** How an invocation cuts a product with unstructured weights: `tile` rows of one output. */
export interface UnstructuredPlan {
  readonly tile: number;
  readonly group: number;
}

/** Software adapters: a tile as large as compiles in time. GPUs: four rows each, neighbors side by side. */
export function unstructuredPlan(
  { software, lanes, deterministic }: AdapterTraits,
  plane: number,
): UnstructuredPlan {
  if (!software) return { tile: 4, group: 32 };
  if (plane <= 16 && !deterministic) return { tile: 4, group: 4 };
  return { tile: lanes === 4 ? 16 : 8, group: 8 };
}

/** Inputs × outputs of a block's part whose weight gradient one invocation makes. */
export function weightGradPart(
  { software, lanes }: AdapterTraits,
  [inputs, outputs]: readonly [number, number],
  channelsFirst: boolean,
): readonly [number, number] {
  // With the channels first a step is four pixels, so four times the text.
  const tallest = !software || (channelsFirst && lanes !== 4) ? 4 : 8;
  return [largestPart(inputs, tallest), largestPart(outputs, software ? 8 : 4)];
}

/** The largest of 16, 8 and 4 that divides a block's side and is at most `most`. */
export function largestPart(side: number, most: number): number {
  return [16, 8, 4].find((part) => part <= most && side % part === 0) ?? 4;
}
