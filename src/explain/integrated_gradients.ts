/** Gradients on the way from a baseline (Sundararajan, Taly and Yan, "Axiomatic attribution", ICML 2017). */
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import { type Baseline, baselineOf, checkChoice, checkCount, type ExplainOptions } from "./definition.js";
import { explainByPasses } from "./passes.js";
import { gaussLegendre, midpoints } from "./quadrature.js";
import { gradientCore } from "./saliency.js";

export interface IntegratedGradientsOptions extends ExplainOptions {
  /** Where the way starts; default 0, black. */
  readonly baseline?: Baseline;
  /** Points on the way; default 32. */
  readonly steps?: number;
  /** How the points lie: "gaussLegendre" (default), or the middles of equal pieces. */
  readonly rule?: "gaussLegendre" | "midpoint";
}

/**
 * (x - x0) · ∫ ∂logit/∂x (x0 + α (x - x0)) dα, α from 0 to 1. Complete: the map of all channels adds up to
 * logit(x) - logit(x0), but for the error of the sum over `steps`.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await integratedGradients(model, images, { target: 3, steps: 64 });
 */
export async function integratedGradients(
  model: Sequential,
  x: Tensor,
  { baseline = 0, steps = 32, rule = "gaussLegendre", ...options }: IntegratedGradientsOptions,
): Promise<Tensor> {
  checkCount("integratedGradients", "steps", steps);
  checkChoice("integratedGradients", "rule", rule, ["gaussLegendre", "midpoint"]);
  const { points: alphas, weights } = rule === "midpoint" ? midpoints(steps) : gaussLegendre(steps);
  const baselines = baselineOf("integratedGradients", x, baseline);
  try {
    const draws = { count: steps, alphas, weights, baselines, change: true };
    return await explainByPasses("integratedGradients", model, x, { core: gradientCore, draws }, options);
  } finally {
    baselines.dispose();
  }
}
