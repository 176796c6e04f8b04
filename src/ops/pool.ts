/** Max, average and global average pooling and their gradients; images NCHW, PyTorch's conventions. */
import avgPoolWgsl from "../../shaders/avg_pool2d.wgsl";
import avgPoolGradWgsl from "../../shaders/avg_pool2d_grad.wgsl";
import globalAvgPoolWgsl from "../../shaders/global_avg_pool2d.wgsl";
import globalAvgPoolGradWgsl from "../../shaders/global_avg_pool2d_grad.wgsl";
import maxPoolWgsl from "../../shaders/max_pool2d.wgsl";
import maxPoolGradWgsl from "../../shaders/max_pool2d_grad.wgsl";
import maxPoolGradByPlaneWgsl from "../../shaders/max_pool2d_grad_by_plane.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Shape, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import type { Constants } from "../gpu/wgsl.js";
import { type PoolGeometry, type PoolOptions, poolGeometry, windowWork } from "./pool_geometry.js";
import { checkRank, pairOf, sidesOf } from "./window.js";

export { type PoolOptions, poolOutputShape } from "./pool_geometry.js";

const WORKGROUP_SIZE = 64;
const IMAGE_AXES = "batch, channels, height, width";

interface OneOutput {
  readonly out?: Tensor;
}

export interface MaxPool2dOptions extends PoolOptions {
  readonly out?: { readonly y?: Tensor; readonly argmax?: Tensor };
}

export interface AvgPool2dOptions extends PoolOptions, OneOutput {}

export interface MaxPool2dGradOptions extends Partial<PoolOptions>, OneOutput {
  /** The shape that x had. */
  readonly inputShape: Shape;
}

export interface AvgPool2dGradOptions extends PoolOptions, OneOutput {
  /** The shape that x had. */
  readonly inputShape: Shape;
}

const maxPool = defineKernel<PoolOptions>({
  name: "max_pool2d",
  wgsl: maxPoolWgsl,
  bindings: { x: "read", y: "write", argmax: "write" },
  constants: (_shapes, options) => windowConstants(options),
  shape: ({ x }, options) => {
    const { outputShape } = poolGeometry("maxPool2d", "x", x, options);
    return { y: outputShape, argmax: outputShape };
  },
  uniforms: ({ x }, options) => {
    const { kernel_y, kernel_x, ...rest } = poolGeometry("maxPool2d", "x", x, options).uniforms;
    return rest;
  },
  grid: ({ y }, limits) => gridFor(sizeOf(y), WORKGROUP_SIZE, limits),
  work: ({ y }, options) => windowWork(y, options),
});

/** A loop costs more than it holds in windows up to so large; unrolled ones of more would take long to compile. */
const SMALL_WINDOW = 9;

function windowConstants({ kernel, padding = 0 }: PoolOptions): Constants {
  const [height, width] = pairOf("pooling", "kernel", kernel, 1);
  const isPadded = Object.values(sidesOf("pooling", padding)).some((side) => side > 0);
  const unroll = height * width <= SMALL_WINDOW;
  return { KERNEL_Y: height, KERNEL_X: width, PADDED: isPadded, UNROLL: unroll };
}

/**
 * The largest element of each window, and where it stands.
 * @param x [n, channels, height, width]
 * @returns y [n, channels, rows, columns], rows = ⌊(height + padding - kernel) / stride⌋ + 1; argmax (u32,
 * the same
 *   shape): row · width + column in the plane of x, of equals the first
 * @throws ShapeError for a window larger than the padded image, ValueError for padding that is not below the
 * kernel
 *   and other options out of range
 * @example
 * const { y, argmax } = maxPool2d(x, { kernel: 3, stride: 2, padding: 1 });
 */
export function maxPool2d(x: Tensor, options: MaxPool2dOptions): { y: Tensor; argmax: Tensor } {
  const { y, argmax } = maxPool.run({ x }, options, { out: options.out });
  return { y, argmax };
}

