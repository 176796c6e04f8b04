/** Functions of one tensor, element by element; of f32. */
import wgsl from "../../shaders/elementwise_unary.wgsl";
import { ValueError } from "../gpu/errors.js";
import type { Tensor } from "../tensor.js";
import { memoize } from "./memoize.js";
import { PointwiseKernel } from "./pointwise.js";

export interface ElementwiseOptions {
  /** Where the result goes. It may be an input of the result's own shape. */
  readonly out?: Tensor;
}

const LARGEST_F32 = 3.4028234663852886e38;

/** The value of `OPERATION` in the WGSL. */
const OPERATION = {
  neg: 0,
  abs: 1,
  sign: 2,
  exp: 3,
  log: 4,
  sqrt: 5,
  square: 6,
  reciprocal: 7,
  floor: 8,
  ceil: 9,
  clamp: 10,
} as const;

type UnaryName = keyof typeof OPERATION;

interface Bounds {
  readonly low: number;
  readonly high: number;
}

// A kernel of its own for each function, so that debug mode, profiles and errors name it.
const kernelOf = memoize(
  (name: UnaryName) =>
    new PointwiseKernel<Bounds>({
      name: `elementwise_unary(${name})`,
      wgsl,
      bindings: { x: "read", y: "write" },
      inPlace: { y: "x" },
      constants: () => ({ OPERATION: OPERATION[name] }),
      uniforms: ({ low, high }) => ({ low, high }),
    }),
);

function unary(
  name: UnaryName,
  x: Tensor,
  { out }: ElementwiseOptions,
  bounds: Bounds = { low: 0, high: 0 },
): Tensor {
  return kernelOf(name).run({ x }, bounds, { y: out }).y;
}

/** -x. */
export function neg(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("neg", x, options);
}

/** |x|. */
export function abs(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("abs", x, options);
}

/** 1, -1 or 0: the sign of x. */
export function sign(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("sign", x, options);
}

/** e to the power x, within 3e-7 of the result; infinite above 88.72. */
export function exp(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("exp", x, options);
}

/** The natural logarithm, within 3e-7 of the result near 1 as elsewhere; -infinity of 0, NaN below it. */
export function log(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("log", x, options);
}

/** √x; NaN below 0. */
export function sqrt(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("sqrt", x, options);
}

/** x². */
export function square(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("square", x, options);
}

/** 1 / x; infinite at 0. */
export function reciprocal(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("reciprocal", x, options);
}

/** The largest whole number that is not above x. */
export function floor(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("floor", x, options);
}

/** The smallest whole number that is not below x. */
export function ceil(x: Tensor, options: ElementwiseOptions = {}): Tensor {
  return unary("ceil", x, options);
}

/**
 * x held between two bounds; ±Infinity leaves a side open.
 * @throws ValueError if `low` is above `high`, or one of them is NaN
 * @example
 * clamp(image, 0, 1, { out: image });
 */
export function clamp(x: Tensor, low: number, high: number, options: ElementwiseOptions = {}): Tensor {
  if (!(low <= high)) throw new ValueError(`clamp: bounds ${low} and ${high} are taken in ascending order`);
  const held = (bound: number): number => Math.min(Math.max(bound, -LARGEST_F32), LARGEST_F32);
  return unary("clamp", x, options, { low: held(low), high: held(high) });
}
