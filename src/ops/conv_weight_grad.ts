/** The weight and bias gradients of convolutions: long sums, made in parts whose order is always the same. */
import biasGradWgsl from "../../shaders/conv2d_bias_grad.wgsl";
import sumPartsWgsl from "../../shaders/conv2d_sum_parts.wgsl";
import weightGradWgsl from "../../shaders/conv2d_weight_grad_register_tile.wgsl";
import { defineKernel, gridFor, type Shape, sizeOf } from "../gpu/kernel.js";
import type { Constants } from "../gpu/wgsl.js";
import type { Tensor } from "../tensor.js";
import { type ConvGeometry, windowUniforms } from "./conv_geometry.js";
import { channelTile, TILE, WORKGROUP_SIZE } from "./conv_kernels.js";
import { depthwiseWeightParts, isDepthwiseWeightGrad } from "./conv_depthwise_weight_grad.js";
import { type SquareTile, weightPartsByTiles } from "./conv_workgroup_tile.js";
import { convWork, type PartLimits, partsShape, weightShape } from "./conv_view.js";

interface WeightGradCall {
  readonly geometry: ConvGeometry;
  readonly constants: Constants;
  readonly chunks: Chunks;
}

const weightGradParts = defineKernel<WeightGradCall>({
  name: "conv2d_weight_grad_register_tile",
  wgsl: weightGradWgsl,
  bindings: { x: "read", dy: "read", parts: "write" },
  constants: (_shapes, { constants }) => constants,
  shape: (_inputs, { geometry, chunks }) => ({ parts: partsShape(geometry, chunks.count) }),
  uniforms: (_shapes, { geometry, constants, chunks }) => {
    const { groups, wideChannels, narrowChannels } = geometry;
    const [tiles_o, tiles_k] = weightTiles(geometry, constants.TILE_O as number);
    return {
      ...windowUniforms(geometry),
      groups,
      inputs: wideChannels,
      outputs: narrowChannels,
      segment: chunks.segment,
      segments_a_row: chunks.segmentsARow,
      chunk_segments: chunks.segments,
      chunks: chunks.count,
      tiles_o,
      tiles_k,
    };
  },
  grid: (_shapes, limits, { geometry, constants, chunks }) => {
    const [tilesO, tilesK] = weightTiles(geometry, constants.TILE_O as number);
    return gridFor(tilesO * tilesK * geometry.groups * chunks.count, WORKGROUP_SIZE, limits);
  },
  work: (_shapes, { geometry }) => convWork(geometry),
});

function weightTiles({ wideChannels, narrowChannels, y, x }: ConvGeometry, tileO: number): [number, number] {
  const weights = wideChannels * y.kernel * x.kernel;
  return [Math.ceil(narrowChannels / tileO), Math.ceil(weights / TILE)];
}

/** How the positions of a weight gradient are cut up. */
interface Chunks {
  readonly count: number;
  /** Segments of rows a chunk. */
  readonly segments: number;
  /** Columns a segment. */
  readonly segment: number;
  readonly segmentsARow: number;
}

const LONGEST_SEGMENT = 256;
const MOST_PART_BYTES = 64 * 2 ** 20;

function partLimits(geometry: ConvGeometry): PartLimits {
  return {
    // Enough to fill a large GPU.
    wantedInvocations: 8192,
    // Fewer positions do not pay for a part's set-up; more, summed in order, cost precision.
    leastPositions: 128,
    mostPositions: 2048,
    mostParts: Math.max(1, Math.floor(MOST_PART_BYTES / (4 * sizeOf(weightShape(geometry))))),
  };
}

