/**
 * handgrad/atd: detectors of out-of-distribution images, and the adversarially trained discriminator
 * (arXiv 2209.15246), which stands when both sides are attacked.
 */
export type { AtdOptions, AttackedSides, GeneratorMode, Selection } from "./atd_options.js";
export { backboneOf, outputsOf, type Rows } from "./backbone.js";
export { type AtdEpoch, type AtdImages, type AtdModels, AtdTrainer } from "./atd_trainer.js";
export { ClassifierTrainer, type ClassifierTrainerOptions } from "./classifier_trainer.js";
export type { Backbone, Detector, DetectorName, FitData, FitOptions } from "./detector.js";
export * from "./detectors/index.js";
export { chain, DiscriminatorDetector } from "./discriminator.js";
export {
  adaptiveAttacks,
  attackSides,
  evaluateDetector,
  type EvaluationOptions,
  type EvaluationRow,
  evaluationRows,
  type MakeAttacks,
  type RowOptions,
  type Setting,
  SETTINGS,
  type Side,
  type SideScores,
} from "./evaluate.js";
export {
  discriminatorNetwork,
  extractorNetwork,
  FEATURE_LAYERS,
  FEATURES,
  generatorNetwork,
  LATENT,
  pixelDiscriminatorNetwork,
  pixelGeneratorNetwork,
} from "./networks.js";
export { collages, sample, shapes, textures } from "./open_set.js";
export { validate, type ValidationAuroc } from "./validate.js";
