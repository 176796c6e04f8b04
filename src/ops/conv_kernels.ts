/** The kernels behind convolutions in both directions; the public ops are in `conv.ts` and `conv_transpose.ts`. */
import registerTileWgsl from "../../shaders/conv2d_register_tile.wgsl";
import { ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor, type Shape } from "../gpu/kernel.js";
import type { Constants } from "../gpu/wgsl.js";
import type { Tensor } from "../tensor.js";
import { ACTIVATION_CODE, type ActivationOptions, DEFAULT_SLOPE } from "./activation_names.js";
import type { ConvAxis, ConvGeometry } from "./conv_geometry.js";

/** Positions a tile, and channels where there are enough of them. */
export const TILE = 8;
export const WORKGROUP_SIZE = 32;

/** From the wide image to the narrow one (`conv2d`) or back (its input gradient, `convTranspose2d`). */
export type Direction = "toNarrow" | "toWide";

interface ConvCall {
  readonly geometry: ConvGeometry;
  readonly direction: Direction;
  readonly constants: Constants;
  readonly hasBias: boolean;
  /** 0, or the code of one that is not given by its slope alone. */
  readonly activation: number;
  /** For negative sums: 1 leaves them, 0 is ReLU. */
  readonly slope: number;
}

const registerTile = defineKernel<ConvCall>({
  name: "conv2d_register_tile",
  wgsl: registerTileWgsl,
  bindings: { x: "read", w: "read", bias: "optional", y: "write" },
  constants: (_shapes, { constants }) => constants,
  shape: (_inputs, { geometry, direction }) => ({
    y: imageShape(geometry, direction === "toNarrow" ? "narrow" : "wide"),
  }),
  uniforms: (_shapes, { geometry, direction, constants, hasBias, activation, slope }) => {
    const { images, groups, wideChannels, narrowChannels, y, x } = geometry;
    const [along, across] = [walk(y, direction), walk(x, direction)];
    const taps = y.kernel * x.kernel;
    const [inputs, outputs] =
      direction === "toNarrow" ? [wideChannels, narrowChannels] : [narrowChannels, wideChannels];
    const [source, result] =
      direction === "toNarrow" ? (["wide", "narrow"] as const) : (["narrow", "wide"] as const);
    return {
      images,
      groups,
      inputs,
      outputs,
      height: y[source],
      width: x[source],
      rows: y[result],
      columns: x[result],
      kernel_height: y.kernel,
      kernel_width: x.kernel,
      w_input: direction === "toNarrow" ? taps : wideChannels * taps,
      w_output: direction === "toNarrow" ? wideChannels * taps : taps,
      step_y: along.step,
      step_x: across.step,
      tap_step_y: along.tapStep,
      tap_step_x: across.tapStep,
      skip_y: along.skip,
      skip_x: across.skip,
      offset_y: along.offset,
      offset_x: across.offset,
      dilation_y: y.dilation,
      dilation_x: x.dilation,
      phases_y: along.phases,
      phases_x: across.phases,
      tiles_o: Math.ceil(outputs / (constants.TILE_O as number)),
      has_bias: hasBias ? 1 : 0,
      activation,
      slope,
    };
  },
  grid: (_shapes, limits, { geometry, direction, constants }) => {
    const { images, groups, wideChannels, narrowChannels, y, x } = geometry;
    const toNarrow = direction === "toNarrow";
    const phases = toNarrow ? 1 : y.stride * x.stride;
    const rows = toNarrow ? y.narrow : Math.ceil(y.wide / y.stride);
    const columns = toNarrow ? x.narrow : Math.ceil(x.wide / x.stride);
    const channelTiles = Math.ceil((toNarrow ? narrowChannels : wideChannels) / (constants.TILE_O as number));
    const positionTiles = Math.ceil((images * rows * columns) / (TILE * WORKGROUP_SIZE));
    return gridFor(channelTiles * phases * groups * positionTiles, 1, limits);
  },
  work: (_shapes, { geometry }) => convWork(geometry),
});

/** How a direction walks one axis; the fields are those of the kernel's uniforms. */
function walk({ stride, padding, dilation }: ConvAxis, direction: Direction) {
  if (direction === "toNarrow")
    return { step: stride, tapStep: dilation, skip: 1, offset: -padding, phases: 1 };
  const skip = stride / greatestCommonDivisor(stride, dilation);
  return { step: 1, tapStep: (-skip * dilation) / stride, skip, offset: padding, phases: stride };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
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
 * A tile of channels: few of them (one in depthwise convolutions) get a tile of their own size. SwiftShader pays most
 * for loads, so that a large tile is worth its longer text; lavapipe would compile it for seconds, and GPUs run out
 * of registers.
 */
export function channelTile(channels: number, gpu: Gpu): number {
  if (channels <= 4) return channels <= 1 ? 1 : 4;
  return channels > TILE && gpu.info.architecture === "swiftshader" ? 2 * TILE : TILE;
}

export interface Epilogue extends ActivationOptions {
  /** One number a channel of the result. */
  readonly bias?: Tensor;
}

/** One dispatch in either direction. @throws ValueError for an unknown activation */
export function convolve(
  op: string,
  direction: Direction,
  source: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  { bias, activation, slope = DEFAULT_SLOPE }: Epilogue = {},
  out?: Tensor,
): Tensor {
  if (activation && !(activation in ACTIVATION_CODE)) {
    const known = Object.keys(ACTIVATION_CODE).join(", ");
    throw new ValueError(`${op}: activation is "${activation}", and one of ${known} is taken`);
  }
  const channels = direction === "toNarrow" ? geometry.narrowChannels : geometry.wideChannels;
  // Identity, ReLU and leaky ReLU differ by their slope alone.
  const bySlope = activation !== "tanh" && activation !== "sigmoid";
  const call = {
    geometry,
    direction,
    constants: { TILE_O: channelTile(channels, source.gpu), TILE_P: TILE, WORKGROUP_SIZE },
    hasBias: bias !== undefined,
    activation: bySlope ? 0 : ACTIVATION_CODE[activation],
    slope: activation === "leakyRelu" ? slope : activation === "relu" ? 0 : 1,
  };
  return registerTile.run({ x: source, w, bias }, call, { out: { y: out } }).y;
}
