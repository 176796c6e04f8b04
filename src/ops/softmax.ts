/** Softmax and log-softmax along an axis, and their gradients. */
import gradWgsl from "../../shaders/softmax_grad.wgsl";
import forwardWgsl from "../../shaders/softmax.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Kernel } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { type LineView, lineView } from "./axes.js";
import { sameShape } from "./broadcast.js";
import { div, exp, log, mul, sub } from "./elementwise.js";
import { memoize } from "./memoize.js";
import { max, sum } from "./reduce.js";

export interface SoftmaxOptions {
  /** The axis that sums to 1, negative from the end. Default -1. */
  readonly axis?: number;
  /** Where the result goes; it may be x (in the gradients dy). */
  readonly out?: Tensor;
}

type Form = "softmax" | "logSoftmax";

const WORKGROUP_SIZE = 64;
/** Longer lines are too long for one invocation; whole-tensor ops, whose reductions are split, take them. */
const LONGEST_LINE = 2048;

const forwardKernel = memoize(
  (form: Form): Kernel<LineView> =>
    defineKernel({
      name: `softmax(${form})`,
      wgsl: forwardWgsl,
      bindings: { x: "read", y: "write" },
      inPlace: { y: "x" },
      constants: { LOG: form === "logSoftmax" },
      shape: ({ x }) => ({ y: x }),
      uniforms: (_shapes, view) => ({
        lines: view.outer * view.inner,
        length: view.length,
        inner: view.inner,
      }),
      grid: (_shapes, limits, { outer, inner }) => gridFor(outer * inner, WORKGROUP_SIZE, limits),
      work: (_shapes, { outer, length, inner }) => 60 * outer * length * inner,
    }),
);

const gradKernel = memoize(
  (form: Form): Kernel<LineView> =>
    defineKernel({
      name: `softmax_grad(${form})`,
      wgsl: gradWgsl,
      bindings: { dy: "read", y: "read", dx: "write" },
      inPlace: { dx: "dy" },
      constants: { LOG: form === "logSoftmax" },
      shape: ({ dy }) => ({ dx: dy }),
      uniforms: (_shapes, view) => ({
        lines: view.outer * view.inner,
        length: view.length,
        inner: view.inner,
      }),
      grid: (_shapes, limits, { outer, inner }) => gridFor(outer * inner, WORKGROUP_SIZE, limits),
      work: (_shapes, { outer, length, inner }) => 40 * outer * length * inner,
    }),
);

/**
 * e^x / Σ e^x along an axis; finite for every finite x.
 * @throws ShapeError for an axis that does not exist
 * @example
 * const probabilities = softmax(logits);      // [n, classes], each row sums to 1
 */
export function softmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  return forward("softmax", x, options);
}

/** x - log Σ e^x along an axis: the logarithm of `softmax`, without its underflow. */
export function logSoftmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  return forward("logSoftmax", x, options);
}

/**
 * y · (dy - Σ y dy) along the axis.
 * @param y the output of `softmax`
 * @throws ShapeError if dy and y differ in shape, or for an axis that does not exist
 */
export function softmaxGrad(dy: Tensor, y: Tensor, options: SoftmaxOptions = {}): Tensor {
  return grad("softmax", dy, y, options);
}

/** dy - e^y · Σ dy along the axis. @param y the output of `logSoftmax` */
export function logSoftmaxGrad(dy: Tensor, y: Tensor, options: SoftmaxOptions = {}): Tensor {
  return grad("logSoftmax", dy, y, options);
}

function forward(form: Form, x: Tensor, { axis = -1, out }: SoftmaxOptions): Tensor {
  const view = lineView(form, x.shape, axis);
  if (view.length <= LONGEST_LINE) return forwardKernel(form).run({ x }, view, { out: { y: out } }).y;
  return x.gpu.scope(() => {
    const along = { axes: [axis], keepDims: true };
    const shifted = sub(x, max(x, along), { out });
    if (form === "logSoftmax") return sub(shifted, log(sum(exp(shifted), along)), { out: shifted });
    const powers = exp(shifted, { out: shifted });
    return div(powers, sum(powers, along), { out: powers });
  });
}

function grad(form: Form, dy: Tensor, y: Tensor, { axis = -1, out }: SoftmaxOptions): Tensor {
  const view = lineView(`${form}Grad`, dy.shape, axis);
  if (!sameShape(dy.shape, y.shape)) {
    throw new ShapeError(
      `${form}Grad: dy has shape [${dy.shape}] and y has [${y.shape}]; y is the output of ${form}`,
    );
  }
  if (view.length <= LONGEST_LINE) return gradKernel(form).run({ dy, y }, view, { out: { dx: out } }).dx;
  if (out && out.storage === y.storage)
    throw new ShapeError(`${form}Grad: out shares its buffer with y; only dy's is taken`);
  return dy.gpu.scope(() => {
    const along = { axes: [axis], keepDims: true };
    if (form === "logSoftmax") return sub(dy, mul(exp(y), sum(dy, along)), { out });
    const rest = sub(dy, sum(mul(dy, y), along), { out });
    return mul(rest, y, { out: rest });
  });
}
