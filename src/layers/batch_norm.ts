/** Batch normalization (Ioffe and Szegedy 2015), with PyTorch's conventions for the running statistics. */
import { ShapeError } from "../gpu/errors.js";
import { full } from "../ops/elementwise.js";
import {
  batchNorm as normalize,
  batchNormEvalGrad,
  batchNormEvalInputGrad,
  batchNormGrad,
} from "../ops/norm.js";
import { type Shape, type Tensor, zeros } from "../tensor.js";
import {
  type Backward,
  type BackwardOptions,
  disposeAll,
  type Forward,
  type ForwardOptions,
  type Init,
  type Layer,
  NO_TENSORS,
  type Saved,
  type Tensors,
} from "./layer.js";

export interface BatchNormRecord {
  readonly kind: "batchNorm";
  readonly channels: number;
  /** Added to the variance; default 1e-5. */
  readonly eps?: number;
  /** Weight of a new batch in the running statistics; default 0.1. */
  readonly momentum?: number;
}

/** The record of a batch norm layer. @example batchNorm(32) */
export function batchNorm(
  channels: number,
  options: Pick<BatchNormRecord, "eps" | "momentum"> = {},
): BatchNormRecord {
  return { kind: "batchNorm", channels, ...options };
}

/** x: [n, channels] or [n, channels, h, w]. Training uses the batch's statistics, evaluation the running ones. */
export class BatchNorm implements Layer {
  readonly takesEpilogue = true;
  readonly parameters: Tensors;
  readonly buffers: Tensors;

  constructor(
    readonly config: BatchNormRecord,
    { gpu }: Init,
  ) {
    const { channels } = config;
    this.parameters = { weight: full(gpu, [channels], 1), bias: zeros(gpu, [channels]) };
    this.buffers = { runningMean: zeros(gpu, [channels]), runningVar: full(gpu, [channels], 1) };
  }

  outputShape(input: Shape): Shape {
    if (input[1] !== this.config.channels) {
      throw new ShapeError(
        `batchNorm: x has shape [${input}], and ${this.config.channels} channels are taken in dimension 1`,
      );
    }
    return input;
  }

  forward(x: Tensor, { training = false, epilogue }: ForwardOptions = {}): Forward {
    const { weight, bias } = this.parameters;
    const result = normalize(x, weight, bias, { ...this.options(), training, ...epilogue });
    const kept: Tensors = training
      ? { x, mean: result.mean as Tensor, invStd: result.invStd as Tensor }
      : { x };
    return { y: result.y, saved: { tensors: kept, inputShape: x.shape } };
  }

  inputGrad(dy: Tensor, saved: Saved): Tensor {
    return this.backward(dy, saved, { input: true, weights: false }).dx as Tensor;
  }

  weightGrads(dy: Tensor, saved: Saved): Tensors {
    return this.backward(dy, saved).grads;
  }

  /** All three gradients come from the same sums over the batch. */
  backward(dy: Tensor, saved: Saved, { input = false, weights = true }: BackwardOptions = {}): Backward {
    const { weight } = this.parameters;
    const { x, mean, invStd } = saved.tensors;
    if (!mean && !weights)
      return { dx: batchNormEvalInputGrad(dy, weight, this.options()), grads: NO_TENSORS };
    const { dx, dgamma, dbeta } = mean
      ? batchNormGrad(dy, x, weight, { mean, invStd })
      : batchNormEvalGrad(dy, x, weight, this.options());
    if (!input) dx.dispose();
    if (!weights) disposeAll({ dgamma, dbeta });
    return { dx: input ? dx : undefined, grads: weights ? { weight: dgamma, bias: dbeta } : NO_TENSORS };
  }

  dispose(): void {
    disposeAll(this.parameters, this.buffers);
  }

  private options() {
    const { runningMean, runningVar } = this.buffers;
    return { runningMean, runningVar, eps: this.config.eps, momentum: this.config.momentum };
  }
}
