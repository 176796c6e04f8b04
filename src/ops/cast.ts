/** From f32 to f16 and back: f16 halves what a tensor takes and what a kernel that is bound by memory reads. */
import toF16Wgsl from "../../shaders/cast_to_f16.wgsl";
import toF32Wgsl from "../../shaders/cast_to_f32.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { empty, type Tensor } from "../tensor.js";
import { sameShape } from "./broadcast.js";
import { asWords } from "./words.js";

export interface CastOptions {
  /** Of the input's shape and the result's dtype. */
  readonly out?: Tensor;
}

const WORKGROUP_SIZE = 64;

const toF16Kernel = defineKernel({
  name: "cast_to_f16",
  wgsl: toF16Wgsl,
  bindings: { x: "read", y: "write" },
  shape: ({ x }) => ({ y: [Math.ceil(sizeOf(x) / 2)] }),
  uniforms: ({ x }) => ({ count: sizeOf(x) }),
  grid: ({ y }, limits) => gridFor(sizeOf(y), WORKGROUP_SIZE, limits),
});

const toF32Kernel = defineKernel({
  name: "cast_to_f32",
  wgsl: toF32Wgsl,
  bindings: { x: "read", y: "write" },
  takesF16: ["x"],
  shape: ({ x }) => ({ y: x }),
  uniforms: ({ y }) => ({ count: sizeOf(y) }),
  grid: ({ y }, limits) => gridFor(sizeOf(y), WORKGROUP_SIZE, limits),
});

/**
 * x rounded to float16, the nearest of them and of two equally near the even one; from 65520 on infinity. The same bits
 * on every adapter, none of which needs the feature "shader-f16".
 * @param x of f32
 * @returns of f16, for what takes it: `b` of `matmul`, and `toF32`
 * @throws ShapeError for another dtype, or an `out` of another shape or dtype
 * @example
 * const half = toF16(weights); // half the bytes
 * const y = matmul(x, half); // sums in f32
 */
export function toF16(x: Tensor, { out }: CastOptions = {}): Tensor {
  if (out && (out.dtype !== "f16" || !sameShape(out.shape, x.shape))) {
    throw new ShapeError(
      `toF16: out is ${out.dtype} [${out.shape}], and f16 [${x.shape}] is taken; make it with { dtype: "f16" }`,
    );
  }
  const y = out ?? empty(x.gpu, x.shape, { dtype: "f16" });
  const words = asWords(y);
  try {
    toF16Kernel.run({ x }, undefined, { out: { y: words } });
  } catch (error) {
    if (!out) y.dispose();
    throw error;
  } finally {
    if (words !== y) words.dispose();
  }
  return y;
}

/**
 * The values of an f16 tensor as f32, exactly; of an f32 tensor a copy.
 * @throws ShapeError for u32, or an `out` of another shape or dtype
 */
export function toF32(x: Tensor, { out }: CastOptions = {}): Tensor {
  return toF32Kernel.run({ x }, undefined, { out: { y: out } }).y;
}
