/** Convolution and its gradients; images NCHW, weights OIHW, PyTorch's conventions. */
import type { Shape } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import type { ActivationOptions } from "./activation_names.js";
import { type ConvWindowOptions, checkBias, convGeometry } from "./conv_geometry.js";
import { convolve, weightGrad } from "./conv_forms.js";
import { imageShape } from "./conv_view.js";
import { biasGrad } from "./conv_weight_grad.js";
import { checkOut, checkRank, checkTensors } from "./window.js";

export type { ConvWindowOptions } from "./conv_geometry.js";
export type { Padding, Pair } from "./window.js";

export interface Conv2dOptions extends ConvWindowOptions, ActivationOptions {
  /** [out], added to each channel before the activation. */
  readonly bias?: Tensor;
  readonly out?: Tensor;
}

export interface Conv2dInputGradOptions extends ConvWindowOptions {
  /** The shape that x had: a stride loses it. */
  readonly inputShape: Shape;
  readonly out?: Tensor;
}

export interface Conv2dWeightGradOptions extends ConvWindowOptions {
  /** The shape that w had. */
  readonly weightShape: Shape;
  readonly out?: Tensor;
}

/**
 * y[n, o, Y, X] = activation(bias[o] + Σ_c Σ_i Σ_j w[o, c, i, j] · x[n, c, Y · stride + i · dilation -
 * padding, …]): cross-correlation, as everywhere in deep learning.
 * @param x [n, in, height, width]
 * @param w [out, in / groups, kernel height, kernel width]
 * @returns [n, out, rows, columns], rows = ⌊(height + padding - dilation · (kernel height - 1) - 1) / stride⌋
 * + 1
 * @throws ShapeError for shapes that do not fit, a kernel larger than the padded image, or `out` that is an
 * input;
 *   ValueError for options out of range
 * @example
 * const y = conv2d(x, w, { bias, stride: 2, padding: 1, activation: "relu" });
 */
export function conv2d(x: Tensor, w: Tensor, options: Conv2dOptions = {}): Tensor {
  const op = "conv2d";
  const { bias, out } = options;
  checkTensors(op, { x, w, bias });
  const geometry = convGeometry({ op, wide: ["x", x.shape], weight: ["w", w.shape] }, options);
  checkBias(op, bias, w.shape[0]);
  return convolve(op, "toNarrow", x, w, geometry, options, out);
}

/** The shape of `conv2d`'s result. @throws as `conv2d` does */
export function conv2dOutputShape(
  inputShape: Shape,
  weightShape: Shape,
  options: ConvWindowOptions = {},
): Shape {
  const shapes = { op: "conv2d", wide: ["x", inputShape], weight: ["w", weightShape] } as const;
  return imageShape(convGeometry(shapes, options), "narrow");
}

/**
 * dx of `conv2d`: dx[n, c, H, W] = Σ w[o, c, i, j] · dy[n, o, Y, X] over all o, i, j, Y, X that the forward
 * pass joined to it.
 * @param dy [n, out, rows, columns]
 * @param w [out, in / groups, kernel height, kernel width]
 * @returns a tensor of `inputShape`
 * @throws ShapeError, ValueError as `conv2d`
 * @example
 * const dx = conv2dInputGrad(dy, w, { inputShape: x.shape, padding: 1 });
 */
export function conv2dInputGrad(dy: Tensor, w: Tensor, options: Conv2dInputGradOptions): Tensor {
  const op = "conv2dInputGrad";
  checkTensors(op, { dy, w });
  const { inputShape, out } = options;
  const geometry = convGeometry(
    { op, wide: ["inputShape", inputShape], narrow: ["dy", dy.shape], weight: ["w", w.shape] },
    options,
  );
  return convolve(op, "toWide", dy, w, geometry, {}, out);
}

/**
 * dw of `conv2d`: dw[o, c, i, j] = Σ_n Σ_Y Σ_X dy[n, o, Y, X] · x[n, c, Y · stride + i · dilation - padding,
 * …]. Long sums are made in parts whose number depends on the shapes alone, so every run gives the same bits.
 * @param x [n, in, height, width]
 * @param dy [n, out, rows, columns]
 * @returns a tensor of `weightShape`
 * @throws ShapeError, ValueError as `conv2d`
 * @example
 * const dw = conv2dWeightGrad(x, dy, { weightShape: w.shape, padding: 1 });
 */
export function conv2dWeightGrad(x: Tensor, dy: Tensor, options: Conv2dWeightGradOptions): Tensor {
  const op = "conv2dWeightGrad";
  checkTensors(op, { x, dy });
  const { weightShape, out } = options;
  const geometry = convGeometry(
    { op, wide: ["x", x.shape], narrow: ["dy", dy.shape], weight: ["weightShape", weightShape] },
    options,
  );
  checkOut(op, out, weightShape, { x, dy });
  return weightGrad(x, dy, geometry, out);
}

/**
 * dbias of `conv2d` and `convTranspose2d`: dy summed over images and positions.
 * @param dy [n, out, rows, columns]
 * @returns [out]
 * @throws ShapeError if dy has another rank
 * @example
 * const dbias = conv2dBiasGrad(dy);
 */
export function conv2dBiasGrad(dy: Tensor, { out }: { readonly out?: Tensor } = {}): Tensor {
  const op = "conv2dBiasGrad";
  checkTensors(op, { dy });
  checkRank(op, "dy", dy.shape, "batch, channels, height, width");
  checkOut(op, out, [dy.shape[1]], { dy });
  return biasGrad(dy, out);
}
