/** What the suites of the core share: kernels whose results are exact, and ways to watch and delay a device. */
import {
  defineKernel,
  type Gpu,
  gridFor,
  type OpenGpuOptions,
  openGpu,
  ShapeError,
  sizeOf,
  type Tensor,
} from "handgrad";
import { sharedGpu } from "./gpu.js";

/** y = factor · x + offset modulo 2³²; y may be x. */
export const affineKernel = defineKernel<{ factor: number; offset: number }>({
  name: "test_affine",
  wgsl: `
    struct Params { count: u32, factor: u32, offset: u32 }
    @group(0) @binding(0) var<storage, read> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> y: array<u32>;
    @group(0) @binding(2) var<uniform> params: Params;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = id.x + id.y * groups.x * 64u;
      if (i < params.count) { y[i] = params.factor * x[i] + params.offset; }
    }`,
  bindings: { x: "read", y: "write" },
  inPlace: { y: "x" },
  shape: ({ x }) => ({ y: x }),
  uniforms: ({ x }, options) => ({ count: sizeOf(x), ...options }),
  grid: ({ x }, limits) => gridFor(sizeOf(x), 64, limits),
});

/** y = a + 3 · b (+ bias) modulo 2³². */
export const combineKernel = defineKernel({
  name: "test_combine",
  wgsl: `
    // @constants
    const HAS_BIAS: bool = false;
    // @end
    struct Params { count: u32 }
    @group(0) @binding(0) var<storage, read> a: array<u32>;
    @group(0) @binding(1) var<storage, read> b: array<u32>;
    @group(0) @binding(2) var<storage, read> bias: array<u32>;
    @group(0) @binding(3) var<storage, read_write> y: array<u32>;
    @group(0) @binding(4) var<uniform> params: Params;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x >= params.count) { return; }
      var sum = a[id.x] + 3u * b[id.x];
      if (HAS_BIAS) { sum += bias[id.x]; }
      y[id.x] = sum;
    }`,
  bindings: { a: "read", b: "read", bias: "optional", y: "write" },
  shape: ({ a, b, bias }) => {
    if (`${a}` !== `${b}` || (bias && `${bias}` !== `${a}`)) {
      throw new ShapeError(`test_combine: shapes [${a}], [${b}] and [${bias}] must be the same`);
    }
    return { y: a };
  },
  uniforms: ({ a }) => ({ count: sizeOf(a) }),
  grid: ({ a }, limits) => gridFor(sizeOf(a), 64, limits),
});

/** total += x modulo 2³². */
export const accumulateKernel = defineKernel({
  name: "test_accumulate",
  wgsl: `
    struct Params { count: u32 }
    @group(0) @binding(0) var<storage, read> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> total: array<u32>;
    @group(0) @binding(2) var<uniform> params: Params;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < params.count) { total[id.x] += x[id.x]; }
    }`,
  bindings: { x: "read", total: "readWrite" },
  shape: () => ({}),
  uniforms: ({ x }) => ({ count: sizeOf(x) }),
  grid: ({ x }, limits) => gridFor(sizeOf(x), 64, limits),
});

export function affine(x: Tensor, factor: number, offset: number, out?: Tensor): Tensor {
  return affineKernel.run({ x }, { factor, offset }, { out: { y: out } }).y;
}

export function combine(a: Tensor, b: Tensor, bias?: Tensor, out?: Tensor): Tensor {
  return combineKernel.run({ a, b, bias }, undefined, { out: { y: out } }).y;
}

export function accumulate(total: Tensor, x: Tensor): void {
  accumulateKernel.run({ x, total });
}

/** 0, 1, 2 … times `factor` plus `offset`, modulo 2³². */
export function counting(count: number, factor = 1, offset = 0): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: count }, (_, i) => Math.imul(i, factor) + offset);
}

/** `factor` · x + `offset` modulo 2³², as `affine` computes it. */
export function affineOf(x: Uint32Array, factor: number, offset: number): Uint32Array<ArrayBuffer> {
  return x.map((value) => Math.imul(value, factor) + offset) as Uint32Array<ArrayBuffer>;
}

type Method = (...args: never[]) => unknown;

/**
 * Puts `replacement` in place of a method of one WebGPU object; it is handed the original. Returns what undoes it.
 */
export function intercept<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
  replacement: (
    original: Target[Name],
  ) => Target[Name] extends Method ? (...args: Parameters<Target[Name]>) => unknown : never,
): () => void {
  const own = Object.getOwnPropertyDescriptor(target, name);
  const original = (target[name] as Method).bind(target) as Target[Name];
  Object.defineProperty(target, name, { value: replacement(original), configurable: true, writable: true });
  return () => {
    delete target[name];
    if (own) Object.defineProperty(target, name, own);
  };
}

/** The arguments of every call of a method until `restore()`. */
export function spy<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
): { readonly calls: unknown[][]; restore(): void } {
  const calls: unknown[][] = [];
  const restore = intercept(target, name, (original) => {
    return ((...args: never[]) => {
      calls.push(args);
      return (original as Method)(...args);
    }) as never;
  });
  return { calls, restore };
}

/** Holds back compilation on a device until `open()`, so that lists of commands have to wait. */
export function gateCompilation(device: GPUDevice): { open(): void } {
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const restore = intercept(device, "createComputePipelineAsync", (original) => {
    return (async (descriptor: GPUComputePipelineDescriptor) => {
      const pipeline = original(descriptor);
      pipeline.catch(() => {}); // looked at once the gate is open
      await gate;
      return pipeline;
    }) as never;
  });
  return {
    open() {
      restore();
      open();
    },
  };
}

/** Lets what is already resolved, and a little of what is not, happen. */
export function moment(milliseconds = 5): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Runs `body` with a Gpu of its own (pool, stream, pipelines) on the shared device, which it does not destroy. */
export async function withGpu<T>(
  body: (gpu: Gpu) => T | Promise<T>,
  options: OpenGpuOptions = {},
): Promise<T> {
  const { device } = await sharedGpu();
  const gpu = await openGpu({ device, ...options });
  try {
    return await body(gpu);
  } finally {
    gpu.dispose();
  }
}
