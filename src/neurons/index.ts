/** Neurons as self-interested agents: learning by seeking the attention of the next layer. */
export { attention, measurePayments } from "./attention.js";
export { type Closeness, compareGradients } from "./compare.js";
export { localGradients } from "./learn.js";
export { type Rule, ruleNamed, ruleNames } from "./rules.js";
export {
  type AccuracyPoint,
  type LossPoint,
  trainClassifier,
  type TrainOptions,
  type TrainResult,
} from "./train.js";
export { verifyLocalSignal } from "./verify.js";
