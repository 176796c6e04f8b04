/** Boxes of elements and the kernels that move them: what transpose, slice, concat and pad have in common. */
import copyBoxWgsl from "../../shaders/copy_box.wgsl";
import padWgsl from "../../shaders/pad.wgsl";
import transposeTileWgsl from "../../shaders/transpose_tile.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import {
  defineKernel,
  gridFor,
  type KernelRecord,
  type Shape,
  sizeOf,
  type UniformValue,
} from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { strideGrid } from "./stride_grid.js";

/** How many axes the kernels walk, after joining. */
const MOST_AXES = 8;

export interface MovementOptions {
  readonly out?: Tensor;
}

export interface MovementGradOptions extends MovementOptions {
  /** The shape of the forward op's x. */
  readonly inputShape: Shape;
}

/** One axis of a box and how far a step along it goes in x and in y. */
export interface BoxAxis {
  readonly size: number;
  readonly strideX: number;
  readonly strideY: number;
}

export interface Box {
  /** The shape of the result. */
  readonly shape: Shape;
  /** The inmost first. */
  readonly axes: readonly BoxAxis[];
  readonly startX: number;
  readonly startY: number;
}

export interface Padding {
  readonly shape: Shape;
  /** The inmost axis first; sizes of y and of x, and the margin before x. */
  readonly axes: readonly { readonly size: number; readonly sizeX: number; readonly before: number }[];
  /** The bits of the value around x. */
  readonly word: number;
}

/** For [batch, m, n], m and n multiples of 4. */
export interface Tiles {
  readonly shape: Shape;
  readonly batch: number;
  readonly m: number;
  readonly n: number;
}

const copyBoxRecord: KernelRecord<Box> = {
  name: "copy_box",
  wgsl: copyBoxWgsl,
  bindings: { x: "read", y: "write" },
  shape: (_inputs, { shape }) => ({ y: shape }),
  uniforms: (_shapes, { axes, startX, startY }) => ({
    count: countOf(axes),
    axes: axes.length,
    x_start: startX,
    y_start: startY,
    ...vectors(
      "sizes",
      axes.map(({ size }) => size),
    ),
    ...vectors(
      "x",
      axes.map(({ strideX }) => strideX),
    ),
    ...vectors(
      "y",
      axes.map(({ strideY }) => strideY),
    ),
  }),
  grid: (_shapes, limits, { axes }) => strideGrid(countOf(axes), limits),
  work: (_shapes, { axes }) => 12 * countOf(axes),
};

/** Writes a whole new tensor. */
export const copyBox = defineKernel(copyBoxRecord);

/** Writes a box of a tensor that exists. */
export const copyIntoBox = defineKernel<Box>({
  ...copyBoxRecord,
  bindings: { x: "read", y: "readWrite" },
  shape: () => ({}),
});

export const padKernel = defineKernel<Padding>({
  name: "pad",
  wgsl: padWgsl,
  bindings: { x: "read", y: "write" },
  shape: (_inputs, { shape }) => ({ y: shape }),
  uniforms: (_shapes, { shape, axes, word }) => ({
    count: sizeOf(shape),
    axes: axes.length,
    value: word,
    ...vectors(
      "sizes",
      axes.map(({ size }) => size),
    ),
    ...vectors(
      "x",
      axes.map(({ sizeX }) => sizeX),
    ),
    ...vectors(
      "before",
      axes.map(({ before }) => before),
    ),
  }),
  grid: (_shapes, limits, { shape }) => strideGrid(sizeOf(shape), limits),
  work: (_shapes, { shape }) => 12 * sizeOf(shape),
});

export const transposeTile = defineKernel<Tiles>({
  name: "transpose_tile",
  wgsl: transposeTileWgsl,
  bindings: { x: "read", y: "write" },
  shape: (_inputs, { shape }) => ({ y: shape }),
  uniforms: (_shapes, { batch, m, n }) => ({ batch, rows: m / 4, columns: n / 4 }),
  grid: (_shapes, limits, { batch, m, n }) => gridFor((batch * m * n) / 16, 64, limits),
  work: (_shapes, { batch, m, n }) => 4 * batch * m * n,
});

function countOf(axes: readonly BoxAxis[]): number {
  return axes.reduce((count, { size }) => count * size, 1);
}

/** Up to eight numbers as the two vec4u fields `<name>_low` and `<name>_high`. */
function vectors(name: string, values: readonly number[]): Record<string, UniformValue> {
  const eight = Array.from({ length: MOST_AXES }, (_, axis) => values[axis] ?? 0);
  return { [`${name}_low`]: eight.slice(0, 4), [`${name}_high`]: eight.slice(4) };
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides: number[] = new Array(shape.length);
  for (let axis = shape.length - 1, stride = 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/**
 * Joins axes that lie behind each other in both tensors and drops those of size 1.
 * @param axes the outmost first
 * @returns the inmost first
 * @throws ShapeError if more than eight are left
 */
export function joinAxes(op: string, axes: readonly BoxAxis[]): BoxAxis[] {
  const joined: BoxAxis[] = [];
  for (const axis of [...axes].reverse()) {
    const inner = joined[joined.length - 1];
    if (axis.size === 1) continue;
    if (inner && axis.strideX === inner.size * inner.strideX && axis.strideY === inner.size * inner.strideY) {
      joined[joined.length - 1] = { ...inner, size: inner.size * axis.size };
    } else joined.push(axis);
  }
  return checkAxes(op, joined);
}

/** @throws ShapeError for more axes than the kernels walk */
export function checkAxes<Axis>(op: string, axes: Axis[]): Axis[] {
  if (axes.length <= MOST_AXES) return axes;
  throw new ShapeError(
    `${op}: ${axes.length} axes are left after joining, and ${MOST_AXES} are taken; do it in two steps`,
  );
}

/** An axis counted from the end when negative, as an axis from 0. @throws ValueError */
export function axisOf(op: string, axis: number, rank: number): number {
  const result = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(axis) && result >= 0 && result < rank) return result;
  throw new ValueError(
    `${op}: axis is ${axis}, and a whole number from ${-rank} to ${rank - 1} is taken for ${rank} dimensions`,
  );
}
