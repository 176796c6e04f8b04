/** Gradients of which each ReLU passes what is positive on its way forward and on its way back (Springenberg et al. 2015). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";

export type GuidedBackpropOptions = ExplainOptions;

/** Gradients of which each ReLU passes what is positive on its way forward and on its way back (Springenberg et al. 2015). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function guidedBackprop(
  _model: Sequential,
  _x: Tensor,
  _options: GuidedBackpropOptions,
): Promise<Tensor> {
  throw new HandgradError("guidedBackprop: not built yet");
}
