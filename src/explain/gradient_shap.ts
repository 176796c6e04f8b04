/**
 * Expected gradients, the gradient form of SHAP (Lundberg and Lee 2017; Erion et al., "Improving performance of deep
 * learning models with axiomatic attribution priors and expected gradients", 2021).
 */
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import { ShapeError } from "../gpu/errors.js";
import { type Baseline, baselineOf, checkCount, checkNumber, type ExplainOptions } from "./definition.js";
import { checkCommon, explainByPasses } from "./passes.js";
import { gradientCore } from "./saliency.js";

export interface GradientShapOptions extends ExplainOptions {
  /** What is drawn from: images [m, c, h, w], such as some of the training set, or a number; default 0. */
  readonly baselines?: Baseline;
  /** Draws an image; default 32. */
  readonly samples?: number;
  /** Of noise on the points, as a share of the image's range; default 0. */
  readonly std?: number;
}

/**
 * The mean of (x - x0) · ∂logit/∂x at points drawn between x and baselines x0 drawn from a set. Over many draws the map
 * of all channels adds up to logit(x) less the baselines' mean logit.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await gradientShap(model, images, { target: 3, baselines: someTrainingImages });
 */
export async function gradientShap(
  model: Sequential,
  x: Tensor,
  { baselines = 0, samples = 32, std = 0, ...options }: GradientShapOptions,
): Promise<Tensor> {
  const name = "gradientShap";
  checkCommon(name, x, options);
  checkCount(name, "samples", samples);
  checkNumber(name, "std", std, 0);
  if (typeof baselines !== "number" && baselines.rank === 4 && baselines.shape[0] === 0)
    throw new ShapeError(
      `${name}: baselines has shape [${baselines.shape}], and at least one image is taken`,
    );
  const count = typeof baselines !== "number" && baselines.rank === 4 ? baselines.shape[0] : 1;
  const set = baselineOf(name, x.gpu, baselines, [count, ...x.shape.slice(1)]);
  try {
    const draws = {
      count: samples,
      alphas: "random",
      baselines: set,
      randomBaselines: true,
      std,
      change: true,
    } as const;
    return await explainByPasses(name, model, x, { core: gradientCore, draws }, options);
  } finally {
    set.dispose();
  }
}
