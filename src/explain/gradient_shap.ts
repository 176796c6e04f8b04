/**
 * Expected gradients, the gradient form of SHAP (Lundberg and Lee 2017; Erion et al., "Improving performance
 * of deep learning models with axiomatic attribution priors and expected gradients", 2021).
 */
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import { ShapeError } from "../gpu/errors.js";
import { type Baseline, baselineOf, checkCount, checkNumber, type ExplainOptions } from "./definition.js";
import { checkCommon, explainByPasses } from "./passes.js";
import { gradientCore } from "./saliency.js";

export interface GradientShapOptions extends ExplainOptions {
  /**
   * What is drawn from: any number of images [m, c, h, w], such as some of the training set; or a number;
   * default 0.
   */
  readonly baselines?: Baseline;
  /** Draws an image; default 32. */
  readonly samples?: number;
  /** Of noise on the points, as a share of the image's range; default 0. */
  readonly std?: number;
}

/**
 * The mean of (x - x0) · ∂logit/∂x at points drawn between x and baselines x0 drawn from a set. Over many
 * draws the map of all channels adds up to logit(x) less the baselines' mean logit.
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
  const set = baselineSet(x, baselines);
  try {
    const draws = {
      count: samples,
      alphas: "random",
      baselines: set,
      randomBaselines: typeof baselines === "object",
      std,
      change: true,
    } as const;
    return await explainByPasses(name, model, x, { core: gradientCore, draws }, options);
  } finally {
    set.dispose();
  }
}

/** Any number of images to draw from; the caller's. */
function baselineSet(x: Tensor, baselines: Baseline): Tensor {
  const isSet = typeof baselines === "object" && baselines.rank === 4;
  if (!isSet) return baselineOf("gradientShap", x, baselines);
  if (baselines.shape[0] > 0 && baselines.shape.slice(1).join() === x.shape.slice(1).join())
    return baselines.reshape(baselines.shape);
  throw new ShapeError(
    `gradientShap: baselines has shape [${baselines.shape}], and at least one image [${x.shape.slice(1)}] is taken`,
  );
}
