/** Input gradients and transposed convolutions with few channels of the result. */
import inputGradWgsl from "../../shaders/conv2d_input_grad_few_channels.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import type { ConvAxis, ConvGeometry } from "./conv_geometry.js";
import {
  convWork,
  type Epilogue,
  type EpilogueUniforms,
  epilogueConstants,
  epilogueUniforms,
  imageShape,
} from "./conv_view.js";

/** Places of the narrow image that an invocation has: all of what stands over them in the wide one. */
export interface PlaceTile {
  readonly tileY: number;
  readonly tileX: number;
}

interface FewCall {
  readonly geometry: ConvGeometry;
  readonly tile: PlaceTile;
  readonly epilogue: EpilogueUniforms;
}

/** More channels of the result are better shared by a subgroup. */
const MOST_OUTPUTS = 4;
/** Longest first. */
const TILES: readonly PlaceTile[] = [
  { tileY: 4, tileX: 4 },
  { tileY: 2, tileX: 4 },
];
/** A kernel's text is unrolled: so many products and loads compile within half a second on SwiftShader. */
const MOST_PRODUCTS = 450;
const MOST_LOADS = 40;

const reach = ({ kernel, stride }: ConvAxis): number => Math.ceil(kernel / stride);
const tilesAlong = ({ wide, padding, stride }: ConvAxis, tile: number): number =>
  Math.ceil((wide + padding) / (tile * stride));

/** The tiles by which the input gradient can be computed, the one that is likely the fastest first. */
export function placeTiles({ wideChannels, y, x }: ConvGeometry): readonly PlaceTile[] {
  if (wideChannels > MOST_OUTPUTS || y.dilation * x.dilation > 1) return [];
  return TILES.filter(({ tileY, tileX }) => {
    const products = tileY * tileX * y.kernel * x.kernel * wideChannels;
    const loads = (tileY + reach(y) - 1) * (tileX + reach(x) - 1);
    return products <= MOST_PRODUCTS && loads <= MOST_LOADS;
  });
}

const inputGrad = defineKernel<FewCall>({
  name: "conv2d_input_grad_few_channels",
  wgsl: inputGradWgsl,
  bindings: { dy: "read", w: "read", bias: "optional", dx: "write" },
  constants: (_shapes, { geometry: { wideChannels, narrowChannels, y, x }, tile, epilogue }) => ({
    OUTPUTS: wideChannels,
    KERNEL_Y: y.kernel,
    KERNEL_X: x.kernel,
    STRIDE_Y: y.stride,
    STRIDE_X: x.stride,
    TILE_Y: tile.tileY,
    TILE_X: tile.tileX,
    WHOLE: narrowChannels % 4 === 0,
    ...epilogueConstants(epilogue),
  }),
  shape: (_inputs, { geometry }) => ({ dx: imageShape(geometry, "wide") }),
  uniforms: (_shapes, { geometry, tile, epilogue }) => {
    const { images, groups, narrowChannels, y, x } = geometry;
    return {
      images,
      groups,
      inputs: narrowChannels,
      height: y.narrow,
      width: x.narrow,
      rows: y.wide,
      columns: x.wide,
      padding_y: y.padding,
      padding_x: x.padding,
      tiles_y: tilesAlong(y, tile.tileY),
      tiles_x: tilesAlong(x, tile.tileX),
      ...epilogue,
    };
  },
  grid: (_shapes, limits, { geometry: { images, groups, y, x }, tile: { tileY, tileX } }) =>
    gridFor(images * groups * tilesAlong(y, tileY) * tilesAlong(x, tileX), 32, limits),
  work: (_shapes, { geometry }) => convWork(geometry),
});

/** From the narrow image to the wide one, in one dispatch. @param tile one of `placeTiles` */
export function convolveToFewChannels(
  tile: PlaceTile,
  narrow: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  ending: Epilogue = {},
  out?: Tensor,
): Tensor {
  const call = { geometry, tile, epilogue: epilogueUniforms(ending) };
  return inputGrad.run({ dy: narrow, w, bias: ending.bias }, call, { out: { dx: out } }).dx;
}
