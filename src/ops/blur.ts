/** Gaussian blur of images and its gradient: weighted sums down, then across. */
import blurAxisWgsl from "../../shaders/blur_axis.wgsl";
import foldBorderWgsl from "../../shaders/fold_border.wgsl";
import gaussianWeightsWgsl from "../../shaders/gaussian_weights.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Shape, sizeOf } from "../gpu/kernel.js";
import { empty, type Tensor } from "../tensor.js";
import { refuseShared } from "./aliasing.js";
import { checkImages } from "./resize.js";
import { strideGrid } from "./stride_grid.js";

/** For pixels outside: zeros, the image mirrored about its edge pixels, or the edge pixels repeated. */
const BORDERS = { zero: 0, reflect: 1, replicate: 2 } as const;

export type Border = keyof typeof BORDERS;

export interface GaussianBlurOptions {
  /** Standard deviation in pixels, above 0. */
  readonly sigma: number;
  /** Pixels on each side that are taken in; default ⌈3 sigma⌉. */
  readonly radius?: number;
  /** Default "reflect", as torchvision has it; it takes a radius smaller than height and width. */
  readonly border?: Border;
  readonly out?: Tensor;
}

interface Blur {
  readonly sigma: number;
  readonly radius: number;
  readonly border: Border;
}

/** One axis of a tensor: [outer, size, inner]. */
interface Axis {
  readonly outer: number;
  readonly size: number;
  readonly inner: number;
}

interface BlurAxis extends Axis {
  readonly ySize: number;
  readonly lead: number;
  readonly border: Border;
  readonly shape: Shape;
}

const weightsKernel = defineKernel<Blur>({
  name: "gaussian_weights",
  wgsl: gaussianWeightsWgsl,
  bindings: { weights: "write" },
  shape: (_inputs, { radius }) => ({ weights: [2 * radius + 1] }),
  uniforms: (_shapes, { sigma, radius }) => ({ sigma, radius }),
  grid: ({ weights }, limits) => gridFor(weights[0], 64, limits),
});

const blurKernel = defineKernel<BlurAxis>({
  name: "blur_axis",
  wgsl: blurAxisWgsl,
  bindings: { x: "read", weights: "read", y: "write" },
  shape: (_inputs, { shape }) => ({ y: shape }),
  uniforms: ({ weights }, { outer, size, ySize, inner, lead, border }) => ({
    outer,
    size,
    y_size: ySize,
    inner,
    lead,
    taps: weights[0],
    border: BORDERS[border],
  }),
  grid: (_shapes, limits, { outer, ySize, inner }) =>
    gridFor(outer * Math.ceil(ySize / 4) * inner, 64, limits),
  work: ({ y, weights }) => 3 * sizeOf(y) * weights[0],
});

const foldKernel = defineKernel<Axis & { radius: number; border: Border; shape: Shape }>({
  name: "fold_border",
  wgsl: foldBorderWgsl,
  bindings: { dy: "read", dx: "write" },
  shape: (_inputs, { shape }) => ({ dx: shape }),
  uniforms: (_shapes, { shape, size, inner, radius, border }) => ({
    count: sizeOf(shape),
    size,
    inner,
    radius,
    border: BORDERS[border],
  }),
  grid: (_shapes, limits, { shape }) => strideGrid(sizeOf(shape), limits),
});

