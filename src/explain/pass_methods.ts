/**
 * The methods that go through the network and back once a point, which `noiseTunnel` can run at noisy
 * points.
 */
import type { Sequential } from "../layers/sequential.js";
import { mul } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";
import { baselineOf } from "./definition.js";
import { deconvolutionCore } from "./deconvolution.js";
import { deepLiftCore } from "./deep_lift.js";
import { camCore, camLayer } from "./grad_cam.js";
import { guidedCore } from "./guided_backprop.js";
import { guidedCamCore } from "./guided_grad_cam.js";
import { lrpCore } from "./lrp.js";
import type { Core } from "./passes.js";
import { gradientCore } from "./saliency.js";

export const passMethodNames = [
  "saliency",
  "inputXGradient",
  "guidedBackprop",
  "deconvolution",
  "gradCam",
  "guidedGradCam",
  "deepLift",
  "lrp",
] as const;

export type PassMethodName = (typeof passMethodNames)[number];

interface PlainMethod {
  readonly core: Core;
  readonly mapChannels?: number;
  dispose?(): void;
}

/**
 * A method with its default options, as a core whose map is complete. `method` is the caller's name in
 * errors.
 */
export function passMethodOf(
  method: string,
  name: PassMethodName,
  model: Sequential,
  x: Tensor,
): PlainMethod {
  switch (name) {
    case "saliency":
      return { core: gradientCore };
    case "inputXGradient":
      return { core: (pass) => mul(gradientCore(pass), pass.points) };
    case "guidedBackprop":
      return { core: guidedCore };
    case "deconvolution":
      return { core: deconvolutionCore };
    case "gradCam":
      return { core: camCore(camLayer(method, model, x)), mapChannels: 1 };
    case "guidedGradCam":
      return { core: guidedCamCore(camLayer(method, model, x)) };
    case "deepLift": {
      const black = baselineOf(method, x, 0);
      const multipliers = deepLiftCore(black);
      return { core: (pass) => mul(multipliers(pass), pass.points), dispose: () => black.dispose() };
    }
    case "lrp":
      return { core: lrpCore({}) };
  }
}
