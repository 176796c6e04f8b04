import { type ActivationName, type ActivationOptions, activate } from "./activations.js";
import { type Array64, array64 } from "./array64.js";
import { type Padding, type Pair, pairOf, sidesOf, windowCount } from "./window.js";

export interface WindowOptions {
  stride?: Pair;
  padding?: Padding;
  dilation?: Pair;
  groups?: number;
}

export interface Conv2dOptions extends WindowOptions, ActivationOptions {
  /** One number an output channel. */
  bias?: Array64;
  activation?: ActivationName;
}

export interface ConvTranspose2dOptions extends Conv2dOptions {
  outputPadding?: Pair;
}

/**
 * A convolution is a list of connections (input element, weight, output element), and the forward pass and
 * both gradients each walk it once. This visits every connection between a wide image
 * [n, wideChannels, height, width] and a narrow one [n, narrowChannels, rows, columns] through the weights
 * [narrowChannels, wideChannels / groups, kernelHeight, kernelWidth], as row-major offsets into the three.
 * A convolution reads the wide image and writes the narrow one; a transposed convolution is the reverse.
 */
function forEachConnection(
  wideShape: readonly number[],
  weightShape: readonly number[],
  narrowShape: readonly number[],
  { stride = 1, padding = 0, dilation = 1, groups = 1 }: WindowOptions,
  visit: (wide: number, weight: number, narrow: number) => void,
): void {
  const [images, wideChannels, height, width] = wideShape;
  const [narrowChannels, channelsAGroup, kernelHeight, kernelWidth] = weightShape;
  const [, , rows, columns] = narrowShape;
  const [strideY, strideX] = pairOf(stride);
  const [dilationY, dilationX] = pairOf(dilation);
  const { top, left } = sidesOf(padding);
  if (wideChannels !== channelsAGroup * groups || narrowChannels % groups !== 0) {
    throw new Error(`convolution: ${groups} groups, ${wideChannels} channels, weights [${weightShape}]`);
  }
  for (let n = 0; n < images; n++) {
    for (let o = 0; o < narrowChannels; o++) {
      const group = Math.floor(o / (narrowChannels / groups));
      for (let i = 0; i < channelsAGroup; i++) {
        const c = group * channelsAGroup + i;
        for (let row = 0; row < rows; row++) {
          for (let column = 0; column < columns; column++) {
            for (let ky = 0; ky < kernelHeight; ky++) {
              for (let kx = 0; kx < kernelWidth; kx++) {
                const y = row * strideY - top + ky * dilationY;
                const x = column * strideX - left + kx * dilationX;
                if (y < 0 || y >= height || x < 0 || x >= width) continue;
                visit(
                  ((n * wideChannels + c) * height + y) * width + x,
                  ((o * channelsAGroup + i) * kernelHeight + ky) * kernelWidth + kx,
                  ((n * narrowChannels + o) * rows + row) * columns + column,
                );
              }
            }
          }
        }
      }
    }
  }
}

function addBiasAndActivate(y: Array64, options: Conv2dOptions): Array64 {
  const { bias, activation } = options;
  const [, channels, height, width] = y.shape;
  if (bias) {
    for (let i = 0; i < y.data.length; i++) {
      y.data[i] += bias.data[Math.floor(i / (height * width)) % channels];
    }
  }
  return activation ? activate(y, activation, options) : y;
}

/** x [n, i, h, w], w [o, i / groups, kh, kw] → y [n, o, rows, columns]. */
export function conv2d(x: Array64, w: Array64, options: Conv2dOptions = {}): Array64 {
  const [strideY, strideX] = pairOf(options.stride ?? 1);
  const [dilationY, dilationX] = pairOf(options.dilation ?? 1);
  const { top, left, bottom, right } = sidesOf(options.padding ?? 0);
  const rows = windowCount(x.shape[2], w.shape[2], strideY, top, bottom, dilationY);
  const columns = windowCount(x.shape[3], w.shape[3], strideX, left, right, dilationX);
  const y = array64([x.shape[0], w.shape[0], rows, columns]);
  forEachConnection(x.shape, w.shape, y.shape, options, (xAt, wAt, yAt) => {
    y.data[yAt] += x.data[xAt] * w.data[wAt];
  });
  return addBiasAndActivate(y, options);
}

