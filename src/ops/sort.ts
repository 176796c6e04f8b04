/**
 * Sorting along the last axis. The order is that of the numbers, -0 equal to +0, and equal elements keep
 * their order (the lower index first, in descending order too), so that every result is determined. NaN has
 * no place in it.
 */
import putAlongRowsWgsl from "../../shaders/put_along_rows.wgsl";
import takeAlongRowsWgsl from "../../shaders/take_along_rows.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, type Shape, sizeOf } from "../gpu/kernel.js";
import { clear, type Tensor, zeros } from "../tensor.js";
import { refuseShared } from "./aliasing.js";
import { orderOfRows } from "./radix_sort.js";
import { strideGrid } from "./stride_grid.js";
import { fromWords, withWords } from "./words.js";

export interface SortOptions {
  /** Largest first. Default false. */
  readonly descending?: boolean;
  readonly out?: SortedOut;
}

export interface ArgsortOptions {
  /** Largest first. Default false. */
  readonly descending?: boolean;
  readonly out?: Tensor;
}

export interface TopKOptions {
  /** The largest elements (default), or the smallest. */
  readonly largest?: boolean;
  readonly out?: SortedOut;
}

export interface SortedOut {
  readonly values?: Tensor;
  readonly indices?: Tensor;
}

/** Elements in order and where they stood. */
export interface Sorted {
  /** The dtype of the input. */
  readonly values: Tensor;
  /** u32 positions along the last axis. */
  readonly indices: Tensor;
}

const takeAlongRows = defineKernel({
  name: "take_along_rows",
  wgsl: takeAlongRowsWgsl,
  bindings: { x: "read", indices: "read", y: "write" },
  shape: ({ indices }) => ({ y: indices }),
  uniforms: ({ x, indices }) => ({ count: sizeOf(indices), n: lastOf(x), k: lastOf(indices) }),
  grid: ({ indices }, limits) => strideGrid(sizeOf(indices), limits),
});

const putAlongRows = defineKernel({
  name: "put_along_rows",
  wgsl: putAlongRowsWgsl,
  bindings: { dy: "read", indices: "read", dx: "readWrite" },
  shape: () => ({}),
  uniforms: ({ dx, indices }) => ({ count: sizeOf(indices), n: lastOf(dx), k: lastOf(indices) }),
  grid: ({ indices }, limits) => strideGrid(sizeOf(indices), limits),
});

function lastOf(shape: Shape): number {
  return shape[shape.length - 1];
}

/**
 * The rows of a tensor in order.
 * @param x [..., n], f32 without NaN, or u32
 * @returns `values` and u32 `indices`, both [..., n]: values[…][i] = x[…][indices[…][i]]
 * @throws ShapeError for a scalar, or an `out` of another shape or dtype or that shares x's buffer
 * @example
 * const { values, indices } = sort(tensor(gpu, [3, 1, 2])); // [1, 2, 3] and [1, 2, 0]
 */
export function sort(x: Tensor, { descending = false, out }: SortOptions = {}): Sorted {
  return sorted("sort", x, descending, undefined, out);
}

/**
 * The positions of the elements of each row in order: `sort` without the values.
 * @param x [..., n], f32 without NaN, or u32
 * @returns [..., n] u32
 * @throws ShapeError for a scalar, or an `out` of another shape or dtype or that shares x's buffer
 * @example
 * const order = argsort(tensor(gpu, [3, 1, 2])); // [1, 2, 0]
 */
export function argsort(x: Tensor, { descending = false, out }: ArgsortOptions = {}): Tensor {
  return order("argsort", x, descending, undefined, out);
}

/**
 * The k largest (or smallest) elements of each row, in order.
 * @param x [..., n], f32 without NaN, or u32
 * @param k from 0 to n
 * @returns `values` and u32 `indices`, both [..., k]
 * @throws ValueError for k out of range; ShapeError for a scalar, or an `out` of another shape or dtype
 * @example
 * const { values, indices } = topK(logits, 5);
 */
export function topK(x: Tensor, k: number, { largest = true, out }: TopKOptions = {}): Sorted {
  const n = x.shape[x.rank - 1] ?? 0;
  if (!(Number.isInteger(k) && k >= 0 && k <= n)) {
    throw new ValueError(
      `topK: k is ${k}, and a whole number from 0 to ${n} (the last dimension of x [${x.shape}]) is taken`,
    );
  }
  return sorted("topK", x, largest, k, out);
}

/**
 * dx of `topK` and of `sort`: dvalues at the positions that were taken, zeros elsewhere.
 * @param dvalues [..., k]
 * @param indices [..., k] u32, as the forward op gave them
 * @param options `inputShape`: [..., n], the shape of the forward op's x
 * @throws ShapeError if the shapes do not fit each other
 * @example
 * const { values, indices } = topK(x, 3);
 * const dx = topKGrad(dvalues, indices, { inputShape: x.shape });
 */
export function topKGrad(
  dvalues: Tensor,
  indices: Tensor,
  { inputShape, out }: { readonly inputShape: Shape; readonly out?: Tensor },
): Tensor {
  const rows = inputShape.slice(0, -1).join();
  const fits = [dvalues, indices].every(
    ({ shape }) => shape.length > 0 && shape.slice(0, -1).join() === rows,
  );
  if (
    !fits ||
    dvalues.shape.join() !== indices.shape.join() ||
    (out && out.shape.join() !== inputShape.join())
  ) {
    throw new ShapeError(
      `topKGrad: dvalues [${dvalues.shape}] and indices [${indices.shape}] must have one shape, which ` +
        `differs from inputShape [${inputShape}] in the last dimension only` +
        (out ? `, and out [${out.shape}] that of inputShape` : ""),
    );
  }
  refuseShared("topKGrad", out, { dvalues, indices });
  return dvalues.gpu.scope(() => {
    const dx = out ? clear(out) : zeros(dvalues.gpu, inputShape);
    putAlongRows.run({ dy: dvalues, indices, dx }, undefined);
    return dx;
  });
}

/** dx of `sort`; see `topKGrad`. */
export const sortGrad = topKGrad;

function sorted(
  op: string,
  x: Tensor,
  descending: boolean,
  keep: number | undefined,
  out: SortedOut = {},
): Sorted {
  return x.gpu.scope(() => {
    const indices = order(op, x, descending, keep, out.indices);
    return withWords({ x, out: out.values }, (words) => {
      const { y } = takeAlongRows.run({ x: words.x, indices }, undefined, { out: { y: words.out } });
      return { values: fromWords(y, x.dtype, out.values), indices };
    });
  });
}

function order(
  op: string,
  x: Tensor,
  descending: boolean,
  keep: number | undefined,
  out: Tensor | undefined,
): Tensor {
  if (x.rank === 0)
    throw new ShapeError(`${op}: x is a scalar, and at least one dimension is taken; reshape it to [1]`);
  refuseShared(op, out, { x });
  return orderOfRows(x, { descending, keep, out });
}
