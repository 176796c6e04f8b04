/** What elementwise ops share: NumPy's rule for shapes that differ, and the check of a number. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Shape } from "../gpu/kernel.js";

/** How many joined axes before the last one the kernels take. */
const OUTER_AXES = 8;

/**
 * The shape that several broadcast to: aligned at the last axis, an axis of 1 (or a missing one) is repeated.
 * @param op named in the message
 * @throws ShapeError
 */
export function broadcastShape(op: string, ...shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - (rank - shape.length)] ?? 1);
    const size = sizes.find((candidate) => candidate !== 1) ?? 1;
    if (sizes.every((candidate) => candidate === size || candidate === 1)) return size;
    throw new ShapeError(
      `${op}: shapes ${shapes.map((given) => `[${given}]`).join(" and ")} do not broadcast: ` +
        `aligned at the last axis, the sizes of an axis must be equal or 1; use reshape to insert axes of 1`,
    );
  });
}

/** Axes that both operands walk (or repeat) alike are joined to one. */
export interface BroadcastLayout {
  readonly shape: Shape;
  /**
   * Size of the last joined axis, and how far one step along it goes in a and b: 1, or 0 where it is
   * repeated.
   */
  readonly inner: number;
  readonly stepA: number;
  readonly stepB: number;
  /** Joined axes before it, the last of them first. */
  readonly sizes: readonly number[];
  readonly stridesA: readonly number[];
  readonly stridesB: readonly number[];
}

/** @throws ShapeError if the shapes do not broadcast, or repeat their axes in too many turns */
export function broadcastLayout(op: string, a: Shape, b: Shape): BroadcastLayout {
  const shape = broadcastShape(op, a, b);
  const joined: { size: number; strideA: number; strideB: number }[] = [];
  let [spanA, spanB] = [1, 1];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis];
    if (size === 1) continue;
    const repeatedA = (a[axis - (shape.length - a.length)] ?? 1) === 1;
    const repeatedB = (b[axis - (shape.length - b.length)] ?? 1) === 1;
    const last = joined[joined.length - 1];
    if (last && (last.strideA === 0) === repeatedA && (last.strideB === 0) === repeatedB) last.size *= size;
    else joined.push({ size, strideA: repeatedA ? 0 : spanA, strideB: repeatedB ? 0 : spanB });
    if (!repeatedA) spanA *= size;
    if (!repeatedB) spanB *= size;
  }
  const [inner, ...outer] = joined.length > 0 ? joined : [{ size: 1, strideA: 0, strideB: 0 }];
  if (outer.length > OUTER_AXES) {
    throw new ShapeError(
      `${op}: shapes [${a}] and [${b}] repeat their axes in ${outer.length + 1} turns, and ` +
        `${OUTER_AXES + 1} are taken; ` +
        `repeat one of them with broadcastTo first`,
    );
  }
  return {
    shape,
    inner: inner.size,
    stepA: inner.strideA,
    stepB: inner.strideB,
    sizes: outer.map(({ size }) => size),
    stridesA: outer.map(({ strideA }) => strideA),
    stridesB: outer.map(({ strideB }) => strideB),
  };
}

/** The number, if a float32 can hold it. @throws ValueError */
export function checkNumber(op: string, argument: string, value: number): number {
  if (Number.isFinite(Math.fround(value))) return value;
  throw new ValueError(`${op}: ${argument} is ${value}, and a finite float32 is taken`);
}

/** Whether two shapes are the same. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
