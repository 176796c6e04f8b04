/** The core of handgrad, the same on every host. */
export * from "./gpu/errors.js";
export type { AdapterKind } from "./gpu/adapter.js";
export { Gpu, type MemoryReport } from "./gpu/gpu.js";
export {
  type BindingMode,
  defineKernel,
  type Grid,
  gridFor,
  Kernel,
  type KernelRecord,
  type RunOptions,
  type Shapes,
  sizeOf,
  type UniformValue,
  type View,
} from "./gpu/kernel.js";
export type { GpuInfo, HostAdapter, OpenGpuOptions } from "./gpu/open.js";
export type { KernelTime, Profile } from "./gpu/profiler.js";
export { Program } from "./gpu/program.js";
export {
  Tuner,
  type TunedChoice,
  type TuneOptions,
  type TuningCache,
  type TuningRow,
  type TuningStore,
} from "./gpu/tuner.js";
export * from "./ops/activation.js";
export type { ActivationOptions, FusedActivation } from "./ops/activation_names.js";
export * from "./ops/cast.js";
export { clipGradientNorm, clipGradientValue } from "./ops/clip.js";
export * from "./ops/conv.js";
export * from "./ops/conv_transpose.js";
export * from "./ops/elementwise.js";
export * from "./ops/image.js";
export * from "./ops/loss.js";
export { matmul, type MatmulOptions } from "./ops/matmul.js";
export * from "./ops/movement.js";
export * from "./ops/norm.js";
export {
  type AdamOptions,
  type AdamState,
  adam,
  adamW,
  type SgdOptions,
  sgd,
} from "./ops/optimizer.js";
export * from "./ops/pool.js";
export * from "./ops/random.js";
export * from "./ops/reduce.js";
export { advanceSchedule, type Schedule, scheduleRate } from "./ops/schedule.js";
export * from "./ops/softmax.js";
export * from "./ops/sort.js";
export * from "./ops/sparse.js";
export { chooseSparseForm, SPARSE_COSTS, type SparseCosts, sparseCosts } from "./ops/sparse_form.js";
export type { KeepOptions } from "./ops/sparse_keep.js";
export {
  type BlockSize,
  type CompressOptions,
  checkSparseMatrix,
  compressWeights,
  decompressWeights,
  maskOf,
  type SparseForm,
  type SparseMatrix,
  sparsityOf,
} from "./ops/sparse_matrix.js";
export { SparseWeights, type SparseWeightsOptions, sparseWeights } from "./ops/sparse_weights.js";
export * from "./optimizer.js";
export { philoxBits, philoxPermutation, philoxUniform } from "./random.js";
export * from "./tensor.js";
