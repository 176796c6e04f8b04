/** Convolutions whose lanes share what they load: weights, positions, or (four lanes) both. For software adapters. */
import quadWgsl from "../../shaders/conv2d_quad.wgsl";
import quadFewWgsl from "../../shaders/conv2d_quad_few_channels.wgsl";
import subgroupFewWgsl from "../../shaders/conv2d_subgroup_few_channels.wgsl";
import subgroupWgsl from "../../shaders/conv2d_subgroup.wgsl";
import positionsWgsl from "../../shaders/conv2d_subgroup_positions.wgsl";
import tapWeightsWgsl from "../../shaders/conv2d_tap_weights.wgsl";
import { ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Kernel, sizeOf } from "../gpu/kernel.js";
import type { Constants } from "../gpu/wgsl.js";
import type { Tensor } from "../tensor.js";
import { type ConvGeometry, windowUniforms } from "./conv_geometry.js";
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

/**
 * In `subgroup` the lanes share weights, in `subgroup_positions` positions, in `quad`, which is for four lanes, both;
 * those of few channels of x compute the forward direction only.
 */
export type SharedKernel =
  | "subgroup"
  | "subgroup_few_channels"
  | "subgroup_positions"
  | "quad"
  | "quad_few_channels";

const forwardOnly = (kernel: SharedKernel): boolean => kernel.endsWith("few_channels");
const sharesWeights = (kernel: SharedKernel): boolean =>
  kernel === "subgroup" || kernel === "subgroup_few_channels";

/** Channels × positions that a lane computes, and the lanes of a workgroup. */
export interface SharedTile {
  readonly kernel: SharedKernel;
  readonly tileO: number;
  readonly tileP: number;
  readonly lanes: number;
}

interface SubgroupCall {
  readonly view: ConvView;
  readonly geometry: ConvGeometry;
  readonly tile: SharedTile;
  readonly epilogue: EpilogueUniforms;
}

/** What a workgroup computes. A tile of a quad is what all four lanes have: each has a fourth of its positions. */
function groupTile({ kernel, tileO, tileP, lanes }: SharedTile): { channels: number; positions: number } {
  return sharesWeights(kernel)
    ? { channels: tileO, positions: tileP * lanes }
    : { channels: tileO * lanes, positions: tileP };
}

const tilesO = ({ outputs }: ConvView, tile: SharedTile): number =>
  Math.ceil(outputs / groupTile(tile).channels);
const vectors = (channels: number): number => Math.ceil(channels / 4);

const commonConstants = ({ tile: { tileO, tileP }, epilogue }: SubgroupCall): Constants => ({
  TILE_O: tileO,
  TILE_P: tileP,
  ...epilogueConstants(epilogue),
});
const lanesOf = ({ tile }: SubgroupCall): Constants => ({ LANES: tile.lanes });
const isWhole = ({ view }: SubgroupCall): Constants => ({ WHOLE: view.inputs % 4 === 0 });

function sharedKernel(
  name: SharedKernel,
  wgsl: string,
  uniforms: (call: SubgroupCall) => Readonly<Record<string, number>>,
  constants: readonly ((call: SubgroupCall) => Constants)[] = [],
): Kernel<SubgroupCall> {
  return defineKernel<SubgroupCall>({
    name: `conv2d_${name}`,
    wgsl,
    bindings: { x: "read", w: "read", bias: "optional", y: "write" },
    constants: (_shapes, call) =>
      Object.assign(commonConstants(call), ...constants.map((part) => part(call))),
    shape: (_inputs, { view }) => ({ y: resultShape(view) }),
    uniforms: (_shapes, call) => {
      return { ...uniforms(call), tiles_o: tilesO(call.view, call.tile), ...call.epilogue };
    },
    grid: (_shapes, limits, { view, tile }) => {
      const tiles = tilesO(view, tile) * Math.ceil(phasePositions(view) / groupTile(tile).positions);
      return gridFor(tiles * view.y.phases * view.x.phases * view.groups, 1, limits);
    },
    work: (_shapes, { geometry }) => convWork(geometry),
  });
}

function fewUniforms({ geometry, view: { groups, inputs, outputs } }: SubgroupCall) {
  return { ...windowUniforms(geometry), groups, inputs, outputs };
}

const kernels: Readonly<Record<SharedKernel, Kernel<SubgroupCall>>> = {
  subgroup: sharedKernel("subgroup", subgroupWgsl, ({ view }) => viewUniforms(view), [lanesOf, isWhole]),
  subgroup_positions: sharedKernel(
    "subgroup_positions",
    positionsWgsl,
    ({ view }) => {
      const { w_input, w_output, ...uniforms } = viewUniforms(view);
      return { ...uniforms, blocks_o: vectors(view.outputs) };
    },
    [lanesOf, isWhole],
  ),
  quad: sharedKernel("quad", quadWgsl, ({ view }) => viewUniforms(view), [isWhole]),
  subgroup_few_channels: sharedKernel("subgroup_few_channels", subgroupFewWgsl, fewUniforms, [lanesOf]),
  quad_few_channels: sharedKernel("quad_few_channels", quadFewWgsl, fewUniforms),
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
  const { kernel } = tile;
  if (forwardOnly(kernel) && direction !== "toNarrow")
    throw new ValueError(`conv2d: the form ${kernel} computes the forward direction only; take another one`);
  const call = { view, geometry, tile, epilogue: epilogueUniforms(ending) };
  const weights = kernel === "subgroup_positions" ? tapWeights.run({ w }, { view }).y : w;
  const bindings = { x: source, w: weights, bias: ending.bias };
  const { y } = kernels[kernel].run(bindings, call, { out: { y: out } });
  if (weights !== w) weights.dispose();
  return y;
}
