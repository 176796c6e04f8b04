/** Losses, each with its gradient in the same pass. */
import correctWgsl from "../../shaders/correct_predictions.wgsl";
import pointwiseWgsl from "../../shaders/pointwise_loss.wgsl";
import crossEntropyWgsl from "../../shaders/softmax_cross_entropy.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Shape, type Shapes } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { memoize } from "./memoize.js";
import { PointwiseKernel } from "./pointwise.js";
import { mean, sum } from "./reduce.js";

/** How the losses of samples become one: their mean (the default), their sum, or not at all. */
export type LossReduction = "mean" | "sum" | "none";

interface LossOptions {
  readonly reduction?: LossReduction;
}

export interface LogitLossOptions extends LossOptions {
  /** Where the results go; `dlogits` may be the logits. */
  readonly out?: { readonly loss?: Tensor; readonly dlogits?: Tensor };
}

export interface PredictionLossOptions extends LossOptions {
  /** Where the results go; `dpredictions` may be the predictions. */
  readonly out?: { readonly loss?: Tensor; readonly dpredictions?: Tensor };
}

const WORKGROUP_SIZE = 64;
const NAN_BITS = 0x7fc00000;

const crossEntropyKernel = defineKernel<{ weight: number }>({
  name: "softmax_cross_entropy",
  wgsl: crossEntropyWgsl,
  bindings: { logits: "read", labels: "read", losses: "write", dlogits: "write" },
  inPlace: { dlogits: "logits" },
  shape: (inputs) => {
    checkSamples("softmaxCrossEntropy", inputs);
    return { losses: inputs.labels, dlogits: inputs.logits };
  },
  uniforms: ({ logits: [samples, classes] }, { weight }) => ({
    samples,
    classes,
    weight,
    nan_bits: NAN_BITS,
  }),
  grid: ({ labels }, limits) => gridFor(labels[0], WORKGROUP_SIZE, limits),
  work: ({ logits: [samples, classes] }) => 60 * samples * classes,
});

const correctKernel = defineKernel({
  name: "correct_predictions",
  wgsl: correctWgsl,
  bindings: { logits: "read", labels: "read", correct: "write" },
  shape: (inputs) => {
    checkSamples("correctCount", inputs);
    return { correct: inputs.labels };
  },
  uniforms: ({ logits: [samples, classes] }) => ({ samples, classes }),
  grid: ({ labels }, limits) => gridFor(labels[0], WORKGROUP_SIZE, limits),
  work: ({ logits: [samples, classes] }) => 10 * samples * classes,
});

/** The value of `LOSS` in pointwise_loss.wgsl. */
const POINTWISE = { bceWithLogits: 0, meanSquaredError: 1 } as const;

const pointwiseKernel = memoize(
  (op: keyof typeof POINTWISE) =>
    new PointwiseKernel<{ weight: number }>({
      name: `pointwise_loss(${op})`,
      wgsl: pointwiseWgsl,
      bindings: { predictions: "read", targets: "read", losses: "write", gradient: "write" },
      inPlace: { gradient: "predictions" },
      constants: () => ({ LOSS: POINTWISE[op] }),
      uniforms: ({ weight }) => ({ weight }),
      work: 40,
    }),
);

/** @throws ShapeError */
function checkSamples(op: string, { logits, labels }: Shapes): void {
  if (logits.length !== 2 || logits[1] === 0) {
    throw new ShapeError(
      `${op}: logits have shape [${logits}], and [samples, classes] with a class at least is taken`,
    );
  }
  if (labels.length !== 1 || labels[0] !== logits[0]) {
    throw new ShapeError(
      `${op}: labels have shape [${labels}], and [${logits[0]}], one a row of the logits, is taken`,
    );
  }
}

/**
 * The factor of each sample's gradient.
 * @throws ShapeError for a mean of nothing; ValueError for an unknown reduction
 */
function weightOf(op: string, reduction: LossReduction, shape: Shape, count: number): number {
  if (reduction === "sum" || reduction === "none") return 1;
  if (reduction !== "mean") {
    throw new ValueError(`${op}: reduction is "${String(reduction)}", and "mean", "sum" or "none" is taken`);
  }
  if (count === 0)
    throw new ShapeError(`${op}: shape [${shape}] has no samples, and there is no mean of nothing`);
  return 1 / count;
}

/** One loss from the losses of samples, or these themselves. */
function reduceLosses(losses: Tensor, reduction: LossReduction, out?: Tensor): Tensor {
  if (reduction === "none") return losses;
  return reduction === "mean" ? mean(losses, { out }) : sum(losses, { out });
}

