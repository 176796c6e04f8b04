/** A tensor: a shape, a dtype and a buffer on a device; row-major. */
import { BEYOND_F16, halfBits, halfToNumber } from "./float16.js";
import { STORAGE_USAGE, type Storage } from "./gpu/buffers.js";
import { DisposedError, ShapeError, ValueError } from "./gpu/errors.js";
import type { Gpu } from "./gpu/gpu.js";
import { type DType, type Shape, sizeOf, type View } from "./gpu/kernel.js";

export type { DType, Shape } from "./gpu/kernel.js";
export type NestedNumbers = number | readonly NestedNumbers[];
export type TypedData = Float32Array | Uint32Array | Int32Array | Uint8Array | Float64Array;

export interface TensorOptions {
  /**
   * Default "f32", or "u32" for a Uint32Array. "f16" stores numbers rounded to float16, in half the bytes, for what
   * takes it: `b` of `matmul`, and `toF32`. It needs no feature of the adapter.
   */
  readonly dtype?: DType;
  /** Look for NaN and infinity in the data. Default true. */
  readonly checkFinite?: boolean;
}

/**
 * A shape, a dtype and a buffer on a device; row-major. Ops make tensors and return at once; `await data()` waits.
 * @example
 * const x = tensor(gpu, [[1, 2], [3, 4]]);
 * console.log(x.shape, await x.data());
 * x.dispose();
 */
export class Tensor implements View {
  readonly size: number;
  readonly byteLength: number;

  /** Use `tensor`, `zeros`, `full`, `empty` or `fromBuffer`; ops make their results themselves. */
  constructor(
    readonly gpu: Gpu,
    readonly shape: Shape,
    readonly dtype: DType,
    private held: Storage | undefined,
  ) {
    this.size = sizeOf(shape);
    this.byteLength = byteLengthOf(shape, dtype);
    gpu.scopes.track(this);
  }

  /** The storage, undefined once the tensor, or the program that it belongs to, is disposed. */
  get storage(): Storage | undefined {
    return this.held?.released ? undefined : this.held;
  }

  /** The WebGPU buffer, for the caller's own pipelines; call `gpu.flush()` before submitting them. */
  get buffer(): GPUBuffer {
    return this.live("buffer").buffer;
  }

  get rank(): number {
    return this.shape.length;
  }

  get disposed(): boolean {
    return this.storage === undefined;
  }

  /** An uninitialized tensor on the same device. */
  like(shape: Shape = this.shape, dtype: DType = this.dtype): this {
    return empty(this.gpu, shape, { dtype }) as this;
  }

  /**
   * Waits for all that was recorded and returns the values, those of f16 as float32.
   * @throws ProgramError at once inside a scope or program body. Rejects with DisposedError, with DeviceLostError, or
   *   with the first error of the ops recorded before, of which each is told once; later ops work. What a failed op was
   *   to write is missing, and what was to be computed from it: reading that rejects until it is written anew. What was
   *   to be updated in place keeps its former values.
   */
  data(): Promise<Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>> {
    this.forbidReadingInScope();
    return this.readBack();
  }

  private async readBack(): Promise<Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>> {
    const bytes = await this.gpu.read(this.live("data"), this.byteLength, "tensor.data");
    if (this.dtype === "f16") return Float32Array.from(new Uint16Array(bytes, 0, this.size), halfToNumber);
    return this.dtype === "f32" ? new Float32Array(bytes) : new Uint32Array(bytes);
  }

  /** Throws at once and not by a rejection, of which a body that drops the promise would never learn. */
  private forbidReadingInScope(): void {
    this.gpu.scopes.forbid("tensor.data: a read-back", "read after it");
  }

  /** The only value of a tensor of one element. @throws as `data` does; rejects with ShapeError for another size */
  item(): Promise<number> {
    this.forbidReadingInScope();
    return this.readItem();
  }

  private async readItem(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(`tensor.item: takes a tensor of one element, got shape [${this.shape}]`);
    return (await this.readBack())[0];
  }

