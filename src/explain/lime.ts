/** A local linear model of which segments are there (Ribeiro, Singh and Guestrin 2016). */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { Baseline, ExplainOptions } from "./definition.js";

export interface LimeOptions extends ExplainOptions {
  /** The segment of each pixel, [h, w] numbers from 0; default a grid of `cell`. */
  readonly segments?: ArrayLike<number>;
  /** The side of the default segments in pixels; default about a tenth of the image. */
  readonly cell?: number;
  /** Masked copies of each image; default 400. */
  readonly samples?: number;
  /** What masked segments show; default 0. */
  readonly baseline?: Baseline;
}

/** A local linear model of which segments are there (Ribeiro, Singh and Guestrin 2016). @returns [n, h, w], or [n, c, h, w] with channels "keep", the caller's */
export async function lime(_model: Sequential, _x: Tensor, _options: LimeOptions): Promise<Tensor> {
  throw new HandgradError("lime: not built yet");
}
