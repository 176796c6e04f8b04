import { ValueError } from "../gpu/errors.js";

/** The activations that matmul, convolution and batch norm can apply in their epilogue. */
export type FusedActivation = "relu" | "leakyRelu" | "tanh" | "sigmoid";

/** What an op's `activation` option takes; `slope` is the leaky ReLU's. */
export interface ActivationOptions {
  readonly activation?: FusedActivation;
  /** Slope of the leaky ReLU for negative inputs, at least 0; default 0.01. */
  readonly slope?: number;
}

/** The values of the WGSL constant `ACTIVATION`. */
export const ACTIVATION_CODE: Readonly<Record<FusedActivation, number>> = {
  relu: 1,
  leakyRelu: 2,
  tanh: 3,
  sigmoid: 4,
};

/** One of them; 0 for none. */
export function activationCode(activation?: FusedActivation): number {
  return activation ? ACTIVATION_CODE[activation] : 0;
}

/** Whether matmul, convolution and batch norm can apply an activation themselves. */
export function isFusedActivation(name: string): name is FusedActivation {
  return Object.hasOwn(ACTIVATION_CODE, name);
}

export const DEFAULT_SLOPE = 0.01;

/** Below 0 the sign of the output would not tell the sign of the input. @throws ValueError */
export function checkSlope(op: string, slope: number = DEFAULT_SLOPE): number {
  if (slope >= 0 && slope < Infinity) return slope;
  throw new ValueError(`${op}: slope is ${slope}, and a number of at least 0 is taken`);
}

/** Checks the activation that an op applies to its result. @throws ValueError for an unknown name or a slope below 0 */
export function checkEpilogue(op: string, { activation, slope }: ActivationOptions): void {
  checkSlope(op, slope);
  if (activation === undefined || isFusedActivation(activation)) return;
  const known = Object.keys(ACTIVATION_CODE).join(", ");
  throw new ValueError(`${op}: activation is "${activation}", and one of ${known} is taken`);
}
