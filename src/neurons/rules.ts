/**
 * Learning rules. A rule says what the neurons of a layer are paid by the next one; everything else (the neuron's own
 * derivative, its update from input and signal) is the same for all.
 *
 * Signals are carried as costs, minus the payoff gradient g, so that the optimizers, which descend, apply them as they
 * are: a rule equal to backpropagation carries ∂L/∂z.
 */
import { ValueError } from "../gpu/errors.js";
import type { Layer, Saved } from "../layers/layer.js";
import { Dense } from "../layers/dense.js";
import { matmul } from "../ops/matmul.js";
import type { Tensor } from "../tensor.js";
import { measurePayments } from "./attention.js";

export interface Rule {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /**
   * What the layer below is paid, sample by sample.
   * @param layer the layer that pays
   * @param signal [n, …units of the layer]
   * @param saved what the layer's forward pass kept
   * @returns the shape of the layer's input
   */
  payments(layer: Layer, signal: Tensor, saved: Saved): Tensor;
}

/**
 * First-order attention: ∂(growth of A_i)/∂h_i = Σ_j w_ij g_j, the payment that a neuron sees for its output when its
 * receivers' weights are about to move by η g h. One product a layer.
 */
const attentionRule: Rule = {
  name: "attention",
  title: "attention-seeking neurons",
  payments: (layer, signal, saved) =>
    layer instanceof Dense
      ? matmul(signal, layer.parameters.weight, { transposeB: true })
      : layer.inputGrad(signal, saved),
};

/** The same rule with each payment measured by differencing attention: for verification. */
const measuredRule: Rule = {
  name: "measured",
  title: "attention, measured by differences",
  payments: (layer, signal, saved) =>
    layer instanceof Dense
      ? measurePayments(layer.parameters.weight, signal)
      : layer.inputGrad(signal, saved),
};

/** Backpropagation: the chain rule, by the layers' own input gradients. */
const backpropagationRule: Rule = {
  name: "backpropagation",
  title: "backpropagation",
  payments: (layer, signal, saved) => layer.inputGrad(signal, saved),
};

const RULES: readonly Rule[] = [attentionRule, measuredRule, backpropagationRule];

/** The names that `ruleNamed` takes. */
export const ruleNames: readonly string[] = RULES.map(({ name }) => name);

/** @throws ValueError for a name that is not one of `ruleNames` */
export function ruleNamed(name: string): Rule {
  const rule = RULES.find((candidate) => candidate.name === name);
  if (!rule) throw new ValueError(`rule: "${name}" is not known; take one of ${ruleNames.join(", ")}`);
  return rule;
}
