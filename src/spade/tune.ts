/** Ratios by coordinate search: one layer after the other, the ratio that suits an objective best. */
import { ValueError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import { type Calibration, calibrate } from "./calibrate.js";
import type { CalibrationOptions, SolveOptions } from "./options.js";
import { solve } from "./solve.js";
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
 * Tunes the ratio of each layer on calibration samples: from the last layer to the first, the candidate with the largest
 * mean objective, all others held. Layers are solved once a ratio and sample, so that trying costs the objective alone.
 * @param samples [b, …]: not those of the evaluation
 * @param objective of each sample's trace; it may use the trace's network until its promise resolves
 * @throws ValueError for candidates outside 0 to 1, or an objective that is not finite
 * @example
 * const { ratios } = await tuneRatios(model, images, (trace, i) => maskAuc(trace.model, i), {
 *   onProgress: ({ done, total, state }) => save(state),
 * });
 */
export async function tuneRatios(
  model: Sequential,
  samples: Tensor,
  objective: Objective,
  options: TuneOptions = {},
): Promise<TunedRatios> {
  const { candidates = [0, 0.5, 0.8, 0.9, 0.95], rounds = 2, resume, start = {}, onProgress } = options;
  if (candidates.length === 0 || !candidates.every((ratio) => ratio >= 0 && ratio <= 1))
    throw new ValueError(`tuneRatios: candidates are [${candidates}], and shares from 0 to 1 are taken`);
  if (!(Number.isInteger(rounds) && rounds >= 1))
    throw new ValueError(`tuneRatios: rounds is ${rounds}, and a whole number of at least 1 is taken`);
  const calibration = await calibrate(model, samples, options);
  const scores: Record<string, number> = { ...resume?.scores };
  const evaluate = async (ratios: Record<string, number>): Promise<number> => {
    const key = JSON.stringify(ratios);
    scores[key] ??= await meanObjective(calibration, objective, { ...options, ratios });
    return scores[key];
  };
  try {
    const { layers } = calibration;
    let ratios: Record<string, number> = Object.fromEntries(layers.map((name) => [name, start[name] ?? 0]));
    let best = Number.NEGATIVE_INFINITY;
    let done = 0;
    for (let round = 0; round < rounds; round++) {
      const before = JSON.stringify(ratios);
      for (const layer of [...layers].reverse()) {
        const tried = ratios;
        for (const ratio of candidates) {
          const trial = { ...tried, [layer]: ratio };
          const known = JSON.stringify(trial) in scores;
          const score = await evaluate(trial);
          // Of equal scores the first candidate, and what is there already before any other.
          if (score > best) [best, ratios] = [score, trial];
          done++;
          const total = rounds * layers.length * candidates.length;
          const state = { scores: { ...scores } };
          if (!known) await onProgress?.({ done, total, layer, ratio, score, best, state });
        }
      }
      if (JSON.stringify(ratios) === before) break;
    }
    return { ratios, score: best, state: { scores } };
  } finally {
    calibration.dispose();
  }
}

async function meanObjective(
  calibration: Calibration,
  objective: Objective,
  options: SolveOptions,
): Promise<number> {
  const traces = await solve(calibration, options);
  try {
    let sum = 0;
    for (const [index, trace] of traces.entries()) {
      const score = await objective(trace, index);
      if (!Number.isFinite(score)) {
        throw new ValueError(
          `tuneRatios: the objective of sample ${index} is ${score}, and a finite number is taken`,
        );
      }
      sum += score;
    }
    return sum / traces.length;
  } finally {
    for (const trace of traces) trace.dispose();
  }
}
