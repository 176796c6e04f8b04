/**
 * Convolutions as matrix products: the windows are written out as columns (im2col), the product does the
 * arithmetic with the fastest kernel there is, and for the way back columns are gathered into images (col2im).
 * Costs memory (the columns) and wins where loads are dear, as on software adapters.
 */
import channelRowsWgsl from "../../shaders/conv2d_channel_rows.wgsl";
import col2imWgsl from "../../shaders/conv2d_col2im.wgsl";
import epilogueWgsl from "../../shaders/conv2d_epilogue.wgsl";
import im2colWgsl from "../../shaders/conv2d_im2col.wgsl";
import { defineKernel, type Grid, gridFor, type Shape, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { activationCode, type FusedActivation } from "./activation_names.js";
import { type ConvGeometry, windowUniforms } from "./conv_geometry.js";
import { matmul } from "./matmul.js";
import { resizeMatrices } from "./matmul_kernels.js";

const WORKGROUP_SIZE = 32;
const MOST_COLUMN_BYTES = 64 * 2 ** 20;

const up = (size: number): number => Math.ceil(size / 4) * 4;

/** The product's sizes; `depth` and `positions` are filled up to what vec4 loads take. */
function columnSizes({ images, wideChannels, y, x }: ConvGeometry) {
  const rows = wideChannels * y.kernel * x.kernel;
  const plane = y.narrow * x.narrow;
  return { rows, depth: up(rows), plane, positions: up(images * plane) };
}

export type ColumnLimits = Pick<
  GPUSupportedLimits,
  "maxStorageBufferBindingSize" | "maxComputeWorkgroupsPerDimension"
>;

/** Whether a convolution can be computed this way: one group, columns and products that can be bound. */
export function fitsColumns(geometry: ConvGeometry, limits: ColumnLimits): boolean {
  const { images, groups, wideChannels, narrowChannels } = geometry;
  const { depth, positions } = columnSizes(geometry);
  const most = Math.min(MOST_COLUMN_BYTES, limits.maxStorageBufferBindingSize);
  return (
    groups === 1 &&
    images > 0 &&
    Math.max(images, depth, positions / 4, wideChannels) <= limits.maxComputeWorkgroupsPerDimension &&
    4 * positions * Math.max(depth, narrowChannels) <= most
  );
}

/** A kernel of one element, stride 1 and no padding: each image already is its columns. */
export function isPointwise({ wideChannels, narrowChannels, y, x }: ConvGeometry): boolean {
  const unit = [y, x].every(({ kernel, stride, padding, wide, narrow }) => {
    return kernel === 1 && stride === 1 && padding === 0 && wide === narrow;
  });
  return unit && [y.narrow * x.narrow, wideChannels, narrowChannels].every((size) => size % 4 === 0);
}

const im2col = defineKernel<ConvGeometry>({
  name: "conv2d_im2col",
  wgsl: im2colWgsl,
  bindings: { x: "read", columns: "write" },
  constants: { WORKGROUP_SIZE },
  shape: (_inputs, geometry) => {
    const { depth, positions } = columnSizes(geometry);
    return { columns: [depth, positions] };
  },
  uniforms: (_shapes, geometry) => {
    const { depth, positions } = columnSizes(geometry);
    return { channels: geometry.wideChannels, ...windowUniforms(geometry), depth, quads: positions / 4 };
  },
  grid: (_shapes, _limits, geometry): Grid => {
    const { rows, depth, positions } = columnSizes(geometry);
    const lines = geometry.wideChannels * geometry.y.kernel + (depth > rows ? 1 : 0);
    return [Math.ceil(positions / 4 / WORKGROUP_SIZE), lines, 1];
  },
});

/** What follows the sum. */
export interface ColumnEpilogue {
  readonly bias?: Tensor;
  readonly activation?: FusedActivation;
  readonly slope: number;
}

interface FinishCall {
  readonly geometry: ConvGeometry;
  readonly activation?: FusedActivation;
  readonly slope: number;
}

const activationConstant = (_shapes: unknown, { activation }: FinishCall) => ({
  ACTIVATION: activationCode(activation),
});

const col2im = defineKernel<FinishCall>({
  name: "conv2d_col2im",
  wgsl: col2imWgsl,
  bindings: { columns: "read", bias: "optional", y: "write" },
  constants: activationConstant,
  shape: (_inputs, { geometry: { images, wideChannels, y, x } }) => ({
    y: [images, wideChannels, y.wide, x.wide],
  }),
  uniforms: (_shapes, { geometry, slope }) => {
    return {
      channels: geometry.wideChannels,
      ...windowUniforms(geometry),
      positions: columnSizes(geometry).positions,
      slope,
    };
  },
  grid: ({ y }): Grid => [Math.ceil((y[2] * y[3]) / WORKGROUP_SIZE), y[1], y[0]],
  work: ({ y }, { geometry }) => 8 * sizeOf(y) * geometry.y.kernel * geometry.x.kernel,
});

const epilogue = defineKernel<FinishCall>({
  name: "conv2d_epilogue",
  wgsl: epilogueWgsl,
  bindings: { x: "read", bias: "optional", y: "write" },
  constants: activationConstant,
  shape: (_inputs, { geometry: { images, narrowChannels, y, x } }) => ({
    y: [images, narrowChannels, y.narrow, x.narrow],
  }),
  uniforms: ({ y }, { geometry, slope }) => {
    const { positions, plane } = columnSizes(geometry);
    return { channels: geometry.narrowChannels, positions, plane, count: sizeOf(y), slope };
  },
  grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
});

/** Activations that the kernels here have; the others are left to the direct form. */
export function hasColumnActivation(activation: FusedActivation | undefined): boolean {
  return activation === undefined || activation === "relu" || activation === "leakyRelu";
}

/** Runs `body` and releases what it made for itself. */
function withTemporaries<T>(body: (keep: (tensor: Tensor) => Tensor) => T): T {
  const temporaries: Tensor[] = [];
  try {
    return body((tensor) => {
      temporaries.push(tensor);
      return tensor;
    });
  } finally {
    for (const tensor of temporaries) tensor.dispose();
  }
}

/** w as a matrix [narrow channels, depth]. */
function weightMatrix(w: Tensor, geometry: ConvGeometry): Tensor {
  const { rows, depth } = columnSizes(geometry);
  const flat = w.reshape([geometry.narrowChannels, rows]);
  if (rows === depth) return flat;
  const padded = resizeMatrices(flat, [geometry.narrowChannels, depth]);
  flat.dispose();
  return padded;
}

/** The narrow image as [channels, positions]. */
const channelRows = defineKernel<ConvGeometry>({
  name: "conv2d_channel_rows",
  wgsl: channelRowsWgsl,
  bindings: { x: "read", y: "write" },
  shape: (_inputs, geometry) => ({ y: [geometry.narrowChannels, columnSizes(geometry).positions] }),
  uniforms: ({ y }, geometry) => {
    const { positions, plane } = columnSizes(geometry);
    const { images, narrowChannels } = geometry;
    return { channels: narrowChannels, positions, plane, used: images * plane, count: sizeOf(y) };
  },
  grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
});

/** Writes into `out` where it is given: products know it under their own shape. */
function shaped(
  keep: (tensor: Tensor) => Tensor,
  shape: Shape,
  out: Tensor | undefined,
  inner: Shape,
  run: (target: Tensor | undefined) => Tensor,
): Tensor {
  const result = run(out && keep(out.reshape(inner)));
  return out ?? keep(result).reshape(shape);
}

/** From the wide image to the narrow one: columns, product, epilogue. */
export function convolveToNarrow(
  wide: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  { bias, activation, slope }: ColumnEpilogue,
  out?: Tensor,
): Tensor {
  const { images, wideChannels, narrowChannels, y, x } = geometry;
  const { plane } = columnSizes(geometry);
  return withTemporaries((keep) => {
    const weights = keep(weightMatrix(w, geometry));
    if (isPointwise(geometry) && !bias && !activation) {
      const rows = keep(wide.reshape([images, wideChannels, plane]));
      const shape = [images, narrowChannels, y.narrow, x.narrow];
      const inner = [images, narrowChannels, plane];
      return shaped(keep, shape, out, inner, (target) => matmul(weights, rows, { out: target }));
    }
    const columns = keep(im2col.run({ x: wide }, geometry).columns);
    const product = keep(matmul(weights, columns));
    return epilogue.run({ x: product, bias }, { geometry, activation, slope }, { out: { y: out } }).y;
  });
}

/** From the narrow image to the wide one: product, then columns into images. */
export function convolveToWide(
  narrow: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  { bias, activation, slope }: ColumnEpilogue,
  out?: Tensor,
): Tensor {
  const { images, wideChannels, narrowChannels, y, x } = geometry;
  const { plane } = columnSizes(geometry);
  return withTemporaries((keep) => {
    const weights = keep(weightMatrix(w, geometry));
    if (isPointwise(geometry) && !bias && !activation) {
      const rows = keep(narrow.reshape([images, narrowChannels, plane]));
      const shape = [images, wideChannels, y.wide, x.wide];
      const inner = [images, wideChannels, plane];
      const product = (target?: Tensor): Tensor => matmul(weights, rows, { transposeA: true, out: target });
      return shaped(keep, shape, out, inner, product);
    }
    const rows = keep(channelRows.run({ x: narrow }, geometry).y);
    const columns = keep(matmul(weights, rows, { transposeA: true }));
    return col2im.run({ columns, bias }, { geometry, activation, slope }, { out: { y: out } }).y;
  });
}

/** The weight gradient: one product that sums over all positions of all images. */
export function weightGradByColumns(
  wide: Tensor,
  narrow: Tensor,
  geometry: ConvGeometry,
  out?: Tensor,
): Tensor {
  const { narrowChannels, wideChannels, y, x } = geometry;
  const { rows, depth } = columnSizes(geometry);
  const shape = [narrowChannels, wideChannels, y.kernel, x.kernel];
  return withTemporaries((keep) => {
    const columns = keep(im2col.run({ x: wide }, geometry).columns);
    const dy = keep(channelRows.run({ x: narrow }, geometry).y);
    return shaped(keep, shape, out, [narrowChannels, rows], (target) => {
      if (rows === depth) return matmul(dy, columns, { transposeB: true, out: target });
      const product = keep(matmul(dy, columns, { transposeB: true }));
      return resizeMatrices(product, [narrowChannels, rows], target);
    });
  });
}
