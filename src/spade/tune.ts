/** Ratios by coordinate search: one layer after the other, the ratio that suits an objective best. */
import { ValueError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { CalibrationOptions, SolveOptions } from "./options.js";
import type { Trace } from "./trace.js";

/** How good a sample's trace is: larger is better (an AUC, 1 for agreement, …). @param index of the sample */
export type Objective = (trace: Trace, index: number) => number | Promise<number>;

/** Plain data; store it after every step and hand it in again to go on where a search was interrupted. */
export interface TuneState {
  /** Mean objective by the JSON of the ratios, in the order in which they were tried. */
  readonly scores: Readonly<Record<string, number>>;
}

export interface TuneProgress {
  /** Evaluations done, and as many as there will be at most. */
  readonly done: number;
  readonly total: number;
  readonly layer: string;
  readonly ratio: number;
  readonly score: number;
  /** The best so far. */
  readonly best: number;
  readonly state: TuneState;
}

export interface TuneOptions extends CalibrationOptions, Omit<SolveOptions, "ratios"> {
  /** What each layer may get; default [0, 0.5, 0.8, 0.9, 0.95]. */
  readonly candidates?: readonly number[];
  /** Default all 0. */
  readonly start?: Readonly<Record<string, number>>;
  /** Walks over all layers, from the last to the first; ends early when nothing changes. Default 2. */
  readonly rounds?: number;
  readonly resume?: TuneState;
  readonly onProgress?: (progress: TuneProgress) => void | Promise<void>;
}

export interface TunedRatios {
  readonly ratios: Readonly<Record<string, number>>;
  readonly score: number;
  readonly state: TuneState;
}

/**
 * Tunes the ratio of each layer on calibration samples.
 * @param samples [b, …]: not those of the evaluation
 */
export async function tuneRatios(
  model: Sequential,
  samples: Tensor,
  objective: Objective,
  options: TuneOptions = {},
): Promise<TunedRatios> {
  throw new ValueError(`tuneRatios: not there yet ${[model, samples, objective, options].length}`);
}
