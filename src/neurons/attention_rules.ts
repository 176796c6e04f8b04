/** Rules that differ in what attention is, when it is looked at and how much is seen of it. */
import foresightWgsl from "../../shaders/foresight_payment.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { Conv2d } from "../layers/conv2d.js";
import { Dense } from "../layers/dense.js";
import { EnsembleDense } from "../layers/ensemble_dense.js";
import { conv2dInputGrad } from "../ops/conv.js";
import { add, addScaled, div, full, maximum, mul, pow, square } from "../ops/elementwise.js";
import { norm, sum } from "../ops/reduce.js";
import { softmax } from "../ops/softmax.js";
import { copy, type Tensor } from "../tensor.js";
import { totalsOf } from "./actions.js";
import { attention } from "./attention.js";
import { type Feedback, feedbackWeights } from "./feedback.js";
import { measureConvPayments, measurePayments } from "./measure.js";
import type { Account, Payer, Rule } from "./rule.js";

export interface UnitOptions {
  /**
   * Fixes the unit in which attention is counted, a layer, so that the feedback weights start out as large as the
   * weights, ‖F(W₀)‖ = ‖W₀‖, and one learning rate suits all rules. Default true; false gives the formulas as they are.
   */
  readonly unit?: boolean;
}

/** Below it a norm is 0. */
const TINY = 1e-30;

/** A rule that pays through feedback weights, in a unit of its own. */
export function feedbackRule(
  rule: Pick<Rule, "name" | "title" | "state" | "fixedTotals"> & { feedback(account: Account): Feedback },
  { unit = true }: UnitOptions = {},
): Rule {
  if (!unit) return rule;
  return {
    ...rule,
    state: (site, setup) => {
      const own = rule.state?.(site, setup) ?? {};
      const unit = setup.gpu.scope(() => {
        // Each network of an ensemble has its own.
        const axes = site.layer instanceof EnsembleDense ? [1, 2] : undefined;
        const size = norm(feedbackWeights(rule.feedback({ site, state: own })), { axes });
        return div(norm(site.weights, { axes }), maximum(size, TINY)).reshape([site.members]);
      });
      return { ...own, unit };
    },
    feedback: (account) => ({ ...rule.feedback(account), factor: account.state.unit }),
  };
}

/** First-order attention, Σ_j w_ij g_j: the growth of ½ Σ w² that a neuron sees when its receivers move by η g h. */
export const attentionRule: Rule = {
  name: "attention",
  title: "attention-seeking neurons",
  feedback: ({ site }) => ({ weights: site.weights }),
};

/** The same with each payment measured by differencing attention: for verification. */
export const measuredRule: Rule = {
  name: "measured",
  title: "attention, measured by differences",
  payments: ({ site, signal, saved }) =>
    site.layer instanceof Conv2d
      ? measureConvPayments(site.weights, signal, { ...site.layer.config, inputShape: saved.inputShape })
      : measurePayments(site.weights, signal),
};

/**
 * Attention as Σ |w|^p / p.
 * @throws ValueError for p below 1
 */
export function powerRule(p: number, options?: UnitOptions): Rule {
  if (!(p >= 1 && Number.isFinite(p)))
    throw new ValueError(`powerRule: p is ${p}, and a finite number of at least 1 is taken`);
  return feedbackRule(
    {
      name: `power-${p}`,
      title: `attention as Σ|w|^${p}`,
      feedback: ({ site }) => ({ weights: site.weights, transform: { kind: "power", exponent: p - 1 } }),
    },
    options,
  );
}

/**
 * Growth of attention counted exactly, ½‖w + Δw‖² - ½‖w‖²: payments through the weights as they will be, Δw being the
 * raw payments of the batch times the coming learning rate. A longer horizon extrapolates: w + horizon · Δw.
 */
export function growthRule(horizon = 1): Rule {
  const exact = horizon === 1;
  return {
    name: exact ? "growth" : `lookahead-${horizon}`,
    title: exact ? "exact growth of attention" : `attention ${horizon} updates ahead`,
    feedback: ({ site }, payer) => {
      if (!payer) return { weights: site.weights };
      const transform = { kind: "ahead", horizon } as const;
      return { weights: site.weights, transform, other: payer.grads.weight, factor: payer.learningRate };
    },
  };
}

/**
 * Slow attention: payments through a running mean of the weights, mean ← keep · mean + (1 - keep) · w.
 * @throws ValueError for keep outside 0 to 1
 */
