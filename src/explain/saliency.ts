/**
 * The size of the gradient (Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2014).
 */
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";
import { explainByPasses, type Pass } from "./passes.js";

export type SaliencyOptions = ExplainOptions;

/** ∂logit/∂x at each point: the network's own hand-written gradients. */
export function gradientCore({ model, points, seeds }: Pass): Tensor {
  const { saved } = model.forward(points);
  return model.inputGrad(seeds, saved);
}

/**
 * |∂logit/∂x|, of the channel where it is largest. With sign "signed" the gradient itself.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await saliency(model, images, { target: 3 });
 */
export function saliency(model: Sequential, x: Tensor, options: SaliencyOptions): Promise<Tensor> {
  const defaults = { sign: "absolute", channels: "max" } as const;
  return explainByPasses("saliency", model, x, { core: gradientCore }, options, defaults);
}
