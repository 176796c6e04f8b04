/**
 * How ops that work along axes see a tensor: as alternating joined axes, and one of them as [outer, length,
 * inner].
 */
import { ShapeError } from "../gpu/errors.js";
import { type Shape, sizeOf } from "../gpu/kernel.js";

/** An axis from 0, from one that may count from the end. @throws ShapeError */
export function resolveAxis(op: string, axis: number, shape: Shape): number {
  const resolved = axis < 0 ? axis + shape.length : axis;
  if (Number.isInteger(axis) && resolved >= 0 && resolved < shape.length) return resolved;
  throw new ShapeError(
    `${op}: axis ${axis} does not exist in shape [${shape}]; ` +
      `whole numbers from ${-shape.length} to ${shape.length - 1} are taken`,
  );
}

/** A tensor seen with one axis in the middle. */
export interface LineView {
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
}

/** @throws ShapeError */
export function lineView(op: string, shape: Shape, axis: number): LineView {
  const along = resolveAxis(op, axis, shape);
  return {
    outer: sizeOf(shape.slice(0, along)),
    length: shape[along],
    inner: sizeOf(shape.slice(along + 1)),
  };
}

/** Neighboring axes of a shape that are reduced, or kept, as one. */
export interface AxisGroup {
  readonly size: number;
  readonly reduced: boolean;
}

/** What a reduction over some axes does to a shape. */
export interface Reduction {
  readonly groups: readonly AxisGroup[];
  /** How many elements make one of the result. */
  readonly count: number;
  readonly shape: Shape;
}

/**
 * @param axes all if undefined
 * @throws ShapeError for an axis that does not exist or is named twice
 */
export function planReduction(
  op: string,
  shape: Shape,
  axes: readonly number[] | number | undefined,
  keepDims: boolean,
): Reduction {
  const named = axes === undefined ? [...shape.keys()] : typeof axes === "number" ? [axes] : axes;
  const reduced = new Set(named.map((axis) => resolveAxis(op, axis, shape)));
  if (reduced.size < named.length)
    throw new ShapeError(`${op}: axes [${named}] name an axis of shape [${shape}] twice`);
  return {
    groups: joinGroups(shape.map((size, axis) => ({ size, reduced: reduced.has(axis) }))),
    count: sizeOf(shape.filter((_, axis) => reduced.has(axis))),
    shape: keepDims
      ? shape.map((size, axis) => (reduced.has(axis) ? 1 : size))
      : shape.filter((_, axis) => !reduced.has(axis)),
  };
}

/** Joins neighbors of one kind; axes of 1 vanish. */
export function joinGroups(groups: readonly AxisGroup[]): AxisGroup[] {
  const joined: AxisGroup[] = [];
  for (const group of groups) {
    const last = joined[joined.length - 1];
    if (group.size === 1) continue;
    if (last?.reduced === group.reduced)
      joined[joined.length - 1] = { ...last, size: last.size * group.size };
    else joined.push(group);
  }
  return joined;
}

/** One pass of a reduction: `length` of each line is joined to `segments` values. */
export interface Pass extends LineView {
  readonly segments: number;
  readonly last: boolean;
  /**
   * Whether it is the first pass over its axes, and how many elements inner axes that are done with made of
   * one.
   */
  readonly fresh: boolean;
  readonly reducedInner: number;
}

/** Lines up to this length are joined by one invocation. */
const UNSPLIT_LENGTH = 1024;
/** Longer ones are split so that about as many terms fall to each. */
const SEGMENT_LENGTH = 256;

/**
 * The passes of a reduction: inner axes first, long lines in several steps. How a line is split depends on
 * its length alone, so that the same line gives the same bits beside others.
 */
export function planPasses({ groups }: Reduction): Pass[] {
  const passes: Pass[] = [];
  let left = [...groups];
  let [fresh, reducedInner] = [true, 1];
  for (;;) {
    const at = left.findLastIndex(({ reduced }) => reduced);
    if (at < 0) {
      const size = sizeOf(left.map((group) => group.size));
      if (passes.length > 0) return passes;
      return [{ outer: size, length: 1, inner: 1, segments: 1, last: true, fresh, reducedInner }];
    }
    const length = left[at].size;
    const segments = length <= UNSPLIT_LENGTH ? 1 : Math.ceil(length / SEGMENT_LENGTH);
    const [before, after] = [left.slice(0, at), left.slice(at + 1)];
    passes.push({
      outer: sizeOf(before.map(({ size }) => size)),
      length,
      inner: sizeOf(after.map(({ size }) => size)),
      segments,
      last: segments === 1 && !before.some(({ reduced }) => reduced),
      fresh,
      reducedInner,
    });
    if (fresh) reducedInner *= length;
    fresh = segments === 1;
    left =
      segments === 1
        ? joinGroups([...before, ...after])
        : [...before, { size: segments, reduced: true }, ...after];
  }
}
