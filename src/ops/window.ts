/** What convolution and pooling share: how their options are read and how windows are laid over an image. */
import { DisposedError, ShapeError, ValueError } from "../gpu/errors.js";
import type { Shape } from "../gpu/kernel.js";
import type { DType, Tensor } from "../tensor.js";
import { refuseShared } from "./aliasing.js";

/** One number for both axes, or [height, width]. */
export type Pair = number | readonly number[];

/** One number for all four sides, [height, width], or [top, left, bottom, right]. */
export type Padding = number | readonly number[];

/** Padding in elements on each side. */
export interface Sides {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** @throws ValueError unless `value` is one or two whole numbers of at least `least` */
export function pairOf(op: string, name: string, value: Pair, least: number): [number, number] {
  const numbers = typeof value === "number" ? [value, value] : value;
  if (numbers.length === 2 && areWhole(numbers, least)) return [numbers[0], numbers[1]];
  throw new ValueError(
    `${op}: ${name} is ${written(value)}, and a whole number of at least ${least} or ` +
      `[height, width] of such is taken`,
  );
}

/** @throws ValueError unless `padding` is one, two or four whole numbers of at least 0 */
export function sidesOf(op: string, padding: Padding): Sides {
  const numbers = typeof padding === "number" ? [padding, padding] : padding;
  if ((numbers.length === 2 || numbers.length === 4) && areWhole(numbers, 0)) {
    const [top, left, bottom = top, right = left] = numbers;
    return { top, left, bottom, right };
  }
  throw new ValueError(
    `${op}: padding is ${written(padding)}, and a whole number of at least 0, [height, width] or ` +
      `[top, left, bottom, right] of such is taken`,
  );
}

/** @throws ValueError unless `value` is a whole number of at least 1 */
export function countOf(op: string, name: string, value: number): number {
  if (areWhole([value], 1)) return value;
  throw new ValueError(`${op}: ${name} is ${value}, and a whole number of at least 1 is taken`);
}

function areWhole(numbers: readonly number[], least: number): boolean {
  return numbers.every((number) => Number.isInteger(number) && number >= least);
}

function written(value: number | readonly number[]): string {
  return typeof value === "number" ? String(value) : `[${value}]`;
}

/** @throws ShapeError unless `shape` is whole numbers of at least 0, as many as `axes` names */
export function checkRank(op: string, name: string, shape: Shape, axes: string): void {
  const rank = axes.split(",").length;
  if (shape.length === rank && areWhole(shape, 0)) return;
  throw new ShapeError(`${op}: ${name} is [${shape}], and [${axes}] is taken; use reshape`);
}

/**
 * For ops whose arguments have other names than the bindings of the kernels behind them.
 * @throws DisposedError, ShapeError for another dtype
 */
export function checkTensors(
  op: string,
  tensors: Readonly<Record<string, Tensor | undefined>>,
  dtype: DType = "f32",
): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!tensor) continue;
    if (tensor.disposed) throw new DisposedError(`${op}: ${name} was disposed; keep it until its last use`);
    if (tensor.dtype !== dtype)
      throw new ShapeError(`${op}: ${name} is ${tensor.dtype}, and ${dtype} is taken`);
  }
}

/**
 * For ops of several kernels, of which none sees all the tensors.
 * @throws ShapeError if `out` has another shape than the result or shares its buffer with an input
 */
export function checkOut(
  op: string,
  out: Tensor | undefined,
  shape: Shape,
  inputs: Readonly<Record<string, Tensor>>,
): void {
  if (!out) return;
  checkTensors(op, { out });
  if (out.shape.join() !== shape.join())
    throw new ShapeError(`${op}: out has shape [${out.shape}], and the result has [${shape}]`);
  refuseShared(op, out, inputs);
}
