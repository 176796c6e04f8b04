/** Gradients of which each ReLU passes what is positive on its way back (Zeiler and Fergus 2014). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";

export type DeconvolutionOptions = ExplainOptions;

/** Gradients of which each ReLU passes what is positive on its way back (Zeiler and Fergus 2014). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function deconvolution(
  _model: Sequential,
  _x: Tensor,
  _options: DeconvolutionOptions,
): Promise<Tensor> {
  throw new HandgradError("deconvolution: not built yet");
}
