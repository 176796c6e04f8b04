/** Class activation maps by gradients (Selvaraju et al., "Grad-CAM", ICCV 2017). */
import { ValueError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import { relu } from "../ops/activation.js";
import { mul } from "../ops/elementwise.js";
import { resizeBilinear } from "../ops/image.js";
import { mean, sum } from "../ops/reduce.js";
import type { Tensor } from "../tensor.js";
import type { ExplainOptions } from "./definition.js";
import { checkCommon, type Core, explainByPasses } from "./passes.js";
import { follow, goBack, nodesOf, upTo } from "./trail.js";

export interface GradCamOptions extends ExplainOptions {
  /**
   * The layer whose output is weighed, by its index or as parameters name it ("6.body.1"); default: the last
   * of the outermost that gives planes and is neither pooling nor dropout.
   */
  readonly layer?: string | number;
}

/** The layer that Grad-CAM looks at. @throws ValueError if there is none, or the one named gives no planes */
export function camLayer(name: string, model: Sequential, x: Tensor, layer?: string | number): string {
  if (layer !== undefined) {
    const shape = upTo(model, layer).outputShape(x.shape);
    if (shape.length === 4) return `${layer}`;
    throw new ValueError(`${name}: layer ${layer} gives [${shape}], and planes [n, c, h, w] are taken`);
  }
  let shape = x.shape;
  let last: string | undefined;
  model.layers.forEach((candidate, index) => {
    shape = candidate.outputShape(shape);
    if (shape.length === 4 && !/pool|dropout/i.test(candidate.config.kind)) last = `${index}`;
  });
  if (last === undefined) {
    throw new ValueError(
      `${name}: no layer of the model gives planes [n, c, h, w]; take a method that needs none, such as saliency`,
    );
  }
  return last;
}

/** relu(Σ_k w_k A_k) with w_k the mean gradient of plane k, resized to the image: [rows, 1, h, w]. */
export function camCore(layer: string): Core {
  return ({ model, points, seeds }) => {
    const trail = follow(model, points);
    const node = nodesOf(trail).find(({ path }) => path === layer);
    let gradient: Tensor | undefined;
    goBack(trail, seeds, {
      arrive: (path, dy) => {
        if (path === layer) gradient = dy;
      },
    });
    if (!node || !gradient) throw new ValueError(`gradCam: layer ${layer} was not passed`);
    const weights = mean(gradient, { axes: [2, 3], keepDims: true });
    const weighed = sum(mul(node.y, weights), { axes: [1], keepDims: true });
    return resizeBilinear(relu(weighed), [points.shape[2], points.shape[3]]);
  };
}

/**
 * The planes of one layer, each weighed by its mean gradient, added up, rectified and resized to the image.
 * Coarse, and never negative.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, 1, h, w] with channels "keep"; the caller's
 * @throws ShapeError; ValueError if the layer does not exist or gives no planes
 * @example
 * const maps = await gradCam(model, images, { target: 3, layer: 7 });
 */
export async function gradCam(
  model: Sequential,
  x: Tensor,
  { layer, ...options }: GradCamOptions,
): Promise<Tensor> {
  checkCommon("gradCam", x, options);
  const core = camCore(camLayer("gradCam", model, x, layer));
  return explainByPasses("gradCam", model, x, { core, mapChannels: 1 }, options);
}