/** Depends on the shapes alone, so that every adapter adds in the same order. */
function weightGradChunks(geometry: ConvGeometry, limits: PartLimits): Chunks {
  const { images, groups, y, x } = geometry;
  const [tilesO, tilesK] = weightTiles(geometry, TILE);
  const segmentsARow = Math.ceil(x.narrow / LONGEST_SEGMENT);
  const segment = Math.ceil(x.narrow / segmentsARow);
  const positions = images * y.narrow * x.narrow;
  const wanted = Math.min(
    Math.ceil(limits.wantedInvocations / (tilesO * tilesK * groups)),
    Math.ceil(positions / limits.leastPositions),
  );
  const precise = Math.ceil(positions / limits.mostPositions);
  const count = Math.max(Math.min(Math.max(wanted, precise), limits.mostParts), 1);
  const segments = Math.max(Math.ceil((images * y.narrow * segmentsARow) / count), 1);
  return {
    count: Math.max(Math.ceil((images * y.narrow * segmentsARow) / segments), 1),
    segments,
    segment,
    segmentsARow,
  };
}

/** dw from the wide image and the narrow one: by tiles in workgroup memory where one is given. */
export function weightGrad(
  wide: Tensor,
  narrow: Tensor,
  geometry: ConvGeometry,
  out?: Tensor,
  square?: SquareTile,
): Tensor {
  const limits = partLimits(geometry);
  const makeParts = isDepthwiseWeightGrad(geometry) ? depthwiseWeightParts : directWeightParts;
  const parts = square
    ? weightPartsByTiles(square, wide, narrow, geometry, limits, out)
    : makeParts(wide, narrow, geometry, limits, out);
  const shape = weightShape(geometry);
  return parts.rank === shape.length ? parts : sumAndRelease(parts, shape, out);
}

function directWeightParts(
  wide: Tensor,
  narrow: Tensor,
  geometry: ConvGeometry,
  limits: PartLimits,
  out?: Tensor,
): Tensor {
  const constants = { TILE_O: channelTile(geometry.narrowChannels, wide.gpu), TILE_K: TILE, WORKGROUP_SIZE };
  const chunks = weightGradChunks(geometry, limits);
  const target = chunks.count === 1 ? out : undefined;
  const call = { geometry, constants, chunks };
  return weightGradParts.run({ x: wide, dy: narrow }, call, { out: { parts: target } }).parts;
}

const biasGradParts = defineKernel<{ chunkSize: number; chunks: number }>({
  name: "conv2d_bias_grad",
  wgsl: biasGradWgsl,
  bindings: { dy: "read", parts: "write" },
  shape: ({ dy }, { chunks }) => ({ parts: [chunks, dy[1]] }),
  uniforms: ({ dy }, { chunkSize, chunks }) => ({
    images: dy[0],
    channels: dy[1],
    plane: dy[2] * dy[3],
    chunk_size: chunkSize,
    chunks,
  }),
  grid: ({ parts }, limits) => gridFor(sizeOf(parts), 64, limits),
  work: ({ dy }) => 2 * sizeOf(dy),
});

const BIAS_CHUNK = 512;

/** dbias from dy [n, channels, h, w]. */
export function biasGrad(dy: Tensor, out?: Tensor): Tensor {
  const [images, channels, height, width] = dy.shape;
  const chunks = Math.max(Math.ceil((images * height * width) / BIAS_CHUNK), 1);
  const { parts } = biasGradParts.run({ dy }, { chunkSize: BIAS_CHUNK, chunks });
  return sumAndRelease(parts, [channels], out);
}

const sumParts = defineKernel<{ shape: Shape }>({
  name: "conv2d_sum_parts",
  wgsl: sumPartsWgsl,
  bindings: { parts: "read", y: "write" },
  shape: (_inputs, { shape }) => ({ y: shape }),
  uniforms: ({ parts }, { shape }) => ({ chunks: parts[0], size: sizeOf(shape) }),
  grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
  work: ({ parts }) => 2 * sizeOf(parts),
});

function sumAndRelease(parts: Tensor, shape: Shape, out?: Tensor): Tensor {
  try {
    return sumParts.run({ parts }, { shape }, { out: { y: out } }).y;
  } finally {
    parts.dispose();
  }
}
