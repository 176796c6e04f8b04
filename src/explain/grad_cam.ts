/** Feature planes weighed by their mean gradients (Selvaraju et al. 2017). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";

export interface GradCamOptions extends ExplainOptions {
  /** The layer whose output is weighed, as parameters name it ("4", "6.body.1"); default: the last that gives planes and does not pool. */
  readonly layer?: string | number;
}

/** Feature planes weighed by their mean gradients (Selvaraju et al. 2017). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function gradCam(_model: Sequential, _x: Tensor, _options: GradCamOptions): Promise<Tensor> {
  throw new HandgradError("gradCam: not built yet");
}
