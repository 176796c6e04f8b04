/** What is lost with each part of an image. */
import type { Sequential } from "../layers/sequential.js";
import { type Tensor, tensor } from "../tensor.js";
import { type Baseline, baselineOf, type ExplainOptions, targetsOf } from "./definition.js";
import { maskedScores, type Score } from "./masked_scores.js";
import { checkCommon, classesOf, joined } from "./passes.js";
import { type SegmentOptions, segmentsOf, spread } from "./segments.js";

export interface FeatureAblationOptions extends ExplainOptions, SegmentOptions {
  /** What an ablated segment shows; default 0. */
  readonly baseline?: Baseline;
  /** Default "logit". */
  readonly score?: Score;
}

/**
 * score(x) less score(x with one segment replaced), for each segment: what each is worth, all else in place.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, 1, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await featureAblation(model, images, { target: 3, cell: 4 });
 */
export async function featureAblation(
  model: Sequential,
  x: Tensor,
  { baseline = 0, segments, cell, ...options }: FeatureAblationOptions,
): Promise<Tensor> {
  const name = "featureAblation";
  checkCommon(name, x, options);
  const [images, , height, width] = x.shape;
  const parts = segmentsOf(name, { segments, cell }, height, width);
  const targets = await targetsOf(name, options.target, images, classesOf(name, model, x));
  const baselines = baselineOf(name, x, baseline);
  try {
    // The last mask keeps all.
    const count = parts.segmentCount + 1;
    const write = (_image: number, mask: number, keep: Float32Array): void => {
      keep.fill(1);
      if (mask < parts.segmentCount) keep[mask] = 0;
    };
    const scores = await maskedScores(
      name,
      model,
      x,
      targets,
      { ...parts, count, baselines, write },
      options,
    );
    const drops = Float64Array.from({ length: images * parts.segmentCount }, (_, i) => {
      const image = Math.floor(i / parts.segmentCount);
      return scores[image * count + parts.segmentCount] - scores[image * count + (i % parts.segmentCount)];
    });
    return joined(tensor(x.gpu, spread(parts, drops), [images, 1, height, width]), options);
  } finally {
    baselines.dispose();
  }
}
