/** Matrix products. The gradients of a product are products themselves: dA = dY Bᵀ, dB = Aᵀ dY. */
import { ShapeError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { type Shape, sizeOf } from "../gpu/kernel.js";
import type { Trial } from "../gpu/tuner.js";
import { type DType, type Tensor, zeros } from "../tensor.js";
import { broadcastTo } from "./binary.js";
import { broadcastShape } from "./broadcast.js";
import { type ActivationOptions, checkEpilogue, DEFAULT_SLOPE } from "./activation_names.js";
import { type MatmulCall, type MatmulSizes, runMatmul } from "./matmul_kernels.js";
import { adapterTraits, type MatmulPlan, matmulPlans } from "./matmul_plan.js";

export interface MatmulOptions extends ActivationOptions {
  /** Use aᵀ (its last two dimensions swapped). */
  readonly transposeA?: boolean;
  /** Use bᵀ. */
  readonly transposeB?: boolean;
  /** [n], added to every row. */
  readonly bias?: Tensor;
  readonly out?: Tensor;
}

/**
 * y = activation(op(a) · op(b) + bias).
 * @param a [..., m, k], or [..., k, m] with transposeA
 * @param b [..., k, n], or [..., n, k] with transposeB; batch dimensions broadcast. It may be f16 (`toF16`, or
 *   `tensor` with `{ dtype: "f16" }`): its values then are rounded, its bytes half as many, the sums f32 as ever
 * @returns [..., m, n]
 * @throws ShapeError if the inner dimensions differ or the batch dimensions do not broadcast; ValueError for an unknown
 *   activation or a slope below 0
 * @example
 * const y = matmul(x, weights, { bias, activation: "relu" });
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  return matmulWithPlan(a, b, options, pickPlan);
}

/** `matmul` with a variant of the caller's choice, for tests and measurements. */
export function matmulWithPlan(
  a: Tensor,
  b: Tensor,
  options: MatmulOptions,
  choose: (gpu: Gpu, sizes: MatmulSizes, dtypeB: DType) => MatmulPlan,
): Tensor {
  const { transposeA = false, transposeB = false, bias, out } = options;
  checkEpilogue("matmul", options);
  const sizes = matmulSizes(a.shape, b.shape, transposeA, transposeB, bias?.shape);
  const [wholeA, wholeB] = [repeatBatch(a, sizes.y), repeatBatch(b, sizes.y)];
  const y = runMatmul(
    { a: wholeA, b: wholeB, bias, out },
    callOf(sizes, options),
    choose(a.gpu, sizes, b.dtype),
  );
  if (wholeA !== a) wholeA.dispose();
  if (wholeB !== b) wholeB.dispose();
  return y;
}

/** An operand that repeats along some batch dimensions but not all has no single stride: it is written out. */
function repeatBatch(x: Tensor, y: Shape): Tensor {
  const batch = y.slice(0, -2);
  const count = sizeOf(x.shape.slice(0, -2));
  if (count === 1 || count === sizeOf(batch)) return x;
  return broadcastTo(x, [...batch, ...x.shape.slice(-2)]);
}

function callOf(sizes: MatmulSizes, { activation, slope = DEFAULT_SLOPE }: MatmulOptions): MatmulCall {
  return { sizes, activation, slope };
}

function pickPlan(gpu: Gpu, sizes: MatmulSizes, dtypeB: DType): MatmulPlan {
  const { m, n, k, batch, transposeA, transposeB } = sizes;
  const form = `${transposeA ? " aᵀ" : ""}${transposeB ? " bᵀ" : ""}${dtypeB === "f16" ? " b f16" : ""}`;
  const key = `matmul ${batch}×${m}×${k}×${n}${form}`;
  return gpu.tuner.pick(
    key,
    () => matmulPlans(adapterTraits(gpu), sizes),
    (device, plan) => trial(device, sizes, dtypeB, plan),
  );
}

/** The product on zeros: its time does not depend on the values. */
function trial(gpu: Gpu, sizes: MatmulSizes, dtype: DType, plan: MatmulPlan): Trial {
  const { m, n, k, batch, strideA, strideB, transposeA, transposeB } = sizes;
  const a = zeros(gpu, [strideA === 0 ? 1 : batch, ...(transposeA ? [k, m] : [m, k])]);
  const b = zeros(gpu, [strideB === 0 ? 1 : batch, ...(transposeB ? [n, k] : [k, n])], { dtype });
  const out = zeros(gpu, sizes.y);
  return {
    run: () => {
      runMatmul({ a, b, out }, { sizes, slope: DEFAULT_SLOPE }, plan);
    },
    dispose: () => {
      for (const tensor of [a, b, out]) tensor.dispose();
    },
  };
}

/** @throws ShapeError */
export function matmulSizes(
  a: Shape,
  b: Shape,
  transposeA: boolean,
  transposeB: boolean,
  bias?: Shape,
): MatmulSizes {
  if (a.length < 2 || b.length < 2) {
    throw new ShapeError(
      `matmul: a [${a}] and b [${b}] must have at least two dimensions; use reshape for a vector`,
    );
  }
  const [m, k] = transposeA ? [a[a.length - 1], a[a.length - 2]] : [a[a.length - 2], a[a.length - 1]];
  const [inner, n] = transposeB ? [b[b.length - 1], b[b.length - 2]] : [b[b.length - 2], b[b.length - 1]];
  if (k !== inner) {
    throw new ShapeError(
      `matmul: inner dimensions differ, ${k} of a [${a}]${transposeA ? " (transposed)" : ""} and ` +
        `${inner} of b [${b}]${transposeB ? " (transposed)" : ""}; check transposeA and transposeB`,
    );
  }
  if (bias && (bias.length !== 1 || bias[0] !== n))
    throw new ShapeError(`matmul: bias has shape [${bias}], and [${n}] is taken`);
  const [batchA, batchB] = [a.slice(0, -2), b.slice(0, -2)];
  const batchShape = broadcastShape("matmul, batch dimensions", batchA, batchB);
  return {
    m,
    n,
    k,
    batch: sizeOf(batchShape),
    strideA: sizeOf(batchA) === 1 ? 0 : m * k,
    strideB: sizeOf(batchB) === 1 ? 0 : k * n,
    transposeA,
    transposeB,
    y: [...batchShape, m, n],
  };
}
