/** Neurons as self-interested agents: learning by seeking the attention of the next layer. */
export type { ActionPlan, Budget } from "./actions.js";
export { attention } from "./attention.js";
export {
  attentionRule,
  feedbackRule,
  growthRule,
  powerRule,
  shareRule,
  slowRule,
  type UnitOptions,
  utilityRule,
} from "./attention_rules.js";
export { type Closeness, compareGradients } from "./compare.js";
export { type Feedback, feedbackWeights, type Intake, pay, type Transform } from "./feedback.js";
export { gini, type LayerObservation, type LedgerPage, observe } from "./instrument.js";
export type { LedgerOptions, PerMember } from "./ledger.js";
export { Learner, type LearnerOptions } from "./learner.js";
export { measureConvPayments, measurePayments } from "./measure.js";
export type { Account, Outcome, Payer, Rule, Setup } from "./rule.js";
export { earnedRule, ruleNamed, ruleNames } from "./rules.js";
export { type Site, sitesOf } from "./sites.js";
export {
  type AccuracyPoint,
  type LossPoint,
  type Observation,
  trainClassifier,
  type TrainOptions,
  type TrainResult,
} from "./train.js";
export { verifyLocalSignal } from "./verify.js";
