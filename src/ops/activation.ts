/** Activations and their gradients. */
import forwardWgsl from "../../shaders/activation.wgsl";
import gradWgsl from "../../shaders/activation_grad.wgsl";
import { ValueError } from "../gpu/errors.js";
import type { Tensor } from "../tensor.js";
import { ACTIVATION_CODE, checkSlope, type FusedActivation } from "./activation_names.js";
import { memoize } from "./memoize.js";
import { PointwiseKernel } from "./pointwise.js";

export type ActivationName = FusedActivation | "gelu" | "silu";

export interface ActivateOptions {
  /** Slope of the leaky ReLU for negative inputs, at least 0; default 0.01. */
  readonly slope?: number;
  /** Where the result goes; it may be x (in the gradients dy). */
  readonly out?: Tensor;
}

type OutOption = Pick<ActivateOptions, "out">;

/** The value of `ACTIVATION` in the WGSL. */
const CODE: Readonly<Record<ActivationName, number>> = { ...ACTIVATION_CODE, gelu: 5, silu: 6 };

/**
 * What the gradient takes from the forward pass: its output, which it may have written over its input, or its
 * input.
 */
export const ACTIVATION_KEEPS: Readonly<Record<ActivationName, "input" | "output">> = {
  relu: "output",
  leakyRelu: "output",
  tanh: "output",
  sigmoid: "output",
  gelu: "input",
  silu: "input",
};

// A kernel of its own for each activation, so that debug mode, profiles and errors name it.
const forwardKernel = memoize(
  (name: ActivationName) =>
    new PointwiseKernel<{ slope: number }>({
      name: `activation(${name})`,
      wgsl: forwardWgsl,
      bindings: { x: "read", y: "write" },
      inPlace: { y: "x" },
      constants: () => ({ ACTIVATION: CODE[name] }),
      uniforms: ({ slope }) => ({ slope }),
      work: 20,
    }),
);

const gradKernel = memoize(
  (name: ActivationName) =>
    new PointwiseKernel<{ slope: number }>({
      name: `activation_grad(${name})`,
      wgsl: gradWgsl,
      bindings: { dy: "read", kept: "read", dx: "write" },
      inPlace: { dx: "dy" },
      constants: () => ({ ACTIVATION: CODE[name] }),
      uniforms: ({ slope }) => ({ slope }),
      work: 20,
    }),
);

/**
 * y = f(x) for the activation of that name.
 * @throws ValueError for an unknown name or a slope below 0
 * @example
 * const y = activate(x, "leakyRelu", { slope: 0.1 });
 */
export function activate(x: Tensor, name: ActivationName, { slope, out }: ActivateOptions = {}): Tensor {
  return forwardKernel(known("activate", name)).run({ x }, { slope: checkSlope(name, slope) }, { y: out }).y;
}

/**
 * dx = dy · f'(x).
 * @param kept the forward pass's output for relu, leakyRelu, tanh and sigmoid, its input for gelu and silu
 *   (`ACTIVATION_KEEPS`)
 * @throws ShapeError if dy and kept differ in shape; ValueError for an unknown name or a slope below 0
 * @example
 * const dx = activationGrad(dy, y, "tanh");
 */
export function activationGrad(
  dy: Tensor,
  kept: Tensor,
  name: ActivationName,
  { slope, out }: ActivateOptions = {},
): Tensor {
  const kernel = gradKernel(known("activationGrad", name));
  return kernel.run({ dy, kept }, { slope: checkSlope(name, slope) }, { dx: out }).dx;
}

function known(op: string, name: ActivationName): ActivationName {
  if (Object.hasOwn(CODE, name)) return name;
  throw new ValueError(`${op}: no activation is named "${name}"; there are ${Object.keys(CODE).join(", ")}`);
}

/** max(x, 0). @example const y = relu(x, { out: x }); */
export function relu(x: Tensor, { out }: OutOption = {}): Tensor {
  return activate(x, "relu", { out });
}

/** dy where y is above 0, else 0. @param y the output of `relu` (its input serves as well) */
export function reluGrad(dy: Tensor, y: Tensor, { out }: OutOption = {}): Tensor {
  return activationGrad(dy, y, "relu", { out });
}

/** x where x is above 0, else slope · x. @throws ValueError for a slope below 0 */
export function leakyRelu(x: Tensor, options: ActivateOptions = {}): Tensor {
  return activate(x, "leakyRelu", options);
}

/** dy where y is above 0, else slope · dy. @param y the output of `leakyRelu` (its input serves as well) */
export function leakyReluGrad(dy: Tensor, y: Tensor, options: ActivateOptions = {}): Tensor {
  return activationGrad(dy, y, "leakyRelu", options);
}

/** The hyperbolic tangent. */
export function tanh(x: Tensor, { out }: OutOption = {}): Tensor {
  return activate(x, "tanh", { out });
}

/** dy · (1 - y²). @param y the output of `tanh` */
export function tanhGrad(dy: Tensor, y: Tensor, { out }: OutOption = {}): Tensor {
  return activationGrad(dy, y, "tanh", { out });
}

/** 1 / (1 + e^-x). */
export function sigmoid(x: Tensor, { out }: OutOption = {}): Tensor {
  return activate(x, "sigmoid", { out });
}

/** dy · y (1 - y). @param y the output of `sigmoid` */
export function sigmoidGrad(dy: Tensor, y: Tensor, { out }: OutOption = {}): Tensor {
  return activationGrad(dy, y, "sigmoid", { out });
}

/**
 * x Φ(x) with Φ the normal distribution (Hendrycks and Gimpel 2016): the erf form, not the tanh
 * approximation.
 */
export function gelu(x: Tensor, { out }: OutOption = {}): Tensor {
  return activate(x, "gelu", { out });
}

/** dy · (Φ(x) + x φ(x)). @param x the input of `gelu` */
export function geluGrad(dy: Tensor, x: Tensor, { out }: OutOption = {}): Tensor {
  return activationGrad(dy, x, "gelu", { out });
}

/** x · sigmoid(x), also called swish. */
export function silu(x: Tensor, { out }: OutOption = {}): Tensor {
  return activate(x, "silu", { out });
}

/** dy · s (1 + x (1 - s)) with s = sigmoid(x). @param x the input of `silu` */
export function siluGrad(dy: Tensor, x: Tensor, { out }: OutOption = {}): Tensor {
  return activationGrad(dy, x, "silu", { out });
}
