/** All rules by name. */
import { ValueError } from "../gpu/errors.js";
import {
  attentionRule,
  foresightRule,
  growthRule,
  measuredRule,
  movementRule,
  powerRule,
  shareRule,
  slowRule,
  utilityRule,
} from "./attention_rules.js";
import {
  backpropagationRule,
  directFeedbackAlignmentRule,
  feedbackAlignmentRule,
  signSymmetryRule,
} from "./baselines.js";
import { checkLedger, type LedgerOptions } from "./ledger.js";
import type { Rule } from "./rule.js";

/**
 * First-order attention whose agents value what they earn the less, the more they have earned.
 * @throws ValueError for numbers out of range
 */
export function earnedRule(name: string, title: string, ledger: LedgerOptions): Rule {
  checkLedger(ledger);
  return { ...attentionRule, name, title, ledger };
}

const RULES: readonly Rule[] = [
  attentionRule,
  measuredRule,
  powerRule(1),
  powerRule(1.5),
  powerRule(3),
  powerRule(4),
  growthRule(),
  growthRule(10),
  slowRule(),
  shareRule(),
  utilityRule(1),
  utilityRule(0.5),
  earnedRule("earned-neuron", "earned attention, a neuron", {
    holder: "neuron",
    counts: "growth",
    endowment: 1,
    aversion: 1,
  }),
  earnedRule("earned-payment", "earned payments, a synapse", {
    holder: "synapse",
    counts: "payment",
    endowment: 1,
    aversion: 1,
  }),
  earnedRule("earned-square", "earned payments squared, a synapse", {
    holder: "synapse",
    counts: "square",
    endowment: 0.01,
    aversion: 0.6,
  }),
  earnedRule("earned-growth", "earned attention, a synapse", {
    holder: "synapse",
    counts: "growth",
    endowment: 1,
    aversion: 1,
  }),
  earnedRule("earned-fading", "earned payments, forgotten slowly", {
    holder: "synapse",
    counts: "payment",
    endowment: 1,
    aversion: 1,
    keep: 0.999,
  }),
  foresightRule,
  { ...attentionRule, name: "normalized", title: "a unit step a neuron", budget: "ball" },
  { ...attentionRule, name: "bang-bang", title: "all or nothing outputs", budget: "bounded" },
  movementRule,
  backpropagationRule,
  feedbackAlignmentRule,
  directFeedbackAlignmentRule,
  signSymmetryRule,
];

/** The names that `ruleNamed` takes. */
export const ruleNames: readonly string[] = RULES.map(({ name }) => name);

/** @throws ValueError for a name that is not one of `ruleNames` */
export function ruleNamed(name: string): Rule {
  const rule = RULES.find((candidate) => candidate.name === name);
  if (!rule) throw new ValueError(`rule: "${name}" is not known; take one of ${ruleNames.join(", ")}`);
  return rule;
}
