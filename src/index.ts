/** The core of handgrad, the same on every host. */
export * from "./gpu/errors.js";
export { Gpu, type GpuInfo, type HostAdapter, type OpenGpuOptions } from "./gpu/gpu.js";
export { defineKernel, gridFor, Kernel, type KernelRecord, sizeOf } from "./gpu/kernel.js";
export type { KernelTime, Profile } from "./gpu/profiler.js";
export { Program } from "./gpu/program.js";
export { matmul, type MatmulOptions } from "./ops/matmul.js";
export * from "./tensor.js";
