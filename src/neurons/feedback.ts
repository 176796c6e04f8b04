/**
 * What a layer pays through: feedback weights F(W), made of its own weights. Paying is one product, q = signal · F(W)ᵀ,
 * whatever F is; for dense layers it is one kernel with the transform, the price and the activation's derivative in it.
 */
import feedbackWgsl from "../../shaders/feedback_weights.wgsl";
import paymentWgsl from "../../shaders/payment.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Kernel, type Shape, type Shapes, sizeOf } from "../gpu/kernel.js";
import { activationCode, DEFAULT_SLOPE, type FusedActivation } from "../ops/activation_names.js";
import { activationGrad } from "../ops/activation.js";
import { mul, sign } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import type { Tensor } from "../tensor.js";

/**
 * F of one weight. `power`: sign(w) |w|^exponent, the payment of those who count their attention as Σ|w|^p / p with
 * p = exponent + 1. `share`: 2 w (1 - w² / total) / total. `ahead`: w - horizon · factor · other, with the gradient as
 * `other` and the learning rate as `factor` the weights after so many updates. `borrowedSign`: sign(w) |other|.
 */
export type Transform =
  | { readonly kind: "weight" | "share" | "borrowedSign" }
  | { readonly kind: "power"; readonly exponent: number }
  | { readonly kind: "ahead"; readonly horizon: number };

/** All that makes feedback weights. Of an ensemble every tensor has the members as its first dimension. */
export interface Feedback {
  /** [units, receivers] of a dense layer, [receivers, senders, kh, kw] of a convolution. */
  readonly weights: Tensor;
  /** Default: the weights themselves. */
  readonly transform?: Transform;
  /** The shape of the weights; what `ahead` and `borrowedSign` take. */
  readonly other?: Tensor;
  /** [receivers], what each receiver gives in all, Σ w²; what `share` takes. */
  readonly totals?: Tensor;
  /** [1] ([members] of an ensemble), multiplies every payment; the learning rate for `ahead`. */
  readonly factor?: Tensor;
  /** [agents], multiplies what each sender is paid: its marginal utility. */
  readonly marginal?: Tensor;
}

/** What happens to payments on their way into a neuron. */
export interface Intake {
  /** The activation that the payments pass, by its output. */
  readonly activation?: FusedActivation;
  readonly slope?: number;
  /** [samples, units]; needed with `activation`. */
  readonly kept?: Tensor;
  /** Replaces each payment by bound · sign(payment). */
  readonly bound?: number;
}

const TILE_M = 8;
const TILE_N = 4;
/** Floating-point operations from which the tuned product is faster than the fused kernel. */
const MOST_FUSED_WORK = 1e7;
const GROUP_M = 4;
const GROUP_N = 8;
const TRANSFORM = { weight: 0, power: 5, share: 6, ahead: 7, borrowedSign: 8 } as const;
/** Powers that need no logarithm. */
const EXACT_POWERS: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [0.5, 2],
  [1, 0],
  [2, 3],
  [3, 4],
]);

function transformCode({ transform }: Feedback): number {
  if (!transform) return TRANSFORM.weight;
  const exact = transform.kind === "power" ? EXACT_POWERS.get(transform.exponent) : undefined;
  return exact ?? TRANSFORM[transform.kind];
}

/** The numbers that the transforms take. */
function transformNumbers({ transform }: Feedback): { exponent: number; horizon: number } {
  return {
    exponent: transform?.kind === "power" ? transform.exponent : 1,
    horizon: transform?.kind === "ahead" ? transform.horizon : 0,
  };
}

const inputsOf = ({ weights, other, totals, factor, marginal }: Feedback) => ({
  w: weights,
  other,
  totals,
  factor,
  marginal,
});

/** Weights of rank 3 are an ensemble's. */
const membersOf = (w: Shape): number | undefined => (w.length === 3 ? w[0] : undefined);

function checkParts(op: string, shapes: Shapes, receivers: number): void {
  const members = membersOf(shapes.w);
  const expected: Record<string, Shape> = {
    other: shapes.w,
    totals: members ? [members, receivers] : [receivers],
    factor: [members ?? 1],
  };
  for (const name in expected) {
    if (!shapes[name] || shapes[name].join() === expected[name].join()) continue;
    throw new ShapeError(`${op}: ${name} has shape [${shapes[name]}], and [${expected[name]}] is taken`);
  }
}

interface PaymentCall {
  readonly feedback: Feedback;
  readonly intake: Intake;
}

