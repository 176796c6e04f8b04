/** Functions of two tensors, element by element, with NumPy's broadcasting; of f32. */
import broadcastWgsl from "../../shaders/elementwise_broadcast.wgsl";
import binaryWgsl from "../../shaders/elementwise_binary.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Kernel, type Shape, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { type BroadcastLayout, broadcastLayout, checkNumber, sameShape } from "./broadcast.js";
import { memoize } from "./memoize.js";
import { PointwiseKernel } from "./pointwise.js";
import type { ElementwiseOptions } from "./unary.js";

const WORKGROUP_SIZE = 64;
const CHUNK = 4;

/**
 * The value of `OPERATION` in elementwise_binary.wgsl and elementwise_broadcast.wgsl; `second` is b itself.
 */
const OPERATION = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  pow: 4,
  minimum: 5,
  maximum: 6,
  greater: 7,
  less: 8,
  equal: 9,
  addScaled: 10,
  second: 11,
} as const;

type BinaryName = keyof typeof OPERATION;

interface BinaryCall {
  readonly swap: boolean;
  readonly scale: number;
  /** What stands for b where it is a number. */
  readonly scalar: number;
}

// A kernel of its own for each function, so that debug mode, profiles and errors name it.
const binaryKernel = memoize(
  (name: BinaryName) =>
    new PointwiseKernel<BinaryCall>({
      name: `elementwise_binary(${name})`,
      wgsl: binaryWgsl,
      bindings: { a: "read", b: "optional", y: "write" },
      inPlace: { y: "a" },
      constants: ({ swap }) => ({ OPERATION: OPERATION[name], SWAP: swap }),
      uniforms: ({ scalar, scale }) => ({ scalar, scale }),
      work: name === "pow" ? 40 : undefined,
    }),
);

const broadcastKernel = memoize(
  (name: BinaryName): Kernel<BinaryCall & { layout: BroadcastLayout }> =>
    defineKernel({
      name: `elementwise_broadcast(${name})`,
      wgsl: broadcastWgsl,
      bindings: { a: "read", b: "read", y: "write" },
      inPlace: { y: "a" },
      constants: (_shapes, { swap }) => ({ OPERATION: OPERATION[name], SWAP: swap }),
      shape: (_inputs, { layout }) => ({ y: layout.shape }),
      uniforms: (_shapes, { layout, scale }) => ({
        sizes: fill(layout.sizes, 0, 1),
        more_sizes: fill(layout.sizes, 4, 1),
        strides_a: fill(layout.stridesA, 0, 0),
        more_strides_a: fill(layout.stridesA, 4, 0),
        strides_b: fill(layout.stridesB, 0, 0),
        more_strides_b: fill(layout.stridesB, 4, 0),
        rows: sizeOf(layout.sizes),
        inner: layout.inner,
        chunks: Math.ceil(layout.inner / CHUNK),
        axes: layout.sizes.length,
        step_a: layout.stepA,
        step_b: layout.stepB,
        scale,
      }),
      grid: (_shapes, limits, { layout }) =>
        gridFor(sizeOf(layout.sizes) * Math.ceil(layout.inner / CHUNK), WORKGROUP_SIZE, limits),
      work: ({ y }) => 16 * sizeOf(y),
    }),
);

/** Four entries from `start`, the missing ones `rest`. */
function fill(values: readonly number[], start: number, rest: number): number[] {
  return [0, 1, 2, 3].map((i) => values[start + i] ?? rest);
}

function binary(name: BinaryName, a: Tensor | number, b: Tensor | number, out?: Tensor, scale = 1): Tensor {
  if (typeof a === "number") {
    if (typeof b === "number")
      throw new ShapeError(`${name}: a and b are both numbers, and one must be a tensor`);
    return binaryKernel(name).run(
      { a: b },
      { swap: true, scalar: checkNumber(name, "a", a), scale },
      { y: out },
    ).y;
  }
  if (typeof b === "number") {
    return binaryKernel(name).run(
      { a },
      { swap: false, scalar: checkNumber(name, "b", b), scale },
      { y: out },
    ).y;
  }
  // The kernels take the result in place of their first operand only.
  if (out && out.storage === b.storage && out.storage !== a.storage)
    return operate(name, b, a, true, out, scale);
  return operate(name, a, b, false, out, scale);
}

