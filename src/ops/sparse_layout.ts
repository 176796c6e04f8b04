/**
 * How activations lie for sparse products, and the copies that give these what their vec4 loads need: rows that are
 * a multiple of 4.
 */
import resizeWgsl from "../../shaders/sparse_resize_rows.wgsl";
import transposeWgsl from "../../shaders/sparse_transpose.wgsl";
import { defineKernel, gridFor, type Shape, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import type { ActivationOptions } from "./activation_names.js";

/** How the activations lie: [images][channels][plane], or [plane][channels] (one image) unless channels come first. */
export interface Activations {
  readonly channelsFirst: boolean;
  readonly images: number;
  readonly plane: number;
}

export interface ProductOptions extends ActivationOptions {
  /** The input gradient's product, x Wᵀ. */
  readonly transpose?: boolean;
  readonly bias?: Tensor;
  readonly shape: Shape;
  readonly out?: Tensor;
}

const WORKGROUP_SIZE = 64;

interface Resize {
  readonly rows: number;
  readonly from: number;
  readonly to: number;
  readonly shape: Shape;
}

const resizeKernel = defineKernel<Resize>({
  name: "sparse_resize_rows",
  wgsl: resizeWgsl,
  bindings: { x: "read", y: "write" },
  shape: (_inputs, { shape }) => ({ y: shape }),
  uniforms: (_shapes, { rows, from, to }) => ({
    rows,
    x_length: from,
    y_length: to,
    fours: Math.ceil(to / 4),
  }),
  grid: (_shapes, limits, { rows, to }) => gridFor(rows * Math.ceil(to / 4), WORKGROUP_SIZE, limits),
});

const transposeKernel = defineKernel<{ rows: number; columns: number }>({
  name: "sparse_transpose",
  wgsl: transposeWgsl,
  bindings: { x: "read", y: "write" },
  shape: (_inputs, { rows, columns }) => ({ y: [columns, upToFour(rows)] }),
  uniforms: (_shapes, { rows, columns }) => ({ rows, x_pitch: columns / 4, y_pitch: upToFour(rows) / 4 }),
  grid: (_shapes, limits, { rows, columns }) =>
    gridFor((columns * upToFour(rows)) / 16, WORKGROUP_SIZE, limits),
});

export const upToFour = (size: number): number => 4 * Math.ceil(size / 4);

/** x taken as rows of `length` values, filled up with zeros to a multiple of 4; x itself where they are one. */
export function padRows(x: Tensor, length: number): Tensor {
  if (length % 4 === 0) return x;
  const [rows, to] = [x.size / length, upToFour(length)];
  return resizeKernel.run({ x }, { rows, from: length, to, shape: [rows, to] }).y;
}

/** The first `length` values of each padded row, as `shape`. */
export function cutRows(x: Tensor, length: number, shape: Shape, out?: Tensor): Tensor {
  const call = { rows: sizeOf(shape) / length, from: upToFour(length), to: length, shape };
  return resizeKernel.run({ x }, call, { out: { y: out } }).y;
}

/** x taken as [rows, columns], transposed; both sizes filled up with zeros to multiples of 4. */
export function transposeToFours(x: Tensor, rows: number, columns: number): Tensor {
  const padded = padRows(x, columns);
  const { y } = transposeKernel.run({ x: padded }, { rows, columns: upToFour(columns) });
  if (padded !== x) padded.dispose();
  return y;
}
