/** Expected gradients: (x - x0) · ∂logit/∂x at random points between x and random baselines (Lundberg and Lee 2017; Erion et al. 2021). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { Baseline, ExplainOptions } from "./definition.js";

export interface GradientShapOptions extends ExplainOptions {
  /** Images [m, c, h, w] to draw from, or a number; default 0. */
  readonly baselines?: Baseline;
  /** Draws; default 32. */
  readonly samples?: number;
  /** Of the noise on x, as a share of the image's range; default 0. */
  readonly std?: number;
}

/** Expected gradients: (x - x0) · ∂logit/∂x at random points between x and random baselines (Lundberg and Lee 2017; Erion et al. 2021). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function gradientShap(
  _model: Sequential,
  _x: Tensor,
  _options: GradientShapOptions,
): Promise<Tensor> {
  throw new HandgradError("gradientShap: not built yet");
}
