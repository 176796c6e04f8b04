/** How much the logit falls when a window is covered (Zeiler and Fergus 2014). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { Baseline, ExplainOptions } from "./definition.js";

export interface OcclusionOptions extends ExplainOptions {
  /** Height and width of the window in pixels; default about a seventh of the image. */
  readonly window?: number | readonly [number, number];
  /** Steps of the window; default half of it. */
  readonly stride?: number | readonly [number, number];
  /** What the window shows; default 0. */
  readonly baseline?: Baseline;
}

/** How much the logit falls when a window is covered (Zeiler and Fergus 2014). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function occlusion(_model: Sequential, _x: Tensor, _options: OcclusionOptions): Promise<Tensor> {
  throw new HandgradError("occlusion: not built yet");
}
