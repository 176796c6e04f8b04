/**
 * handgrad/attacks: adversarial examples, by gradients and without, against classifiers and any other score.
 */
export { apgd, apgdCheckpoints, type ApgdOptions, apgdTargeted } from "./apgd.js";
export {
  type Attack,
  type AttackOptions,
  type Batch,
  FLAGS,
  type Norm,
  type Outcome,
  type Recorded,
} from "./definition.js";
export {
  type Aims,
  type AttackLoss,
  crossEntropyLoss,
  dlrLoss,
  type Judged,
  marginLoss,
  scoreLoss,
  type ScoreLossOptions,
} from "./losses.js";
export { type Differentiable, type Normalization, normalized, NormalizedModel } from "./model.js";
export { gaussianNoise, type GaussianNoiseOptions, uniformNoise } from "./noise.js";
export { perturb, type Perturbed } from "./perturb.js";
export {
  adamPgd,
  type AdamPgdOptions,
  bim,
  fgsm,
  miFgsm,
  type MiFgsmOptions,
  pgd,
  type PgdOptions,
} from "./pgd.js";
export type { AttackCounts, AttackResult, StageReport } from "./result.js";
export { attack, attackAtEach, type AttackProgress, type RunOptions } from "./run.js";
export { square, type SquareOptions } from "./square.js";
export type { Target } from "./targets.js";
