/** Which kernel computes a matrix product, and with which tile: the variants that suit an adapter, likely best first. */
import { adapterKind } from "../gpu/adapter.js";
import type { Gpu } from "../gpu/gpu.js";

/** The product's sizes as the kernels see them. */
export interface MatmulShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

export type MatmulKernel =
  | "subgroup"
  | "quad"
  | "subgroup_any_shape"
  | "register_tile"
  | "workgroup_tile"
  | "vector"
  | "any_shape";

/** One variant. A tile is what one invocation computes; `lanes` are the invocations that share its rows. */
export interface MatmulPlan {
  readonly name: string;
  readonly kernel: MatmulKernel;
  readonly tileM: number;
  readonly tileN: number;
  readonly groupM: number;
  readonly groupN: number;
  /** Parts that k is split into. */
  readonly slices: number;
}

/** What the choice depends on. */
export interface AdapterTraits {
  readonly software: boolean;
  /** Lanes that surely form a subgroup; 0 without the feature. */
  readonly lanes: number;
  /** Whether the choice may not depend on how many rows, columns or matrices there are. Default false. */
  readonly deterministic?: boolean;
}

/** Up to so many operations the time until the first result is that of compiling: a small tile compiles fastest. */
const QUICK_WORK = 4e6;
/** From so many operations on, the larger tile's speed is worth its compile time on a software adapter. */
const LARGE_WORK = 4e7;
/** From so many on a taller tile is worth what it takes longer to compile, half a second to a second. */
const TALL_WORK = 1e7;
/** And the tallest, which takes a second. */
const TALLEST_WORK = 3e7;
/** Share of rows beyond the last one that a tall tile may compute. */
const MOST_WASTED = 0.15;
/** Share that is worth a tile which takes longer to compile. */
const LITTLE_WASTED = 0.1;
/** Fewer workgroups than this leave an adapter's cores idle, if k is long enough to be split. */
const FEW_GROUPS = { software: 8, hardware: 64 };
const SHORTEST_SLICE = 256;

const traits = new WeakMap<Gpu, AdapterTraits>();

export function adapterTraits(gpu: Gpu): AdapterTraits {
  let known = traits.get(gpu);
  if (!known) {
    const info = gpu.device.adapterInfo as GPUAdapterInfo | undefined;
    const lanes = gpu.device.features.has("subgroups") ? (info?.subgroupMinSize ?? 0) : 0;
    const software = gpu.info.kind === "software" || (info !== undefined && adapterKind(info) === "software");
    known = { software, lanes, deterministic: gpu.deterministic };
    traits.set(gpu, known);
  }
  return known;
}

/** The variants for a product, the heuristic's choice first. */
export function matmulPlans(adapter: AdapterTraits, shape: MatmulShape): MatmulPlan[] {
  if (adapter.deterministic) return [steadyPlan(adapter, shape)];
  return adapter.software ? softwarePlans(adapter, shape) : hardwarePlans(shape);
}

/** Whether rows are multiples of 4 as vec4 loads need them. */
export function isAligned({ m, n, k, transposeA }: MatmulShape): boolean {
  return k % 4 === 0 && n % 4 === 0 && (!transposeA || m % 4 === 0);
}

export function groupsOf(
  plan: Pick<MatmulPlan, "tileM" | "tileN" | "groupM" | "groupN">,
  { m, n, batch }: MatmulShape,
): number {
  return Math.ceil(m / (plan.tileM * plan.groupM)) * Math.ceil(n / (plan.tileN * plan.groupN)) * batch;
}

function plan(
  kernel: MatmulKernel,
  shape: MatmulShape,
  [tileM, tileN]: readonly [number, number],
  [groupM, groupN]: readonly [number, number],
  fewGroups = 0,
): MatmulPlan {
  const tile = { tileM, tileN, groupM, groupN };
  const groups = groupsOf(tile, shape);
  const wanted = groups < fewGroups ? Math.ceil((2 * fewGroups) / groups) : 1;
  const slices = Math.max(1, Math.min(wanted, Math.floor(shape.k / SHORTEST_SLICE)));
  const name = `${kernel} ${tileM}×${tileN} of ${groupM}×${groupN}${slices > 1 ? ` split ${slices}` : ""}`;
  return { name, kernel, ...tile, slices };
}

