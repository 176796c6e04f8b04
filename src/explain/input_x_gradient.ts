/** x · ∂logit/∂x (Shrikumar et al. 2016). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";

export type InputXGradientOptions = ExplainOptions;

/** x · ∂logit/∂x (Shrikumar et al. 2016). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function inputXGradient(
  _model: Sequential,
  _x: Tensor,
  _options: InputXGradientOptions,
): Promise<Tensor> {
  throw new HandgradError("inputXGradient: not built yet");
}