function paymentKernel(width: 1 | 4): Kernel<PaymentCall> {
  return defineKernel<PaymentCall>({
    name: "payment",
    wgsl: width === 4 ? paymentWgsl : paymentWgsl.replace("alias Item = vec4f;", "alias Item = f32;"),
    bindings: {
      signal: "read",
      w: "read",
      other: "optional",
      totals: "optional",
      factor: "optional",
      marginal: "optional",
      kept: "optional",
      out: "write",
    },
    constants: (_shapes, { feedback, intake }) => ({
      WIDTH: width,
      TRANSFORM: transformCode(feedback),
      ACTIVATION: activationCode(intake.activation),
      BOUNDED: intake.bound !== undefined,
      TILE_M,
      TILE_N,
      GROUP_M,
      GROUP_N,
    }),
    shape: (shapes) => {
      const { w, signal, marginal, kept } = shapes;
      if (w.length !== 2 || signal.length !== 2 || w[1] !== signal[1]) {
        throw new ShapeError(
          `pay: weights have shape [${w}] and the signal [${signal}]; [units, receivers] and [samples, receivers] ` +
            `are taken`,
        );
      }
      checkParts("pay", shapes, w[1]);
      const out = [signal[0], w[0]];
      if (kept && kept.join() !== out.join())
        throw new ShapeError(`pay: kept has shape [${kept}], and [${out}] is taken`);
      if (marginal && (marginal.length !== 1 || w[0] % marginal[0] !== 0)) {
        throw new ShapeError(
          `pay: marginal has shape [${marginal}], and one number for each of the agents that share ${w[0]} units is taken`,
        );
      }
      return { out };
    },
    uniforms: ({ signal, w, marginal }, { feedback, intake }) => ({
      samples: signal[0],
      units: w[0],
      receivers: w[1],
      tiles_n: Math.ceil(w[0] / (TILE_N * GROUP_N)),
      group: marginal ? w[0] / marginal[0] : 1,
      ...transformNumbers(feedback),
      bound: intake.bound ?? 0,
      slope: intake.slope ?? DEFAULT_SLOPE,
    }),
    grid: ({ out }, limits) =>
      gridFor(Math.ceil(out[0] / (TILE_M * GROUP_M)) * Math.ceil(out[1] / (TILE_N * GROUP_N)), 1, limits),
    work: ({ signal, w }) => 2 * signal[0] * sizeOf(w),
  });
}

const payments = { 1: paymentKernel(1), 4: paymentKernel(4) };

/**
 * What a dense layer pays the layer below: signal · F(W)ᵀ, through the activation in `intake`. Large products take
 * `matmul`, whose variants are tuned; there the weights' transform and the derivative cost little beside it. So do plain
 * ones on software adapters, and ensembles.
 * @param signal [samples, receivers], or [members, samples, receivers]
 * @returns [samples, units], or [members, samples, units]
 * @throws ShapeError
 */
export function pay(signal: Tensor, feedback: Feedback, intake: Intake = {}): Tensor {
  const { weights } = feedback;
  const large = 2 * signal.shape[0] * weights.size > MOST_FUSED_WORK;
  // On software adapters a dispatch is cheap and a pipeline dear; those of the plain product are there already.
  if (weights.rank === 3 || large || (isPlain(feedback) && signal.gpu.info.kind === "software")) {
    return payByParts(signal, feedback, intake);
  }
  const { kept, ...rest } = intake;
  const kernel = payments[weights.shape[1] % 4 === 0 ? 4 : 1];
  return kernel.run({ signal, ...inputsOf(feedback), kept }, { feedback, intake: rest }).out;
}

function payByParts(signal: Tensor, feedback: Feedback, { activation, slope, kept, bound }: Intake): Tensor {
  return signal.gpu.scope(() => {
    const q = matmul(signal, resolve(feedback), { transposeB: true });
    const acted = bound === undefined ? q : mul(sign(q), bound);
    return activation && kept ? activationGrad(acted, kept, activation, { slope }) : acted;
  });
}

/** The feedback weights: the weights themselves where nothing is done to them, else a new tensor. */
export function resolve(feedback: Feedback): Tensor {
  return isPlain(feedback) ? feedback.weights : feedbackWeights(feedback);
}

const isPlain = ({ transform, factor, marginal }: Feedback): boolean => !transform && !factor && !marginal;

const feedbackKernel = defineKernel<Feedback>({
  name: "feedback_weights",
  wgsl: feedbackWgsl,
  bindings: {
    w: "read",
    other: "optional",
    totals: "optional",
    factor: "optional",
    marginal: "optional",
    f: "write",
  },
  constants: (_shapes, feedback) => ({ TRANSFORM: transformCode(feedback) }),
  shape: (shapes) => {
    const { w, marginal } = shapes;
    checkParts("feedbackWeights", shapes, w[w.length === 4 ? 0 : w.length - 1]);
    const senders = w.length === 2 ? w[0] : w[1];
    if (marginal && !paysEach(w, senders, marginal)) {
      throw new ShapeError(
        `feedbackWeights: marginal has shape [${marginal}], and one number for each of ${senders} senders is taken`,
      );
    }
    return { f: w };
  },
  uniforms: ({ w, marginal }, feedback) => ({
    count: sizeOf(w),
    ...layoutOf(w, marginal),
    ...transformNumbers(feedback),
  }),
  grid: ({ f }, limits) => gridFor(sizeOf(f), 64, limits),
});

/** Whether there is a marginal utility for each sender; units of a dense layer may share one. */
function paysEach(w: Shape, senders: number, marginal: Shape): boolean {
  if (w.length === 3) return marginal.join() === [w[0], senders].join();
  return marginal.length === 1 && (w.length === 2 ? senders % marginal[0] === 0 : senders === marginal[0]);
}

/** Where an element's sender and receiver stand in its offset. */
function layoutOf(w: Shape, marginal?: Shape) {
  if (w.length === 2) {
    const senders = marginal?.[0] ?? w[0];
    const own = sizeOf(w);
    return { own, senders, sender_step: own / senders, receivers: w[1], receiver_step: 1 };
  }
  if (w.length === 3) {
    const [, senders, receivers] = w;
    return { own: senders * receivers, senders, sender_step: receivers, receivers, receiver_step: 1 };
  }
  return {
    own: sizeOf(w),
    senders: w[1],
    sender_step: w[2] * w[3],
    receivers: w[0],
    receiver_step: sizeOf(w.slice(1)),
  };
}

/**
 * The feedback weights themselves.
 * @returns the shape of the weights
 * @throws ShapeError
 */
export function feedbackWeights(feedback: Feedback): Tensor {
  return feedbackKernel.run(inputsOf(feedback), feedback).f;
}
