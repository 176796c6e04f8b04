/** Arithmetic element by element: functions of one and of two tensors, choices, and tensors of one value. */
import fillWgsl from "../../shaders/fill.wgsl";
import whereWgsl from "../../shaders/where.wgsl";
import type { Gpu } from "../gpu/gpu.js";
import type { Shape } from "../gpu/kernel.js";
import { empty, type Tensor } from "../tensor.js";
import { broadcastTo } from "./binary.js";
import { broadcastShape, checkNumber, sameShape } from "./broadcast.js";
import { PointwiseKernel } from "./pointwise.js";
import type { ElementwiseOptions } from "./unary.js";

export * from "./binary.js";
export * from "./unary.js";

const fillKernel = new PointwiseKernel<{ value: number; shape: Shape }>({
  name: "fill",
  wgsl: fillWgsl,
  bindings: { y: "write" },
  uniforms: ({ value }) => ({ value }),
});

const whereKernel = new PointwiseKernel<{ a: number; b: number }>({
  name: "where",
  wgsl: whereWgsl,
  bindings: { condition: "read", a: "optional", b: "optional", y: "write" },
  inPlace: { y: "a" },
  uniforms: ({ a, b }) => ({ number_a: a, number_b: b }),
});

/**
 * A tensor with `value` in every element.
 * @throws ValueError if `value` is not a finite float32
 * @example
 * const gamma = full(gpu, [channels], 1);
 */
export function full(gpu: Gpu, shape: Shape, value: number): Tensor {
  return fill(empty(gpu, shape), value);
}

/**
 * Sets every element of a tensor, in order with the ops recorded before, and returns it.
 * @throws ValueError if `value` is not a finite float32
 */
export function fill(target: Tensor, value: number): Tensor {
  checkNumber("fill", "value", value);
  return fillKernel.run({}, { value, shape: target.shape }, { y: target }).y;
}

/**
 * a where the condition is not 0, else b. The three broadcast; a and b may be numbers.
 * @param out may be a, if a has the result's shape
 * @throws ShapeError if the shapes do not broadcast
 * @example
 * const clipped = where(greater(x, 0), x, 0);
 */
export function where(
  condition: Tensor,
  a: Tensor | number,
  b: Tensor | number,
  { out }: ElementwiseOptions = {},
): Tensor {
  const [tensorA, tensorB] = [a, b].map((value) => (typeof value === "number" ? undefined : value));
  const [numberA, numberB] = [a, b].map((value, i) => {
    return typeof value === "number" ? checkNumber("where", i === 0 ? "a" : "b", value) : 0;
  });
  const shapes = [condition, tensorA, tensorB].flatMap((given) => (given ? [given.shape] : []));
  const shape = broadcastShape("where", ...shapes);
  return condition.gpu.scope(() => {
    const [c, p, q] = [condition, tensorA, tensorB].map((given) => {
      return !given || sameShape(given.shape, shape) ? given : broadcastTo(given, shape);
    });
    return whereKernel.run({ condition: c, a: p, b: q }, { a: numberA, b: numberB }, { y: out }).y;
  });
}
