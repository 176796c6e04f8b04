/** The kernels behind convolutions in both directions. */
import registerTileWgsl from "../../shaders/conv2d_register_tile.wgsl";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { depthwiseKernel, stripRowsOf } from "./conv_depthwise.js";
import type { ConvGeometry } from "./conv_geometry.js";
import {
  type ConvView,
  convWork,
  type Direction,
  type Epilogue,
  type EpilogueUniforms,
  epilogueConstants,
  epilogueUniforms,
  phasePositions,
  resultShape,
  viewOf,
  viewUniforms,
} from "./conv_view.js";

/** Positions a tile, and channels where there are enough of them. */
export const TILE = 8;
export const WORKGROUP_SIZE = 32;

interface ConvCall {
  readonly view: ConvView;
  readonly work: number;
  readonly tileO: number;
  readonly epilogue: EpilogueUniforms;
}

/** The general form: any kernel, stride, dilation and groups. */
const registerTile = defineKernel<ConvCall>({
  name: "conv2d_register_tile",
  wgsl: registerTileWgsl,
  bindings: { x: "read", w: "read", bias: "optional", y: "write" },
  constants: (_shapes, { tileO, epilogue }) => {
    return { TILE_O: tileO, TILE_P: TILE, WORKGROUP_SIZE, ...epilogueConstants(epilogue) };
  },
  shape: (_inputs, { view }) => ({ y: resultShape(view) }),
  uniforms: (_shapes, { view, tileO, epilogue }) => {
    return { ...viewUniforms(view), tiles_o: Math.ceil(view.outputs / tileO), ...epilogue };
  },
  grid: (_shapes, limits, { view, tileO }) => {
    const tiles = Math.ceil(view.outputs / tileO) * Math.ceil(phasePositions(view) / (TILE * WORKGROUP_SIZE));
    return gridFor(tiles * view.y.phases * view.x.phases * view.groups, 1, limits);
  },
  work: (_shapes, { work }) => work,
});

/**
 * A tile of channels: few of them (one in depthwise convolutions) get a tile of their own size. SwiftShader
 * pays most for loads, so that a large tile is worth its longer text; lavapipe would compile it for seconds,
 * and GPUs run out of registers.
 */
export function channelTile(channels: number, gpu: Gpu): number {
  if (channels <= 4) return channels <= 1 ? 1 : 4;
  return channels > TILE && gpu.info.architecture === "swiftshader" ? 2 * TILE : TILE;
}

/** One dispatch in either direction, for any geometry. */
export function convolveDirectly(
  direction: Direction,
  source: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  ending: Epilogue = {},
  out?: Tensor,
): Tensor {
  const view = viewOf(geometry, direction);
  const inputs = { x: source, w, bias: ending.bias };
  const shared = { view, work: convWork(geometry), epilogue: epilogueUniforms(ending) };
  const depthwise = depthwiseKernel(view);
  if (depthwise) {
    const call = { ...shared, stripRows: stripRowsOf(view, source.gpu) };
    return depthwise.run(inputs, call, { out: { y: out } }).y;
  }
  const call = { ...shared, tileO: channelTile(view.outputs, source.gpu) };
  return registerTile.run(inputs, call, { out: { y: out } }).y;
}
