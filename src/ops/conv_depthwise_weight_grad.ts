/** The weight gradient of depthwise convolutions with small kernels. */
import weightGradWgsl from "../../shaders/conv2d_depthwise_weight_grad.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { fitsStrips, STRIP_COLUMNS, WORKGROUP_SIZE } from "./conv_depthwise.js";
import { type ConvGeometry, windowUniforms } from "./conv_geometry.js";
import { convWork, type PartLimits, partsShape, viewOf } from "./conv_view.js";

/** How the positions of a channel are cut up; a chunk is what one invocation adds up. */
interface Strips {
  readonly rows: number;
  readonly strips: number;
  readonly tiles: number;
  readonly chunkStrips: number;
  readonly chunks: number;
}

interface WeightGradCall {
  readonly geometry: ConvGeometry;
  readonly cut: Strips;
}

const weightGradParts = defineKernel<WeightGradCall>({
  name: "conv2d_depthwise_weight_grad",
  wgsl: weightGradWgsl,
  bindings: { x: "read", dy: "read", parts: "write" },
  constants: (_shapes, { geometry: { y, x } }) => ({
    KERNEL_Y: y.kernel,
    KERNEL_X: x.kernel,
    STRIDE_Y: y.stride,
    STRIDE_X: x.stride,
    WORKGROUP_SIZE,
  }),
  shape: (_inputs, { geometry, cut }) => ({ parts: partsShape(geometry, cut.chunks) }),
  uniforms: (_shapes, { geometry, cut }) => {
    const { images, height, width, rows, columns, padding_y, padding_x } = windowUniforms(geometry);
    return {
      images,
      channels: geometry.groups * geometry.narrowChannels,
      multiplier: geometry.narrowChannels,
      height,
      width,
      rows,
      columns,
      padding_y,
      padding_x,
      strip_rows: cut.rows,
      strips: cut.strips,
      tiles: cut.tiles,
      chunk_strips: cut.chunkStrips,
      chunks: cut.chunks,
    };
  },
  grid: (_shapes, limits, { geometry: { groups, narrowChannels }, cut }) =>
    gridFor(groups * narrowChannels * cut.chunks, WORKGROUP_SIZE, limits),
  work: (_shapes, { geometry }) => convWork(geometry),
});

/** Depends on the shapes alone, so that every adapter adds in the same order. */
function stripsOf({ images, groups, narrowChannels, y, x }: ConvGeometry, limits: PartLimits): Strips {
  const strips = Math.ceil((y.narrow * STRIP_COLUMNS) / limits.mostPositions);
  const rows = Math.ceil(y.narrow / strips);
  const tiles = Math.ceil(x.narrow / STRIP_COLUMNS);
  const all = images * strips * tiles;
  const shortest = Math.ceil(limits.leastPositions / (rows * STRIP_COLUMNS));
  const longest = Math.floor(limits.mostPositions / (rows * STRIP_COLUMNS));
  const even = Math.floor(all / Math.ceil(limits.wantedInvocations / (groups * narrowChannels)));
  const affordable = Math.ceil(all / limits.mostParts);
  const chunkStrips = Math.max(1, affordable, Math.min(longest, Math.max(shortest, even)));
  return { rows, strips, tiles, chunkStrips, chunks: Math.max(1, Math.ceil(all / chunkStrips)) };
}

/** Whether the kernel takes a convolution. */
export function isDepthwiseWeightGrad(geometry: ConvGeometry): boolean {
  return fitsStrips(viewOf(geometry, "toNarrow"));
}

/** dw, or parts of it along a first axis more. */
export function depthwiseWeightParts(
  wide: Tensor,
  narrow: Tensor,
  geometry: ConvGeometry,
  limits: PartLimits,
  out?: Tensor,
): Tensor {
  const cut = stripsOf(geometry, limits);
  const target = cut.chunks === 1 ? out : undefined;
  return weightGradParts.run({ x: wide, dy: narrow }, { geometry, cut }, { out: { parts: target } }).parts;
}
