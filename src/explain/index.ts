/** handgrad/explain: which pixels a prediction hangs on, shown and scored; and what neurons look for. */
export { type AttributeOptions, attribute, type MethodOptions } from "./attribute.js";
export { type ColorMap, colorMaps } from "./colors.js";
export {
  type AttributionName,
  attributionNames,
  type Baseline,
  type ChannelJoin,
  type ExplainOptions,
  type ExplainProgress,
  type Sign,
} from "./definition.js";
export {
  type MapMeasure,
  maskAuc,
  measureMaps,
  type OutputChange,
  outputChange,
  pointingGame,
} from "./evaluate.js";
export { randomMaps, sobelMaps } from "./floors.js";
export {
  deletion,
  insertion,
  type PerturbationOptions,
  type PerturbationResult,
} from "./insertion_deletion.js";
export { modelRandomization, type RandomizationStep, rankCorrelation } from "./randomization.js";
export type { Score } from "./masked_scores.js";
export type { SegmentOptions } from "./segments.js";
export { type DeconvolutionOptions, deconvolution } from "./deconvolution.js";
export { type DeepLiftOptions, deepLift } from "./deep_lift.js";
export { type FeatureAblationOptions, featureAblation } from "./feature_ablation.js";
export { type GradCamOptions, gradCam } from "./grad_cam.js";
export { type GradientShapOptions, gradientShap } from "./gradient_shap.js";
export { type GuidedBackpropOptions, guidedBackprop } from "./guided_backprop.js";
export { type GuidedGradCamOptions, guidedGradCam } from "./guided_grad_cam.js";
export { type InputXGradientOptions, inputXGradient } from "./input_x_gradient.js";
export { type IntegratedGradientsOptions, integratedGradients } from "./integrated_gradients.js";
export { type LimeOptions, lime } from "./lime.js";
export { type LrpOptions, lrp } from "./lrp.js";
export { type NoiseTunnelOptions, noiseTunnel } from "./noise_tunnel.js";
export type { LinearLayer, LinearWeights } from "./linear.js";
export { upTo } from "./trail.js";
export { type OcclusionOptions, occlusion } from "./occlusion.js";
export { type SaliencyOptions, saliency } from "./saliency.js";
export { type SmoothGradOptions, smoothGrad } from "./smooth_grad.js";
export { type TransformOptions, type VisualizeOptions, visualize } from "./visualize.js";
export {
  alphaScaled,
  type BlendOptions,
  blendedHeatMap,
  type HeatMapOptions,
  heatMap,
  hostMaps,
  maskedImage,
  normalizedMap,
  plainImage,
  type ScaleOptions,
  zoomed,
} from "./display.js";
export { type MapsJson, mapsToJson, mapsToNpy } from "./export.js";
export { pictureSheet, type SheetOptions, type SheetRow } from "./sheet.js";