const maxPoolGrad = defineKernel<PoolOptions & { geometry: PoolGeometry; inputShape: Shape }>({
  name: "max_pool2d_grad",
  wgsl: maxPoolGradWgsl,
  bindings: { dy: "read", argmax: "read", dx: "write" },
  shape: ({ dy, argmax }, { inputShape, geometry }) => {
    checkGradShapes("maxPool2dGrad", dy, geometry.outputShape, inputShape);
    checkArgmax(dy, argmax);
    return { dx: inputShape };
  },
  uniforms: (_shapes, { geometry }) => geometry.uniforms,
  grid: ({ dx }, limits) => gridFor(sizeOf(dx), WORKGROUP_SIZE, limits),
  work: ({ dy }, options) => windowWork(dy, options),
});

const maxPoolGradByPlane = defineKernel<{ inputShape: Shape }>({
  name: "max_pool2d_grad_by_plane",
  wgsl: maxPoolGradByPlaneWgsl,
  bindings: { dy: "read", argmax: "read", dx: "write" },
  shape: ({ dy, argmax }, { inputShape }) => {
    checkRank("maxPool2dGrad", "inputShape", inputShape, IMAGE_AXES);
    checkRank("maxPool2dGrad", "dy", dy, IMAGE_AXES);
    checkGradShapes("maxPool2dGrad", dy, [inputShape[0], inputShape[1], dy[2], dy[3]], inputShape);
    checkArgmax(dy, argmax);
    return { dx: inputShape };
  },
  uniforms: ({ dy, dx }) => ({ planes: dx[0] * dx[1], plane: dx[2] * dx[3], outputs: dy[2] * dy[3] }),
  grid: ({ dx }, limits) => gridFor(dx[0] * dx[1], WORKGROUP_SIZE, limits),
});

/**
 * dx of `maxPool2d`: each dy goes to the element that its window took; those of overlapping windows add up,
 * in the same order in every run.
 *
 * With the forward pass's `kernel`, `stride` and `padding` all elements of dx are worked out at once; without
 * `kernel` each plane is gone through in order, which uses a GPU badly when there are few planes.
 * @param dy [n, channels, rows, columns]
 * @param argmax what `maxPool2d` gave
 * @returns a tensor of `inputShape`
 * @throws ShapeError for shapes that do not fit, ValueError for options out of range
 * @example
 * const dx = maxPool2dGrad(dy, argmax, { inputShape: x.shape, kernel: 3, stride: 2, padding: 1 });
 */
export function maxPool2dGrad(dy: Tensor, argmax: Tensor, options: MaxPool2dGradOptions): Tensor {
  const { inputShape, kernel, stride, padding, out } = options;
  if (kernel === undefined)
    return maxPoolGradByPlane.run({ dy, argmax }, { inputShape }, { out: { dx: out } }).dx;
  const window = { kernel, stride, padding };
  const geometry = poolGeometry("maxPool2dGrad", "inputShape", inputShape, window);
  return maxPoolGrad.run({ dy, argmax }, { ...window, geometry, inputShape }, { out: { dx: out } }).dx;
}

function checkGradShapes(op: string, dy: Shape, outputShape: Shape, inputShape: Shape): void {
  if (dy.join() === outputShape.join()) return;
  throw new ShapeError(
    `${op}: dy has shape [${dy}], and the result for inputShape [${inputShape}] has ` +
      `[${outputShape}]; check kernel, stride and padding`,
  );
}

function checkArgmax(dy: Shape, argmax: Shape): void {
  if (dy.join() === argmax.join()) return;
  throw new ShapeError(`maxPool2dGrad: argmax has shape [${argmax}], and that of dy, [${dy}], is taken`);
}

const avgPool = defineKernel<PoolOptions>({
  name: "avg_pool2d",
  wgsl: avgPoolWgsl,
  bindings: { x: "read", y: "write" },
  shape: ({ x }, options) => ({ y: poolGeometry("avgPool2d", "x", x, options).outputShape }),
  uniforms: ({ x }, options) => poolGeometry("avgPool2d", "x", x, options).uniforms,
  grid: ({ y }, limits) => gridFor(sizeOf(y), WORKGROUP_SIZE, limits),
  work: ({ y }, options) => windowWork(y, options),
});

/**
 * The sum of each window divided by the kernel's area; padding counts as zeros.
 * @param x [n, channels, height, width]
 * @returns [n, channels, rows, columns], rows = ⌊(height + padding - kernel) / stride⌋ + 1
 * @throws ShapeError for a window larger than the padded image, ValueError for padding that is not below the
 * kernel
 *   and other options out of range
 * @example
 * const y = avgPool2d(x, { kernel: 2 });
 */
