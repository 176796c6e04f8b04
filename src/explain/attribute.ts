/** One door to every attribution. */
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import { type AttributionName, attributionNames, checkChoice, type ExplainOptions } from "./definition.js";
import { type DeconvolutionOptions, deconvolution } from "./deconvolution.js";
import { type DeepLiftOptions, deepLift } from "./deep_lift.js";
import { type FeatureAblationOptions, featureAblation } from "./feature_ablation.js";
import { type GradCamOptions, gradCam } from "./grad_cam.js";
import { type GradientShapOptions, gradientShap } from "./gradient_shap.js";
import { type GuidedBackpropOptions, guidedBackprop } from "./guided_backprop.js";
import { type GuidedGradCamOptions, guidedGradCam } from "./guided_grad_cam.js";
import { type InputXGradientOptions, inputXGradient } from "./input_x_gradient.js";
import { type IntegratedGradientsOptions, integratedGradients } from "./integrated_gradients.js";
import { type LimeOptions, lime } from "./lime.js";
import { type LrpOptions, lrp } from "./lrp.js";
import { type OcclusionOptions, occlusion } from "./occlusion.js";
import { type SaliencyOptions, saliency } from "./saliency.js";
import { type SmoothGradOptions, smoothGrad } from "./smooth_grad.js";

/** The options of each method. */
export interface MethodOptions {
  readonly saliency: SaliencyOptions;
  readonly inputXGradient: InputXGradientOptions;
  readonly integratedGradients: IntegratedGradientsOptions;
  readonly smoothGrad: SmoothGradOptions;
  readonly gradientShap: GradientShapOptions;
  readonly guidedBackprop: GuidedBackpropOptions;
  readonly deconvolution: DeconvolutionOptions;
  readonly gradCam: GradCamOptions;
  readonly guidedGradCam: GuidedGradCamOptions;
  readonly deepLift: DeepLiftOptions;
  readonly lrp: LrpOptions;
  readonly occlusion: OcclusionOptions;
  readonly lime: LimeOptions;
  readonly featureAblation: FeatureAblationOptions;
}

/** A method and its options. */
export type AttributeOptions = {
  [Name in AttributionName]: { readonly method: Name } & MethodOptions[Name];
}[AttributionName];

type Method = (model: Sequential, x: Tensor, options: ExplainOptions) => Promise<Tensor>;

const METHODS: {
  readonly [Name in AttributionName]: (
    model: Sequential,
    x: Tensor,
    options: MethodOptions[Name],
  ) => Promise<Tensor>;
} = {
  saliency,
  inputXGradient,
  integratedGradients,
  smoothGrad,
  gradientShap,
  guidedBackprop,
  deconvolution,
  gradCam,
  guidedGradCam,
  deepLift,
  lrp,
  occlusion,
  lime,
  featureAblation,
};

/**
 * Explains classes of a network's predictions by one method.
 * @param model a network, or a trace of one; run in evaluation mode
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ValueError for an unknown method or an option out of range; ShapeError
 * @example
 * const maps = await attribute(model, images, { method: "lrp", target: 3, sign: "absolute" });
 */
export async function attribute(model: Sequential, x: Tensor, options: AttributeOptions): Promise<Tensor> {
  const { method, ...rest } = options;
  checkChoice("attribute", "method", method, attributionNames);
  return (METHODS[method] as Method)(model, x, rest);
}
