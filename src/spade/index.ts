/** SPADE: a network pruned to one sample, so that what is left shows how the sample is processed (arXiv 2310.04519). */
export * from "./augmentations.js";
export { augment, type AugmentOptions } from "./augment.js";
export { Calibration, calibrate } from "./calibrate.js";
export type { CalibrationOptions, Ratios, SolveOptions, SolverName, TraceOptions } from "./options.js";
export { reconstructionErrors, solve } from "./solve.js";
export { prunableLayers, type PrunableLayer } from "./sites.js";
export { traceOf, tracesOf } from "./trace_of.js";
export type { LayerTrace, StageSeconds, Trace } from "./trace.js";
export {
  tuneRatios,
  type Objective,
  type TunedRatios,
  type TuneOptions,
  type TuneProgress,
  type TuneState,
} from "./tune.js";
