/** The detectors: scores that are larger for what is in-distribution, with gradients down to the pixels. */
export { atd, type DiscriminatorOptions, openGan } from "./discriminators.js";
export { knn, type KnnOptions } from "./knn.js";
export { energy, entropy, maxLogit, msp, type TemperatureOptions } from "./logit_scores.js";
export { mahalanobis, type MahalanobisOptions, relativeMahalanobis } from "./mahalanobis.js";
export { odin, type OdinOptions } from "./odin.js";
export { openMax, type OpenMaxOptions } from "./open_max.js";
export type { Shrinkage } from "./covariance.js";
export { fitWeibull, type Weibull } from "./weibull.js";
