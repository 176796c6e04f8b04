import { type Array64, array64, map, sizeOf } from "./array64.js";

export interface BatchNormOptions {
  /** Added to the variance; 1e-5 as in PyTorch. */
  eps?: number;
}

/** Which channel each element of x [n, c, ...] belongs to. */
function channelOf(x: Array64): (offset: number) => number {
  const channels = x.shape[1];
  const inner = sizeOf(x.shape.slice(2));
  return (offset) => Math.floor(offset / inner) % channels;
}

function sumByChannel(x: Array64, value: (offset: number) => number): Float64Array {
  const channel = channelOf(x);
  const sums = new Float64Array(x.shape[1]);
  for (let i = 0; i < x.data.length; i++) sums[channel(i)] += value(i);
  return sums;
}

/** Mean and variance (biased, divided by the count) of each channel. */
function statisticsOf(x: Array64): { mean: Float64Array; variance: Float64Array; count: number } {
  const channel = channelOf(x);
  const count = x.data.length / x.shape[1];
  const mean = sumByChannel(x, (i) => x.data[i]).map((sum) => sum / count);
  const variance = sumByChannel(x, (i) => (x.data[i] - mean[channel(i)]) ** 2).map((sum) => sum / count);
  return { mean, variance, count };
}

function normalize(
  x: Array64,
  gamma: Array64,
  beta: Array64,
  mean: Float64Array,
  variance: Float64Array,
  eps: number,
): Array64 {
  const channel = channelOf(x);
  return map(x, (value, i) => {
    const c = channel(i);
    return ((value - mean[c]) / Math.sqrt(variance[c] + eps)) * gamma.data[c] + beta.data[c];
  });
}

/**
 * Batch norm in training: normalized by the batch's own mean and biased variance. The running statistics
 * take in the new mean and the new *unbiased* variance with weight `momentum`.
 */
export function batchNormTrain(
  x: Array64,
  gamma: Array64,
  beta: Array64,
  runningMean: Array64,
  runningVar: Array64,
  { eps = 1e-5, momentum = 0.1 }: BatchNormOptions & { momentum?: number } = {},
) {
  const { mean, variance, count } = statisticsOf(x);
  return {
    y: normalize(x, gamma, beta, mean, variance, eps),
    mean: array64(gamma.shape, mean),
    variance: array64(gamma.shape, variance),
    inverseStd: array64(
      gamma.shape,
      variance.map((v) => 1 / Math.sqrt(v + eps)),
    ),
    runningMean: map(runningMean, (old, c) => (1 - momentum) * old + momentum * mean[c]),
    runningVar: map(
      runningVar,
      (old, c) => (1 - momentum) * old + (momentum * variance[c] * count) / (count - 1),
    ),
  };
}

/** Batch norm in evaluation: normalized by the running statistics. */
export function batchNormEval(
  x: Array64,
  gamma: Array64,
  beta: Array64,
  runningMean: Array64,
  runningVar: Array64,
  { eps = 1e-5 }: BatchNormOptions = {},
): Array64 {
  return normalize(x, gamma, beta, runningMean.data, runningVar.data, eps);
}

/** Gradients in training: the batch's statistics depend on x, which takes two means out of dy. */
export function batchNormTrainGrad(
  x: Array64,
  gamma: Array64,
  dy: Array64,
  { eps = 1e-5 }: BatchNormOptions = {},
) {
  const channel = channelOf(x);
  const { mean, variance, count } = statisticsOf(x);
  const std = variance.map((v) => Math.sqrt(v + eps));
  const normalized = (i: number) => (x.data[i] - mean[channel(i)]) / std[channel(i)];
  const dbeta = sumByChannel(x, (i) => dy.data[i]);
  const dgamma = sumByChannel(x, (i) => dy.data[i] * normalized(i));
  return {
    dx: map(x, (_, i) => {
      const c = channel(i);
      return (gamma.data[c] / std[c]) * (dy.data[i] - dbeta[c] / count - (normalized(i) * dgamma[c]) / count);
    }),
    dgamma: array64(gamma.shape, dgamma),
    dbeta: array64(gamma.shape, dbeta),
  };
}

/** Gradients in evaluation: the statistics are constants. */
export function batchNormEvalGrad(
  x: Array64,
  gamma: Array64,
  runningMean: Array64,
  runningVar: Array64,
  dy: Array64,
  { eps = 1e-5 }: BatchNormOptions = {},
) {
  const channel = channelOf(x);
  const std = runningVar.data.map((v) => Math.sqrt(v + eps));
  return {
    dx: map(x, (_, i) => (dy.data[i] * gamma.data[channel(i)]) / std[channel(i)]),
    dgamma: array64(
      gamma.shape,
      sumByChannel(x, (i) => (dy.data[i] * (x.data[i] - runningMean.data[channel(i)])) / std[channel(i)]),
    ),
    dbeta: array64(
      gamma.shape,
      sumByChannel(x, (i) => dy.data[i]),
    ),
  };
}
