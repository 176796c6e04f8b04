/** The kernels behind convolutions in both directions. */
import depthwiseRowWgsl from "../../shaders/conv2d_depthwise_row.wgsl";
import registerTileWgsl from "../../shaders/conv2d_register_tile.wgsl";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor, type Shape } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { ACTIVATION_CODE, type ActivationOptions, DEFAULT_SLOPE } from "./activation_names.js";
import type { ConvAxis, ConvGeometry } from "./conv_geometry.js";

/** Positions a tile, and channels where there are enough of them. */
export const TILE = 8;
export const WORKGROUP_SIZE = 32;

/** From the wide image to the narrow one (`conv2d`) or back (its input gradient, `convTranspose2d`). */
export type Direction = "toNarrow" | "toWide";

interface ConvCall {
  readonly view: ConvView;
  readonly work: number;
  readonly tileO: number;
  readonly epilogue: Readonly<Record<"has_bias" | "activation" | "slope", number>>;
}

/** A convolution in either direction as seen from its result; the fields go to the kernels' uniforms. */
interface ConvView {
  readonly images: number;
  readonly groups: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly y: AxisView;
  readonly x: AxisView;
}

interface AxisView {
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

function viewOf(
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

const resultShape = ({ images, groups, outputs, y, x }: ConvView) => [
  images,
  groups * outputs,
  y.result,
  x.result,
];

/** The general form: any kernel, stride, dilation and groups. */
const registerTile = defineKernel<ConvCall>({
  name: "conv2d_register_tile",
  wgsl: registerTileWgsl,
  bindings: { x: "read", w: "read", bias: "optional", y: "write" },
  constants: (_shapes, { tileO }) => ({ TILE_O: tileO, TILE_P: TILE, WORKGROUP_SIZE }),
  shape: (_inputs, { view }) => ({ y: resultShape(view) }),
  uniforms: (_shapes, { view, tileO, epilogue }) => {
    const { images, groups, inputs, outputs, y, x } = view;
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
      tiles_o: Math.ceil(outputs / tileO),
      ...epilogue,
    };
  },
  grid: (_shapes, limits, { view, tileO }) => {
    const { images, groups, outputs, y, x } = view;
    const positions = images * Math.ceil(y.result / y.phases) * Math.ceil(x.result / x.phases);
    const tiles = Math.ceil(outputs / tileO) * Math.ceil(positions / (TILE * WORKGROUP_SIZE));
    return gridFor(tiles * y.phases * x.phases * groups, 1, limits);
  },
  work: (_shapes, { work }) => work,
});

/** Depthwise with stride 1, the taps of a row side by side. */
const depthwiseRow = defineKernel<ConvCall>({
  name: "conv2d_depthwise_row",
  wgsl: depthwiseRowWgsl,
  bindings: { x: "read", w: "read", bias: "optional", y: "write" },
  constants: { TILE, WORKGROUP_SIZE },
  shape: (_inputs, { view }) => ({ y: resultShape(view) }),
  uniforms: (_shapes, { view: { images, groups, outputs, y, x }, epilogue }) => ({
    images,
    channels: groups * outputs,
    multiplier: outputs,
    height: y.source,
    width: x.source,
    rows: y.result,
    columns: x.result,
    kernel_height: y.kernel,
    kernel_width: x.kernel,
    start_y: y.offset,
    tap_step_y: y.tapStep,
    start_x: x.tapStep > 0 ? x.offset : x.offset - (x.kernel - 1),
    reversed: x.tapStep > 0 ? 0 : 1,
    tiles_x: Math.ceil(x.result / TILE),
    ...epilogue,
  }),
  grid: (_shapes, limits, { view: { images, groups, outputs, y, x } }) =>
    gridFor(images * groups * outputs * y.result * Math.ceil(x.result / TILE), WORKGROUP_SIZE, limits),
  work: (_shapes, { work }) => work,
});

function isDepthwiseRow({ groups, inputs, outputs, y, x }: ConvView): boolean {
  const unitStride = y.step === 1 && y.phases === 1 && x.step === 1 && x.phases === 1;
  // With several outputs a group the general form reads each input once for all of them.
  return groups > 1 && inputs === 1 && outputs < TILE && unitStride && x.dilation === 1;
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

/**
 * A tile of channels: few of them (one in depthwise convolutions) get a tile of their own size. SwiftShader
 * pays most for loads, so that a large tile is worth its longer text; lavapipe would compile it for seconds,
 * and GPUs run out of registers.
 */
export function channelTile(channels: number, gpu: Gpu): number {
  if (channels <= 4) return channels <= 1 ? 1 : 4;
  return channels > TILE && gpu.info.architecture === "swiftshader" ? 2 * TILE : TILE;
}

export interface Epilogue extends ActivationOptions {
  /** One number a channel of the result. */
  readonly bias?: Tensor;
}

/** One dispatch in either direction, for any geometry. */
export function convolveDirectly(
  direction: Direction,
  source: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  { bias, activation, slope = DEFAULT_SLOPE }: Epilogue = {},
  out?: Tensor,
): Tensor {
  const view = viewOf(geometry, direction);
  // Identity, ReLU and leaky ReLU differ by their slope alone.
  const bySlope = activation !== "tanh" && activation !== "sigmoid";
  const epilogue = {
    has_bias: bias ? 1 : 0,
    activation: bySlope ? 0 : ACTIVATION_CODE[activation],
    slope: activation === "leakyRelu" ? slope : activation === "relu" ? 0 : 1,
  };
  const call = { view, work: convWork(geometry), tileO: channelTile(view.outputs, source.gpu), epilogue };
  const kernel = isDepthwiseRow(view) ? depthwiseRow : registerTile;
  return kernel.run({ x: source, w, bias }, call, { out: { y: out } }).y;
}
