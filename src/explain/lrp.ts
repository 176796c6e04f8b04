/** Layer-wise relevance propagation (Bach et al. 2015). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";

export interface LrpOptions extends ExplainOptions {
  /** Default "zPlus". */
  readonly rule?: "zPlus" | "epsilon" | "gamma" | "epsilonPlus";
  /** Added to denominators, in their direction. */
  readonly epsilon?: number;
  /** How much more positive parts count under "gamma"; default 0.25. */
  readonly gamma?: number;
}

/** Layer-wise relevance propagation (Bach et al. 2015). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function lrp(_model: Sequential, _x: Tensor, _options: LrpOptions): Promise<Tensor> {
  throw new HandgradError("lrp: not built yet");
}
