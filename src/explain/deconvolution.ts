/**
 * The deconvolutional network (Zeiler and Fergus, "Visualizing and understanding convolutional networks",
 * 2014).
 */
import type { Sequential } from "../layers/sequential.js";
import { maximum } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";
import { isRectifier } from "./guided_backprop.js";
import { explainByPasses, type Pass } from "./passes.js";
import { follow, goBack } from "./trail.js";

export type DeconvolutionOptions = ExplainOptions;

/** Gradients that each rectifier rectifies, whatever came in on the way forward. */
export function deconvolutionCore({ model, points, seeds }: Pass): Tensor {
  return goBack(follow(model, points), seeds, {
    leaf: ({ layer }, dy) => (isRectifier(layer) ? maximum(dy, 0) : undefined),
  });
}

/**
 * The way back of which each ReLU passes only what is positive, wherever its input was. Other activations
 * pass their gradients.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await deconvolution(model, images, { target: 3 });
 */
export function deconvolution(model: Sequential, x: Tensor, options: DeconvolutionOptions): Promise<Tensor> {
  return explainByPasses("deconvolution", model, x, { core: deconvolutionCore }, options);
}
