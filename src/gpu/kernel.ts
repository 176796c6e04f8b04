/**
 * A kernel: a record that says everything the host must know of one WGSL file, and the one path on which
 * handgrad's own ops and users' kernels alike are checked and recorded.
 */
import type { Storage } from "./buffers.js";
import { DisposedError, KernelError, LimitError, ShapeError, ValueError } from "./errors.js";
import type { Gpu } from "./gpu.js";
import type { PipelineSource } from "./pipelines.js";
import type { Bound } from "./stream.js";
import { type Constants, readInterface, type UniformField, type WgslInterface } from "./wgsl.js";

export type DType = "f32" | "u32";
export type Shape = readonly number[];
/** Shapes by binding name; an optional input that was not given is undefined. */
export type Shapes = Readonly<Record<string, Shape>>;
export type Grid = readonly [number, number?, number?];
/** `optional` is a read binding that may be left out: a constant `HAS_<NAME>` in the WGSL then is false. */
export type BindingMode = "read" | "optional" | "write" | "readWrite";
export type UniformValue = number | readonly number[];

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
}

/**
 * The record of a kernel. `Options` is what the op's caller chooses (stride, slope, …).
 * @example
 * const double = gpu.kernel({
 *   name: "double",
 *   wgsl: `
 *     @group(0) @binding(0) var<storage, read> x: array<f32>;
 *     @group(0) @binding(1) var<storage, read_write> y: array<f32>;
 *     @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
 *       if (id.x < arrayLength(&x)) { y[id.x] = 2 * x[id.x]; }
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

/** A checked record, independent of any device. */
export class Kernel<Options = undefined> {
  readonly name: string;
  readonly source: PipelineSource;
  private readonly modes: readonly { name: string; index: number; mode: BindingMode; dtype: DType }[];
  private readonly flags: readonly [constant: string, input: string][];

  /** @throws KernelError if the record and the WGSL do not agree on the bindings */
  constructor(readonly record: KernelRecord<Options>) {
    this.name = record.name;
    const declared = readInterface(record.name, record.wgsl);
    this.source = { name: record.name, wgsl: record.wgsl, interface: declared };
    this.modes = matchBindings(record, declared);
    this.flags = this.modes
      .filter(({ mode, name }) => mode === "optional" && record.wgsl.includes(flagOf(name)))
      .map(({ name }) => [flagOf(name), name]);
  }

  /**
   * Checks the inputs and records one dispatch.
   * @param inputs the `read`, `optional` and `readWrite` bindings
   * @returns the `write` bindings, new or those given in `out`
   * @throws ShapeError for a wrong shape, dtype or aliasing; DisposedError; LimitError for too large a grid
   */
  run<T extends View>(
    inputs: Readonly<Record<string, T | undefined>>,
    options: Options,
    { out = {} }: RunOptions<T> = {},
  ): Record<string, T> {
    const template = (Object.values(inputs).find(Boolean) ?? Object.values(out).find(Boolean)) as
      | T
      | undefined;
    if (!template)
      throw new ShapeError(`${this.name}: a kernel without inputs needs "out" to know its device`);
    const { gpu } = template;
    gpu.throwIfDisposed();
    const shapes: Record<string, Shape> = {};
    for (const { name, mode, dtype } of this.modes) {
      const view = inputs[name];
      if (mode === "write") continue;
      if (view) this.checkView(name, view, dtype, gpu);
      else if (mode !== "optional") throw new ShapeError(`${this.name}: input "${name}" is missing`);
      if (view) shapes[name] = view.shape;
    }
    const outputShapes = this.record.shape(shapes, options);
    const outputs: Record<string, T> = {};
    for (const { name, mode, dtype } of this.modes) {
      if (mode !== "write") continue;
      const shape = outputShapes[name];
      if (!shape)
        throw new KernelError(`kernel ${this.name}: shape() returned no shape for output "${name}"`);
      shapes[name] = shape;
      const given = out[name];
      if (given) this.checkOutput(name, given, shape, dtype, gpu);
      outputs[name] = given ?? template.like(shape, dtype);
    }
    this.enqueue(gpu, inputs, outputs, shapes, options);
    return outputs;
  }

