import { type Array64, array64, map } from "./array64.js";

export interface SgdOptions {
  learningRate: number;
  momentum?: number;
  /** L2 penalty: added to the gradient as weightDecay · parameter. */
  weightDecay?: number;
  nesterov?: boolean;
}

/** v ← momentum·v + g, p ← p - learningRate·v; a velocity that is not given is zero. */
export function sgdStep(
  parameter: Array64,
  gradient: Array64,
  velocity: Array64 | undefined,
  { learningRate, momentum = 0, weightDecay = 0, nesterov = false }: SgdOptions,
): { parameter: Array64; velocity: Array64 } {
  const g = map(gradient, (v, i) => v + weightDecay * parameter.data[i]);
  const next = map(g, (v, i) => momentum * (velocity?.data[i] ?? 0) + v);
  const step = nesterov ? map(g, (v, i) => v + momentum * next.data[i]) : next;
  return { parameter: map(parameter, (p, i) => p - learningRate * step.data[i]), velocity: next };
}

export interface AdamOptions {
  learningRate: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
}

export interface AdamState {
  /** Steps taken so far. */
  step: number;
  /** Running mean of the gradient. */
  first: Array64;
  /** Running mean of its square. */
  second: Array64;
}

export function adamState(shape: readonly number[]): AdamState {
  return { step: 0, first: array64(shape), second: array64(shape) };
}

/** Adam (Kingma and Ba 2014); weight decay is an L2 penalty in the gradient. */
export function adamStep(
  parameter: Array64,
  gradient: Array64,
  state: AdamState,
  { learningRate, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 }: AdamOptions,
): { parameter: Array64; state: AdamState } {
  const [beta1, beta2] = betas;
  const step = state.step + 1;
  const g = map(gradient, (v, i) => v + weightDecay * parameter.data[i]);
  const first = map(state.first, (m, i) => beta1 * m + (1 - beta1) * g.data[i]);
  const second = map(state.second, (v, i) => beta2 * v + (1 - beta2) * g.data[i] ** 2);
  const next = map(parameter, (p, i) => {
    const unbiasedFirst = first.data[i] / (1 - beta1 ** step);
    const unbiasedSecond = second.data[i] / (1 - beta2 ** step);
    return p - (learningRate * unbiasedFirst) / (Math.sqrt(unbiasedSecond) + eps);
  });
  return { parameter: next, state: { step, first, second } };
}

/** AdamW (Loshchilov and Hutter 2017): the parameter itself shrinks by learningRate · weightDecay before the step. */
export function adamWStep(
  parameter: Array64,
  gradient: Array64,
  state: AdamState,
  { weightDecay = 0.01, ...options }: AdamOptions,
): { parameter: Array64; state: AdamState } {
  const shrunk = map(parameter, (p) => p * (1 - options.learningRate * weightDecay));
  return adamStep(shrunk, gradient, state, options);
}

/** All gradients scaled by min(1, maxNorm / (norm + 1e-6)), norm the L2 norm over all of them together. */
export function clipGradientNorm(
  gradients: readonly Array64[],
  maxNorm: number,
): { gradients: Array64[]; norm: number } {
  let sumOfSquares = 0;
  for (const { data } of gradients) for (const v of data) sumOfSquares += v * v;
  const norm = Math.sqrt(sumOfSquares);
  const factor = Math.min(1, maxNorm / (norm + 1e-6));
  return { gradients: gradients.map((g) => map(g, (v) => v * factor)), norm };
}

/** Every element held within ±limit. */
export function clipGradientValue(gradients: readonly Array64[], limit: number): Array64[] {
  return gradients.map((g) => map(g, (v) => Math.min(Math.max(v, -limit), limit)));
}
