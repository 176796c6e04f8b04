/** Sums, means, extrema and norms over any axes. Deterministic, and summed in a tree; see reduce.wgsl. */
import argReduceWgsl from "../../shaders/arg_reduce.wgsl";
import reduceWgsl from "../../shaders/reduce.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Kernel, type Shape, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { type Pass, planPasses, planReduction, type Reduction } from "./axes.js";
import { sub } from "./binary.js";
import { broadcastShape, sameShape } from "./broadcast.js";
import { memoize } from "./memoize.js";

export interface ReduceOptions {
  /** The axes to reduce, negative ones from the end; default all. */
  readonly axes?: readonly number[] | number;
  /** Keep the reduced axes, with size 1. Default false. */
  readonly keepDims?: boolean;
  readonly out?: Tensor;
}

export interface NormOptions extends ReduceOptions {
  /** 1: Σ |x|; 2: √Σ x², the default; Infinity: max |x|. */
  readonly ord?: 1 | 2 | typeof Infinity;
}

export interface VarianceOptions extends ReduceOptions {
  /** The sum of squares is divided by the count less this: 1 (unbiased, the default) or 0. */
  readonly correction?: 0 | 1;
}

const WORKGROUP_SIZE = 64;
/** The values of `PREPARE` and `JOIN` in reduce.wgsl. */
const PREPARE = { nothing: 0, absolute: 1, square: 2 } as const;
const JOIN = { sum: 0, max: 1, min: 2 } as const;

/** What makes one reduction different from another. */
interface Fold {
  readonly prepare: keyof typeof PREPARE;
  readonly join: keyof typeof JOIN;
  /** Takes the square root at the end. */
  readonly root?: boolean;
  /** Or multiplies at the end. */
  readonly factor?: number;
}

interface PassCall {
  readonly pass: Pass;
  readonly shape: Shape;
}

/** The tensor that one pass leaves. */
function passShape({ outer, segments, inner }: Pass): Shape {
  return [outer, segments, inner];
}

// A kernel of its own for each op, so that debug mode, profiles and errors name it.
const reduceKernel = memoize(
  (op: string): Kernel<PassCall & { fold: Fold }> =>
    defineKernel({
      name: `reduce(${op})`,
      wgsl: reduceWgsl,
      bindings: { x: "read", y: "write" },
      constants: (_shapes, { fold, pass }) => ({
        PREPARE: PREPARE[fold.prepare],
        JOIN: JOIN[fold.join],
        ROOT: pass.last && fold.root === true,
      }),
      shape: (_inputs, { shape }) => ({ y: shape }),
      uniforms: (_shapes, { pass, fold }) => ({
        count: sizeOf(passShape(pass)),
        length: pass.length,
        inner: pass.inner,
        segments: pass.segments,
        factor: pass.last ? (fold.factor ?? 1) : 1,
      }),
      grid: (_shapes, limits, { pass }) => gridFor(sizeOf(passShape(pass)), WORKGROUP_SIZE, limits),
      work: (_shapes, { pass }) => 8 * pass.outer * pass.length * pass.inner,
    }),
);

const argReduceKernel = memoize(
  (op: string): Kernel<PassCall> =>
    defineKernel({
      name: `arg_reduce(${op})`,
      wgsl: argReduceWgsl,
      bindings: { x: "read", places: "optional", values: "write", indices: "write" },
      constants: { SMALLEST: op === "argmin" },
      shape: (_inputs, { shape }) => ({ values: shape, indices: shape }),
      uniforms: (_shapes, { pass }) => ({
        count: sizeOf(passShape(pass)),
        length: pass.length,
        inner: pass.inner,
        segments: pass.segments,
        place_step: pass.fresh ? pass.reducedInner : 0,
      }),
      grid: (_shapes, limits, { pass }) => gridFor(sizeOf(passShape(pass)), WORKGROUP_SIZE, limits),
      work: (_shapes, { pass }) => 10 * pass.outer * pass.length * pass.inner,
    }),
);

function reduce(op: string, x: Tensor, plan: Reduction, fold: Fold, out?: Tensor): Tensor {
  return x.gpu.scope(() => {
    let current = x;
    for (const [i, pass] of planPasses(plan).entries()) {
      // |x| and x² are taken once, by the first pass.
      const call = { pass, fold: i === 0 ? fold : { ...fold, prepare: "nothing" as const } };
      const shape = pass.last ? plan.shape : passShape(pass);
      const { y } = reduceKernel(op).run(
        { x: current },
        { ...call, shape },
        { out: { y: pass.last ? out : undefined } },
      );
      if (current !== x) current.dispose();
      current = y;
    }
    return current;
  });
}

function argReduce(op: string, x: Tensor, { axes, keepDims = false, out }: ReduceOptions): Tensor {
  const plan = planReduction(op, x.shape, axes, keepDims);
  if (plan.count === 0) throw emptyError(op, x.shape);
  return x.gpu.scope(() => {
    let current: { x: Tensor; places?: Tensor } = { x };
    for (const pass of planPasses(plan)) {
      const shape = pass.last ? plan.shape : passShape(pass);
      const result = argReduceKernel(op).run(
        current,
        { pass, shape },
        { out: { indices: pass.last ? out : undefined } },
      );
      current = { x: result.values, places: result.indices };
    }
    return current.places as Tensor;
  });
}

function emptyError(op: string, shape: Shape): ShapeError {
  return new ShapeError(`${op}: x has shape [${shape}], and there is no ${op} of nothing`);
}

/**
 * The sum over axes; 0 over none.
 * @returns x's shape without the reduced axes, or with 1 in their place under `keepDims`
 * @throws ShapeError for an axis that does not exist
 * @example
 * const total = sum(x);                                  // shape []
 * const biasGrad = sum(dy, { axes: [0] });               // [n, c] -> [c]
 * const perChannel = sum(x, { axes: [0, 2, 3], keepDims: true });
 */