function operate(
  name: BinaryName,
  a: Tensor,
  b: Tensor,
  swap: boolean,
  out: Tensor | undefined,
  scale: number,
): Tensor {
  const call = { swap, scalar: 0, scale };
  if (sameShape(a.shape, b.shape)) return binaryKernel(name).run({ a, b }, call, { y: out }).y;
  const layout = broadcastLayout(name, a.shape, b.shape);
  if (name !== "pow") return broadcastKernel(name).run({ a, b }, { ...call, layout }, { out: { y: out } }).y;
  return a.gpu.scope(() => {
    const [base, exponent] = [a, b].map((x) =>
      sameShape(x.shape, layout.shape) ? x : broadcastTo(x, layout.shape),
    );
    return binaryKernel("pow").run({ a: base, b: exponent }, call, { y: out }).y;
  });
}

/**
 * a + b. Shapes broadcast; either may be a number.
 * @throws ShapeError if the shapes do not broadcast, or `out` is an input that is repeated
 * @example
 * const y = add(x, bias); // [n, c] + [c]
 * add(total, 1, { out: total });
 */
export function add(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("add", a, b, out);
}

/** a - b; see `add`. @example const rest = sub(1, x); */
export function sub(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("sub", a, b, out);
}

/** a · b, element by element; see `add`. @example const scaled = mul(x, 0.5); */
export function mul(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("mul", a, b, out);
}

/**
 * a / b; see `add`. Division by 0 gives infinity or NaN, which debug mode finds.
 * @example
 * const y = div(x, norms);
 */
export function div(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("div", a, b, out);
}

/**
 * a to the power b; see `add`. 0 to the power 0 is 1; a negative base takes whole exponents, and is NaN under
 * others, which debug mode finds.
 * @example
 * const cubes = pow(x, 3);
 */
export function pow(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("pow", a, b, out);
}

/** The smaller of a and b; see `add`. @example const capped = minimum(x, 6); */
export function minimum(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("minimum", a, b, out);
}

/** The larger of a and b; see `add`. @example const positive = maximum(x, 0); */
export function maximum(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("maximum", a, b, out);
}

/** 1 where a > b, else 0; see `add`. @example const mask = greater(x, 0.5); */
export function greater(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("greater", a, b, out);
}

/** 1 where a < b, else 0; see `add`. @example const mask = less(x, thresholds); */
export function less(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("less", a, b, out);
}

/** 1 where a equals b, else 0; see `add`. @example const zeros = equal(x, 0); */
export function equal(a: Tensor | number, b: Tensor | number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("equal", a, b, out);
}

/**
 * a + scale · b with one rounding; see `add`.
 * @throws ValueError if `scale` is not finite
 * @example
 * addScaled(weights, gradient, -0.1, { out: weights });
 */
export function addScaled(a: Tensor, b: Tensor, scale: number, { out }: ElementwiseOptions = {}): Tensor {
  return binary("addScaled", a, b, out, checkNumber("addScaled", "scale", scale));
}

/**
 * x repeated to fill a larger shape.
 * @throws ShapeError if x does not broadcast to it
 * @example
 * const rows = broadcastTo(bias, [32, 10]); // [10] -> [32, 10]
 */
export function broadcastTo(x: Tensor, shape: Shape, { out }: ElementwiseOptions = {}): Tensor {
  const layout = broadcastLayout("broadcastTo", shape, x.shape);
  if (!sameShape(layout.shape, shape)) {
    throw new ShapeError(
      `broadcastTo: x has shape [${x.shape}], which [${shape}] does not repeat; an axis of 1 may grow`,
    );
  }
  // The kernel reads b; a stands for itself in a shape that no element of it is read by.
  const repeated = { ...layout, stepA: 0, stridesA: layout.stridesA.map(() => 0) };
  const call = { swap: false, scalar: 0, scale: 1, layout: repeated };
  return broadcastKernel("second").run({ a: x, b: x }, call, { out: { y: out } }).y;
}
