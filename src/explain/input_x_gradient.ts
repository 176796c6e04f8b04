/**
 * Each pixel times its gradient (Shrikumar, Greenside, Shcherbina and Kundaje, "Not just a black box", 2016).
 */
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";
import { explainByPasses } from "./passes.js";
import { gradientCore } from "./saliency.js";

export type InputXGradientOptions = ExplainOptions;

/**
 * x · ∂logit/∂x: what each pixel adds to the logit of a network that were linear. Pixels of 0 get nothing.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await inputXGradient(model, images, { target: 3 });
 */
export function inputXGradient(
  model: Sequential,
  x: Tensor,
  options: InputXGradientOptions,
): Promise<Tensor> {
  const method = { core: gradientCore, draws: { change: true } };
  return explainByPasses("inputXGradient", model, x, method, options);
}
