/** Depthwise convolutions: each channel of the result reads one channel of what is convolved. */
import depthwiseRowWgsl from "../../shaders/conv2d_depthwise_row.wgsl";
import depthwiseStripWgsl from "../../shaders/conv2d_depthwise_strip.wgsl";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor, type Kernel } from "../gpu/kernel.js";
import { type ConvView, type EpilogueUniforms, epilogueConstants, resultShape } from "./conv_view.js";
import { adapterTraits } from "./matmul_plan.js";

export const WORKGROUP_SIZE = 32;
/** Columns a tile of `conv2d_depthwise_row`. */
const ROW_TILE = 8;
/** Columns of a strip. Longer ones take twice as long to compile on lavapipe and are as fast. */
export const STRIP_COLUMNS = 4;
/** Kernels with more taps would be long programs and fill a GPU's registers. */
const MOST_STRIP_TAPS = 25;
/** With several outputs a group the general form reads each input once for all of them. */
const FEW_OUTPUTS = 8;
/** Invocations that keep an adapter busy; strips are cut until there are as many. */
const WANTED_INVOCATIONS = { software: 1024, hardware: 65_536 };
/** A strip reads some rows more than it has: shorter ones read them too often. */
const SHORTEST_STRIP = 4;

export interface DepthwiseCall {
  readonly view: ConvView;
  readonly work: number;
  readonly epilogue: EpilogueUniforms;
  readonly stripRows: number;
}

/** Any kernel size, stride 1 and no dilation along the columns; the taps of a row side by side. */
const depthwiseRow = defineKernel<DepthwiseCall>({
  name: "conv2d_depthwise_row",
  wgsl: depthwiseRowWgsl,
  bindings: { x: "read", w: "read", bias: "optional", y: "write" },
  constants: (_shapes, { epilogue }) => {
    return { TILE: ROW_TILE, WORKGROUP_SIZE, ...epilogueConstants(epilogue) };
  },
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
    tiles_x: Math.ceil(x.result / ROW_TILE),
    ...epilogue,
  }),
  grid: (_shapes, limits, { view: { images, groups, outputs, y, x } }) =>
    gridFor(images * groups * outputs * y.result * Math.ceil(x.result / ROW_TILE), WORKGROUP_SIZE, limits),
  work: (_shapes, { work }) => work,
});

/** Small kernels, no dilation, and strides up to the kernel's size. */
const depthwiseStrip = defineKernel<DepthwiseCall>({
  name: "conv2d_depthwise_strip",
  wgsl: depthwiseStripWgsl,
  bindings: { x: "read", w: "read", bias: "optional", y: "write" },
  constants: (_shapes, { view: { y, x }, epilogue }) => ({
    KERNEL_Y: y.kernel,
    KERNEL_X: x.kernel,
    STRIDE_Y: y.step,
    STRIDE_X: x.step,
    TILE: STRIP_COLUMNS,
    WORKGROUP_SIZE,
    ACTIVATION: epilogue.activation,
  }),
  shape: (_inputs, { view }) => ({ y: resultShape(view) }),
  uniforms: (_shapes, { view: { images, groups, outputs, y, x }, epilogue, stripRows }) => {
    // Backward the taps go the other way: from the last one, which stands first in what is read.
    const reversed = y.tapStep < 0;
    return {
      images,
      channels: groups * outputs,
      multiplier: outputs,
      height: y.source,
      width: x.source,
      rows: y.result,
      columns: x.result,
      start_y: reversed ? y.offset - (y.kernel - 1) : y.offset,
      start_x: reversed ? x.offset - (x.kernel - 1) : x.offset,
      reversed: reversed ? 1 : 0,
      strip_rows: stripRows,
      strips: Math.ceil(y.result / stripRows),
      tiles: Math.ceil(x.result / STRIP_COLUMNS),
      has_bias: epilogue.has_bias,
      slope: epilogue.slope,
    };
  },
  grid: (_shapes, limits, { view: { images, groups, outputs, y, x }, stripRows }) => {
    const strips = Math.ceil(y.result / stripRows) * Math.ceil(x.result / STRIP_COLUMNS);
    return gridFor(images * groups * outputs * strips, WORKGROUP_SIZE, limits);
  },
  work: (_shapes, { work }) => work,
});

/** Rows a strip: all of them, unless the adapter would have too little to do. */
export function stripRowsOf({ images, groups, outputs, y, x }: ConvView, gpu: Gpu): number {
  const wanted = WANTED_INVOCATIONS[adapterTraits(gpu).software ? "software" : "hardware"];
  const whole = images * groups * outputs * Math.ceil(x.result / STRIP_COLUMNS);
  const strips = Math.min(Math.ceil(wanted / Math.max(whole, 1)), Math.ceil(y.result / SHORTEST_STRIP));
  return Math.max(1, Math.ceil(y.result / strips));
}

function isDepthwise({ groups, inputs, outputs, y, x }: ConvView): boolean {
  return groups > 1 && inputs === 1 && outputs < FEW_OUTPUTS && y.phases === 1 && x.phases === 1;
}

/** Whether a convolution is depthwise with a small kernel, as those that walk strips take it. */
export function fitsStrips(view: ConvView): boolean {
  const axes = [view.y, view.x];
  return (
    isDepthwise(view) &&
    view.y.kernel * view.x.kernel <= MOST_STRIP_TAPS &&
    axes.every(({ step, kernel, dilation }) => step <= kernel && dilation === 1)
  );
}

/** The kernel for a depthwise convolution, or undefined where the general form serves. */
export function depthwiseKernel(view: ConvView): Kernel<DepthwiseCall> | undefined {
  if (fitsStrips(view)) return depthwiseStrip;
  const rows = view.y.step === 1 && view.x.step === 1 && view.x.dilation === 1;
  return isDepthwise(view) && rows ? depthwiseRow : undefined;
}
