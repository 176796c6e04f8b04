/** How much the logit falls when one segment is replaced. */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { Baseline, ExplainOptions } from "./definition.js";

export interface FeatureAblationOptions extends ExplainOptions {
  /** The segment of each pixel, [h, w] numbers from 0; default a grid of `cell`. */
  readonly segments?: ArrayLike<number>;
  /** The side of the default segments in pixels; default about a tenth of the image. */
  readonly cell?: number;
  /** What an ablated segment shows; default 0. */
  readonly baseline?: Baseline;
}

/** How much the logit falls when one segment is replaced. @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function featureAblation(
  _model: Sequential,
  _x: Tensor,
  _options: FeatureAblationOptions,
): Promise<Tensor> {
  throw new HandgradError("featureAblation: not built yet");
}
