/**
 * The shapes of a convolution, checked once for all its forms. A convolution joins a wide image batch [n, C,
 * height, width] and a narrow one [n, O, rows, columns] through weights [O, C / groups, kernel height, kernel
 * width]: element (row, column) of the narrow one and (row · stride - padding + tap · dilation, …) of the
 * wide one. `conv2d` reads the wide image and writes the narrow one; `convTranspose2d` and the input gradient
 * do the reverse.
 */
import { ShapeError } from "../gpu/errors.js";
import type { Shape } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { checkRank, countOf, type Padding, type Pair, pairOf, sidesOf } from "./window.js";

export interface ConvWindowOptions {
  /** Step of the window: n or [height, width]; default 1. */
  readonly stride?: Pair;
  /** Zeros around the wide image: n, [height, width] or [top, left, bottom, right]; default 0. */
  readonly padding?: Padding;
  /** Distance between the taps of the kernel: n or [height, width]; default 1. */
  readonly dilation?: Pair;
  /** Parts into which the channels are divided, each with weights of its own; default 1. */
  readonly groups?: number;
}

/** One axis of a convolution. */
export interface ConvAxis {
  /** Length of the wide image. */
  readonly wide: number;
  /** Length of the narrow image. */
  readonly narrow: number;
  readonly kernel: number;
  readonly stride: number;
  /** Padding at the near end. */
  readonly padding: number;
  readonly dilation: number;
}

export interface ConvGeometry {
  readonly images: number;
  readonly groups: number;
  /** Channels a group of the wide and the narrow image. */
  readonly wideChannels: number;
  readonly narrowChannels: number;
  readonly y: ConvAxis;
  readonly x: ConvAxis;
}

/** The shapes of one call under its arguments' names; one of the two images may be what it makes. */
export interface ConvShapes {
  readonly op: string;
  readonly wide?: readonly [name: string, shape: Shape];
  readonly narrow?: readonly [name: string, shape: Shape];
  readonly weight: readonly [name: string, shape: Shape];
  /** The op is a form of `convTranspose2d`; `extra` is its outputPadding, undefined if left open. */
  readonly transposed?: { readonly extra?: Pair };
}

/**
 * @throws ShapeError for shapes that do not fit together, ValueError for options out of range
 */
export function convGeometry(shapes: ConvShapes, options: ConvWindowOptions): ConvGeometry {
  const { op, wide, narrow, weight, transposed } = shapes;
  const [strideY, strideX] = pairOf(op, "stride", options.stride ?? 1, 1);
  const [dilationY, dilationX] = pairOf(op, "dilation", options.dilation ?? 1, 1);
  const groups = countOf(op, "groups", options.groups ?? 1);
  const { top, left, bottom, right } = sidesOf(op, options.padding ?? 0);
  const [extraY, extraX] =
    transposed?.extra === undefined ? [] : pairOf(op, "outputPadding", transposed.extra, 0);
  const form = transposed
    ? "in, out / groups, kernel height, kernel width"
    : "out, in / groups, kernel height, kernel width";
  if (wide) checkRank(op, ...wide, "batch, channels, height, width");
  if (narrow) checkRank(op, ...narrow, "batch, channels, height, width");
  checkRank(op, ...weight, form);
  const [narrowTotal, wideChannels, kernelY, kernelX] = weight[1];
  if (!(kernelY >= 1 && kernelX >= 1))
    throw new ShapeError(`${op}: ${weight[0]} [${weight[1]}] has a kernel without elements`);
  if (narrowTotal % groups !== 0) {
    throw new ShapeError(
      `${op}: ${weight[0]} [${weight[1]}] has ${narrowTotal} filters, which ` +
        `groups = ${groups} does not divide`,
    );
  }
  checkChannels(op, wide, wideChannels * groups, `groups × dimension 1 of ${weight[0]} [${weight[1]}]`);
  checkChannels(op, narrow, narrowTotal, `dimension 0 of ${weight[0]} [${weight[1]}]`);
  const images = (wide ?? narrow)?.[1][0] ?? 0;
  if (wide && narrow && wide[1][0] !== narrow[1][0]) {
    throw new ShapeError(
      `${op}: ${wide[0]} [${wide[1]}] and ${narrow[0]} [${narrow[1]}] must have the same batch size`,
    );
  }
  const axis = (
    index: 2 | 3,
    kernel: number,
    stride: number,
    near: number,
    far: number,
    dilation: number,
    extra?: number,
  ) => {
    const window = { kernel, stride, near, far, dilation, extra };
    return { ...lengths(shapes, index, window), kernel, stride, padding: near, dilation };
  };
  return {
    images,
    groups,
    wideChannels,
    narrowChannels: narrowTotal / groups,
    y: axis(2, kernelY, strideY, top, bottom, dilationY, extraY),
    x: axis(3, kernelX, strideX, left, right, dilationX, extraX),
  };
}

