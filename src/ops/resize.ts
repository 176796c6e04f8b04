/** Bilinear resize of images and its gradient, as PyTorch has it with align_corners false, no anti-aliasing. */
import resizeAxisGradWgsl from "../../shaders/resize_axis_grad.wgsl";
import resizeBilinearWgsl from "../../shaders/resize_bilinear.wgsl";
import { LimitError, ShapeError } from "../gpu/errors.js";
import { defineKernel, type Shape, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { refuseShared } from "./aliasing.js";
import { strideGrid } from "./stride_grid.js";

type Size = readonly [height: number, width: number];

const resizeKernel = defineKernel<{ size: Size }>({
  name: "resize_bilinear",
  wgsl: resizeBilinearWgsl,
  bindings: { x: "read", y: "write" },
  shape: ({ x }, { size }) => {
    checkImages("resizeBilinear", "x", x);
    checkSize("resizeBilinear", [x[x.length - 2], x[x.length - 1]], size);
    return { y: [...x.slice(0, -2), ...size] };
  },
  uniforms: ({ x, y }, { size }) => ({
    count: sizeOf(y),
    height: x[x.length - 2],
    width: x[x.length - 1],
    y_height: size[0],
    y_width: size[1],
  }),
  grid: ({ y }, limits) => strideGrid(sizeOf(y), limits),
  work: ({ y }) => 40 * sizeOf(y),
});

const axisGradKernel = defineKernel<{ shape: Shape; size: number; ySize: number; inner: number }>({
  name: "resize_axis_grad",
  wgsl: resizeAxisGradWgsl,
  bindings: { dy: "read", dx: "write" },
  shape: (_inputs, { shape }) => ({ dx: shape }),
  uniforms: (_shapes, { shape, size, ySize, inner }) => ({
    count: sizeOf(shape),
    size,
    y_size: ySize,
    inner,
  }),
  grid: (_shapes, limits, { shape }) => strideGrid(sizeOf(shape), limits),
  work: ({ dy, dx }) => 40 * (sizeOf(dy) + sizeOf(dx)),
});

/** @throws ShapeError for less than two dimensions or images without pixels */
export function checkImages(op: string, name: string, shape: Shape): void {
  if (shape.length >= 2 && shape[shape.length - 2] > 0 && shape[shape.length - 1] > 0) return;
  throw new ShapeError(
    `${op}: ${name} has shape [${shape}], and [..., height, width] of at least one pixel is taken`,
  );
}

/** @throws ShapeError for a size that is none; LimitError where the positions pass 32 bits */
function checkSize(op: string, from: Size, to: Size): void {
  if (to.length !== 2 || !to.every((size) => Number.isInteger(size) && size > 0)) {
    throw new ShapeError(`${op}: the size is [${to}], and [height, width] of at least 1 is taken`);
  }
  for (const axis of [0, 1]) {
    if (2 * (from[axis] + 1) * (to[axis] + 1) < 2 ** 32) continue;
    throw new LimitError(
      `${op}: from ${from[axis]} to ${to[axis]} pixels in one step is too far; resize in two steps`,
    );
  }
}

/**
 * Resizes images to another height and width.
 * @param x [..., height, width], such as NCHW
 * @param size [height, width] of the result
 * @returns [..., ...size]
 * @throws ShapeError for a shape without images or a size that is not whole and positive
 * @example
 * const small = resizeBilinear(images, [32, 32]);
 */
export function resizeBilinear(x: Tensor, size: Size, { out }: { readonly out?: Tensor } = {}): Tensor {
  return resizeKernel.run({ x }, { size }, { out: { y: out } }).y;
}

/**
 * dx of `resizeBilinear`: every element of dy goes back to the pixels that it was mixed of.
 * @param dy [..., height, width], the shape of the forward op's result
 * @param options `inputShape`: that of the forward op's x
 * @throws ShapeError if the shapes differ before the last two dimensions
 * @example
 * const dx = resizeBilinearGrad(dy, { inputShape: images.shape });
 */
export function resizeBilinearGrad(
  dy: Tensor,
  { inputShape, out }: { readonly inputShape: Shape; readonly out?: Tensor },
): Tensor {
  const op = "resizeBilinearGrad";
  checkImages(op, "dy", dy.shape);
  checkImages(op, "inputShape", inputShape);
  const outer = inputShape.slice(0, -2);
  if (dy.shape.slice(0, -2).join() !== outer.join() || dy.rank !== inputShape.length) {
    throw new ShapeError(
      `${op}: dy [${dy.shape}] and inputShape [${inputShape}] must be equal before height and width`,
    );
  }
  const [yHeight, yWidth] = dy.shape.slice(-2);
  const [height, width] = inputShape.slice(-2);
  checkSize(op, [height, width], [yHeight, yWidth]);
  refuseShared(op, out, { dy });
  return dy.gpu.scope(() => {
    const across = { shape: [...outer, yHeight, width], size: width, ySize: yWidth, inner: 1 };
    const rows = axisGradKernel.run({ dy }, across).dx;
    const down = { shape: inputShape, size: height, ySize: yHeight, inner: width };
    return axisGradKernel.run({ dy: rows }, down, { out: { dx: out } }).dx;
  });
}
