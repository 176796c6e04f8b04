/** The mean gradient at noisy copies of x (Smilkov et al. 2017). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";

export interface SmoothGradOptions extends ExplainOptions {
  /** Noisy copies of each image; default 32. */
  readonly samples?: number;
  /** Of the noise, as a share of the image's range; default 0.15. */
  readonly std?: number;
}

/** The mean gradient at noisy copies of x (Smilkov et al. 2017). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function smoothGrad(
  _model: Sequential,
  _x: Tensor,
  _options: SmoothGradOptions,
): Promise<Tensor> {
  throw new HandgradError("smoothGrad: not built yet");
}