/**
 * Cross-entropy of the softmax of logits with class numbers, and its gradient, in one pass. Finite for all
 * finite logits.
 *
 * Ops cannot look at labels before they run: one that is no class (from the number of classes up) is never
 * used as an index; it makes the loss of its sample, and its row of `dlogits`, NaN, which debug mode names.
 * Check labels where they come from.
 * @param logits [samples, classes]
 * @param labels [samples], u32
 * @returns loss: [] (or [samples] with reduction "none"); dlogits: its gradient (with "none": of the sum)
 * @throws ShapeError if the shapes are others, or for a mean of no samples
 * @example
 * const { loss, dlogits } = softmaxCrossEntropy(logits, labels);
 */
export function softmaxCrossEntropy(
  logits: Tensor,
  labels: Tensor,
  { reduction = "mean", out = {} }: LogitLossOptions = {},
): { loss: Tensor; dlogits: Tensor } {
  const weight = weightOf("softmaxCrossEntropy", reduction, logits.shape, logits.shape[0]);
  return logits.gpu.scope(() => {
    const target = { dlogits: out.dlogits, losses: reduction === "none" ? out.loss : undefined };
    const { losses, dlogits } = crossEntropyKernel.run({ logits, labels }, { weight }, { out: target });
    return { loss: reduceLosses(losses, reduction, out.loss), dlogits };
  });
}

/**
 * Binary cross-entropy of the sigmoid of logits with targets from 0 to 1, and its gradient, in one pass.
 * Finite for all finite logits.
 * @param logits any shape
 * @param targets the same shape, f32
 * @returns loss: [] (or the logits' shape with reduction "none"); dlogits: its gradient (with "none": of the
 *   sum)
 * @throws ShapeError if the shapes differ, or for a mean of nothing
 * @example
 * const { loss, dlogits } = bceWithLogits(logits, targets);
 */
export function bceWithLogits(
  logits: Tensor,
  targets: Tensor,
  { reduction = "mean", out = {} }: LogitLossOptions = {},
): { loss: Tensor; dlogits: Tensor } {
  const { loss, gradient } = pointwise("bceWithLogits", logits, targets, reduction, out.loss, out.dlogits);
  return { loss, dlogits: gradient };
}

/**
 * (prediction - target)², averaged over all elements, and its gradient, in one pass.
 * @param predictions any shape
 * @param targets the same shape
 * @returns loss: [] (or the predictions' shape with reduction "none"); dpredictions: its gradient (with
 *   "none": of the sum)
 * @throws ShapeError if the shapes differ, or for a mean of nothing
 * @example
 * const { loss, dpredictions } = meanSquaredError(y, targets);
 */
export function meanSquaredError(
  predictions: Tensor,
  targets: Tensor,
  { reduction = "mean", out = {} }: PredictionLossOptions = {},
): { loss: Tensor; dpredictions: Tensor } {
  const results = pointwise("meanSquaredError", predictions, targets, reduction, out.loss, out.dpredictions);
  return { loss: results.loss, dpredictions: results.gradient };
}

function pointwise(
  op: keyof typeof POINTWISE,
  predictions: Tensor,
  targets: Tensor,
  reduction: LossReduction,
  lossOut?: Tensor,
  gradientOut?: Tensor,
): { loss: Tensor; gradient: Tensor } {
  const weight = weightOf(op, reduction, predictions.shape, predictions.size);
  return predictions.gpu.scope(() => {
    const target = { gradient: gradientOut, losses: reduction === "none" ? lossOut : undefined };
    const { losses, gradient } = pointwiseKernel(op).run({ predictions, targets }, { weight }, target);
    return { loss: reduceLosses(losses, reduction, lossOut), gradient };
  });
}

/**
 * How many samples have their largest logit (the first of equals) at their label.
 * @param logits [samples, classes]
 * @param labels [samples], u32; one that is no class is never correct
 * @returns [], f32: exact up to 16,777,216 samples
 * @throws ShapeError if the shapes are others
 * @example
 * add(correct, correctCount(logits, labels), { out: correct });
 */
export function correctCount(logits: Tensor, labels: Tensor, { out }: { out?: Tensor } = {}): Tensor {
  return logits.gpu.scope(() => sum(correctPredictions(logits, labels), { out }));
}

/**
 * Which samples have their largest logit (the first of equals) at their label.
 * @param logits [samples, classes]
 * @param labels [samples], u32; one that is no class is never correct
 * @returns [samples], f32, 1 or 0
 * @throws ShapeError if the shapes are others
 * @example
 * const perMember = sum(correctPredictions(logits, labels).reshape([members, n]), { axes: [1] });
 */
export function correctPredictions(logits: Tensor, labels: Tensor): Tensor {
  return correctKernel.run({ logits, labels }, undefined).correct;
}
