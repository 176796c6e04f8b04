/** Transposed convolution and its gradients; images NCHW, weights IOHW, PyTorch's conventions. */
import type { Shape } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import type { Conv2dOptions, Conv2dWeightGradOptions } from "./conv.js";
import { type ConvWindowOptions, checkBias, convGeometry } from "./conv_geometry.js";
import { convolve, weightGrad } from "./conv_forms.js";
import { imageShape } from "./conv_view.js";
import { checkOut, checkTensors, type Pair } from "./window.js";

interface OutputPadding {
  /**
   * Rows and columns added at the far end of the result, of which several sizes lead to the same x: n or
   * [height, width], below the stride or the dilation; default 0.
   */
  readonly outputPadding?: Pair;
}

export interface ConvTranspose2dOptions extends Conv2dOptions, OutputPadding {}

export interface ConvTranspose2dInputGradOptions extends ConvWindowOptions, OutputPadding {
  /** The shape that x had. */
  readonly inputShape: Shape;
  readonly out?: Tensor;
}

export interface ConvTranspose2dWeightGradOptions extends Conv2dWeightGradOptions, OutputPadding {}

/**
 * The transpose of `conv2d` as a linear map, which is its input gradient: every element of x adds w, times
 * itself, to a window of the result. Padding is cut off the result.
 * @param x [n, in, height, width]
 * @param w [in, out / groups, kernel height, kernel width]
 * @returns [n, out, rows, columns], rows = (height - 1) · stride - padding + dilation · (kernel height - 1) +
 * 1 +
 *   outputPadding
 * @throws ShapeError for shapes that do not fit, a result without rows or columns, or `out` that is an input;
 *   ValueError for options out of range
 * @example
 * const y = convTranspose2d(x, w, { bias, stride: 2, padding: 1, outputPadding: 1 }); // twice the height and
 * width
 */
export function convTranspose2d(x: Tensor, w: Tensor, options: ConvTranspose2dOptions = {}): Tensor {
  const op = "convTranspose2d";
  const { bias, out } = options;
  checkTensors(op, { x, w, bias });
  const geometry = transposedGeometry(op, x.shape, w.shape, options);
  checkBias(op, bias, geometry.groups * geometry.wideChannels);
  return convolve(op, "toWide", x, w, geometry, options, out);
}

/** The shape of `convTranspose2d`'s result. @throws as `convTranspose2d` does */
export function convTranspose2dOutputShape(
  inputShape: Shape,
  weightShape: Shape,
  options: ConvWindowOptions & OutputPadding = {},
): Shape {
  return imageShape(transposedGeometry("convTranspose2d", inputShape, weightShape, options), "wide");
}

function transposedGeometry(op: string, x: Shape, w: Shape, options: ConvWindowOptions & OutputPadding) {
  const transposed = { extra: options.outputPadding ?? 0 };
  return convGeometry({ op, narrow: ["x", x], weight: ["w", w], transposed }, options);
}

/**
 * dx of `convTranspose2d`: the convolution of dy with w.
 * @param dy [n, out, rows, columns]
 * @param w [in, out / groups, kernel height, kernel width]
 * @returns a tensor of `inputShape`
 * @throws ShapeError, ValueError as `convTranspose2d`
 * @example
 * const dx = convTranspose2dInputGrad(dy, w, { inputShape: x.shape, stride: 2 });
 */
export function convTranspose2dInputGrad(
  dy: Tensor,
  w: Tensor,
  options: ConvTranspose2dInputGradOptions,
): Tensor {
  const op = "convTranspose2dInputGrad";
  checkTensors(op, { dy, w });
  const { inputShape, outputPadding, out } = options;
  const geometry = convGeometry(
    {
      op,
      wide: ["dy", dy.shape],
      narrow: ["inputShape", inputShape],
      weight: ["w", w.shape],
      transposed: { extra: outputPadding },
    },
    options,
  );
  return convolve(op, "toNarrow", dy, w, geometry, {}, out);
}

/**
 * dw of `convTranspose2d`: the weight gradient of the convolution that leads from dy to x. The bias gradient
 * is `conv2dBiasGrad`.
 * @param x [n, in, height, width]
 * @param dy [n, out, rows, columns]
 * @returns a tensor of `weightShape`
 * @throws ShapeError, ValueError as `convTranspose2d`
 * @example
 * const dw = convTranspose2dWeightGrad(x, dy, { weightShape: w.shape, stride: 2 });
 */
export function convTranspose2dWeightGrad(
  x: Tensor,
  dy: Tensor,
  options: ConvTranspose2dWeightGradOptions,
): Tensor {
  const op = "convTranspose2dWeightGrad";
  checkTensors(op, { x, dy });
  const { weightShape, outputPadding, out } = options;
  const geometry = convGeometry(
    {
      op,
      wide: ["dy", dy.shape],
      narrow: ["x", x.shape],
      weight: ["weightShape", weightShape],
      transposed: { extra: outputPadding },
    },
    options,
  );
  checkOut(op, out, weightShape, { x, dy });
  return weightGrad(dy, x, geometry, out);
}
