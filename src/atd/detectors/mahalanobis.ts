/** Distances to Gaussians that are fitted to the features of each class. */
import gaussianScoreWgsl from "../../../shaders/gaussian_score.wgsl";
import type { Gpu } from "../../gpu/gpu.js";
import { defineKernel, gridFor, sizeOf } from "../../gpu/kernel.js";
import { matmul } from "../../ops/matmul.js";
import { type Tensor, tensor } from "../../tensor.js";
import type { Backbone, Detector } from "../detector.js";
import {
  apply,
  centered,
  checkShrinkage,
  meanOf,
  rowsByClass,
  type Shrinkage,
  shrunkCovariance,
  whitener,
} from "./covariance.js";
import { type HeadData, HeadDetector, type ScoreHead, scaleRows } from "./head_detector.js";

export interface MahalanobisOptions {
  /** Of the covariances; default "ledoitWolf". */
  readonly shrinkage?: Shrinkage;
}

interface GaussianCall {
  readonly relative: boolean;
}

const WORKGROUP_SIZE = 64;

const gaussianKernel = defineKernel<GaussianCall>({
  name: "gaussian_score",
  wgsl: gaussianScoreWgsl,
  bindings: { whitened: "read", means: "read", score: "write", slopes: "write" },
  constants: (_shapes, { relative }) => ({ RELATIVE: relative }),
  shape: ({ whitened }) => ({ score: [whitened[0]], slopes: whitened }),
  uniforms: ({ whitened, means }) => ({ count: whitened[0], width: means[1], classes: means[0] }),
  grid: ({ whitened }, limits) => gridFor(whitened[0], WORKGROUP_SIZE, limits),
  work: ({ whitened, means }) => 4 * whitened[0] * sizeOf(means),
});

/** What a fit leaves on the device. */
interface Gaussians {
  /** [width, width or 2 width]: whitens a row by f W + b. */
  readonly weights: Tensor;
  readonly bias: Tensor;
  /** [classes, width], whitened. */
  readonly means: Tensor;
}

class GaussianHead implements ScoreHead {
  readonly reads = "features";
  private gaussians?: Gaussians;

  constructor(
    readonly name: string,
    private readonly relative: boolean,
    private readonly shrinkage: Shrinkage,
  ) {
    checkShrinkage(name, shrinkage);
  }

  get fitted(): boolean {
    return this.gaussians !== undefined;
  }

  fit({ values, width, labels }: HeadData, gpu: Gpu): void {
    const center = meanOf(values, width);
    const classes = [...rowsByClass(labels)].map(([label, rows]) => {
      const own = new Float32Array(rows.length * width);
      for (const [at, row] of rows.entries())
        own.set(values.subarray(row * width, (row + 1) * width), at * width);
      return { label, mean: meanOf(own, width) };
    });
    const means = new Map(classes.map(({ label, mean }) => [label, mean]));
    const whiten = (centerOf: (row: number) => Float64Array): Float64Array =>
      whitener(this.name, shrunkCovariance(centered(values, width, centerOf), width, this.shrinkage), width);
    const within = whiten((row) => means.get(labels[row]) as Float64Array);
    const parts = this.relative ? [within, whiten(() => center)] : [within];
    // Features are whitened around their mean, so that the product loses no digits to it.
    const columns = parts.length * width;
    const weights = new Float32Array(width * columns);
    const bias = new Float32Array(columns);
    for (const [part, matrix] of parts.entries()) {
      bias.set(
        apply(matrix, center).map((value) => -value),
        part * width,
      );
      for (let i = 0; i < width; i++) {
        for (let j = 0; j < width; j++) weights[j * columns + part * width + i] = matrix[i * width + j];
      }
    }
    const whitenedMeans = classes.map(({ mean }) =>
      apply(
        within,
        mean.map((value, i) => value - center[i]),
      ),
    );
    const fitted = {
      weights: tensor(gpu, weights, [width, columns]),
      bias: tensor(gpu, bias),
      means: tensor(gpu, Float32Array.from(whitenedMeans.flatMap((mean) => [...mean])), [
        classes.length,
        width,
      ]),
    };
    this.dispose();
    this.gaussians = fitted;
  }

  forward(features: Tensor): { score: Tensor; saved: Tensor } {
    const { weights, bias, means } = this.gaussians as Gaussians;
    return features.gpu.scope(() => {
      const whitened = matmul(features, weights, { bias });
      const { score, slopes } = gaussianKernel.run({ whitened, means }, { relative: this.relative });
      return { score, saved: slopes };
    });
  }

  inputGrad(dscore: Tensor, slopes: Tensor): Tensor {
    const { weights } = this.gaussians as Gaussians;
    return dscore.gpu.scope(() => matmul(scaleRows(slopes, dscore), weights, { transposeB: true }));
  }

  dispose(): void {
    for (const held of Object.values(this.gaussians ?? {})) held.dispose();
    this.gaussians = undefined;
  }
}

/**
 * Minus the squared Mahalanobis distance to the nearest class (Lee et al., NeurIPS 2018):
 * -min_c (f - μ_c)ᵀ Σ⁻¹ (f - μ_c), one covariance Σ for all classes, of the features alone (Lee et al. also
 * join layers and step toward the score; neither is here).
 * @throws ValueError for a shrinkage out of range
 */
export function mahalanobis(
  backbone: Backbone,
  { shrinkage = "ledoitWolf" }: MahalanobisOptions = {},
): Detector {
  return new HeadDetector(backbone, new GaussianHead("mahalanobis", false, shrinkage));
}

/**
 * The Mahalanobis score less what a single Gaussian for all classes gives (Ren et al., 2021):
 * -min_c d_c² + d_0².
 */
export function relativeMahalanobis(
  backbone: Backbone,
  { shrinkage = "ledoitWolf" }: MahalanobisOptions = {},
): Detector {
  return new HeadDetector(backbone, new GaussianHead("relativeMahalanobis", true, shrinkage));
}
