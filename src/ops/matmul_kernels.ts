/** The kernels behind `matmul`, and how a plan becomes dispatches: the product, the sum over slices. */
import anyShapeWgsl from "../../shaders/matmul_any_shape.wgsl";
import padWgsl from "../../shaders/matmul_pad.wgsl";
import quadWgsl from "../../shaders/matmul_quad.wgsl";
import registerTileWgsl from "../../shaders/matmul_register_tile.wgsl";
import splitSumWgsl from "../../shaders/matmul_split_k_sum.wgsl";
import subgroupWgsl from "../../shaders/matmul_subgroup.wgsl";
import subgroupAnyShapeWgsl from "../../shaders/matmul_subgroup_any_shape.wgsl";
import vectorWgsl from "../../shaders/matmul_vector.wgsl";
import workgroupTileWgsl from "../../shaders/matmul_workgroup_tile.wgsl";
import { ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Kernel, type KernelRecord, type Shape, sizeOf } from "../gpu/kernel.js";
import type { Constants } from "../gpu/wgsl.js";
import type { Tensor } from "../tensor.js";
import { activationCode, type FusedActivation } from "./activation_names.js";
import { groupsOf, isAligned, type MatmulKernel, type MatmulPlan, type MatmulShape } from "./matmul_plan.js";

/** Sizes of one call; strides in elements from one matrix of the batch to the next, 0 where it repeats. */
export interface MatmulSizes extends MatmulShape {
  readonly strideA: number;
  readonly strideB: number;
  readonly y: Shape;
}

/** What one call wants besides its tensors. */
export interface MatmulCall {
  readonly sizes: MatmulSizes;
  readonly activation?: FusedActivation;
  readonly slope: number;
}

export interface MatmulTensors {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly bias?: Tensor;
  readonly out?: Tensor;
}

interface ProductCall extends MatmulCall {
  readonly plan: MatmulPlan;
}

/** Quads' tiles of so many results take 8 k's a step: each sum goes back to its variable, which is dear, half as often. */
const LONG_STEP_RESULTS = 256;
/** The kernels that load vec4. */
const VECTORS: ReadonlySet<MatmulKernel> = new Set(["subgroup", "quad", "register_tile"]);
/** The kernels that compute a slice of k. */
const SPLITTING: ReadonlySet<MatmulKernel> = new Set([
  "subgroup",
  "quad",
  "subgroup_any_shape",
  "workgroup_tile",
]);

/** What the product kernels share; `vector` is how many elements a load takes. */
function product(
  name: string,
  wgsl: string,
  vector: number,
  tile: (plan: MatmulPlan, sizes: MatmulSizes) => Constants,
): Kernel<ProductCall> {
  const record: KernelRecord<ProductCall> = {
    name,
    wgsl,
    bindings: { a: "read", b: "read", bias: "optional", y: "write" },
    takesF16: ["b"],
    constants: (_shapes, { plan, sizes, activation }) => ({
      ...tile(plan, sizes),
      TRANSPOSE_A: sizes.transposeA,
      TRANSPOSE_B: sizes.transposeB,
      ACTIVATION: activationCode(activation),
    }),
    shape: (_inputs, { sizes }) => ({ y: sizes.y }),
    uniforms: (_shapes, { sizes, plan, slope }) => ({
      m: sizes.m,
      n: sizes.n,
      k: sizes.k,
      batch: sizes.batch,
      tiles_m: Math.ceil(sizes.m / (plan.tileM * plan.groupM)),
      tiles_n: Math.ceil(sizes.n / (plan.tileN * plan.groupN)),
      stride_a: sizes.strideA / vector,
      stride_b: sizes.strideB / vector,
      slices: plan.slices,
      depth: sliceDepth(sizes.k, plan.slices),
      slope,
    }),
    grid: (_shapes, limits, { sizes, plan }) => gridFor(groupsOf(plan, sizes) * plan.slices, 1, limits),
    work: (_shapes, { sizes }) => 2 * sizes.batch * sizes.m * sizes.n * sizes.k,
  };
  return defineKernel(record);
}

/** k's a slice: a multiple of 16, so that steps of any kernel divide it. */
function sliceDepth(k: number, slices: number): number {
  return Math.ceil(Math.ceil(k / slices) / 16) * 16;
}

