/** Matrix products. The gradients of a product are products themselves: dA = dY Bᵀ, dB = Aᵀ dY. */
import anyShapeWgsl from "../../shaders/matmul_any_shape.wgsl";
import registerTileWgsl from "../../shaders/matmul_register_tile.wgsl";
import { ShapeError } from "../gpu/errors.js";
import {
  defineKernel,
  type Grid,
  gridFor,
  type KernelRecord,
  type Shape,
  type Shapes,
  sizeOf,
} from "../gpu/kernel.js";
import type { Constants } from "../gpu/wgsl.js";
import type { Tensor } from "../tensor.js";
import { ACTIVATION_CODE, type ActivationOptions, DEFAULT_SLOPE } from "./activation_names.js";

export interface MatmulOptions extends ActivationOptions {
  /** Use aᵀ (its last two dimensions swapped). */
  readonly transposeA?: boolean;
  /** Use bᵀ. */
  readonly transposeB?: boolean;
  /** [n], added to every row. */
  readonly bias?: Tensor;
  readonly out?: Tensor;
}

/** Sizes of one call; strides in elements from one matrix of the batch to the next, 0 where it repeats. */
interface MatmulSizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
  readonly strideA: number;
  readonly strideB: number;
  readonly y: Shape;
}

interface MatmulCall {
  readonly sizes: MatmulSizes;
  readonly constants: Constants;
  readonly slope: number;
}

/** What the two kernels share; `vector` is how many elements a load takes. */
function record(name: string, wgsl: string, vector: number): KernelRecord<MatmulCall> {
  return {
    name,
    wgsl,
    bindings: { a: "read", b: "read", bias: "optional", y: "write" },
    constants: (_shapes, { constants }) => constants,
    shape: (_inputs, { sizes }) => ({ y: sizes.y }),
    uniforms: (_shapes, { sizes, constants, slope }) => ({
      ...sizes,
      y: 0,
      tiles_m: tiles(sizes, constants)[0],
      tiles_n: tiles(sizes, constants)[1],
      stride_a: sizes.strideA / vector,
      stride_b: sizes.strideB / vector,
      slope,
    }),
    grid: (_shapes: Shapes, limits, { sizes }, constants): Grid => {
      const [m, n] = tiles(sizes, constants);
      return gridFor(m * n * sizes.batch, 1, limits);
    },
    work: (_shapes, { sizes }) => 2 * sizes.batch * sizes.m * sizes.n * sizes.k,
  };
}

const registerTile = defineKernel(record("matmul_register_tile", registerTileWgsl, 4));
const anyShape = defineKernel(record("matmul_any_shape", anyShapeWgsl, 1));

function tiles({ m, n }: MatmulSizes, constants: Constants): [number, number] {
  const { TILE_M, TILE_N, GROUP_M, GROUP_N } = constants as Record<string, number>;
  return [Math.ceil(m / (TILE_M * GROUP_M)), Math.ceil(n / (TILE_N * GROUP_N))];
}

/**
 * y = activation(op(a) · op(b) + bias).
 * @param a [..., m, k], or [..., k, m] with transposeA
 * @param b [..., k, n], or [..., n, k] with transposeB; batch dimensions broadcast
 * @returns [..., m, n]
 * @throws ShapeError if the inner dimensions differ or the batch dimensions do not broadcast
 * @example
 * const y = matmul(x, weights, { bias, activation: "relu" });
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, bias, activation, slope = DEFAULT_SLOPE, out } = options;
  const sizes = matmulSizes(a.shape, b.shape, transposeA, transposeB, bias?.shape);
  const { m, n, k } = sizes;
  const aligned = k % 4 === 0 && n % 4 === 0 && (!transposeA || m % 4 === 0) && k > 0;
  const constants = {
    ...(aligned
      ? { TILE_M: m >= 8 ? 8 : 4, TILE_N: n >= 8 ? 8 : 4, GROUP_M: 4, GROUP_N: 4 }
      : { TILE_M: 4, TILE_N: 4, GROUP_M: 4, GROUP_N: 8 }),
    TRANSPOSE_A: transposeA,
    TRANSPOSE_B: transposeB,
    ACTIVATION: activation ? ACTIVATION_CODE[activation] : 0,
  };
  const kernel = aligned ? registerTile : anyShape;
  return kernel.run({ a, b, bias }, { sizes, constants, slope }, { out: { y: out } }).y;
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
  const batchA = a.slice(0, -2);
  const batchB = b.slice(0, -2);
  const [countA, countB] = [sizeOf(batchA), sizeOf(batchB)];
  const same = batchA.join() === batchB.join();
  if (!same && countA !== 1 && countB !== 1) {
    throw new ShapeError(
      `matmul: batch dimensions [${batchA}] of a and [${batchB}] of b must be equal, or all 1 in one of them`,
    );
  }
  const batchShape = countB === 1 && batchA.length >= batchB.length ? batchA : countA === 1 ? batchB : batchA;
  return {
    m,
    n,
    k,
    batch: sizeOf(batchShape),
    strideA: countA === 1 ? 0 : m * k,
    strideB: countB === 1 ? 0 : k * n,
    y: [...batchShape, m, n],
  };
}
