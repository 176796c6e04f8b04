/** How pooling windows lie over an image. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import { type Shape, sizeOf } from "../gpu/kernel.js";
import { checkRank, type Padding, type Pair, pairOf, sidesOf } from "./window.js";

export interface PoolOptions {
  /** Size of the window: n or [height, width]. */
  readonly kernel: Pair;
  /** Step of the window: n or [height, width]; default the kernel's size. */
  readonly stride?: Pair;
  /** n, [height, width] or [top, left, bottom, right], each below the kernel's size; default 0. */
  readonly padding?: Padding;
}

export interface PoolGeometry {
  readonly outputShape: Shape;
  /** For the uniforms of all window kernels. */
  readonly uniforms: Readonly<Record<string, number>>;
}

/** @throws ShapeError for a window larger than the padded image, ValueError for options out of range */
export function poolGeometry(op: string, name: string, input: Shape, options: PoolOptions): PoolGeometry {
  checkRank(op, name, input, "batch, channels, height, width");
  const kernel = pairOf(op, "kernel", options.kernel, 1);
  const stride = pairOf(op, "stride", options.stride ?? kernel, 1);
  const { top, left, bottom, right } = sidesOf(op, options.padding ?? 0);
  const [batch, channels, height, width] = input;
  const rows = windowCount(op, name, input, "height", height, kernel[0], stride[0], [top, bottom]);
  const columns = windowCount(op, name, input, "width", width, kernel[1], stride[1], [left, right]);
  return {
    outputShape: [batch, channels, rows, columns],
    uniforms: {
      planes: batch * channels,
      height,
      width,
      rows,
      columns,
      kernel_y: kernel[0],
      kernel_x: kernel[1],
      stride_y: stride[0],
      stride_x: stride[1],
      padding_y: top,
      padding_x: left,
    },
  };
}

function windowCount(
  op: string,
  name: string,
  input: Shape,
  what: string,
  length: number,
  kernel: number,
  stride: number,
  [near, far]: readonly [number, number],
): number {
  if (near >= kernel || far >= kernel) {
    throw new ValueError(
      `${op}: padding ${near} + ${far} of the ${what} must be below the kernel's ${kernel} on both sides, ` +
        `or windows would hold nothing but padding; take less padding`,
    );
  }
  const padded = length + near + far;
  if (length >= 1 && padded >= kernel) return Math.floor((padded - kernel) / stride) + 1;
  throw new ShapeError(
    `${op}: ${name} [${input}] has ${what} ${length}, with padding ${padded}, and a kernel of ` +
      `${kernel} takes at least ${Math.max(kernel, near + far + 1)}; take a smaller kernel or larger images`,
  );
}

/** The shape of the result of `maxPool2d` and `avgPool2d`. @throws as they do */
export function poolOutputShape(inputShape: Shape, options: PoolOptions): Shape {
  return poolGeometry("pooling", "x", inputShape, options).outputShape;
}

/** Estimated operations: two for each element of each window. */
export function windowWork(output: Shape, { kernel }: PoolOptions): number {
  const [height, width] = pairOf("pooling", "kernel", kernel, 1);
  return 2 * sizeOf(output) * height * width;
}