export function sum(x: Tensor, { axes, keepDims = false, out }: ReduceOptions = {}): Tensor {
  const plan = planReduction("sum", x.shape, axes, keepDims);
  return reduce("sum", x, plan, { prepare: "nothing", join: "sum" }, out);
}

/** The mean over axes; see `sum`. @throws ShapeError also if there is nothing to average */
export function mean(x: Tensor, { axes, keepDims = false, out }: ReduceOptions = {}): Tensor {
  const plan = planReduction("mean", x.shape, axes, keepDims);
  if (plan.count === 0) throw emptyError("mean", x.shape);
  return reduce("mean", x, plan, { prepare: "nothing", join: "sum", factor: 1 / plan.count }, out);
}

/**
 * The largest element over axes; see `sum`. NaN is passed over, as the device's own comparisons pass it over (PyTorch
 * returns it): debug mode names the op that made one.
 * @throws ShapeError also if there is none
 */
export function max(x: Tensor, { axes, keepDims = false, out }: ReduceOptions = {}): Tensor {
  const plan = planReduction("max", x.shape, axes, keepDims);
  if (plan.count === 0) throw emptyError("max", x.shape);
  return reduce("max", x, plan, { prepare: "nothing", join: "max" }, out);
}

/** The smallest element over axes; NaN as in `max`; see `sum`. @throws ShapeError also if there is none */
export function min(x: Tensor, { axes, keepDims = false, out }: ReduceOptions = {}): Tensor {
  const plan = planReduction("min", x.shape, axes, keepDims);
  if (plan.count === 0) throw emptyError("min", x.shape);
  return reduce("min", x, plan, { prepare: "nothing", join: "min" }, out);
}

/**
 * Where the largest element over axes stands, the first of equals; over several axes, its row-major place
 * among them. NaN as in `max`.
 * @returns u32; shapes as for `sum`
 * @throws ShapeError for an axis that does not exist, or of size 0
 * @example
 * const predicted = argmax(logits, { axes: [1] }); // [n, classes] -> [n]
 */
export function argmax(x: Tensor, options: ReduceOptions = {}): Tensor {
  return argReduce("argmax", x, options);
}

/** Where the smallest element over axes stands; see `argmax`. */
export function argmin(x: Tensor, options: ReduceOptions = {}): Tensor {
  return argReduce("argmin", x, options);
}

/**
 * The norm over axes; see `sum`. x² is not rescaled: values beyond 1e19 in size overflow under `ord` 2.
 * @throws ValueError for another `ord` than 1, 2 or Infinity
 * @example
 * const lengths = norm(weights, { axes: [1] });     // [rows, columns] -> [rows]
 * const size = norm(x, { ord: 1 });
 */
export function norm(x: Tensor, { ord = 2, axes, keepDims = false, out }: NormOptions = {}): Tensor {
  const plan = planReduction("norm", x.shape, axes, keepDims);
  switch (ord) {
    case 1:
      return reduce("norm", x, plan, { prepare: "absolute", join: "sum" }, out);
    case 2:
      return reduce("norm", x, plan, { prepare: "square", join: "sum", root: true }, out);
    case Infinity:
      if (plan.count === 0) throw emptyError("norm", x.shape);
      return reduce("norm", x, plan, { prepare: "absolute", join: "max" }, out);
    default:
      throw new ValueError(`norm: ord is ${ord}, and 1, 2 or Infinity is taken`);
  }
}

/**
 * The variance over axes; see `sum`. Two passes: the mean is taken off before squaring.
 * @throws ShapeError also if the count is not above `correction`
 * @example
 * const spread = variance(x, { axes: [0], correction: 0 });
 */
export function variance(
  x: Tensor,
  { correction = 1, axes, keepDims = false, out }: VarianceOptions = {},
): Tensor {
  const plan = planReduction("variance", x.shape, axes, keepDims);
  const divisor = plan.count - correction;
  if (!(divisor > 0)) {
    throw new ShapeError(
      `variance: x has shape [${x.shape}], ${plan.count} values a result, and ` +
        `more than ${correction} are taken`,
    );
  }
  return x.gpu.scope(() => {
    const rest = sub(x, mean(x, { axes, keepDims: true }));
    return reduce("variance", rest, plan, { prepare: "square", join: "sum", factor: 1 / divisor }, out);
  });
}

/**
 * The gradient of broadcasting: dy summed over the axes in which `shape` was repeated to become dy's.
 * @returns a tensor of that shape; it shares dy's buffer (as `reshape` does) if there is nothing to sum and
 *   no `out`
 * @throws ShapeError if `shape` does not broadcast to dy's
 * @example
 * const y = add(x, bias);                             // [n, c] + [1, c]
 * const biasGrad = reduceToShape(dy, bias.shape);
 */
export function reduceToShape(dy: Tensor, shape: Shape, { out }: Pick<ReduceOptions, "out"> = {}): Tensor {
  if (!sameShape(broadcastShape("reduceToShape", dy.shape, shape), dy.shape)) {
    throw new ShapeError(`reduceToShape: shape [${shape}] does not broadcast to dy's [${dy.shape}]`);
  }
  const missing = dy.shape.length - shape.length;
  const axes = [...dy.shape.keys()].filter(
    (axis) => axis < missing || shape[axis - missing] !== dy.shape[axis],
  );
  if (axes.length === 0 && !out) return dy.reshape(shape);
  const plan = planReduction("reduceToShape", dy.shape, axes, true);
  return reduce("reduceToShape", dy, { ...plan, shape }, { prepare: "nothing", join: "sum" }, out);
}