const tileConstants = ({ tileM, tileN, groupM, groupN }: MatmulPlan): Constants => ({
  TILE_M: tileM,
  TILE_N: tileN,
  GROUP_M: groupM,
  GROUP_N: groupN,
});

const kernels: Readonly<Record<MatmulKernel, Kernel<ProductCall>>> = {
  subgroup: product("matmul_subgroup", subgroupWgsl, 4, ({ tileM, tileN, groupN }) => ({
    TILE_M: tileM,
    TILE_N: tileN,
    LANES: groupN,
  })),
  quad: product("matmul_quad", quadWgsl, 4, ({ tileM, tileN }, { k }) => ({
    TILE_M: tileM,
    TILE_N: tileN,
    STEP: tileM * tileN >= LONG_STEP_RESULTS && k % 8 === 0 ? 8 : 4,
  })),
  subgroup_any_shape: product(
    "matmul_subgroup_any_shape",
    subgroupAnyShapeWgsl,
    1,
    ({ tileM, tileN, groupN }) => ({
      TILE_M: tileM,
      TILE_N: tileN,
      LANES: groupN,
    }),
  ),
  register_tile: product("matmul_register_tile", registerTileWgsl, 4, tileConstants),
  workgroup_tile: product("matmul_workgroup_tile", workgroupTileWgsl, 1, tileConstants),
  vector: product("matmul_vector", vectorWgsl, 1, ({ tileM, groupN }) => ({ ROWS: tileM, COLUMNS: groupN })),
  any_shape: product("matmul_any_shape", anyShapeWgsl, 1, tileConstants),
};

const splitSum = defineKernel<MatmulCall & { readonly slices: number }>({
  name: "matmul_split_k_sum",
  wgsl: splitSumWgsl,
  bindings: { parts: "read", bias: "optional", y: "write" },
  constants: (_shapes, { activation }) => ({ ACTIVATION: activationCode(activation) }),
  shape: (_inputs, { sizes }) => ({ y: sizes.y }),
  uniforms: ({ y }, { sizes, slices, slope }) => ({
    slices,
    matrix: sizes.m * sizes.n,
    n: sizes.n,
    count: sizeOf(y),
    slope,
  }),
  grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
});

interface PadCall {
  readonly rows: number;
  readonly columns: number;
  readonly target: Shape;
}

const padKernel = defineKernel<PadCall>({
  name: "matmul_pad",
  wgsl: padWgsl,
  bindings: { x: "read", y: "write" },
  shape: (_inputs, { target }) => ({ y: target }),
  uniforms: ({ y }, { rows, columns }) => ({
    rows,
    columns,
    target_rows: y[y.length - 2] ?? 1,
    target_columns: y[y.length - 1],
    count: sizeOf(y),
  }),
  grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
});

/** Matrices of another size: cut off, or filled up with zeros. @param target [..., rows, columns] */
export function resizeMatrices(x: Tensor, target: Shape, out?: Tensor): Tensor {
  const [rows, columns] = x.shape.slice(-2);
  return padKernel.run({ x }, { rows, columns, target }, { out: { y: out } }).y;
}

/** Records a product with the given plan. @throws ValueError for a plan that does not take the shape */
export function runMatmul({ a, b, bias, out }: MatmulTensors, call: MatmulCall, plan: MatmulPlan): Tensor {
  const { sizes } = call;
  const kernel = kernels[plan.kernel];
  if (VECTORS.has(plan.kernel) && !isAligned(sizes)) {
    throw new ValueError(
      `matmul: plan "${plan.name}" takes rows that are multiples of 4, and got m ${sizes.m}, n ${sizes.n}, k ${sizes.k}`,
    );
  }
  if (plan.slices > 1 && !SPLITTING.has(plan.kernel)) {
    throw new ValueError(`matmul: plan "${plan.name}" splits k, and the kernel ${plan.kernel} does not`);
  }
  if (plan.slices === 1) return kernel.run({ a, b, bias }, { ...call, plan }, { out: { y: out } }).y;
  const partial: MatmulSizes = { ...sizes, y: [sizes.batch, plan.slices, sizes.m, sizes.n] };
  const parts = kernel.run({ a, b }, { sizes: partial, slope: call.slope, plan }).y;
  const y = splitSum.run({ parts, bias }, { ...call, slices: plan.slices }, { out: { y: out } }).y;
  parts.dispose();
  return y;
}