/** @throws ShapeError, ValueError */
function blurOf(op: string, name: string, shape: Shape, options: GaussianBlurOptions): Blur {
  const { sigma, radius = Math.ceil(3 * sigma), border = "reflect" } = options;
  checkImages(op, name, shape);
  if (!(Math.fround(sigma) > 2 ** -60 && Number.isFinite(Math.fround(sigma)))) {
    throw new ValueError(`${op}: sigma is ${sigma}, and a finite number above 0 is taken`);
  }
  if (!(Number.isInteger(radius) && radius >= 0 && radius < 2 ** 24)) {
    throw new ValueError(`${op}: radius is ${radius}, and a whole number of at least 0 is taken`);
  }
  if (!(border in BORDERS)) {
    throw new ValueError(
      `${op}: border is "${border}", and one of ${Object.keys(BORDERS).join(", ")} is taken`,
    );
  }
  if (border === "reflect" && radius >= Math.min(...shape.slice(-2))) {
    throw new ShapeError(
      `${op}: a border mirrored over a radius of ${radius} takes images larger than that, and ${name} has ` +
        `shape [${shape}]; take a smaller radius, or border "replicate"`,
    );
  }
  return { sigma, radius, border };
}

/** Height and width of [..., height, width] as axes. */
function axesOf(shape: Shape): [down: Axis, across: Axis] {
  const [height, width] = shape.slice(-2);
  const planes = sizeOf(shape.slice(0, -2));
  return [
    { outer: planes, size: height, inner: width },
    { outer: planes * height, size: width, inner: 1 },
  ];
}

/**
 * Blurs images with Gaussian weights e^(-d² / 2 sigma²) at the distances d up to `radius`, which add up to 1.
 * @param x [..., height, width], such as NCHW
 * @returns the shape of x
 * @throws ValueError for an option out of range; ShapeError for a shape without images, or too small to be
 *   mirrored
 * @example
 * const soft = gaussianBlur(images, { sigma: 1.5 });
 */
export function gaussianBlur(x: Tensor, options: GaussianBlurOptions): Tensor {
  const blur = blurOf("gaussianBlur", "x", x.shape, options);
  const { radius: lead, border } = blur;
  refuseShared("gaussianBlur", options.out, { x });
  return x.gpu.scope(() => {
    const weights = weightsOf(x, blur);
    const [down, across] = axesOf(x.shape).map((axis) => ({
      ...axis,
      ySize: axis.size,
      lead,
      border,
      shape: x.shape,
    }));
    const { y: columns } = blurKernel.run({ x, weights }, down);
    return blurKernel.run({ x: columns, weights }, across, { out: { y: options.out } }).y;
  });
}

/**
 * dx of `gaussianBlur`. The weights are even, so it is a blur itself, but for the border, which is folded
 * back.
 * @param dy the shape of x
 * @param options the forward op's
 * @throws as `gaussianBlur`
 * @example
 * const dx = gaussianBlurGrad(dy, { sigma: 1.5 });
 */
export function gaussianBlurGrad(dy: Tensor, options: GaussianBlurOptions): Tensor {
  const blur = blurOf("gaussianBlurGrad", "dy", dy.shape, options);
  refuseShared("gaussianBlurGrad", options.out, { dy });
  return dy.gpu.scope(() => {
    const weights = weightsOf(dy, blur);
    const [down, across] = axesOf(dy.shape);
    const columns = axisGrad(dy, weights, down, blur);
    return axisGrad(columns, weights, across, blur, options.out);
  });
}

function weightsOf({ gpu }: Tensor, blur: Blur): Tensor {
  const weights = empty(gpu, [2 * blur.radius + 1]);
  return weightsKernel.run({}, blur, { out: { weights } }).weights;
}

function axisGrad(dy: Tensor, weights: Tensor, axis: Axis, { radius, border }: Blur, out?: Tensor): Tensor {
  const { shape } = dy;
  const zeroBorder = { ...axis, border: "zero" as const };
  if (border === "zero") {
    const call = { ...zeroBorder, ySize: axis.size, lead: radius, shape };
    return blurKernel.run({ x: dy, weights }, call, { out: { y: out } }).y;
  }
  const ySize = axis.size + 2 * radius;
  const wide = [axis.outer, ySize, axis.inner];
  const { y } = blurKernel.run({ x: dy, weights }, { ...zeroBorder, ySize, lead: 2 * radius, shape: wide });
  return foldKernel.run({ dy: y }, { ...axis, radius, border, shape }, { out: { dx: out } }).dx;
}
