/** |∂logit/∂x| (Simonyan, Vedaldi and Zisserman 2014). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";

export type SaliencyOptions = ExplainOptions;

/** |∂logit/∂x| (Simonyan, Vedaldi and Zisserman 2014). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function saliency(_model: Sequential, _x: Tensor, _options: SaliencyOptions): Promise<Tensor> {
  throw new HandgradError("saliency: not built yet");
}
