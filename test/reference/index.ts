/**
 * Every op once more, in float64 and in plain loops: what the kernels are held against. Names and options
 * follow the ops.
 */
export * from "./activations.js";
export * from "./array64.js";
export * from "./batch_norm.js";
export * from "./convolution.js";
export * from "./elementwise.js";
export * from "./image.js";
export * from "./losses.js";
export * from "./matmul.js";
export * from "./optimizers.js";
export * from "./pooling.js";
export * from "./reductions.js";
export * from "./schedules.js";
export * from "./shaping.js";
export * from "./sorting.js";