  /**
   * Overwrites the values, in order with the ops recorded before.
   * @throws ShapeError for a wrong number of values, ValueError for NaN or infinity
   */
  write(
    data: NestedNumbers | TypedData,
    { checkFinite = true }: Pick<TensorOptions, "checkFinite"> = {},
  ): this {
    const { values } = toTyped("tensor.write", data, this.dtype, checkFinite);
    if (values.length !== this.size) {
      throw new ShapeError(
        `tensor.write: data has ${values.length} values, and shape [${this.shape}] takes ${this.size}`,
      );
    }
    this.gpu.upload(this.live("write"), stored(values, this.dtype), "tensor.write");
    return this;
  }

  /**
   * The same values under another shape of the same size; one dimension may be -1. No copy: both tensors share one
   * buffer, which lives until both are disposed.
   */
  reshape(shape: Shape): Tensor {
    const resolved = resolveShape(shape, this.size);
    const storage = this.live("reshape");
    storage.references++;
    return new Tensor(this.gpu, resolved, this.dtype, storage);
  }

  /** Releases the buffer. Idempotent. @throws ProgramError inside a scope or program for an outer tensor */
  dispose(): void {
    const storage = this.held;
    if (!storage) return;
    this.gpu.scopes.untrack(this);
    this.held = undefined;
    if (--storage.references === 0) this.gpu.release(storage);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private live(method: string): Storage {
    const { storage } = this;
    if (storage) return storage;
    throw new DisposedError(
      `tensor.${method}: the tensor (or its program) was disposed; keep it until its last use`,
    );
  }
}

/**
 * A tensor of the given values.
 * @param data nested arrays, or a typed array with a shape
 * @throws ShapeError for ragged arrays or a shape of another size; ValueError for NaN or infinity, with its index
 * @example
 * const a = tensor(gpu, [[1, 2], [3, 4]]);
 * const b = tensor(gpu, new Float32Array(6), [2, 3]);
 */
export function tensor(gpu: Gpu, data: NestedNumbers | TypedData, options?: TensorOptions): Tensor;
export function tensor(
  gpu: Gpu,
  data: NestedNumbers | TypedData,
  shape: Shape,
  options?: TensorOptions,
): Tensor;
export function tensor(
  gpu: Gpu,
  data: NestedNumbers | TypedData,
  shapeOrOptions: Shape | TensorOptions = {},
  more: TensorOptions = {},
): Tensor {
  const given = isShape(shapeOrOptions) ? shapeOrOptions : undefined;
  const options: TensorOptions = { ...(given ? {} : shapeOrOptions), ...more };
  const dtype = options.dtype ?? (data instanceof Uint32Array ? "u32" : "f32");
  checkDType("tensor", dtype);
  const { values, shape } = toTyped("tensor", data, dtype, options.checkFinite ?? true);
  const wanted = given ? resolveShape(given, values.length) : shape;
  const result = unwritten("tensor", gpu, wanted, dtype, true);
  try {
    if (values.length > 0) gpu.upload(result.storage as Storage, stored(values, dtype), "tensor");
  } catch (error) {
    result.dispose();
    throw error;
  }
  return result;
}

/** A tensor whose values are undefined until it is written. */
export function empty(gpu: Gpu, shape: Shape, { dtype = "f32" }: Pick<TensorOptions, "dtype"> = {}): Tensor {
  return unwritten("empty", gpu, shape, dtype);
}

/** @param forHost see `Gpu.acquire` */
function unwritten(op: string, gpu: Gpu, shape: Shape, dtype: DType, forHost = false): Tensor {
  checkShape(op, shape);
  checkDType(op, dtype);
  return new Tensor(gpu, Object.freeze([...shape]), dtype, gpu.acquire(byteLengthOf(shape, dtype), forHost));
}

/** A tensor of zeros. */
export function zeros(gpu: Gpu, shape: Shape, options: Pick<TensorOptions, "dtype"> = {}): Tensor {
  return clear(empty(gpu, shape, options));
}

/** Sets all values to 0, in order with the ops recorded before. */
export function clear(target: Tensor): Tensor {
  if (!target.storage) throw new DisposedError("clear: the tensor was disposed");
  if (target.byteLength > 0)
    target.gpu.record({ kind: "clear", storage: target.storage, byteLength: target.byteLength });
  return target;
}

/**
 * A copy of a tensor, or into `out`.
 * @throws ShapeError if `out` has another size or dtype
 */
export function copy(source: Tensor, { out }: { out?: Tensor } = {}): Tensor {
  if (!source.storage) throw new DisposedError("copy: the source was disposed");
  if (out && out.gpu !== source.gpu) throw new ShapeError("copy: out lives on another gpu than the source");
  const target = out ?? source.like();
  if (target.size !== source.size || target.dtype !== source.dtype) {
    throw new ShapeError(
      `copy: out is ${target.dtype} [${target.shape}], and the source is ${source.dtype} [${source.shape}]`,
    );
  }
  if (!target.storage) throw new DisposedError("copy: out was disposed");
  if (target.storage === source.storage) throw new ShapeError("copy: out is the source itself");
  if (source.byteLength > 0) {
    source.gpu.record({
      kind: "copy",
      source: source.storage,
      target: target.storage,
      byteLength: source.byteLength,
    });
  }
  return target;
}

/**
 * A tensor over the caller's own buffer, which is never pooled or destroyed. The caller's own commands and the ops on
 * the tensor are in order if `await gpu.flush()` stands before the former.
 * @throws ShapeError if the buffer is too small, lacks a usage (STORAGE | COPY_SRC | COPY_DST), or belongs to a tensor
 */
export function fromBuffer(
  gpu: Gpu,
  buffer: GPUBuffer,
  shape: Shape,
  { dtype = "f32" }: Pick<TensorOptions, "dtype"> = {},
): Tensor {
  gpu.throwIfDisposed();
  checkShape("fromBuffer", shape);
  checkDType("fromBuffer", dtype);
  const bytes = byteLengthOf(shape, dtype);
  if (!(buffer.size >= bytes)) {
    throw new ShapeError(
      `fromBuffer: the buffer has ${buffer.size} bytes, and shape [${shape}] takes ${bytes}`,
    );
  }
  if ((buffer.usage & STORAGE_USAGE) !== STORAGE_USAGE) {
    throw new ShapeError(
      "fromBuffer: the buffer must have been made with usage STORAGE | COPY_SRC | COPY_DST, so that kernels, " +
        "data() and write() can use it",
    );
  }
  gpu.pool.capacityFor(bytes);
  return new Tensor(gpu, Object.freeze([...shape]), dtype, gpu.pool.adopt(buffer));
}

function isShape(value: Shape | TensorOptions): value is Shape {
  if (ArrayBuffer.isView(value))
    throw new ShapeError("tensor: shape must be an array of numbers, and is a typed array");
  return Array.isArray(value);
}

function checkShape(what: string, shape: Shape): void {
  checkIsArray(what, shape);
  if (shape.every((dimension) => Number.isInteger(dimension) && dimension >= 0)) return;
  throw new ShapeError(`${what}: shape [${shape}] must be whole numbers of at least 0`);
}

function checkIsArray(what: string, shape: Shape): void {
  if (Array.isArray(shape)) return;
  throw new ShapeError(`${what}: shape is ${shape}, and an array of whole numbers of at least 0 is taken`);
}

function checkDType(what: string, dtype: DType): void {
  if (dtype === "f32" || dtype === "u32" || dtype === "f16") return;
  throw new ShapeError(`${what}: dtype is ${String(dtype)}, and "f32", "u32" or "f16" is taken`);
}

/** Bytes of a tensor's buffer; float16 stand in whole words. */
function byteLengthOf(shape: Shape, dtype: DType): number {
  const size = sizeOf(shape);
  return dtype === "f16" ? 4 * Math.ceil(size / 2) : 4 * size;
}

/** The values as they stand in the buffer. */
function stored(
  values: Float32Array | Float64Array | Uint32Array,
  dtype: DType,
): Float32Array | Uint32Array | Uint16Array {
  if (dtype !== "f16") return values as Float32Array | Uint32Array;
  const halves = new Uint16Array(2 * Math.ceil(values.length / 2));
  for (let i = 0; i < values.length; i++) halves[i] = halfBits(values[i]);
  return halves;
}

/** Fills in a dimension of -1. */
function resolveShape(shape: Shape, size: number): Shape {
  checkIsArray("reshape", shape);
  const open = shape.indexOf(-1);
  const known = shape.reduce((product, dimension) => (dimension === -1 ? product : product * dimension), 1);
  const resolved =
    open < 0 ? [...shape] : shape.map((dimension, axis) => (axis === open ? size / known : dimension));
  if (!resolved.every((size) => Number.isInteger(size) && size >= 0) || sizeOf(resolved) !== size)
    throw new ShapeError(`shape [${shape}] does not hold ${size} values`);
  return Object.freeze(resolved);
}

function toTyped(
  what: string,
  data: NestedNumbers | TypedData,
  dtype: DType,
  checkFinite: boolean,
): { values: Float32Array | Float64Array | Uint32Array; shape: Shape } {
  const shape = isTyped(data) ? [data.length] : nestedShape(what, data);
  const flat = isTyped(data) ? data : flatten(what, data, shape);
  if (dtype === "u32") {
    if (flat instanceof Uint32Array) return { values: flat, shape };
    for (let i = 0; i < flat.length; i++) {
      const value = flat[i];
      if (!(Number.isInteger(value) && value >= 0 && value < 2 ** 32)) {
        throw new ValueError(
          `${what}: value ${value} at index ${i} is not a u32 (a whole number from 0 to 4294967295)`,
        );
      }
    }
    return { values: Uint32Array.from(flat), shape };
  }
  const half = dtype === "f16";
  // A number is rounded once: to float16 from what was given, and not from its float32.
  const values =
    flat instanceof Float32Array ? flat : half ? Float64Array.from(flat) : Float32Array.from(flat);
  if (checkFinite) {
    const beyond = half ? BEYOND_F16 : Number.POSITIVE_INFINITY;
    for (let i = 0; i < values.length; i++) {
      if (!(Math.abs(values[i]) < beyond)) {
        throw new ValueError(
          `${what}: value ${flat[i]} at index ${i} is not a finite ${half ? "float16" : "float32"}; clean the data, or pass { checkFinite: false }`,
        );
      }
    }
  }
  return { values, shape };
}

/** Typed arrays of numbers; a DataView has no elements, and BigInts are no numbers. */
function isTyped(data: NestedNumbers | TypedData): data is TypedData {
  return (
    ArrayBuffer.isView(data) &&
    !(data instanceof DataView) &&
    !(data instanceof BigInt64Array) &&
    !(data instanceof BigUint64Array)
  );
}

function nestedShape(what: string, data: NestedNumbers): Shape {
  const shape: number[] = [];
  for (let level: NestedNumbers = data; typeof level === "object"; level = level[0]) {
    if (!Array.isArray(level))
      throw new ShapeError(`${what}: data must be nested arrays of numbers or a typed array`);
    shape.push(level.length);
    if (level.length === 0) break;
  }
  return shape;
}

function flatten(what: string, data: NestedNumbers, shape: Shape): number[] {
  const flat: number[] = [];
  const visit = (level: NestedNumbers, axis: number): void => {
    if (axis === shape.length) {
      if (typeof level !== "number")
        throw new ShapeError(`${what}: the nested arrays are ragged at index ${flat.length}`);
      flat.push(level);
      return;
    }
    if (!Array.isArray(level) || level.length !== shape[axis]) {
      throw new ShapeError(
        `${what}: the nested arrays are ragged: dimension ${axis} has ${shape[axis]} entries in one place and another count elsewhere`,
      );
    }
    for (const item of level) visit(item, axis + 1);
  };
  visit(data, 0);
  return flat;
}
