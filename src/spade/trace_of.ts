/** A sample's trace in one call. */
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import { calibrateFor } from "./calibrate.js";
import type { TraceOptions } from "./options.js";
import { solve } from "./solve.js";
import { needsFactors } from "./solve_layers.js";
import type { Trace } from "./trace.js";

/**
 * Prunes a network to one sample.
 * @param sample [1, channels, height, width] or [1, inputs]
 * @example
 * const trace = await traceOf(model, image, { ratios: 0.8, augment: [gaussianNoise(0.1)], samples: 64 });
 * const map = saliency(trace.model, image, { target: trace.prediction.dense });
 * trace.dispose();
 */
export async function traceOf(model: Sequential, sample: Tensor, options: TraceOptions): Promise<Trace> {
  return (await tracesOf(model, sample, options))[0];
}

/**
 * The traces of several samples, solved as one batch.
 * @param samples [b, channels, height, width] or [b, inputs]
 */
export async function tracesOf(model: Sequential, samples: Tensor, options: TraceOptions): Promise<Trace[]> {
  const layers = options.layers ?? layersOf(options.ratios);
  const calibration = await calibrateFor(model, samples, { ...options, layers }, needsFactors(options));
  try {
    return await solve(calibration, options);
  } finally {
    calibration.dispose();
  }
}

/** Ratios by name say which layers to prepare. */
function layersOf(ratios: TraceOptions["ratios"]): string[] | undefined {
  return typeof ratios === "number" ? undefined : Object.keys(ratios).filter((name) => ratios[name] !== 0);
}
