/** Ops on images [..., height, width]. */
export { type Border, type GaussianBlurOptions, gaussianBlur, gaussianBlurGrad } from "./blur.js";
export { resizeBilinear, resizeBilinearGrad } from "./resize.js";
