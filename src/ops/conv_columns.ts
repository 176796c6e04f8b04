/**
 * Convolutions as matrix products: the windows are written out as columns (im2col), the product does the
 * arithmetic with the fastest kernel there is, and for the way back columns are gathered into images (col2im).
 * Costs memory (the columns) and wins where loads are dear, as on software adapters.
 */
import col2imWgsl from "../../shaders/conv2d_col2im.wgsl";
import epilogueWgsl from "../../shaders/conv2d_epilogue.wgsl";
import im2colWgsl from "../../shaders/conv2d_im2col.wgsl";
import { defineKernel, type Grid, gridFor, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { ACTIVATION_CODE, type FusedActivation } from "./activation_names.js";
import type { ConvGeometry } from "./conv_geometry.js";
import { matmul } from "./matmul.js";
import { resizeMatrices } from "./matmul_kernels.js";
import { sum } from "./reduce.js";

const WORKGROUP_SIZE = 32;
const MOST_COLUMN_BYTES = 64 * 2 ** 20;

const up = (size: number): number => Math.ceil(size / 4) * 4;

/** The product's sizes; `depth` and `positions` are padded to what vec4 loads take. */
function columnSizes({ wideChannels, y, x }: ConvGeometry) {
  const rows = wideChannels * y.kernel * x.kernel;
  const plane = y.narrow * x.narrow;
  return { rows, depth: up(rows), plane, positions: up(plane) };
}

/** Whether a convolution can be computed this way on an adapter: one group, columns and parts that can be bound. */
export function fitsColumns(geometry: ConvGeometry, limits: GPUSupportedLimits): boolean {
  const { images, groups, wideChannels, narrowChannels } = geometry;
  const { depth, positions } = columnSizes(geometry);
  const most = Math.min(MOST_COLUMN_BYTES, limits.maxStorageBufferBindingSize);
  const dimension = limits.maxComputeWorkgroupsPerDimension;
  return (
    groups === 1 &&
    images > 0 &&
    Math.max(images, depth, wideChannels) <= dimension &&
    4 * images * depth * Math.max(positions, narrowChannels) <= most
  );
}

/** A kernel of one element and stride 1 without padding: the image already is its columns. */
function isPointwise({ y, x }: ConvGeometry): boolean {
  const unit = [y, x].every(({ kernel, stride, padding, wide, narrow }) => {
    return kernel === 1 && stride === 1 && padding === 0 && wide === narrow;
  });
  return unit && (y.narrow * x.narrow) % 4 === 0;
}

const windowUniforms = ({ wideChannels, y, x }: ConvGeometry) => ({
  channels: wideChannels,
  height: y.wide,
  width: x.wide,
  rows: y.narrow,
  columns: x.narrow,
  kernel_height: y.kernel,
  kernel_width: x.kernel,
  stride_y: y.stride,
  stride_x: x.stride,
  dilation_y: y.dilation,
  dilation_x: x.dilation,
  padding_y: y.padding,
  padding_x: x.padding,
});

const im2col = defineKernel<ConvGeometry>({
  name: "conv2d_im2col",
  wgsl: im2colWgsl,
  bindings: { x: "read", columns: "write" },
  constants: { WORKGROUP_SIZE },
  shape: (_inputs, geometry) => {
    const { depth, positions } = columnSizes(geometry);
    return { columns: [geometry.images, depth, positions] };
  },
  uniforms: (_shapes, geometry) => {
    const { depth, positions } = columnSizes(geometry);
    return { ...windowUniforms(geometry), depth, quads: positions / 4 };
  },
  grid: (_shapes, _limits, geometry): Grid => {
    const { depth, positions } = columnSizes(geometry);
    return [Math.ceil(positions / 4 / WORKGROUP_SIZE), depth, geometry.images];
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
  ACTIVATION: activation ? ACTIVATION_CODE[activation] : 0,
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
    const { depth, positions } = columnSizes(geometry);
    return { ...windowUniforms(geometry), depth, positions, slope };
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

function columnsOf(wide: Tensor, geometry: ConvGeometry): Tensor {
  const { images, wideChannels } = geometry;
  const { plane } = columnSizes(geometry);
  if (isPointwise(geometry) && wideChannels % 4 === 0) return wide.reshape([images, wideChannels, plane]);
  return im2col.run({ x: wide }, geometry).columns;
}

/** The narrow image as [images, channels, positions]. */
function narrowMatrix(narrow: Tensor, geometry: ConvGeometry): Tensor {
  const { images, narrowChannels } = geometry;
  const { plane, positions } = columnSizes(geometry);
  const flat = narrow.reshape([images, narrowChannels, plane]);
  if (plane === positions) return flat;
  const padded = resizeMatrices(flat, [images, narrowChannels, positions]);
  flat.dispose();
  return padded;
}

/** From the wide image to the narrow one: columns, product, epilogue. */
export function convolveToNarrow(
  wide: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  { bias, activation, slope }: ColumnEpilogue,
  out?: Tensor,
): Tensor {
  const { images, narrowChannels, y, x } = geometry;
  const { plane, positions } = columnSizes(geometry);
  return withTemporaries((keep) => {
    const columns = keep(columnsOf(wide, geometry));
    const weights = keep(weightMatrix(w, geometry));
    if (!bias && !activation && plane === positions) {
      const shape = [images, narrowChannels, y.narrow, x.narrow];
      const target = out ? keep(out.reshape([images, narrowChannels, plane])) : undefined;
      const product = matmul(weights, columns, { out: target });
      return out ?? keep(product).reshape(shape);
    }
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
  const { images, wideChannels, y, x } = geometry;
  return withTemporaries((keep) => {
    const dy = keep(narrowMatrix(narrow, geometry));
    const weights = keep(weightMatrix(w, geometry));
    if (isPointwise(geometry) && wideChannels % 4 === 0 && !bias && !activation) {
      const target = out ? keep(out.reshape([images, wideChannels, y.wide * x.wide])) : undefined;
      const product = matmul(weights, dy, { transposeA: true, out: target });
      return out ?? keep(product).reshape([images, wideChannels, y.wide, x.wide]);
    }
    const columns = keep(matmul(weights, dy, { transposeA: true }));
    return col2im.run({ columns, bias }, { geometry, activation, slope }, { out: { y: out } }).y;
  });
}

/** The weight gradient: a product an image, added up over the images in order. */
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
    const columns = keep(columnsOf(wide, geometry));
    const dy = keep(narrowMatrix(narrow, geometry));
    const parts = keep(matmul(dy, columns, { transposeB: true }));
    const target = out ? keep(out.reshape([narrowChannels, rows])) : undefined;
    const total = sum(parts, { axes: [0], out: rows === depth ? target : undefined });
    if (rows === depth) return out ?? keep(total).reshape(shape);
    keep(total);
    const cropped = resizeMatrices(total, [narrowChannels, rows], target);
    return out ?? keep(cropped).reshape(shape);
  });
}
