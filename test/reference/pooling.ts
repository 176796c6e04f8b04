import { type Array64, array64 } from "./array64.js";
import { type Padding, type Pair, pairOf, sidesOf, windowCount } from "./window.js";

export interface PoolOptions {
  kernelSize: Pair;
  /** The kernel size if not given. */
  stride?: Pair;
  padding?: Padding;
}

/**
 * Visits every window of an image batch [n, c, h, w]: the offset of its output, and the offsets into x of
 * the elements it covers in row-major order (those that fall on the padding are left out).
 */
function forEachWindow(
  xShape: readonly number[],
  { kernelSize, stride = kernelSize, padding = 0 }: PoolOptions,
  visit: (output: number, covered: number[]) => void,
): [rows: number, columns: number] {
  const [images, channels, height, width] = xShape;
  const [kernelHeight, kernelWidth] = pairOf(kernelSize);
  const [strideY, strideX] = pairOf(stride);
  const { top, left, bottom, right } = sidesOf(padding);
  const rows = windowCount(height, kernelHeight, strideY, top, bottom);
  const columns = windowCount(width, kernelWidth, strideX, left, right);
  let output = 0;
  for (let plane = 0; plane < images * channels; plane++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const covered: number[] = [];
        for (let ky = 0; ky < kernelHeight; ky++) {
          for (let kx = 0; kx < kernelWidth; kx++) {
            const y = row * strideY - top + ky;
            const x = column * strideX - left + kx;
            if (y < 0 || y >= height || x < 0 || x >= width) continue;
            covered.push((plane * height + y) * width + x);
          }
        }
        visit(output++, covered);
      }
    }
  }
  return [rows, columns];
}

/**
 * Largest element of each window; padding counts as -infinity. `argmax` is where it stands in its plane,
 * row · width + column, the first of equals.
 */
export function maxPool2d(x: Array64, options: PoolOptions): { y: Array64; argmax: Array64 } {
  const values: number[] = [];
  const places: number[] = [];
  const [images, channels, height, width] = x.shape;
  const [rows, columns] = forEachWindow(x.shape, options, (_, covered) => {
    let best = covered[0];
    for (const offset of covered) if (x.data[offset] > x.data[best]) best = offset;
    values.push(x.data[best]);
    places.push(best % (height * width));
  });
  const shape = [images, channels, rows, columns];
  return { y: array64(shape, values), argmax: array64(shape, places) };
}

/** dx: each dy goes to the element that its window took; overlapping windows add up. */
export function maxPool2dGrad(
  dy: Array64,
  argmax: Array64,
  { inputShape }: { inputShape: readonly number[] },
): Array64 {
  const dx = array64(inputShape);
  const [, , height, width] = inputShape;
  const [, , rows, columns] = dy.shape;
  for (let i = 0; i < dy.data.length; i++) {
    const plane = Math.floor(i / (rows * columns));
    dx.data[plane * height * width + argmax.data[i]] += dy.data[i];
  }
  return dx;
}

/** Sum of each window divided by the full kernel area: padding counts as zeros. */
export function averagePool2d(x: Array64, options: PoolOptions): Array64 {
  const [kernelHeight, kernelWidth] = pairOf(options.kernelSize);
  const means: number[] = [];
  const [rows, columns] = forEachWindow(x.shape, options, (_, covered) => {
    let sum = 0;
    for (const offset of covered) sum += x.data[offset];
    means.push(sum / (kernelHeight * kernelWidth));
  });
  return array64([x.shape[0], x.shape[1], rows, columns], means);
}

/** dx: each dy is shared out equally over its window. */
export function averagePool2dGrad(
  dy: Array64,
  options: PoolOptions & { inputShape: readonly number[] },
): Array64 {
  const [kernelHeight, kernelWidth] = pairOf(options.kernelSize);
  const dx = array64(options.inputShape);
  forEachWindow(options.inputShape, options, (output, covered) => {
    for (const offset of covered) dx.data[offset] += dy.data[output] / (kernelHeight * kernelWidth);
  });
  return dx;
}

/** The mean of each plane: [n, c, h, w] → [n, c]. */
export function globalAveragePool2d(x: Array64): Array64 {
  const [images, channels, height, width] = x.shape;
  const y = array64([images, channels]);
  for (let i = 0; i < x.data.length; i++) {
    y.data[Math.floor(i / (height * width))] += x.data[i] / (height * width);
  }
  return y;
}

/** dx of `globalAveragePool2d`; dy is [n, c]. */
export function globalAveragePool2dGrad(
  dy: Array64,
  { inputShape }: { inputShape: readonly number[] },
): Array64 {
  const [, , height, width] = inputShape;
  const dx = array64(inputShape);
  for (let i = 0; i < dx.data.length; i++) {
    dx.data[i] = dy.data[Math.floor(i / (height * width))] / (height * width);
  }
  return dx;
}
