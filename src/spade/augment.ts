/** Augmented copies of samples, on the device. */
import { ValueError } from "../gpu/errors.js";
import type { Tensor } from "../tensor.js";
import type { Augmentation } from "./augmentations.js";

export interface AugmentOptions {
  /** Default 0. */
  readonly seed?: number;
  /** Of the first sample; the next ones draw from the streams after it. Default 0. */
  readonly stream?: number;
}

/**
 * Copies of each sample, each augmented anew, in order of the list.
 * @param samples [b, channels, height, width]
 * @param copies of each sample
 * @returns [b · copies, channels, height, width], the copies of a sample side by side
 */
export function augment(
  samples: Tensor,
  copies: number,
  augmentations: readonly Augmentation[],
  options: AugmentOptions = {},
): Tensor {
  throw new ValueError(`augment: not there yet ${[samples, copies, augmentations, options].length}`);
}
