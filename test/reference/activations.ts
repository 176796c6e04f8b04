import { type Array64, map } from "./array64.js";

export type ActivationName = "relu" | "leakyRelu" | "tanh" | "sigmoid" | "gelu" | "silu";

export interface ActivationOptions {
  /** Slope of the leaky ReLU below 0; 0.01 as in PyTorch. */
  slope?: number;
}

/** The error function to about 1e-16: e^(-x²)·2/√π·Σ 2ⁿx^(2n+1)/(1·3·…·(2n+1)), all terms of one sign. */
export function errorFunction(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return ((2 / Math.sqrt(Math.PI)) * sum) / Math.exp(x * x);
}

const logistic = (x: number) => 1 / (1 + Math.exp(-x));
const normalDensity = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const normalDistribution = (x: number) => (1 + errorFunction(x / Math.SQRT2)) / 2;

type Curve = (x: number, slope: number) => number;

/** Value and derivative of each activation at the input x. ReLU's derivative at 0 is 0, the leaky one's `slope`. */
const curves: Record<ActivationName, { value: Curve; derivative: Curve }> = {
  relu: {
    value: (x) => Math.max(x, 0),
    derivative: (x) => (x > 0 ? 1 : 0),
  },
  leakyRelu: {
    value: (x, slope) => (x > 0 ? x : slope * x),
    derivative: (x, slope) => (x > 0 ? 1 : slope),
  },
  tanh: {
    value: (x) => Math.tanh(x),
    derivative: (x) => 1 - Math.tanh(x) ** 2,
  },
  sigmoid: {
    value: (x) => logistic(x),
    derivative: (x) => logistic(x) * logistic(-x),
  },
  gelu: {
    value: (x) => x * normalDistribution(x),
    derivative: (x) => normalDistribution(x) + x * normalDensity(x),
  },
  silu: {
    value: (x) => x * logistic(x),
    derivative: (x) => logistic(x) + x * logistic(x) * logistic(-x),
  },
};

/** The activation of every element. */
export function activate(
  x: Array64,
  name: ActivationName,
  { slope = 0.01 }: ActivationOptions = {},
): Array64 {
  return map(x, (v) => curves[name].value(v, slope));
}

/** dx = dy · activation'(x), with x the input of the forward pass. */
export function activateGrad(
  x: Array64,
  dy: Array64,
  name: ActivationName,
  { slope = 0.01 }: ActivationOptions = {},
): Array64 {
  return map(x, (v, i) => dy.data[i] * curves[name].derivative(v, slope));
}

export const relu = (x: Array64) => activate(x, "relu");
export const leakyRelu = (x: Array64, options?: ActivationOptions) => activate(x, "leakyRelu", options);
export const tanh = (x: Array64) => activate(x, "tanh");
export const sigmoid = (x: Array64) => activate(x, "sigmoid");
export const gelu = (x: Array64) => activate(x, "gelu");
export const silu = (x: Array64) => activate(x, "silu");

export const reluGrad = (x: Array64, dy: Array64) => activateGrad(x, dy, "relu");
export const leakyReluGrad = (x: Array64, dy: Array64, options?: ActivationOptions) =>
  activateGrad(x, dy, "leakyRelu", options);
export const tanhGrad = (x: Array64, dy: Array64) => activateGrad(x, dy, "tanh");
export const sigmoidGrad = (x: Array64, dy: Array64) => activateGrad(x, dy, "sigmoid");
export const geluGrad = (x: Array64, dy: Array64) => activateGrad(x, dy, "gelu");
export const siluGrad = (x: Array64, dy: Array64) => activateGrad(x, dy, "silu");
