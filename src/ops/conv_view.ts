/** A convolution in one direction as its kernels see it: from the result, whichever image that is. */
import type { Shape } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { activationCode, type ActivationOptions, DEFAULT_SLOPE } from "./activation_names.js";
import type { ConvAxis, ConvGeometry } from "./conv_geometry.js";

/** From the wide image to the narrow one (`conv2d`) or back (its input gradient, `convTranspose2d`). */
export type Direction = "toNarrow" | "toWide";

/** A convolution in either direction as seen from its result; the fields go to the kernels' uniforms. */
export interface ConvView {
  readonly images: number;
  readonly groups: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly y: AxisView;
  readonly x: AxisView;
}

export interface AxisView {
  /** Lengths of what is read and of the result. */
  readonly source: number;
  readonly result: number;
  readonly kernel: number;
  readonly dilation: number;
  /** See `conv2d_register_tile.wgsl`. */
  readonly step: number;
  readonly tapStep: number;
  readonly skip: number;
  readonly offset: number;
  readonly phases: number;
}

/** The view of a convolution in one direction. */
export function viewOf(
  { images, groups, wideChannels, narrowChannels, y, x }: ConvGeometry,
  direction: Direction,
): ConvView {
  const [inputs, outputs] =
    direction === "toNarrow" ? [wideChannels, narrowChannels] : [narrowChannels, wideChannels];
  return { images, groups, inputs, outputs, y: axisView(y, direction), x: axisView(x, direction) };
}

function axisView(
  { wide, narrow, kernel, stride, padding, dilation }: ConvAxis,
  direction: Direction,
): AxisView {
  if (direction === "toNarrow") {
    const walk = { step: stride, tapStep: dilation, skip: 1, offset: -padding, phases: 1 };
    return { source: wide, result: narrow, kernel, dilation, ...walk };
  }
  const skip = stride / greatestCommonDivisor(stride, dilation);
  const walk = { step: 1, tapStep: (-skip * dilation) / stride, skip, offset: padding, phases: stride };
  return { source: narrow, result: wide, kernel, dilation, ...walk };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

export const resultShape = ({ images, groups, outputs, y, x }: ConvView) => [
  images,
  groups * outputs,
  y.result,
  x.result,
];

/** The uniforms by which `conv2d_register_tile.wgsl` and its like walk what a result is made of. */
export function viewUniforms({ images, groups, inputs, outputs, y, x }: ConvView) {
  const taps = y.kernel * x.kernel;
  // Weights are [narrow, wide a group, taps]: forward the outputs come first, backward the inputs.
  const forward = y.tapStep > 0;
  return {
    images,
    groups,
    inputs,
    outputs,
    height: y.source,
    width: x.source,
    rows: y.result,
    columns: x.result,
    kernel_height: y.kernel,
    kernel_width: x.kernel,
    w_input: forward ? taps : outputs * taps,
    w_output: forward ? inputs * taps : taps,
    step_y: y.step,
    step_x: x.step,
    tap_step_y: y.tapStep,
    tap_step_x: x.tapStep,
    skip_y: y.skip,
    skip_x: x.skip,
    offset_y: y.offset,
    offset_x: x.offset,
    dilation_y: y.dilation,
    dilation_x: x.dilation,
    phases_y: y.phases,
    phases_x: x.phases,
  };
}

/** Positions of the largest phase, in all images. */
export function phasePositions({ images, y, x }: ConvView): number {
  return images * Math.ceil(y.result / y.phases) * Math.ceil(x.result / x.phases);
}

/** The shape of one of the two images of a convolution. */
export function imageShape(
  { images, groups, wideChannels, narrowChannels, y, x }: ConvGeometry,
  side: "wide" | "narrow",
): Shape {
  return [images, groups * (side === "wide" ? wideChannels : narrowChannels), y[side], x[side]];
}

/** Floating-point operations of a convolution, the same in every form. */
export function convWork({ images, groups, wideChannels, narrowChannels, y, x }: ConvGeometry): number {
  return 2 * images * groups * wideChannels * narrowChannels * y.narrow * x.narrow * y.kernel * x.kernel;
}

/** What follows the sum. */
export interface Epilogue extends ActivationOptions {
  /** One number a channel of the result. */
  readonly bias?: Tensor;
}

export type EpilogueUniforms = Readonly<Record<"has_bias" | "activation" | "slope", number>>;

/** Identity, ReLU and leaky ReLU differ by their slope alone: 1, 0 and their own, with `activation` 0. */
export function epilogueUniforms({ bias, activation, slope = DEFAULT_SLOPE }: Epilogue): EpilogueUniforms {
  const bySlope = activation !== "tanh" && activation !== "sigmoid";
  return {
    has_bias: bias ? 1 : 0,
    activation: bySlope ? 0 : activationCode(activation),
    slope: activation === "leakyRelu" ? slope : activation === "relu" ? 0 : 1,
  };
}

/** A constant of the kernels that take these uniforms: what a bend at 0 needs is a third of what all of them need. */
export const epilogueConstants = ({ activation }: EpilogueUniforms) => ({ CURVED: activation !== 0 });

/** How a weight gradient, a long sum, may be cut into parts. */
export interface PartLimits {
  readonly wantedInvocations: number;
  /** Positions that an invocation adds up. */
  readonly leastPositions: number;
  readonly mostPositions: number;
  readonly mostParts: number;
}

export function weightShape({ groups, wideChannels, narrowChannels, y, x }: ConvGeometry): Shape {
  return [groups * narrowChannels, wideChannels, y.kernel, x.kernel];
}

/** The shape of a weight gradient in parts; a single one is the gradient itself. */
export function partsShape(geometry: ConvGeometry, parts: number): Shape {
  const weight = weightShape(geometry);
  return parts === 1 ? weight : [parts, ...weight];
}
