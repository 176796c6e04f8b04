/** DeepLift by the rescale rule (Shrikumar, Greenside and Kundaje 2017). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { Baseline, ExplainOptions } from "./definition.js";

export interface DeepLiftOptions extends ExplainOptions {
  /** What differences are taken to; default 0. */
  readonly baseline?: Baseline;
}

/** DeepLift by the rescale rule (Shrikumar, Greenside and Kundaje 2017). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function deepLift(_model: Sequential, _x: Tensor, _options: DeepLiftOptions): Promise<Tensor> {
  throw new HandgradError("deepLift: not built yet");
}
