/** (x - x0) · the mean of ∂logit/∂x on the straight path from x0 to x (Sundararajan, Taly and Yan 2017). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { Baseline, ExplainOptions } from "./definition.js";

export interface IntegratedGradientsOptions extends ExplainOptions {
  /** Where the path starts; default 0. */
  readonly baseline?: Baseline;
  /** Points on the path; default 32. */
  readonly steps?: number;
}

/** (x - x0) · the mean of ∂logit/∂x on the straight path from x0 to x (Sundararajan, Taly and Yan 2017). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function integratedGradients(
  _model: Sequential,
  _x: Tensor,
  _options: IntegratedGradientsOptions,
): Promise<Tensor> {
  throw new HandgradError("integratedGradients: not built yet");
}
