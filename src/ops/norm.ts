/** Batch normalization (Ioffe and Szegedy 2015) and its gradients, with PyTorch's conventions. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import { type Shape, type Shapes, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import {
  applyKernel,
  checkChannels,
  gradKernel,
  gradSumsKernel,
  momentsKernel,
  runningKernel,
  type SpreadCall,
  statisticsKernel,
} from "./batch_norm_kernels.js";
import { type ActivationOptions, checkEpilogue } from "./activation_names.js";
import { sum } from "./reduce.js";

export interface BatchNormOptions extends ActivationOptions {
  /** [channels]: updated in place in training (optional there), the statistics in evaluation. */
  readonly runningMean?: Tensor;
  readonly runningVar?: Tensor;
  /** Normalize by the batch's own statistics. Default false. */
  readonly training?: boolean;
  /** Weight of the batch in the running statistics, from 0 to 1; default 0.1. */
  readonly momentum?: number;
  /** Added to the variance, above 0; default 1e-5. */
  readonly eps?: number;
  /** Where y goes; it may be x, if no gradient is taken after it. */
  readonly out?: Tensor;
}

/** What batch norm in training keeps for its gradient: [channels] each. */
export interface BatchStatistics {
  readonly mean: Tensor;
  /** 1 / √(variance + eps), of the batch's biased variance. */
  readonly invStd: Tensor;
}

export interface RunningStatistics {
  readonly runningMean: Tensor;
  readonly runningVar: Tensor;
  /** As in the forward pass; default 1e-5. */
  readonly eps?: number;
}

export interface BatchNormGradOptions {
  /** Where the results go; `dx` may be dy. */
  readonly out?: { readonly dx?: Tensor; readonly dgamma?: Tensor; readonly dbeta?: Tensor };
}

export interface BatchNormGradients {
  /** The input's gradient, of its shape. */
  readonly dx: Tensor;
  readonly dgamma: Tensor;
  readonly dbeta: Tensor;
}

const DEFAULT_EPS = 1e-5;
const DEFAULT_MOMENTUM = 0.1;

/** Values a channel in training. @throws ShapeError */
function valuesAChannel(op: string, x: Shape, tensors: Shapes): number {
  checkChannels(op, x, tensors);
  const count = sizeOf(x) / x[1];
  if (count > 1) return count;
  throw new ShapeError(
    `${op}: x has shape [${x}], which has no variance within a channel; ` +
      `training takes two values a channel at least`,
  );
}

/** @throws ValueError */
function checkEps(op: string, eps: number): number {
  if (eps > 0 && eps < Infinity) return eps;
  throw new ValueError(
    `${op}: eps is ${eps}, and a number above 0 is taken, so that a constant channel divides by one`,
  );
}

/**
 * Normalizes each channel: y = (x - mean) / √(variance + eps) · gamma + beta.
 *
 * In training mean and (biased) variance are the batch's own, and the running statistics, if given, take them
 * in with weight `momentum`, the variance unbiased (times n / (n - 1)). In evaluation they are the running
 * statistics. The activation, if given, is applied to y.
 * @param x [n, channels], or [n, channels, h, w] (any further dimensions)
 * @param gamma [channels]
 * @param beta [channels]
 * @returns y; in training also what `batchNormGrad` takes
 * @throws ShapeError for other shapes, or in training for a single value a channel, which has no variance;
 *   ValueError for eps, momentum or slope out of range
 * @example
 * const { y, mean, invStd } = batchNorm(x, gamma, beta, { runningMean, runningVar, training: true });
 * const { dx, dgamma, dbeta } = batchNormGrad(dy, x, gamma, { mean, invStd });
 */
export function batchNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  options: BatchNormOptions & { readonly training: true },
): { y: Tensor } & BatchStatistics;
export function batchNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  options: BatchNormOptions,
): { y: Tensor } & Partial<BatchStatistics>;
export function batchNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  {
    runningMean,
    runningVar,
    training = false,
    momentum = DEFAULT_MOMENTUM,
    eps = DEFAULT_EPS,
    activation,
    slope,
    out,
  }: BatchNormOptions,
): { y: Tensor } & Partial<BatchStatistics> {
  checkEps("batchNorm", eps);
  checkEpilogue("batchNorm", { activation, slope });
  if (!(momentum >= 0 && momentum <= 1))
    throw new ValueError(`batchNorm: momentum is ${momentum}, and 0 to 1 is taken`);
  if (!runningMean !== !runningVar || (!training && !runningMean)) {
    throw new ShapeError(
      `batchNorm: runningMean and runningVar go together, and evaluation needs both; ` +
        `in training both may be left out`,
    );
  }
  const call = { op: "batchNorm", eps, activation, slope };
  if (!training) {
    const inputs = { x, gamma, spread: runningVar, mean: runningMean, beta };
    return { y: applyKernel.run(inputs, { ...call, fromVariance: true }, { out: { y: out } }).y };
  }
  const running = runningMean && runningVar && { running_mean: runningMean, running_var: runningVar };
  const count = valuesAChannel("batchNorm", x.shape, shapesOf({ gamma, beta, runningMean, runningVar }));
  return x.gpu.scope(() => {
    const { means, deviations } = momentsKernel.run({ x }, undefined);
    const statistics = statisticsKernel.run({ means, deviations }, { x: x.shape, eps });
    const { mean, variance, inv_std: invStd } = statistics;
    const inputs = { x, gamma, spread: invStd, mean, beta };
    const { y } = applyKernel.run(inputs, { ...call, fromVariance: false }, { out: { y: out } });
    if (running)
      runningKernel.run({ mean, variance, ...running }, { momentum, correction: count / (count - 1) });
    return { y, mean, invStd };
  });
}

