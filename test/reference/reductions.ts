import { type Array64, array64, axisFrom0, indexOf, offsetOf, sizeOf } from "./array64.js";

export interface ReduceOptions {
  /** The axes that are reduced, negative ones from the end; all if not given. */
  axes?: readonly number[];
  /** Reduced axes stay, with size 1. */
  keepDims?: boolean;
}

/** One number from the values of each group of elements that differ in the reduced axes only, in row-major order. */
function reduce(x: Array64, options: ReduceOptions, fold: (values: number[]) => number): Array64 {
  const rank = x.shape.length;
  const reduced = new Set((options.axes ?? [...x.shape.keys()]).map((axis) => axisFrom0(axis, rank)));
  const keptShape = x.shape.map((dimension, axis) => (reduced.has(axis) ? 1 : dimension));
  const groups: number[][] = Array.from({ length: sizeOf(keptShape) }, () => []);
  for (let i = 0; i < x.data.length; i++) {
    const index = indexOf(i, x.shape).map((position, axis) => (reduced.has(axis) ? 0 : position));
    groups[offsetOf(index, keptShape)].push(x.data[i]);
  }
  const shape = options.keepDims ? keptShape : x.shape.filter((_, axis) => !reduced.has(axis));
  return array64(shape, groups.map(fold));
}

const total = (values: number[]) => values.reduce((sum, v) => sum + v, 0);
const largest = (values: number[]) => values.reduce((a, b) => Math.max(a, b));

export function sum(x: Array64, options: ReduceOptions = {}): Array64 {
  return reduce(x, options, total);
}

export function mean(x: Array64, options: ReduceOptions = {}): Array64 {
  return reduce(x, options, (values) => total(values) / values.length);
}

export function max(x: Array64, options: ReduceOptions = {}): Array64 {
  return reduce(x, options, largest);
}

export function min(x: Array64, options: ReduceOptions = {}): Array64 {
  return reduce(x, options, (values) => values.reduce((a, b) => Math.min(a, b)));
}

/** Where the largest stands, the first of equals; over several axes, its row-major offset within them. */
export function argmax(x: Array64, options: ReduceOptions = {}): Array64 {
  return reduce(x, options, (values) => values.indexOf(largest(values)));
}

/** Σ |x|. */
export function l1Norm(x: Array64, options: ReduceOptions = {}): Array64 {
  return reduce(x, options, (values) => total(values.map(Math.abs)));
}

/** √Σ x². */
export function l2Norm(x: Array64, options: ReduceOptions = {}): Array64 {
  return reduce(x, options, (values) => Math.sqrt(total(values.map((v) => v * v))));
}
