/** Convolutions as matrix products over tiles that are gathered into workgroup memory: implicit GEMM, for GPUs. */
import tileWgsl from "../../shaders/conv2d_workgroup_tile.wgsl";
import weightGradWgsl from "../../shaders/conv2d_weight_grad_workgroup_tile.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { activationCode, DEFAULT_SLOPE } from "./activation_names.js";
import { type ConvGeometry, windowUniforms } from "./conv_geometry.js";
import {
  type ConvView,
  convWork,
  type Direction,
  type Epilogue,
  type PartLimits,
  partsShape,
  phasePositions,
  resultShape,
  viewOf,
  viewUniforms,
} from "./conv_view.js";

/** Each of group × group invocations computes tile × tile results. */
export interface SquareTile {
  readonly tile: number;
  readonly group: number;
}

/** Taps or positions that a step takes, as the WGSL has them. */
const DEPTH = 16;

const constantsOf = ({ tile, group }: SquareTile) => ({ TILE: tile, GROUP: group, DEPTH });

interface TileCall {
  readonly view: ConvView;
  readonly square: SquareTile;
  readonly work: number;
  readonly activation: number;
  readonly slope: number;
}

const workgroupTile = defineKernel<TileCall>({
  name: "conv2d_workgroup_tile",
  wgsl: tileWgsl,
  bindings: { x: "read", w: "read", bias: "optional", y: "write" },
  constants: (_shapes, { square, activation }) => ({ ...constantsOf(square), ACTIVATION: activation }),
  shape: (_inputs, { view }) => ({ y: resultShape(view) }),
  uniforms: (_shapes, { view, square, slope }) => {
    return { ...viewUniforms(view), tiles_o: Math.ceil(view.outputs / sideOf(square)), slope };
  },
  grid: (_shapes, limits, { view, square }) => gridFor(workgroupsOf(view, square), 1, limits),
  work: (_shapes, { work }) => work,
});

const sideOf = ({ tile, group }: SquareTile): number => tile * group;

function workgroupsOf(view: ConvView, square: SquareTile): number {
  const side = sideOf(square);
  const tiles = Math.ceil(view.outputs / side) * Math.ceil(phasePositions(view) / side);
  return tiles * view.groups * view.y.phases * view.x.phases;
}

/** One dispatch in either direction, for any geometry. */
export function convolveByTiles(
  square: SquareTile,
  direction: Direction,
  source: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  { bias, activation, slope = DEFAULT_SLOPE }: Epilogue = {},
  out?: Tensor,
): Tensor {
  const code = activationCode(activation);
  const call = {
    view: viewOf(geometry, direction),
    square,
    work: convWork(geometry),
    activation: code,
    slope,
  };
  return workgroupTile.run({ x: source, w, bias }, call, { out: { y: out } }).y;
}

interface WeightGradCall {
  readonly geometry: ConvGeometry;
  readonly square: SquareTile;
  readonly chunks: number;
  readonly chunkPositions: number;
}

const weightGradTile = defineKernel<WeightGradCall>({
  name: "conv2d_weight_grad_workgroup_tile",
  wgsl: weightGradWgsl,
  bindings: { x: "read", dy: "read", parts: "write" },
  constants: (_shapes, { square }) => constantsOf(square),
  shape: (_inputs, { geometry, chunks }) => ({ parts: partsShape(geometry, chunks) }),
  uniforms: (_shapes, { geometry, square, chunks, chunkPositions }) => {
    const [tiles_o, tiles_k] = weightTiles(geometry, square);
    return {
      ...windowUniforms(geometry),
      groups: geometry.groups,
      inputs: geometry.wideChannels,
      outputs: geometry.narrowChannels,
      chunk_positions: chunkPositions,
      chunks,
      tiles_o,
      tiles_k,
    };
  },
  grid: (_shapes, limits, { geometry, square, chunks }) => {
    const [tilesO, tilesK] = weightTiles(geometry, square);
    return gridFor(tilesO * tilesK * geometry.groups * chunks, 1, limits);
  },
  work: (_shapes, { geometry }) => convWork(geometry),
});

function weightTiles(geometry: ConvGeometry, square: SquareTile): [o: number, k: number] {
  const { wideChannels, narrowChannels, y, x } = geometry;
  const side = sideOf(square);
  return [Math.ceil(narrowChannels / side), Math.ceil((wideChannels * y.kernel * x.kernel) / side)];
}

/** dw, or parts of it along a first axis more. */
export function weightPartsByTiles(
  square: SquareTile,
  wide: Tensor,
  narrow: Tensor,
  geometry: ConvGeometry,
  { wantedInvocations, leastPositions, mostPositions, mostParts }: PartLimits,
  out?: Tensor,
): Tensor {
  const { images, groups, y, x } = geometry;
  const [tilesO, tilesK] = weightTiles(geometry, square);
  const positions = images * y.narrow * x.narrow;
  const invocations = tilesO * tilesK * groups * square.group ** 2;
  const even = Math.ceil(positions / Math.ceil(wantedInvocations / invocations));
  const long = Math.min(mostPositions, Math.max(leastPositions, even));
  const chunkPositions = Math.ceil(Math.max(long, positions / mostParts) / DEPTH) * DEPTH;
  const chunks = Math.max(1, Math.ceil(positions / chunkPositions));
  const target = chunks === 1 ? out : undefined;
  const call = { geometry, square, chunks, chunkPositions };
  return weightGradTile.run({ x: wide, dy: narrow }, call, { out: { parts: target } }).parts;
}