export function slowRule(keep = 0.99): Rule {
  if (!(keep >= 0 && keep < 1))
    throw new ValueError(`slowRule: keep is ${keep}, and from 0 to below 1 is taken`);
  return {
    name: "slow",
    title: "slow attention",
    state: ({ weights }) => ({ slow: copy(weights) }),
    feedback: ({ state }) => ({ weights: state.slow }),
    remember: ({ site, state: { slow } }) => {
      mul(slow, keep, { out: slow });
      addScaled(slow, site.weights, 1 - keep, { out: slow });
    },
  };
}

/** Attention as a share of what the receiver gives in all, Σ_j w_ij² / N_j; receivers keep N_j. */
export function shareRule({
  fixedTotals = true,
  ...options
}: UnitOptions & { fixedTotals?: boolean } = {}): Rule {
  return feedbackRule(
    {
      name: "share",
      title: "share of attention",
      fixedTotals,
      feedback: ({ site }) => ({
        weights: site.weights,
        transform: { kind: "share" },
        totals: totalsOf(site),
      }),
    },
    options,
  );
}

/** Keeps the marginal utility of a neuron without attention finite. */
const LEAST_ATTENTION = 1e-6;

/**
 * Concave utility of the attention held, with marginal utility A^-aversion: 1 is ln A, 0.5 is 2 √A.
 * @throws ValueError for a negative aversion
 */
export function utilityRule(aversion: number, options?: UnitOptions): Rule {
  if (!(aversion >= 0 && Number.isFinite(aversion)))
    throw new ValueError(`utilityRule: aversion is ${aversion}, and a finite number of at least 0 is taken`);
  const logarithm = aversion === 1;
  return feedbackRule(
    {
      name: logarithm ? "ln" : `utility-${aversion}`,
      title: logarithm ? "logarithm of attention" : `utility A^${Number((1 - aversion).toFixed(6))}`,
      feedback: ({ site }) => {
        const held = attention(site.weights, { agents: site.agents });
        return { weights: site.weights, marginal: pow(add(held, LEAST_ATTENTION), -aversion) };
      },
    },
    options,
  );
}

const foresightKernel = defineKernel({
  name: "foresight_payment",
  wgsl: foresightWgsl,
  bindings: { w: "read", signal: "read", probabilities: "read", h: "read", q: "write" },
  shape: ({ w, signal, probabilities, h }) => {
    const fits =
      w.length === 2 &&
      signal.join() === [h[0], w[1]].join() &&
      probabilities.join() === signal.join() &&
      h.join() === [h[0], w[0]].join();
    if (fits) return { q: h };
    throw new ShapeError(
      `foresight: weights have shape [${w}], the error [${signal}], probabilities [${probabilities}] and outputs [${h}]; ` +
        `[units, classes], [samples, classes] twice and [samples, units] are taken`,
    );
  },
  uniforms: ({ w, h }) => ({ samples: h[0], units: w[0], classes: w[1] }),
  grid: ({ q }, limits) => gridFor(sizeOf(q), 64, limits),
  work: ({ q, w }) => 8 * sizeOf(q) * w[1],
});

/**
 * Neurons of the last hidden layer foresee how a softmax answers them, and withhold. Further down receivers are taken to
 * pay what they pay, as in first-order attention.
 */
export const foresightRule: Rule = {
  name: "foresight",
  title: "attention with foresight",
  feedback: ({ site }) => ({ weights: site.weights }),
  payments: ({ top, site, saved, signal, outcome }) => {
    if (site.layer instanceof EnsembleDense) {
      throw new ValueError(
        "foresight: the network is an ensemble, and a single network is taken; train them one by one",
      );
    }
    if (!top || !(site.layer instanceof Dense)) return undefined;
    const h = saved.tensors.x;
    return foresightKernel.run(
      { w: site.weights, signal, probabilities: softmax(outcome.logits), h },
      undefined,
    ).q;
  },
};

/**
 * The control: attention as how much the receivers' weights move, ½ Σ (Δw)². It asks no label anything: h_i Σ_j g_j²
 * always drives a neuron away from 0, and must not learn.
 */
export const movementRule: Rule = {
  name: "movement",
  title: "control: any movement, (Δw)²",
  state: ({ layer, weights }, { gpu }): Record<string, Tensor> =>
    layer instanceof Conv2d ? { ones: full(gpu, weights.shape, 1) } : {},
  payments: (payer: Payer) => {
    const { site, state, signal, saved } = payer;
    const { x } = saved.tensors;
    const squares = square(signal);
    const asked =
      site.layer instanceof Conv2d
        ? conv2dInputGrad(squares, state.ones, { ...site.layer.config, inputShape: saved.inputShape })
        : sum(squares, { axes: [-1], keepDims: true });
    // The signal is that of a mean over samples; so is the payment.
    const samples = x.shape[site.layer instanceof EnsembleDense ? 1 : 0];
    const payments = mul(x, asked);
    return mul(payments, -samples, { out: payments });
  },
};
