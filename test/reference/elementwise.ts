import { type Array64, array64, indexOf, map, offsetOf, sizeOf } from "./array64.js";

/** The shape that two shapes broadcast to: aligned at the last axis, an axis of 1 is repeated. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const p = a[axis - (rank - a.length)] ?? 1;
    const q = b[axis - (rank - b.length)] ?? 1;
    if (p !== q && p !== 1 && q !== 1) throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
    return p === 1 ? q : p;
  });
}

/** The offset in an array of shape `from` that broadcasts to the element `offset` of shape `to`. */
function broadcastOffset(offset: number, to: readonly number[], from: readonly number[]): number {
  const index = indexOf(offset, to).slice(to.length - from.length);
  return offsetOf(
    index.map((position, axis) => (from[axis] === 1 ? 0 : position)),
    from,
  );
}

/** x repeated to fill a larger shape. */
export function broadcastTo(x: Array64, shape: readonly number[]): Array64 {
  const y = array64(shape);
  for (let i = 0; i < y.data.length; i++) y.data[i] = x.data[broadcastOffset(i, shape, x.shape)];
  return y;
}

/** The gradient of `broadcastTo`: dy summed over the axes that were repeated, in the smaller shape. */
export function sumTo(dy: Array64, shape: readonly number[]): Array64 {
  const dx = array64(shape);
  for (let i = 0; i < dy.data.length; i++) dx.data[broadcastOffset(i, dy.shape, shape)] += dy.data[i];
  return dx;
}

/** f(a, b) of every pair of elements after broadcasting. */
export function zip(a: Array64, b: Array64, f: (p: number, q: number) => number): Array64 {
  const shape = broadcastShape(a.shape, b.shape);
  const p = broadcastTo(a, shape).data;
  const q = broadcastTo(b, shape).data;
  return array64(
    shape,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => f(p[i], q[i])),
  );
}

export const add = (a: Array64, b: Array64) => zip(a, b, (p, q) => p + q);
export const sub = (a: Array64, b: Array64) => zip(a, b, (p, q) => p - q);
export const mul = (a: Array64, b: Array64) => zip(a, b, (p, q) => p * q);
export const div = (a: Array64, b: Array64) => zip(a, b, (p, q) => p / q);
export const pow = (a: Array64, b: Array64) => zip(a, b, (p, q) => p ** q);
export const minimum = (a: Array64, b: Array64) => zip(a, b, (p, q) => Math.min(p, q));
export const maximum = (a: Array64, b: Array64) => zip(a, b, (p, q) => Math.max(p, q));
export const equal = (a: Array64, b: Array64) => zip(a, b, (p, q) => (p === q ? 1 : 0));
export const greater = (a: Array64, b: Array64) => zip(a, b, (p, q) => (p > q ? 1 : 0));
export const less = (a: Array64, b: Array64) => zip(a, b, (p, q) => (p < q ? 1 : 0));

export const neg = (x: Array64) => map(x, (v) => -v);
export const abs = (x: Array64) => map(x, Math.abs);
export const sign = (x: Array64) => map(x, Math.sign);
export const exp = (x: Array64) => map(x, Math.exp);
export const log = (x: Array64) => map(x, Math.log);
export const sqrt = (x: Array64) => map(x, Math.sqrt);
export const square = (x: Array64) => map(x, (v) => v * v);
export const reciprocal = (x: Array64) => map(x, (v) => 1 / v);
export const floor = (x: Array64) => map(x, Math.floor);
export const ceil = (x: Array64) => map(x, Math.ceil);
export const clamp = (x: Array64, low: number, high: number) =>
  map(x, (v) => Math.min(Math.max(v, low), high));
export const scale = (x: Array64, factor: number) => map(x, (v) => v * factor);

/** a where the condition is not zero, else b; all three broadcast. */
export function where(condition: Array64, a: Array64, b: Array64): Array64 {
  const shape = broadcastShape(condition.shape, broadcastShape(a.shape, b.shape));
  const [c, p, q] = [condition, a, b].map((x) => broadcastTo(x, shape).data);
  return array64(
    shape,
    c.map((flag, i) => (flag !== 0 ? p[i] : q[i])),
  );
}