export function avgPool2d(x: Tensor, options: AvgPool2dOptions): Tensor {
  return avgPool.run({ x }, options, { out: { y: options.out } }).y;
}

const avgPoolGrad = defineKernel<AvgPool2dGradOptions>({
  name: "avg_pool2d_grad",
  wgsl: avgPoolGradWgsl,
  bindings: { dy: "read", dx: "write" },
  shape: ({ dy }, options) => {
    const { inputShape } = options;
    const { outputShape } = poolGeometry("avgPool2dGrad", "inputShape", inputShape, options);
    checkGradShapes("avgPool2dGrad", dy, outputShape, inputShape);
    return { dx: inputShape };
  },
  uniforms: ({ dx }, options) => poolGeometry("avgPool2dGrad", "inputShape", dx, options).uniforms,
  grid: ({ dx }, limits) => gridFor(sizeOf(dx), WORKGROUP_SIZE, limits),
  work: ({ dy }, options) => windowWork(dy, options),
});

/**
 * dx of `avgPool2d`: each dy is shared out equally over its window.
 * @param dy [n, channels, rows, columns]
 * @returns a tensor of `inputShape`
 * @throws ShapeError, ValueError as `avgPool2d`
 * @example
 * const dx = avgPool2dGrad(dy, { inputShape: x.shape, kernel: 2 });
 */
export function avgPool2dGrad(dy: Tensor, options: AvgPool2dGradOptions): Tensor {
  return avgPoolGrad.run({ dy }, options, { out: { dx: options.out } }).dx;
}

const globalAvgPool = defineKernel<undefined>({
  name: "global_avg_pool2d",
  wgsl: globalAvgPoolWgsl,
  bindings: { x: "read", y: "write" },
  shape: ({ x }) => {
    checkRank("globalAvgPool2d", "x", x, IMAGE_AXES);
    if (x[2] * x[3] === 0)
      throw new ShapeError(`globalAvgPool2d: x [${x}] has planes without elements, which have no mean`);
    return { y: [x[0], x[1]] };
  },
  uniforms: ({ x }) => ({ planes: x[0] * x[1], plane: x[2] * x[3] }),
  grid: ({ y }, limits) => gridFor(sizeOf(y), WORKGROUP_SIZE, limits),
  work: ({ x }) => sizeOf(x),
});

/**
 * The mean of each plane.
 * @param x [n, channels, height, width]
 * @returns [n, channels]
 * @throws ShapeError for another rank or planes without elements
 * @example
 * const features = globalAvgPool2d(x);
 */
export function globalAvgPool2d(x: Tensor, { out }: OneOutput = {}): Tensor {
  return globalAvgPool.run({ x }, undefined, { out: { y: out } }).y;
}

const globalAvgPoolGrad = defineKernel<Shape>({
  name: "global_avg_pool2d_grad",
  wgsl: globalAvgPoolGradWgsl,
  bindings: { dy: "read", dx: "write" },
  shape: ({ dy }, inputShape) => {
    checkRank("globalAvgPool2dGrad", "inputShape", inputShape, IMAGE_AXES);
    checkGradShapes("globalAvgPool2dGrad", dy, inputShape.slice(0, 2), inputShape);
    return { dx: inputShape };
  },
  uniforms: ({ dx }) => ({ planes: dx[0] * dx[1], plane: dx[2] * dx[3] }),
  grid: ({ dx }, limits) => gridFor(sizeOf(dx), WORKGROUP_SIZE, limits),
});

/**
 * dx of `globalAvgPool2d`: dy divided by the size of a plane, in all its elements.
 * @param dy [n, channels]
 * @returns a tensor of `inputShape`
 * @throws ShapeError for shapes that do not fit
 * @example
 * const dx = globalAvgPool2dGrad(dy, { inputShape: x.shape });
 */
export function globalAvgPool2dGrad(
  dy: Tensor,
  { inputShape, out }: { readonly inputShape: Shape } & OneOutput,
): Tensor {
  return globalAvgPoolGrad.run({ dy }, inputShape, { out: { dx: out } }).dx;
}
