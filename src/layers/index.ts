/** Layers and networks of them. */
export { Activation, activation, type ActivationRecord } from "./activation.js";
export { BatchNorm, batchNorm, type BatchNormRecord } from "./batch_norm.js";
export { type AnyLayerRecord, type Architecture, buildModel } from "./build.js";
export { Conv2d, conv2d, type Conv2dRecord } from "./conv2d.js";
export { ConvTranspose2d, convTranspose2d, type ConvTranspose2dRecord } from "./conv_transpose2d.js";
export { Dense, dense, type DenseRecord } from "./dense.js";
export { Dropout, dropout, type DropoutRecord } from "./dropout.js";
export { predictClasses } from "./evaluate.js";
export { EnsembleDense, type EnsembleDenseRecord, stackModels } from "./ensemble_dense.js";
export { Flatten, flatten, type FlattenRecord } from "./flatten.js";
export type { Initializer } from "./initializers.js";
export type {
  Backward,
  BackwardOptions,
  Forward,
  ForwardOptions,
  Layer,
  LayerRecord,
  Saved,
  Tensors,
} from "./layer.js";
export { MaskedConv2d, MaskedDense } from "./masked.js";
export { loadModel, type LoadedModel, saveModel } from "./model_file.js";
export {
  avgPool2d,
  GlobalAvgPool2d,
  type GlobalAvgPoolRecord,
  globalAvgPool2d,
  maxPool2d,
  Pool2d,
  type PoolRecord,
} from "./pooling.js";
export {
  Residual,
  residual,
  type ResidualRecord,
  Sequential,
  type SequentialRecord,
} from "./sequential.js";