function checkChannels(op: string, image: ConvShapes["wide"], channels: number, source: string): void {
  if (!image || image[1][1] === channels) return;
  throw new ShapeError(
    `${op}: ${image[0]} [${image[1]}] has ${image[1][1]} channels, and ${channels} (${source}) are taken`,
  );
}

interface AxisWindow {
  readonly kernel: number;
  readonly stride: number;
  readonly near: number;
  readonly far: number;
  readonly dilation: number;
  readonly extra?: number;
}

/** The lengths of both images along an axis; what is not given is computed, what is given is checked. */
function lengths(shapes: ConvShapes, index: 2 | 3, window: AxisWindow): { wide: number; narrow: number } {
  const { op, transposed, weight } = shapes;
  const { kernel, stride, near, far, dilation, extra } = window;
  const what = index === 2 ? "height" : "width";
  const span = dilation * (kernel - 1) + 1;
  const most = transposed ? Math.max(stride, dilation) : stride;
  if (extra !== undefined && extra >= most) {
    throw new ShapeError(
      `${op}: outputPadding ${extra} of the ${what} must be below stride ${stride} or dilation ${dilation}`,
    );
  }
  const wide = shapes.wide?.[1][index];
  const narrow = shapes.narrow?.[1][index];
  if (wide === undefined) {
    const length = ((narrow ?? 0) - 1) * stride - near - far + span + (extra ?? 0);
    if (length >= 1 && narrow) return { wide: length, narrow };
    throw new ShapeError(
      `${op}: the result would have ${what} ${length}, for ${shapes.narrow?.[0]} [${shapes.narrow?.[1]}], ` +
        `a kernel of ${span} with dilation and padding ${near} + ${far}; take less padding`,
    );
  }
  const [name, shape] = shapes.wide as NonNullable<ConvShapes["wide"]>;
  if (wide + near + far < span) {
    throw new ShapeError(
      `${op}: ${name} [${shape}] has ${what} ${wide}, with padding ${wide + near + far}, which is less than ` +
        `the ${span} of a kernel of ${kernel} with dilation ${dilation}; take more padding or a smaller kernel`,
    );
  }
  const computed = Math.floor((wide + near + far - span) / stride) + 1;
  if (narrow === undefined) return { wide, narrow: computed };
  const rest = wide + near + far - span - (narrow - 1) * stride;
  const fits = extra === undefined ? rest >= 0 && rest < most : rest === extra;
  if (fits && narrow >= 1) return { wide, narrow };
  const [narrowName, narrowShape] = shapes.narrow as NonNullable<ConvShapes["narrow"]>;
  const form = transposed ? "transposed convolution" : "convolution";
  const paddings = extra === undefined ? "padding" : "padding, outputPadding";
  throw new ShapeError(
    `${op}: ${name} [${shape}] and ${narrowName} [${narrowShape}] do not belong to one ${form} with ` +
      `${weight[0]} [${weight[1]}]: ${what} ${wide} goes with ${computed}, not ${narrow}; ` +
      `check stride, ${paddings} and dilation`,
  );
}

/** @throws ShapeError */
export function checkBias(op: string, bias: Tensor | undefined, channels: number): void {
  if (!bias || (bias.rank === 1 && bias.shape[0] === channels)) return;
  throw new ShapeError(
    `${op}: bias has shape [${bias.shape}], and [${channels}], a number a channel of the result, is taken`,
  );
}

/** The uniforms by which kernels walk the windows of the wide image. */
export const windowUniforms = ({ images, y, x }: ConvGeometry) => ({
  images,
  height: y.wide,
  width: x.wide,
  rows: y.narrow,
  columns: x.narrow,
  kernel_height: y.kernel,
  kernel_width: x.kernel,
  stride_y: y.stride,
  stride_x: x.stride,
  dilation_y: y.dilation,
  dilation_x: x.dilation,
  padding_y: y.padding,
  padding_x: x.padding,
});
