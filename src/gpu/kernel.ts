/**
 * A kernel: a record that says everything the host must know of one WGSL file, and the one path on which
 * handgrad's own ops and users' kernels alike are checked and recorded.
 */
import type { Storage } from "./buffers.js";
import type { Bound } from "./commands.js";
import { DisposedError, KernelError, LimitError, ShapeError } from "./errors.js";
import type { Gpu } from "./gpu.js";
import { halfBinding } from "./half_binding.js";
import type { PipelineSource } from "./pipelines.js";
import type { BindingMode, Grid, KernelRecord, RunOptions, Shape, Shapes, View } from "./kernel_record.js";
import { packUniforms } from "./uniforms.js";
import { readInterface, type StorageBinding, type WgslInterface } from "./wgsl_interface.js";

export type * from "./kernel_record.js";

/** A storage binding of the WGSL with the mode that the record gives it. */
interface Binding extends StorageBinding {
  readonly mode: BindingMode;
}

/** A checked record, independent of any device. */
export class Kernel<Options = undefined> {
  readonly name: string;
  readonly source: PipelineSource;
  private readonly bindings: readonly Binding[];
  private readonly modes: ReadonlyMap<string, BindingMode>;
  private readonly flags: readonly [constant: string, input: string][];

  /** @throws KernelError if the record and the WGSL do not agree on the bindings */
  constructor(readonly record: KernelRecord<Options>) {
    this.name = record.name;
    const declared = readInterface(record.name, record.wgsl);
    this.source = { name: record.name, wgsl: record.wgsl, interface: declared };
    this.bindings = matchBindings(record, declared);
    this.modes = new Map(this.bindings.map(({ name, mode }) => [name, mode]));
    this.flags = this.bindings
      .filter(({ mode, name }) => mode === "optional" && record.wgsl.includes(flagOf(name)))
      .map(({ name }) => [flagOf(name), name]);
  }

  /**
   * Checks the inputs and records one dispatch.
   * @param inputs the `read`, `optional` and `readWrite` bindings
   * @param options what the record's functions take; may be left out where they take none
   * @returns the `write` bindings, new or those given in `out`
   * @throws ShapeError for a wrong shape, dtype or aliasing; DisposedError; LimitError for too large a grid
   */
  run<T extends View>(
    this: Kernel<undefined>,
    inputs: Readonly<Record<string, T | undefined>>,
    options?: undefined,
    run?: RunOptions<T>,
  ): Record<string, T>;
  run<T extends View>(
    inputs: Readonly<Record<string, T | undefined>>,
    options: Options,
    run?: RunOptions<T>,
  ): Record<string, T>;
  run<T extends View>(
    inputs: Readonly<Record<string, T | undefined>>,
    given?: Options,
    { out = {} }: RunOptions<T> = {},
  ): Record<string, T> {
    const options = given as Options;
    const template = firstOf(inputs) ?? firstOf(out);
    if (!template)
      throw new ShapeError(`${this.name}: a kernel without inputs needs "out" to know its device`);
    const { gpu } = template;
    gpu.throwIfDisposed();
    this.checkNames(inputs, out);
    const shapes: Record<string, Shape> = {};
    for (const binding of this.bindings) {
      const { name, mode } = binding;
      if (mode === "write") continue;
      const view = inputs[name];
      if (view) {
        this.checkView(name, view, binding, gpu);
        shapes[name] = view.shape;
      } else if (mode !== "optional") throw new ShapeError(`${this.name}: input "${name}" is missing`);
    }
    const outputShapes = this.record.shape(shapes, options);
    const outputs: Record<string, T> = {};
    const created: T[] = [];
    try {
      for (const binding of this.bindings) {
        const { name, mode, dtype } = binding;
        if (mode !== "write") continue;
        const shape = outputShapes[name];
        if (!shape)
          throw new KernelError(`kernel ${this.name}: shape() returned no shape for output "${name}"`);
        shapes[name] = shape;
        const given = out[name];
        if (given) this.checkOutput(name, given, shape, binding, gpu);
        outputs[name] = given ?? template.like(shape, dtype);
        if (given) continue;
        created.push(outputs[name]);
        this.checkWidth(name, outputs[name], binding);
      }
      this.enqueue(gpu, inputs, outputs, shapes, options);
    } catch (error) {
      for (const output of created) output.dispose();
      throw error;
    }
    return outputs;
  }

  /** A misspelled optional input or output would else be left out in silence. */
  private checkNames(
    inputs: Readonly<Record<string, View | undefined>>,
    out: Readonly<Record<string, View | undefined>>,
  ): void {
    for (const name in inputs) {
      if (inputs[name] && (this.modes.get(name) ?? "write") === "write") {
        throw new ShapeError(
          `${this.name}: "${name}" is not an input; the inputs are ${this.namesOf((mode) => mode !== "write")}`,
        );
      }
    }
    for (const name in out) {
      if (out[name] && this.modes.get(name) !== "write") {
        throw new ShapeError(
          `${this.name}: out "${name}" is not an output; the outputs are ${this.namesOf((mode) => mode === "write")}`,
        );
      }
    }
  }

