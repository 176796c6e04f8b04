/** What a kernel is described by: shapes, bindings and the record that joins them with one WGSL file. */
import type { Storage } from "./buffers.js";
import type { Gpu } from "./gpu.js";
import type { UniformValue } from "./uniforms.js";
import type { Constants } from "./wgsl.js";

export type { UniformValue } from "./uniforms.js";
/** f16 is a form of storage: what reads it computes in f32, and no kernel writes it but `toF16`. */
export type DType = "f32" | "u32" | "f16";
export type Shape = readonly number[];
/** Shapes by binding name; an optional input that was not given is undefined. */
export type Shapes = Readonly<Record<string, Shape>>;
export type Grid = readonly [number, number?, number?];
/** `optional` is a read binding that may be left out: a constant `HAS_<NAME>` in the WGSL then is false. */
export type BindingMode = "read" | "optional" | "write" | "readWrite";

/** What a kernel needs to know of a tensor. */
export interface View {
  readonly gpu: Gpu;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly byteLength: number;
  /** Undefined once disposed. */
  readonly storage: Storage | undefined;
  /** A new tensor on the same device. */
  like(shape: Shape, dtype: DType): this;
  dispose(): void;
}

/**
 * The record of a kernel. `Options` is what the op's caller chooses (stride, slope, …).
 * @example
 * const double = gpu.kernel({
 *   name: "double",
 *   wgsl: `
 *     @group(0) @binding(0) var<storage, read> x: array<f32>;
 *     @group(0) @binding(1) var<storage, read_write> y: array<f32>;
 *     @compute @workgroup_size(64)
 *     fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
 *       let i = id.x + id.y * groups.x * 64;
 *       if (i < arrayLength(&x)) { y[i] = 2 * x[i]; }
 *     }`,
 *   bindings: { x: "read", y: "write" },
 *   shape: ({ x }) => ({ y: x }),
 *   grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
 * });
 * const { y } = double.run({ x: tensor(gpu, [1, 2, 3]) });
 */
export interface KernelRecord<Options = undefined> {
  /** The WGSL file's name without its ending; errors and profiles use it. */
  readonly name: string;
  readonly wgsl: string;
  /** Storage bindings of group 0 in the order of `@binding`, by the names that the WGSL gives them. */
  readonly bindings: Readonly<Record<string, BindingMode>>;
  /** `read` and `optional` bindings of f32 that are only loaded from and may also be given as f16, at half the bytes. */
  readonly takesF16?: readonly string[];
  /** Outputs that may be the same tensor as an input, as `{ y: "x" }`: each invocation reads its element first. */
  readonly inPlace?: Readonly<Record<string, string>>;
  /** Values for the marked block of constants. */
  readonly constants?: Constants | ((shapes: Shapes, options: Options, gpu: Gpu) => Constants);
  /** Checks the inputs' shapes, once and here only, and returns the shapes of the `write` bindings. */
  shape(inputs: Shapes, options: Options): Shapes;
  /** Values for the fields of the uniform struct, by name. */
  uniforms?(shapes: Shapes, options: Options): Readonly<Record<string, UniformValue>>;
  /** The number of workgroups. */
  grid(shapes: Shapes, limits: GPUSupportedLimits, options: Options, constants: Constants): Grid;
  /** Estimated floating-point operations, for splitting submits; default 4 an output element. */
  work?(shapes: Shapes, options: Options): number;
}

export interface RunOptions<T extends View> {
  /** Tensors to write into instead of new ones. */
  readonly out?: Readonly<Record<string, T | undefined>>;
}
