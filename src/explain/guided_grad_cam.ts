/** Guided Grad-CAM (Selvaraju et al., "Grad-CAM", ICCV 2017). */
import type { Sequential } from "../layers/sequential.js";
import { mul } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";
import { camCore, camLayer, type GradCamOptions } from "./grad_cam.js";
import { guidedCore } from "./guided_backprop.js";
import { checkCommon, type Core, explainByPasses } from "./passes.js";

export type GuidedGradCamOptions = GradCamOptions;

/** Guided backpropagation times Grad-CAM. */
export function guidedCamCore(layer: string): Core {
  const cam = camCore(layer);
  return (pass) => mul(guidedCore(pass), cam(pass));
}

/**
 * Guided backpropagation times Grad-CAM: the sharp map, where the coarse one points.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError; ValueError if the layer does not exist or gives no planes
 * @example
 * const maps = await guidedGradCam(model, images, { target: 3 });
 */
export async function guidedGradCam(
  model: Sequential,
  x: Tensor,
  { layer, ...options }: GuidedGradCamOptions,
): Promise<Tensor> {
  checkCommon("guidedGradCam", x, options);
  const core = guidedCamCore(camLayer("guidedGradCam", model, x, layer));
  return explainByPasses("guidedGradCam", model, x, { core }, options);
}
