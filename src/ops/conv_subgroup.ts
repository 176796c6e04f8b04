/** Convolutions whose weights the lanes of a subgroup share: for software adapters. */
import subgroupWgsl from "../../shaders/conv2d_subgroup.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import type { ConvGeometry } from "./conv_geometry.js";
import {
  type ConvView,
  convWork,
  type Direction,
  type Epilogue,
  type EpilogueUniforms,
  epilogueUniforms,
  phasePositions,
  resultShape,
  viewOf,
  viewUniforms,
} from "./conv_view.js";

/** Channels × positions that a lane computes, and the lanes that share the weights. */
export interface SharedTile {
  readonly tileO: number;
  readonly tileP: number;
  readonly lanes: number;
}

interface SubgroupCall {
  readonly view: ConvView;
  readonly tile: SharedTile;
  readonly work: number;
  readonly epilogue: EpilogueUniforms;
}

const tilesO = ({ outputs }: ConvView, { tileO }: SharedTile): number => Math.ceil(outputs / tileO);

const subgroup = defineKernel<SubgroupCall>({
  name: "conv2d_subgroup",
  wgsl: subgroupWgsl,
  bindings: { x: "read", w: "read", bias: "optional", y: "write" },
  constants: (_shapes, { tile: { tileO, tileP, lanes } }) => ({ TILE_O: tileO, TILE_P: tileP, LANES: lanes }),
  shape: (_inputs, { view }) => ({ y: resultShape(view) }),
  uniforms: (_shapes, { view, tile, epilogue }) => {
    return { ...viewUniforms(view), tiles_o: tilesO(view, tile), ...epilogue };
  },
  grid: (_shapes, limits, { view, tile }) => {
    const tiles = tilesO(view, tile) * Math.ceil(phasePositions(view) / (tile.tileP * tile.lanes));
    return gridFor(tiles * view.y.phases * view.x.phases * view.groups, 1, limits);
  },
  work: (_shapes, { work }) => work,
});

/** One dispatch in either direction, for any geometry. */
export function convolveBySubgroup(
  tile: SharedTile,
  direction: Direction,
  source: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  ending: Epilogue = {},
  out?: Tensor,
): Tensor {
  const view = viewOf(geometry, direction);
  const call = { view, tile, work: convWork(geometry), epilogue: epilogueUniforms(ending) };
  return subgroup.run({ x: source, w, bias: ending.bias }, call, { out: { y: out } }).y;
}