  private namesOf(taken: (mode: BindingMode) => boolean): string {
    const names = this.bindings.filter(({ mode }) => taken(mode)).map(({ name }) => `"${name}"`);
    return names.join(", ") || "none";
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
    for (const { name, index, mode, width } of this.bindings) {
      if (merged && name === merged[0]) continue;
      const view = outputs[name] ?? inputs[name];
      if (mode === "write" || mode === "readWrite") elements += view ? view.byteLength / 4 : 0;
      bound.push({
        storage: view ? (view.storage as Storage) : gpu.placeholder,
        binding: index,
        byteLength: view ? Math.max(view.byteLength, 4 * width) : gpu.placeholder.capacity,
        reads: mode !== "write" || name === merged?.[1],
        writes: mode === "write" || mode === "readWrite",
      });
    }
    const [x, y = 1, z = 1] = record.grid(shapes, gpu.limits, options, constants);
    if (![x, y, z].every((groups) => Number.isInteger(groups) && groups >= 0)) {
      throw new KernelError(
        `kernel ${this.name}: grid() returned ${x} × ${y} × ${z}, and whole numbers of workgroups are taken`,
      );
    }
    const most = gpu.limits.maxComputeWorkgroupsPerDimension;
    if (!(x <= most && y <= most && z <= most)) {
      throw new LimitError(
        `${this.name}: a grid of ${x} × ${y} × ${z} workgroups passes the adapter's ${most} in a dimension; ` +
          `fold it with gridFor() or split the tensors`,
      );
    }
    const halves = record.takesF16?.filter((name) => inputs[name]?.dtype === "f16");
    const pipeline = gpu.pipelines.get(this.source, constants, {
      merged,
      halves: halves && halves.length > 0 ? halves : undefined,
    });
    const declared = this.source.interface.uniform;
    if (x > 0 && y > 0 && z > 0) {
      gpu.record({
        kind: "dispatch",
        pipeline,
        bound,
        uniformBinding: declared?.index ?? 0,
        uniforms: declared && packUniforms(this.name, declared, record.uniforms?.(shapes, options) ?? {}),
        grid: [x, y, z],
        work: this.workOf(shapes, options, elements),
      });
    }
    if (!gpu.debug) return;
    const written = { ...outputs, ...this.readWriteInputs(inputs) };
    for (const name in written) gpu.scanForNonFinite(this.name, name, written[name]);
  }

  private workOf(shapes: Shapes, options: Options, elements: number): number {
    const work = this.record.work?.(shapes, options) ?? 4 * elements;
    if (Number.isFinite(work) && work >= 0) return work;
    throw new KernelError(
      `kernel ${this.name}: work() returned ${work}, and a number of operations is taken`,
    );
  }

  private checkView(name: string, view: View, binding: Binding, gpu: Gpu): void {
    const { dtype } = binding;
    if (!view.storage)
      throw new DisposedError(`${this.name}: "${name}" was disposed; keep it until its last use`);
    if (view.gpu !== gpu)
      throw new ShapeError(`${this.name}: "${name}" lives on another gpu than the other inputs`);
    const half = view.dtype === "f16" && this.record.takesF16?.includes(name);
    if (view.dtype !== dtype && !half) {
      const remedy = view.dtype === "f16" ? "cast it with toF32()" : `make it with { dtype: "${dtype}" }`;
      throw new ShapeError(`${this.name}: "${name}" is ${view.dtype}, and ${dtype} is taken; ${remedy}`);
    }
    this.checkWidth(name, view, binding);
  }

  /** A binding of vectors does not see the values behind the last whole vector. */
  private checkWidth(name: string, view: View, { width }: Binding): void {
    const size = sizeOf(view.shape);
    if (size % width === 0) return;
    throw new ShapeError(
      `${this.name}: "${name}" has ${size} values, and the kernel reads or writes them in vectors of ${width}; ` +
        `take a multiple of ${width}`,
    );
  }

  private checkOutput(name: string, view: View, shape: Shape, binding: Binding, gpu: Gpu): void {
    this.checkView(`out.${name}`, view, binding, gpu);
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
        const declared = this.record.inPlace?.[written] === other && view.byteLength === target?.byteLength;
        if (declared && !pair) pair = [other, written];
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

  private readWriteInputs<T extends View>(
    inputs: Readonly<Record<string, T | undefined>>,
  ): Record<string, T> {
    const result: Record<string, T> = {};
    for (const { name, mode } of this.bindings) {
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

function firstOf<T>(views: Readonly<Record<string, T | undefined>>): T | undefined {
  return Object.values(views).find(Boolean);
}

function matchBindings<O>(record: KernelRecord<O>, declared: WgslInterface): Binding[] {
  const names = Object.keys(record.bindings);
  const found = declared.storage.map(({ name }) => name);
  if (names.join() !== found.join()) {
    throw new KernelError(
      `kernel ${record.name}: the record's bindings are [${names.join(", ")}], and its WGSL declares ` +
        `[${found.join(", ")}] in @group(0); give them the same names in the same order`,
    );
  }
  for (const [output, input] of Object.entries(record.inPlace ?? {})) {
    const isInput = record.bindings[input] === "read" || record.bindings[input] === "optional";
    if (record.bindings[output] === "write" && isInput) continue;
    throw new KernelError(
      `kernel ${record.name}: inPlace has { ${output}: "${input}" }, and the name of a "write" binding with that of ` +
        `an input is taken`,
    );
  }
  for (const name of record.takesF16 ?? []) {
    const binding = declared.storage.find((one) => one.name === name);
    if (binding && !binding.writable && binding.dtype === "f32") {
      halfBinding(record.name, record.wgsl, name, binding.width); // throws for what cannot be rewritten
      continue;
    }
    throw new KernelError(
      `kernel ${record.name}: takesF16 has "${name}", and the name of a "read" or "optional" binding of f32 is taken`,
    );
  }
  return declared.storage.map((binding) => {
    const { name, writable } = binding;
    const mode = record.bindings[name];
    if (writable !== (mode === "write" || mode === "readWrite")) {
      throw new KernelError(
        `kernel ${record.name}: binding "${name}" is "${mode}" in the record and ` +
          `"${writable ? "read_write" : "read"}" in the WGSL`,
      );
    }
    return { ...binding, mode };
  });
}
