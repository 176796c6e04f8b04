/** Guided backpropagation (Springenberg et al., "Striving for simplicity", ICLR workshop 2015). */
import type { Sequential } from "../layers/sequential.js";
import { maximum } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";
import { explainByPasses, type Pass } from "./passes.js";
import { follow, goBack, type Leaf } from "./trail.js";

export type GuidedBackpropOptions = ExplainOptions;

/** Whether a layer is an activation that cuts or bends at 0. */
export function isRectifier({ config }: Leaf["layer"]): boolean {
  const { kind, name } = config as { kind: string; name?: string };
  return kind === "activation" && (name === "relu" || name === "leakyRelu");
}

/** Gradients of which each rectifier passes the positive ones only. */
export function guidedCore({ model, points, seeds }: Pass): Tensor {
  return goBack(follow(model, points), seeds, {
    leaf: ({ layer, saved }, dy) => (isRectifier(layer) ? layer.inputGrad(maximum(dy, 0), saved) : undefined),
  });
}

/**
 * The gradient, of which each ReLU passes only what is positive, where its input was positive. Other
 * activations pass their gradients. Sharp pictures; edges of the image show through whatever the class is, so
 * compare with a randomized model (`modelRandomization`).
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await guidedBackprop(model, images, { target: 3, sign: "positive" });
 */
export function guidedBackprop(
  model: Sequential,
  x: Tensor,
  options: GuidedBackpropOptions,
): Promise<Tensor> {
  return explainByPasses("guidedBackprop", model, x, { core: guidedCore }, options);
}