/** One plan for all shapes, without slices: each element is summed over k from first to last. */
function steadyPlan({ software, lanes }: AdapterTraits, shape: MatmulShape): MatmulPlan {
  if (shape.k === 0) return plan("any_shape", shape, [4, 4], [4, 8]);
  if (!software) return plan("workgroup_tile", shape, [4, 4], [8, 8], 0);
  if (lanes === 4 || lanes === 8 || lanes === 16)
    return plan("subgroup_any_shape", shape, [8, 4], [1, lanes], 0);
  return plan("any_shape", shape, [4, 4], [4, 8]);
}

function softwarePlans({ lanes }: AdapterTraits, shape: MatmulShape): MatmulPlan[] {
  const { m, n, k, batch } = shape;
  const work = 2 * m * n * k * batch;
  const aligned = isAligned(shape);
  if (k === 0) return [plan("any_shape", shape, [4, 4], [4, 8])];
  if (lanes !== 4 && lanes !== 8 && lanes !== 16) {
    if (!aligned) return [plan("any_shape", shape, [4, 4], [4, 8])];
    const small = plan("register_tile", shape, [m >= 8 ? 8 : 4, n >= 8 ? 8 : 4], [4, 4]);
    const large = plan("register_tile", shape, [16, 16], [1, 4]);
    return work < LARGE_WORK ? [small, large] : [large, small];
  }
  // With a single row nothing of a is shared: 8 columns an invocation halve the loads of a, 4 suit fewer columns.
  const widths = m === 1 && aligned ? (n >= 1024 ? [8, 4] : [4, 8]) : [];
  const row = widths.map((width) => plan("register_tile", shape, [1, width], [1, 32]));
  const subgroup = (tileM: number, tileN: number): MatmulPlan => {
    const shared = lanes === 4 && tileM >= 16 ? "quad" : "subgroup";
    const kernel = aligned ? shared : "subgroup_any_shape";
    return plan(kernel, shape, [tileM, tileN], [1, lanes], FEW_GROUPS.software);
  };
  // The loads of a step of 4 are dealt to the lanes: with vec4 a tile has at least as many rows as there are lanes.
  const fewest = aligned ? lanes : Math.max(1, lanes / 4);
  const rows = [fewest, lanes, 8, 16].filter(
    (size, index, all) => size >= fewest && all.indexOf(size) === index,
  );
  const most = work <= QUICK_WORK && lanes <= 8 && aligned ? 8 : 16;
  const fitting = rows.find((size) => size >= Math.min(m, most)) ?? 16;
  const narrow = aligned ? 4 : Math.min(4, Math.ceil(n / lanes));
  const columns = lanes === 4 && n > 16 && work > QUICK_WORK ? 8 : narrow;
  const height =
    aligned && fitting === 16 && work >= TALL_WORK && m >= (lanes === 4 ? 32 : 64)
      ? tallRows(lanes, work, shape)
      : fitting;
  const first = subgroup(height, columns);
  const others = [
    subgroup(rows[0], narrow),
    subgroup(16, narrow),
    subgroup(16, 2 * narrow),
    ...(aligned ? [subgroup(32, lanes === 4 ? 2 * narrow : narrow)] : []),
  ];
  return unique([...row, first, ...others]);
}

/**
 * Rows of a tall tile: 64 on 4 lanes and 32 on 8 take a second to compile, the others half of it. With a transposed b
 * there is less to gain on 8 lanes.
 */
function tallRows(lanes: number, work: number, { m, transposeB }: MatmulShape): number {
  const tallest = work >= TALLEST_WORK;
  const wasted = (rows: number): number => (Math.ceil(m / rows) * rows) / m - 1;
  if (lanes === 4) return tallest && wasted(64) < MOST_WASTED ? 64 : 32;
  if (lanes !== 8) return 16;
  if (transposeB) return tallest && m >= 96 ? 24 : 16;
  const isEven = wasted(32) < MOST_WASTED;
  return isEven && (tallest || wasted(24) > LITTLE_WASTED) ? 32 : 24;
}

function hardwarePlans(shape: MatmulShape): MatmulPlan[] {
  const { m, n } = shape;
  const small = plan("workgroup_tile", shape, [4, 4], [8, 8], FEW_GROUPS.hardware);
  const large = plan("workgroup_tile", shape, [8, 8], [8, 8], FEW_GROUPS.hardware);
  const wide = plan("workgroup_tile", shape, [4, 4], [16, 16], FEW_GROUPS.hardware);
  const vector = plan("vector", shape, [4, 1], [1, 16]);
  if (m <= 4) return [vector, small];
  return m * n >= 512 * 512 ? [large, wide, small] : [small, wide, large];
}

function unique(plans: readonly MatmulPlan[]): MatmulPlan[] {
  return plans.filter(({ name }, index) => plans.findIndex((other) => other.name === name) === index);
}