/**
 * The gradients of `batchNorm` in training.
 * @param dy the gradient of y
 * @param x the input of the forward pass
 * @param statistics mean and invStd as the forward pass returned them
 * @returns dx (x's shape), dgamma and dbeta ([channels])
 * @throws ShapeError for shapes that do not belong together
 * @example
 * const { dx, dgamma, dbeta } = batchNormGrad(dy, x, gamma, { mean, invStd });
 */
export function batchNormGrad(
  dy: Tensor,
  x: Tensor,
  gamma: Tensor,
  { mean, invStd }: BatchStatistics,
  { out = {} }: BatchNormGradOptions = {},
): BatchNormGradients {
  const count = valuesAChannel("batchNormGrad", x.shape, shapesOf({ gamma, mean, invStd }));
  checkOutputs("batchNormGrad", out, { gamma, mean, invStd });
  return x.gpu.scope(() => {
    const call = { op: "batchNormGrad", fromVariance: false, eps: 0 };
    const { dgamma, dbeta } = parameterGrads(dy, x, mean, invStd, call, out);
    const inputs = { dy, x, gamma, mean, inv_std: invStd, dgamma, dbeta };
    const { dx } = gradKernel.run(inputs, { inverseCount: 1 / count }, { out: { dx: out.dx } });
    return { dx, dgamma, dbeta };
  });
}

/**
 * The gradients of `batchNorm` in evaluation, where the statistics are constants.
 * @throws ShapeError for shapes that do not belong together; ValueError for eps out of range
 * @example
 * const { dx } = batchNormEvalGrad(dy, x, gamma, { runningMean, runningVar });
 */
export function batchNormEvalGrad(
  dy: Tensor,
  x: Tensor,
  gamma: Tensor,
  { runningMean, runningVar, eps = DEFAULT_EPS }: RunningStatistics,
  { out = {} }: BatchNormGradOptions = {},
): BatchNormGradients {
  checkEps("batchNormEvalGrad", eps);
  checkChannels("batchNormEvalGrad", x.shape, shapesOf({ gamma, runningMean, runningVar }));
  checkOutputs("batchNormEvalGrad", out, { gamma, runningMean, runningVar });
  return x.gpu.scope(() => {
    const call = { op: "batchNormEvalGrad", fromVariance: true, eps };
    const { dgamma, dbeta } = parameterGrads(dy, x, runningMean, runningVar, call, out);
    return { dx: batchNormEvalInputGrad(dy, gamma, { runningVar, eps }, { out: out.dx }), dgamma, dbeta };
  });
}

/**
 * Only dx of `batchNormEvalGrad`, which needs neither x nor a sum: dy · gamma / √(runningVar + eps).
 * @param out may be dy
 */
export function batchNormEvalInputGrad(
  dy: Tensor,
  gamma: Tensor,
  { runningVar, eps = DEFAULT_EPS }: Omit<RunningStatistics, "runningMean">,
  { out }: { out?: Tensor } = {},
): Tensor {
  const call = {
    op: "batchNormEvalInputGrad",
    fromVariance: true,
    eps: checkEps("batchNormEvalInputGrad", eps),
  };
  return applyKernel.run({ x: dy, gamma, spread: runningVar }, call, { out: { y: out } }).y;
}

function parameterGrads(
  dy: Tensor,
  x: Tensor,
  mean: Tensor,
  spread: Tensor,
  call: SpreadCall,
  out: { readonly dgamma?: Tensor; readonly dbeta?: Tensor },
): { dgamma: Tensor; dbeta: Tensor } {
  const { dgammas, dbetas } = gradSumsKernel.run({ dy, x, mean, spread }, call);
  const dgamma = sum(dgammas, { axes: [0], out: out.dgamma });
  return { dgamma, dbeta: sum(dbetas, { axes: [0], out: out.dbeta }) };
}

/** dgamma and dbeta are written before the last kernel reads what it takes. @throws ShapeError */
function checkOutputs(
  op: string,
  { dgamma, dbeta }: NonNullable<BatchNormGradOptions["out"]>,
  inputs: Readonly<Record<string, Tensor>>,
): void {
  for (const [name, target] of Object.entries({ dgamma, dbeta })) {
    for (const [other, tensor] of Object.entries({
      ...inputs,
      ...(name === "dbeta" && dgamma ? { dgamma } : {}),
    })) {
      if (!target || target.storage !== tensor.storage) continue;
      throw new ShapeError(`${op}: out.${name} shares its buffer with ${other}; give another tensor as out`);
    }
  }
}

/** The shapes of the tensors that are there. */
function shapesOf(tensors: Readonly<Record<string, Tensor | undefined>>): Shapes {
  return Object.fromEntries(
    Object.entries(tensors).flatMap(([name, tensor]) => (tensor ? [[name, tensor.shape]] : [])),
  );
}