/** dx, in the shape that x had (the stride loses it). */
export function conv2dInputGrad(
  dy: Array64,
  w: Array64,
  options: WindowOptions & { inputShape: readonly number[] },
): Array64 {
  const dx = array64(options.inputShape);
  forEachConnection(dx.shape, w.shape, dy.shape, options, (xAt, wAt, yAt) => {
    dx.data[xAt] += dy.data[yAt] * w.data[wAt];
  });
  return dx;
}

/** dw, in the shape that w had. */
export function conv2dWeightGrad(
  x: Array64,
  dy: Array64,
  options: WindowOptions & { weightShape: readonly number[] },
): Array64 {
  const dw = array64(options.weightShape);
  forEachConnection(x.shape, dw.shape, dy.shape, options, (xAt, wAt, yAt) => {
    dw.data[wAt] += x.data[xAt] * dy.data[yAt];
  });
  return dw;
}

/** dbias [o]: dy [n, o, h, w] summed over images and positions. */
export function conv2dBiasGrad(dy: Array64): Array64 {
  const [, channels, height, width] = dy.shape;
  const dbias = array64([channels]);
  for (let i = 0; i < dy.data.length; i++) {
    dbias.data[Math.floor(i / (height * width)) % channels] += dy.data[i];
  }
  return dbias;
}

/** x [n, i, h, w], w [i, o / groups, kh, kw] → y [n, o, (h - 1)·stride - padding + dilation·(kh - 1) + 1 + outputPadding, …]. */
export function convTranspose2d(x: Array64, w: Array64, options: ConvTranspose2dOptions = {}): Array64 {
  const [strideY, strideX] = pairOf(options.stride ?? 1);
  const [dilationY, dilationX] = pairOf(options.dilation ?? 1);
  const [extraY, extraX] = pairOf(options.outputPadding ?? 0);
  const { top, left, bottom, right } = sidesOf(options.padding ?? 0);
  const [images, , h, width] = x.shape;
  const [, outputsAGroup, kernelHeight, kernelWidth] = w.shape;
  const y = array64([
    images,
    outputsAGroup * (options.groups ?? 1),
    (h - 1) * strideY - top - bottom + dilationY * (kernelHeight - 1) + 1 + extraY,
    (width - 1) * strideX - left - right + dilationX * (kernelWidth - 1) + 1 + extraX,
  ]);
  forEachConnection(y.shape, w.shape, x.shape, options, (yAt, wAt, xAt) => {
    y.data[yAt] += x.data[xAt] * w.data[wAt];
  });
  return addBiasAndActivate(y, options);
}

/** dx, in the shape that x had. */
export function convTranspose2dInputGrad(
  dy: Array64,
  w: Array64,
  options: WindowOptions & { inputShape: readonly number[] },
): Array64 {
  const dx = array64(options.inputShape);
  forEachConnection(dy.shape, w.shape, dx.shape, options, (yAt, wAt, xAt) => {
    dx.data[xAt] += dy.data[yAt] * w.data[wAt];
  });
  return dx;
}

/** dw, in the shape that w had. The bias gradient is `conv2dBiasGrad`. */
export function convTranspose2dWeightGrad(
  x: Array64,
  dy: Array64,
  options: WindowOptions & { weightShape: readonly number[] },
): Array64 {
  const dw = array64(options.weightShape);
  forEachConnection(dy.shape, dw.shape, x.shape, options, (yAt, wAt, xAt) => {
    dw.data[wAt] += x.data[xAt] * dy.data[yAt];
  });
  return dw;
}
