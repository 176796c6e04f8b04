/** Convolutions whose lanes share what they load: weights, positions, or (four lanes) both. For software adapters. */
import quadWgsl from "../../shaders/conv2d_quad.wgsl";
import subgroupWgsl from "../../shaders/conv2d_subgroup.wgsl";
import positionsWgsl from "../../shaders/conv2d_subgroup_positions.wgsl";
import tapWeightsWgsl from "../../shaders/conv2d_tap_weights.wgsl";
import { defineKernel, gridFor, type Kernel, sizeOf } from "../gpu/kernel.js";
import type { Constants } from "../gpu/wgsl.js";
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

/** Channels × positions that a lane computes, the lanes of a workgroup, and what they share. */
export interface SharedTile {
  readonly shares: "weights" | "positions" | "both";
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

/** What a workgroup computes. A tile of a quad is what all four lanes have: each has a fourth of its positions. */
function groupTile({ shares, tileO, tileP, lanes }: SharedTile): { channels: number; positions: number } {
  return shares === "weights"
    ? { channels: tileO, positions: tileP * lanes }
    : { channels: tileO * lanes, positions: tileP };
}

const tilesO = ({ outputs }: ConvView, tile: SharedTile): number =>
  Math.ceil(outputs / groupTile(tile).channels);
const vectors = (channels: number): number => Math.ceil(channels / 4);

function subgroupKernel(
  name: string,
  wgsl: string,
  constants: (call: SubgroupCall) => Constants,
  uniforms: (view: ConvView) => Readonly<Record<string, number>>,
): Kernel<SubgroupCall> {
  return defineKernel<SubgroupCall>({
    name,
    wgsl,
    bindings: { x: "read", w: "read", bias: "optional", y: "write" },
    constants: (_shapes, call) => constants(call),
    shape: (_inputs, { view }) => ({ y: resultShape(view) }),
    uniforms: (_shapes, { view, tile, epilogue }) => {
      return { ...uniforms(view), tiles_o: tilesO(view, tile), ...epilogue };
    },
    grid: (_shapes, limits, { view, tile }) => {
      const tiles = tilesO(view, tile) * Math.ceil(phasePositions(view) / groupTile(tile).positions);
      return gridFor(tiles * view.y.phases * view.x.phases * view.groups, 1, limits);
    },
    work: (_shapes, { work }) => work,
  });
}

const sizes = ({ tileO, tileP }: SharedTile): Constants => ({ TILE_O: tileO, TILE_P: tileP });
const isWhole = ({ inputs }: ConvView): boolean => inputs % 4 === 0;

const kernels: Readonly<Record<SharedTile["shares"], Kernel<SubgroupCall>>> = {
  weights: subgroupKernel(
    "conv2d_subgroup",
    subgroupWgsl,
    ({ tile, view }) => ({ ...sizes(tile), LANES: tile.lanes, WHOLE: isWhole(view) }),
    viewUniforms,
  ),
  positions: subgroupKernel(
    "conv2d_subgroup_positions",
    positionsWgsl,
    ({ tile, view }) => ({ ...sizes(tile), LANES: tile.lanes, WHOLE: isWhole(view) }),
    (view) => {
      const { w_input, w_output, ...uniforms } = viewUniforms(view);
      return { ...uniforms, blocks_o: vectors(view.outputs) };
    },
  ),
  both: subgroupKernel(
    "conv2d_quad",
    quadWgsl,
    ({ tile, view }) => ({ ...sizes(tile), WHOLE: isWhole(view) }),
    viewUniforms,
  ),
};

/** Weights in the order in which lanes with neighboring channels load them. */
const tapWeights = defineKernel<{ readonly view: ConvView }>({
  name: "conv2d_tap_weights",
  wgsl: tapWeightsWgsl,
  bindings: { w: "read", y: "write" },
  shape: (_inputs, { view: { groups, inputs, outputs, y, x } }) => ({
    y: [groups, y.kernel * x.kernel, 4 * vectors(inputs), 4 * vectors(outputs)],
  }),
  uniforms: ({ y }, { view }) => {
    const { inputs, outputs, w_input, w_output } = viewUniforms(view);
    const [, taps, rows, columns] = y;
    return {
      inputs,
      outputs,
      taps,
      w_input,
      w_output,
      steps: rows / 4,
      blocks_o: columns / 4,
      count: sizeOf(y) / 4,
    };
  },
  grid: ({ y }, limits) => gridFor(sizeOf(y) / 4, 64, limits),
});

/** In either direction, for any geometry: one dispatch, and one more for the weights' order where lanes share positions. */
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
  const weights = tile.shares === "positions" ? tapWeights.run({ w }, { view }).y : w;
  const bindings = { x: source, w: weights, bias: ending.bias };
  const { y } = kernels[tile.shares].run(bindings, call, { out: { y: out } });
  if (weights !== w) weights.dispose();
  return y;
}
