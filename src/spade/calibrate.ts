/** What a sample says of every layer: the Hessians of the layers' inputs over its augmented copies. */
import { ValueError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { CalibrationOptions } from "./options.js";

/** Made by `calibrate`, used by `solve` as often as wanted: factors and solved layers are kept until `dispose`. */
export class Calibration {
  /** The number of samples. */
  readonly count: number = 0;
  /** The names of the prepared layers. */
  readonly layers: readonly string[] = [];

  /** Releases the tensors; the network and the sample are left alone. Idempotent. */
  dispose(): void {}
}

/**
 * One pass of the dense network over augmented copies of each sample, and the Hessian of every layer.
 * @param samples [b, channels, height, width] or [b, inputs]
 * @example
 * const calibration = await calibrate(model, sample, { samples: 64, augment: [gaussianNoise(0.1)] });
 * const [light] = await solve(calibration, { ratios: 0.5 });
 * const [heavy] = await solve(calibration, { ratios: 0.95 });
 */
export async function calibrate(
  model: Sequential,
  samples: Tensor,
  options: CalibrationOptions = {},
): Promise<Calibration> {
  throw new ValueError(`calibrate: not there yet ${[model, samples, options].length}`);
}