  private enqueue<T extends View>(
    gpu: Gpu,
    inputs: Readonly<Record<string, T | undefined>>,
    outputs: Readonly<Record<string, T>>,
    shapes: Shapes,
    options: Options,
  ): void {
    const { record } = this;
    const merged = this.aliasedInput(inputs, outputs);
    let constants =
      (typeof record.constants === "function" ? record.constants(shapes, options, gpu) : record.constants) ??
      {};
    if (this.flags.length > 0) {
      constants = {
        ...constants,
        ...Object.fromEntries(this.flags.map(([flag, name]) => [flag, Boolean(inputs[name])])),
      };
    }
    const bound: Bound[] = [];
    let elements = 0;
    for (const { name, index, mode } of this.modes) {
      if (merged && name === merged[0]) continue;
      const view = outputs[name] ?? inputs[name];
      if (mode === "write" || mode === "readWrite") elements += view ? view.byteLength / 4 : 0;
      bound.push({
        storage: view ? (view.storage as Storage) : gpu.placeholder,
        binding: index,
        byteLength: view ? Math.max(view.byteLength, 4) : gpu.placeholder.capacity,
      });
    }
    const [x, y = 1, z = 1] = record.grid(shapes, gpu.limits, options, constants);
    const most = gpu.limits.maxComputeWorkgroupsPerDimension;
    if (!(x <= most && y <= most && z <= most)) {
      throw new LimitError(
        `${this.name}: a grid of ${x} × ${y} × ${z} workgroups passes the adapter's ${most} in a dimension; ` +
          `fold it with gridFor() or split the tensors`,
      );
    }
    const pipeline = gpu.pipelines.get(this.source, constants, merged);
    const declared = this.source.interface.uniform;
    if (x > 0 && y > 0 && z > 0) {
      gpu.record({
        kind: "dispatch",
        pipeline,
        bound,
        uniformBinding: declared?.index ?? 0,
        uniforms: declared && packUniforms(this.name, declared, record.uniforms?.(shapes, options) ?? {}),
        grid: [x, y, z],
        work: record.work?.(shapes, options) ?? 4 * elements,
      });
    }
    if (gpu.debug) for (const name in outputs) gpu.scanForNonFinite(this.name, name, outputs[name]);
  }

  private checkView(name: string, view: View, dtype: DType, gpu: Gpu): void {
    if (!view.storage || view.storage.released)
      throw new DisposedError(`${this.name}: "${name}" was disposed; keep it until its last use`);
    if (view.gpu !== gpu)
      throw new ShapeError(`${this.name}: "${name}" lives on another gpu than the other inputs`);
    if (view.dtype !== dtype) {
      throw new ShapeError(
        `${this.name}: "${name}" is ${view.dtype}, and ${dtype} is taken; make it with { dtype: "${dtype}" }`,
      );
    }
  }

  private checkOutput(name: string, view: View, shape: Shape, dtype: DType, gpu: Gpu): void {
    this.checkView(`out.${name}`, view, dtype, gpu);
    if (view.shape.length === shape.length && view.shape.every((size, axis) => size === shape[axis])) return;
    throw new ShapeError(
      `${this.name}: out "${name}" has shape [${view.shape}], and the result has [${shape}]`,
    );
  }

