/**
 * What a layer is to methods that treat linear and other layers differently, and a linear layer's weights.
 */
import { ValueError } from "../gpu/errors.js";
import type { BatchNorm, BatchNormRecord } from "../layers/batch_norm.js";
import type { Conv2dRecord } from "../layers/conv2d.js";
import type { ConvTranspose2dRecord } from "../layers/conv_transpose2d.js";
import type { DenseRecord } from "../layers/dense.js";
import type { Layer } from "../layers/layer.js";
import { conv2d, conv2dInputGrad } from "../ops/conv.js";
import { convTranspose2d, convTranspose2dInputGrad } from "../ops/conv_transpose.js";
import { add, div, mul, sqrt, sub } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import type { Shape, Tensor } from "../tensor.js";

type LinearRecord = DenseRecord | Conv2dRecord | ConvTranspose2dRecord;

/**
 * A linear layer's weights in the layout of its op, pruned ones as 0, and the record that says how they are
 * used.
 */
export interface LinearWeights {
  readonly record: LinearRecord;
  readonly weight: Tensor;
  readonly bias?: Tensor;
}

/**
 * A layer of one's own that is linear, such as one with masked weights. `Dense`, `Conv2d` and
 * `ConvTranspose2d` need no such method: their record is `config`, their weights are `parameters.weight` and
 * `parameters.bias`, and any layer with a `config` of those kinds is read in the same way. Others give
 * `linearWeights()`, which may record ops.
 */
export interface LinearLayer extends Layer {
  linearWeights(): LinearWeights;
}

export type Role = "linear" | "activation" | "maxPool" | "avgPool" | "norm" | "reshape";

const ROLES: Readonly<Record<string, Role>> = {
  dense: "linear",
  conv2d: "linear",
  convTranspose2d: "linear",
  activation: "activation",
  maxPool2d: "maxPool",
  avgPool2d: "avgPool",
  globalAvgPool2d: "avgPool",
  batchNorm: "norm",
  flatten: "reshape",
  dropout: "reshape",
};

/** What a layer is. @throws ValueError for a kind that is not known and has no `linearWeights` */
export function roleOf(method: string, layer: Layer): Role {
  if ("linearWeights" in layer) return "linear";
  const { kind } = layer.config;
  if (Object.hasOwn(ROLES, kind)) return ROLES[kind];
  throw new ValueError(
    `${method}: layer kind "${kind}" is not known; give it linearWeights() if it is linear, ` +
      `or take a method of plain gradients`,
  );
}

/** The weights of a layer whose role is linear. */
export function linearWeights(layer: Layer): LinearWeights {
  if ("linearWeights" in layer) return (layer as LinearLayer).linearWeights();
  const { weight, bias } = layer.parameters;
  return { record: layer.config as LinearRecord, weight, bias };
}

/** y = x W + b by other weights than the layer's own. */
export function applyLinear({ record, weight, bias }: LinearWeights, x: Tensor): Tensor {
  switch (record.kind) {
    case "dense":
      return matmul(x, weight, { bias });
    case "conv2d":
      return conv2d(x, weight, { ...windowOf(record), bias });
    case "convTranspose2d":
      return convTranspose2d(x, weight, { ...windowOf(record), outputPadding: record.outputPadding, bias });
  }
}

/** dy Wᵀ */
export function applyTransposed({ record, weight }: LinearWeights, dy: Tensor, inputShape: Shape): Tensor {
  switch (record.kind) {
    case "dense":
      return matmul(dy, weight, { transposeB: true });
    case "conv2d":
      return conv2dInputGrad(dy, weight, { ...windowOf(record), inputShape });
    case "convTranspose2d": {
      const { outputPadding } = record;
      return convTranspose2dInputGrad(dy, weight, { ...windowOf(record), outputPadding, inputShape });
    }
  }
}

function windowOf({ stride, padding, dilation, groups }: Conv2dRecord | ConvTranspose2dRecord) {
  return { stride, padding, dilation, groups };
}

/** A linear layer and the batch norm behind it, in evaluation mode, as one: W γ / σ, (b - μ) γ / σ + β. */
export function withNorm({ record, weight, bias }: LinearWeights, norm: Layer): LinearWeights {
  const { parameters, buffers, config } = norm as BatchNorm;
  const { eps = 1e-5 } = config as BatchNormRecord;
  const scale = div(parameters.weight, sqrt(add(buffers.runningVar, eps)));
  const centered = bias ? sub(bias, buffers.runningMean) : mul(buffers.runningMean, -1);
  return {
    record,
    weight: mul(
      weight.reshape(split(record, weight.shape)),
      scale.reshape(outputs(record, weight.shape)),
    ).reshape(weight.shape),
    bias: add(mul(centered, scale), parameters.bias),
  };
}

/** The weight's shape with the groups of a transposed convolution apart. */
function split(record: LinearRecord, shape: Shape): Shape {
  if (record.kind !== "convTranspose2d") return shape;
  const { groups = 1 } = record;
  return [groups, shape[0] / groups, ...shape.slice(1)];
}

/** The shape in which one number an output channel broadcasts over the weights. */
function outputs(record: LinearRecord, shape: Shape): Shape {
  if (record.kind === "dense") return [1, shape[1]];
  if (record.kind === "conv2d") return [shape[0], 1, 1, 1];
  return [record.groups ?? 1, 1, shape[1], 1, 1];
}
