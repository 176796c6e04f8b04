import { type Array64, array64 } from "./array64.js";

/** The two pixels that one pixel of the resized axis mixes, and the second one's share. */
interface Mix {
  first: number;
  second: number;
  share: number;
}

/** Pixel centers are aligned (PyTorch's align_corners false): (i + ½)·from/to - ½, held within the image. */
function mixesOf(from: number, to: number): Mix[] {
  return Array.from({ length: to }, (_, i) => {
    const position = Math.max(((i + 0.5) * from) / to - 0.5, 0);
    const first = Math.min(Math.floor(position), from - 1);
    return { first, second: Math.min(first + 1, from - 1), share: position - first };
  });
}

/** Visits (pixel of x, pixel of y, weight) for every mix of a resize; both are [n, c, height, width]. */
function forEachMix(
  xShape: readonly number[],
  yShape: readonly number[],
  visit: (xAt: number, yAt: number, weight: number) => void,
): void {
  const [images, channels, height, width] = xShape;
  const [, , rows, columns] = yShape;
  const down = mixesOf(height, rows);
  const across = mixesOf(width, columns);
  for (let plane = 0; plane < images * channels; plane++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const { first: top, second: bottom, share: v } = down[row];
        const { first: left, second: right, share: u } = across[column];
        const yAt = (plane * rows + row) * columns + column;
        const xAt = (y: number, x: number) => (plane * height + y) * width + x;
        visit(xAt(top, left), yAt, (1 - v) * (1 - u));
        visit(xAt(top, right), yAt, (1 - v) * u);
        visit(xAt(bottom, left), yAt, v * (1 - u));
        visit(xAt(bottom, right), yAt, v * u);
      }
    }
  }
}

/** Bilinear resize of [n, c, h, w] to [n, c, ...size]; no anti-aliasing, as PyTorch's default. */
export function resizeBilinear(x: Array64, size: readonly [number, number]): Array64 {
  const y = array64([x.shape[0], x.shape[1], ...size]);
  forEachMix(x.shape, y.shape, (xAt, yAt, weight) => {
    y.data[yAt] += weight * x.data[xAt];
  });
  return y;
}

/** dx of `resizeBilinear`: every dy goes back to its four pixels by the same weights. */
export function resizeBilinearGrad(dy: Array64, { inputShape }: { inputShape: readonly number[] }): Array64 {
  const dx = array64(inputShape);
  forEachMix(inputShape, dy.shape, (xAt, yAt, weight) => {
    dx.data[xAt] += weight * dy.data[yAt];
  });
  return dx;
}

/** What is taken for pixels outside: the image mirrored about its edge pixel, the edge pixel, or 0. */
export type Border = "reflect" | "replicate" | "zero";

export interface BlurOptions {
  /** Standard deviation in pixels. */
  sigma: number;
  /** Odd; 2·⌈3·sigma⌉ + 1 if not given. */
  kernelSize?: number;
  border?: Border;
}

/** e^(-d²/2σ²) at whole distances from the middle, summing to 1. */
export function gaussianWeights(sigma: number, kernelSize = 2 * Math.ceil(3 * sigma) + 1): number[] {
  const radius = (kernelSize - 1) / 2;
  const weights = Array.from({ length: kernelSize }, (_, i) => Math.exp(-0.5 * ((i - radius) / sigma) ** 2));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((w) => w / sum);
}

/** The pixel taken for position i of an axis; -1 where it is a zero. */
function insideOf(i: number, length: number, border: Border): number {
  if (i >= 0 && i < length) return i;
  if (border === "zero") return -1;
  if (border === "replicate") return i < 0 ? 0 : length - 1;
  return i < 0 ? -i : 2 * (length - 1) - i;
}

/** Gaussian blur of each plane of [n, c, h, w]; the border mirrored as in torchvision if not told otherwise. */
export function gaussianBlur(x: Array64, { sigma, kernelSize, border = "reflect" }: BlurOptions): Array64 {
  const [images, channels, height, width] = x.shape;
  const weights = gaussianWeights(sigma, kernelSize);
  const radius = (weights.length - 1) / 2;
  if (border === "reflect" && radius >= Math.min(height, width)) {
    throw new Error(`gaussianBlur: a mirrored radius of ${radius} on ${height} by ${width} pixels`);
  }
  const y = array64(x.shape);
  for (let plane = 0; plane < images * channels; plane++) {
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        let sum = 0;
        for (let ky = 0; ky < weights.length; ky++) {
          for (let kx = 0; kx < weights.length; kx++) {
            const fromRow = insideOf(row + ky - radius, height, border);
            const fromColumn = insideOf(column + kx - radius, width, border);
            if (fromRow < 0 || fromColumn < 0) continue;
            sum += weights[ky] * weights[kx] * x.data[(plane * height + fromRow) * width + fromColumn];
          }
        }
        y.data[(plane * height + row) * width + column] = sum;
      }
    }
  }
  return y;
}