  /** The [input, output] pair that is one tensor, if the kernel declares it; any other sharing throws. */
  private aliasedInput(
    inputs: Readonly<Record<string, View | undefined>>,
    outputs: Readonly<Record<string, View>>,
  ): [string, string] | undefined {
    let pair: [string, string] | undefined;
    for (const written in { ...outputs, ...this.readWriteInputs(inputs) }) {
      const target = outputs[written] ?? inputs[written];
      for (const other of [...Object.keys(inputs), ...Object.keys(outputs)]) {
        const view = outputs[other] ?? inputs[other];
        if (other === written || !view || view.storage !== target?.storage) continue;
        if (this.record.inPlace?.[written] === other && !pair) pair = [other, written];
        else {
          throw new ShapeError(
            `${this.name}: "${written}" is written and shares its buffer with "${other}", which this kernel does not ` +
              `take; give another tensor as out`,
          );
        }
      }
    }
    return pair;
  }

  private readWriteInputs(inputs: Readonly<Record<string, View | undefined>>): Record<string, View> {
    const result: Record<string, View> = {};
    for (const { name, mode } of this.modes) {
      const view = inputs[name];
      if (mode === "readWrite" && view) result[name] = view;
    }
    return result;
  }
}

/** Checks a record against its WGSL and makes it a kernel. Ops do so once a module. */
export function defineKernel<Options = undefined>(record: KernelRecord<Options>): Kernel<Options> {
  return new Kernel(record);
}

/** The number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dimension of shape) size *= dimension;
  return size;
}

/**
 * Workgroups for `invocations` in one dimension, folded into a second where the adapter's limit is passed.
 * In the kernel the flat index is `id.x + id.y * groups.x * WORKGROUP_SIZE` (`groups` = num_workgroups), which is
 * to be checked against the number of elements.
 */
export function gridFor(invocations: number, workgroupSize: number, limits: GPUSupportedLimits): Grid {
  const groups = Math.ceil(invocations / workgroupSize);
  const most = limits.maxComputeWorkgroupsPerDimension;
  if (groups <= most) return [groups, 1, 1];
  const rows = Math.ceil(groups / most);
  return [Math.ceil(groups / rows), rows, 1];
}

function flagOf(name: string): string {
  return `HAS_${name.replace(/([A-Z])/g, "_$1").toUpperCase()}`;
}

function matchBindings<O>(record: KernelRecord<O>, declared: WgslInterface) {
  const names = Object.keys(record.bindings);
  const found = declared.storage.map(({ name }) => name);
  if (names.join() !== found.join()) {
    throw new KernelError(
      `kernel ${record.name}: the record's bindings are [${names.join(", ")}], and its WGSL declares ` +
        `[${found.join(", ")}] in @group(0); give them the same names in the same order`,
    );
  }
  return declared.storage.map(({ name, index, writable, dtype }) => {
    const mode = record.bindings[name];
    if (writable !== (mode === "write" || mode === "readWrite")) {
      throw new KernelError(
        `kernel ${record.name}: binding "${name}" is "${mode}" in the record and ` +
          `"${writable ? "read_write" : "read"}" in the WGSL`,
      );
    }
    return { name, index, mode, dtype };
  });
}

const words = new DataView(new ArrayBuffer(4));

function packUniforms(
  name: string,
  layout: { readonly fields: readonly UniformField[]; readonly byteLength: number },
  values: Readonly<Record<string, UniformValue>>,
): Uint32Array {
  const packed = new Uint32Array(layout.byteLength / 4);
  for (const field of layout.fields) {
    const value = values[field.name];
    const start = field.offset / 4;
    if (field.type === "vec4u") {
      if (typeof value !== "object")
        throw new KernelError(`kernel ${name}: uniform "${field.name}" takes four numbers`);
      for (let i = 0; i < 4; i++) packed[start + i] = value[i] ?? 0;
    } else {
      if (typeof value !== "number" || Number.isNaN(value)) {
        throw new ValueError(`${name}: uniform "${field.name}" got ${String(value)}, and a number is taken`);
      }
      if (field.type === "f32") {
        words.setFloat32(0, value, true);
        packed[start] = words.getUint32(0, true);
      } else packed[start] = value;
    }
  }
  return packed;
}
