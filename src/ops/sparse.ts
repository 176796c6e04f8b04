/**
 * Products with sparse weights and their gradients, whatever the form the weights are stored in. The masked form
 * takes the dense product; blocks and unstructured weights touch only what is stored. Convolutions with 1 × 1 windows
 * are the same products with the channels first; larger windows take dense weights with zeros in `conv2d`.
 */
import { ShapeError } from "../gpu/errors.js";
import { type Shape, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { activate } from "./activation.js";
import { type ActivationOptions, checkEpilogue } from "./activation_names.js";
import { refuseShared } from "./aliasing.js";
import { add, mul } from "./binary.js";
import { matmul } from "./matmul.js";
import { sum } from "./reduce.js";
import { blockProduct, blockWeightGrad } from "./sparse_blocks.js";
import type { Activations } from "./sparse_layout.js";
import { unstructuredProduct, unstructuredWeightGrad } from "./sparse_unstructured.js";
import type { SparseWeights } from "./sparse_weights.js";

export interface MaskedOptions extends ActivationOptions {
  /** [outputs] */
  readonly bias?: Tensor;
  readonly out?: Tensor;
}

type OutOption = Pick<MaskedOptions, "out">;

/**
 * y = activation(x W + bias) with sparse weights.
 * @param x [..., inputs]
 * @returns [..., outputs]
 * @throws ShapeError if x, bias or out do not fit the weights
 * @example
 * const y = maskedMatmul(x, weights, { bias, activation: "relu" });
 */
export function maskedMatmul(x: Tensor, weights: SparseWeights, options: MaskedOptions = {}): Tensor {
  const view = rowsOf("maskedMatmul", "x", x.shape, weights.inputs);
  const shape = [...x.shape.slice(0, -1), weights.outputs];
  return product("maskedMatmul", x, weights, view, shape, false, options);
}

/**
 * dx = dy Wᵀ.
 * @param dy [..., outputs], the gradient before the activation
 * @returns [..., inputs]
 * @throws ShapeError if dy or out do not fit the weights
 * @example
 * const dx = maskedMatmulInputGrad(dy, weights);
 */
export function maskedMatmulInputGrad(dy: Tensor, weights: SparseWeights, { out }: OutOption = {}): Tensor {
  const view = rowsOf("maskedMatmulInputGrad", "dy", dy.shape, weights.outputs);
  const shape = [...dy.shape.slice(0, -1), weights.inputs];
  return product("maskedMatmulInputGrad", dy, weights, view, shape, true, { out });
}

/**
 * The gradient of the kept weights, xᵀ dy at their places and 0 elsewhere.
 * @param x [..., inputs]
 * @param dy [..., outputs]
 * @returns the shape of `weights.values`
 * @throws ShapeError if x, dy or out do not fit the weights or each other
 * @example
 * adam(weights.values, maskedMatmulWeightGrad(x, dy, weights), state);
 */
export function maskedMatmulWeightGrad(
  x: Tensor,
  dy: Tensor,
  weights: SparseWeights,
  { out }: OutOption = {},
): Tensor {
  const op = "maskedMatmulWeightGrad";
  const view = rowsOf(op, "x", x.shape, weights.inputs);
  checkSame(op, view, rowsOf(op, "dy", dy.shape, weights.outputs));
  return weightGrad(op, x, dy, weights, view, out);
}

/**
 * A convolution with 1 × 1 windows and sparse weights: y[n] = activation(Wᵀ x[n] + bias) at every pixel.
 * Weights [outputs, inputs, 1, 1] are to be transposed to [inputs][outputs] before `sparseWeights`.
 * @param x [images, inputs, ...], height and width for instance
 * @returns [images, outputs, ...]
 * @throws ShapeError if x, bias or out do not fit the weights
 * @example
 * const y = maskedConv1x1(x, weights, { activation: "relu" });
 */
export function maskedConv1x1(x: Tensor, weights: SparseWeights, options: MaskedOptions = {}): Tensor {
  const view = imagesOf("maskedConv1x1", "x", x.shape, weights.inputs);
  const shape = [x.shape[0], weights.outputs, ...x.shape.slice(2)];
  return product("maskedConv1x1", x, weights, view, shape, false, options);
}

/**
 * dx[n] = W dy[n] at every pixel.
 * @param dy [images, outputs, ...], the gradient before the activation
 * @returns [images, inputs, ...]
 * @throws ShapeError if dy or out do not fit the weights
 */
export function maskedConv1x1InputGrad(dy: Tensor, weights: SparseWeights, { out }: OutOption = {}): Tensor {
  const view = imagesOf("maskedConv1x1InputGrad", "dy", dy.shape, weights.outputs);
  const shape = [dy.shape[0], weights.inputs, ...dy.shape.slice(2)];
  return product("maskedConv1x1InputGrad", dy, weights, view, shape, true, { out });
}

/**
 * The gradient of the kept weights, summed over images and pixels.
 * @param x [images, inputs, ...]
 * @param dy [images, outputs, ...]
 * @returns the shape of `weights.values`
 * @throws ShapeError if x, dy or out do not fit the weights or each other
 */
export function maskedConv1x1WeightGrad(
  x: Tensor,
  dy: Tensor,
  weights: SparseWeights,
  { out }: OutOption = {},
): Tensor {
  const op = "maskedConv1x1WeightGrad";
  const view = imagesOf(op, "x", x.shape, weights.inputs);
  checkSame(op, view, imagesOf(op, "dy", dy.shape, weights.outputs));
  return weightGrad(op, x, dy, weights, view, out);
}

function product(
  op: string,
  x: Tensor,
  weights: SparseWeights,
  view: Activations,
  shape: Shape,
  transpose: boolean,
  options: MaskedOptions,
): Tensor {
  const { bias, out } = options;
  checkEpilogue(op, options);
  if (bias && (bias.rank !== 1 || bias.size !== weights.outputs))
    throw new ShapeError(`${op}: bias has shape [${bias.shape}], and [${weights.outputs}] is taken`);
  checkOut(op, out, shape);
  refuseShared(op, out, { [transpose ? "dy" : "x"]: x, values: weights.values, ...(bias ? { bias } : {}) });
  const call = { ...options, transpose, shape };
  return x.gpu.scope(() => {
    if (weights.blocks) return blockProduct(x, weights.values, weights.blocks, view, call);
    if (weights.lists) return unstructuredProduct(x, weights.values, weights.lists, view, call);
    return denseProduct(x, weights, view, call);
  });
}

interface DenseCall extends MaskedOptions {
  readonly transpose: boolean;
  readonly shape: Shape;
}

/** The masked form: the weights hold zeros where the mask is. */
function denseProduct(x: Tensor, { values }: SparseWeights, view: Activations, call: DenseCall): Tensor {
  const { transpose, shape, bias, activation, slope, out } = call;
  if (!view.channelsFirst) return matmul(x, values, { transposeB: transpose, bias, activation, slope, out });
  const { images, plane } = view;
  const channels = transpose ? values.shape : [...values.shape].reverse();
  const flat = x.reshape([images, channels[1], plane]);
  const target = out?.reshape([images, channels[0], plane]);
  const y = matmul(values, flat, { transposeA: !transpose, out: target });
  if (bias) add(y, bias.reshape([channels[0], 1]), { out: y });
  if (activation) activate(y, activation, { slope, out: y });
  return out ?? y.reshape(shape);
}

function weightGrad(
  op: string,
  x: Tensor,
  dy: Tensor,
  weights: SparseWeights,
  view: Activations,
  out: Tensor | undefined,
): Tensor {
  const { values, mask, blocks, lists } = weights;
  checkOut(op, out, values.shape);
  refuseShared(op, out, { x, dy, ...(mask ? { mask } : {}) });
  return x.gpu.scope(() => {
    if (blocks) return blockWeightGrad(x, dy, blocks, view, { mask, shape: values.shape, out });
    if (lists) return unstructuredWeightGrad(x, dy, lists, view, out);
    const whole = denseWeightGrad(x, dy, view, out);
    return mul(whole, mask as Tensor, { out: whole });
  });
}

function denseWeightGrad(
  x: Tensor,
  dy: Tensor,
  { channelsFirst, images, plane }: Activations,
  out?: Tensor,
): Tensor {
  if (!channelsFirst) {
    const [rows, columns] = [x.reshape([plane, x.size / plane]), dy.reshape([plane, dy.size / plane])];
    return matmul(rows, columns, { transposeA: true, out });
  }
  const flat = (t: Tensor): Tensor => t.reshape([images, t.size / (images * plane), plane]);
  return sum(matmul(flat(x), flat(dy), { transposeB: true }), { axes: [0], out });
}

function rowsOf(op: string, name: string, shape: Shape, channels: number): Activations {
  if (shape.length < 2 || shape[shape.length - 1] !== channels) {
    throw new ShapeError(
      `${op}: ${name} has shape [${shape}], and [..., ${channels}] is taken by these weights`,
    );
  }
  return { channelsFirst: false, images: 1, plane: sizeOf(shape) / channels };
}

function imagesOf(op: string, name: string, shape: Shape, channels: number): Activations {
  if (shape.length < 3 || shape[1] !== channels) {
    throw new ShapeError(
      `${op}: ${name} has shape [${shape}], and [images, ${channels}, height, width] is taken by these weights`,
    );
  }
  return { channelsFirst: true, images: shape[0], plane: sizeOf(shape.slice(2)) };
}

function checkSame(op: string, x: Activations, dy: Activations): void {
  if (x.images === dy.images && x.plane === dy.plane) return;
  throw new ShapeError(
    `${op}: x has ${x.images * x.plane} rows or pixels in ${x.images} images, and dy ${dy.images * dy.plane} in ` +
      `${dy.images}; give the two of one forward pass`,
  );
}

function checkOut(op: string, out: Tensor | undefined, shape: Shape): void {
  if (!out || `${out.shape}` === `${shape}`) return;
  throw new ShapeError(`${op}: out has shape [${out.shape}], and the result has [${shape}]`);
}
