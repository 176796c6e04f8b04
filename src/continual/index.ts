/** Continual learning: streams of tasks, strategies against forgetting, and what is measured. */
export { continualMetrics, type ContinualMetrics, type MeanInterval, meanInterval } from "./metrics.js";
export {
  ElasticConsolidation,
  type Penalty,
  PenaltySgd,
  SynapticIntelligence,
} from "./penalties.js";
export { planStages, type PlanOptions, type Showing, type Stage } from "./plan.js";
export { type RunOptions, type RunResult, runStream, type StreamLearner } from "./run.js";
export {
  permutedStream,
  rotatedStream,
  type Scenario,
  splitStream,
  type Stream,
  type StreamKind,
  type Task,
  type ViewTable,
  viewTable,
} from "./stream.js";
