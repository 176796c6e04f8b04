/** handgrad/metrics: numbers about predictions, in float64 on the host. */
export type { BootstrapOptions, Interval } from "./bootstrap.js";
export { bootstrapInterval } from "./bootstrap.js";
export { accuracy, confusionMatrix } from "./classification.js";
export { aurocInterval, type DetectionMetrics, detectionMetrics, robustAccuracy } from "./detection.js";
export { type Estimate, meanInterval, pairedInterval } from "./paired.js";
export { auroc, averagePrecision, fprAtTpr } from "./ranking.js";
