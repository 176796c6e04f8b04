/** The activations that matmul and convolution can apply in their epilogue. */
export type FusedActivation = "relu" | "leakyRelu" | "tanh" | "sigmoid";

/** What an op's `activation` option takes; `slope` is the leaky ReLU's. */
export interface ActivationOptions {
  readonly activation?: FusedActivation;
  /** Slope of the leaky ReLU for negative inputs; default 0.01. */
  readonly slope?: number;
}

/** The value of the WGSL constant `ACTIVATION`. */
export const ACTIVATION_CODE: Readonly<Record<FusedActivation, number>> = {
  relu: 1,
  leakyRelu: 2,
  tanh: 3,
  sigmoid: 4,
};

/** Whether matmul and convolution can apply an activation themselves. */
export function isFusedActivation(name: string): name is FusedActivation {
  return Object.hasOwn(ACTIVATION_CODE, name);
}

export const DEFAULT_SLOPE = 0.01;
