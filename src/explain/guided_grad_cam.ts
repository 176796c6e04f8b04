/** Guided backpropagation times Grad-CAM. */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";

export interface GuidedGradCamOptions extends ExplainOptions {
  /** As in `gradCam`. */
  readonly layer?: string | number;
}

/** Guided backpropagation times Grad-CAM. @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function guidedGradCam(
  _model: Sequential,
  _x: Tensor,
  _options: GuidedGradCamOptions,
): Promise<Tensor> {
  throw new HandgradError("guidedGradCam: not built yet");
}
