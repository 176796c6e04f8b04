/** OpenMax (Bendale and Boult, CVPR 2016): logits recalibrated by how far out they are for each class. */
import openMaxScoreWgsl from "../../../shaders/open_max_score.wgsl";
import { ValueError } from "../../gpu/errors.js";
import type { Gpu } from "../../gpu/gpu.js";
import { defineKernel, gridFor, sizeOf } from "../../gpu/kernel.js";
import { type Tensor, tensor } from "../../tensor.js";
import type { Backbone, Detector } from "../detector.js";
import { meanOf } from "./covariance.js";
import { type HeadData, HeadDetector, type ScoreHead, scaleRows } from "./head_detector.js";
import { fitWeibull } from "./weibull.js";

export interface OpenMaxOptions {
  /** How many of the largest distances of a class its tail is fitted to; default 20. */
  readonly tail?: number;
  /** How many of the largest logits are recalibrated; default 10, or all if there are fewer. */
  readonly alpha?: number;
}

const WORKGROUP_SIZE = 64;
/** Two parameters of a tail that is fitted to fewer distances would be chance. */
const FEWEST = 3;

const openMaxKernel = defineKernel<{ alpha: number }>({
  name: "open_max_score",
  wgsl: openMaxScoreWgsl,
  bindings: {
    logits: "read",
    means: "read",
    tails: "read",
    score: "write",
    known: "write",
    slopes: "write",
  },
  shape: ({ logits }) => ({ score: [logits[0]], known: logits, slopes: logits }),
  uniforms: ({ logits }, { alpha }) => ({
    count: logits[0],
    classes: logits[1],
    alpha: Math.min(alpha, logits[1]),
  }),
  grid: ({ logits }, limits) => gridFor(logits[0], WORKGROUP_SIZE, limits),
  work: ({ logits, means }) => 12 * logits[0] * sizeOf(means),
});

interface Calibration {
  /** [classes, classes]: the mean logits of each class. */
  readonly means: Tensor;
  /** [classes, 2]: the Weibull shape and scale of each class. */
  readonly tails: Tensor;
}

class OpenMaxHead implements ScoreHead {
  readonly name = "openMax";
  readonly reads = "logits";
  private calibration?: Calibration;

  constructor(
    private readonly tail: number,
    private readonly alpha: number,
  ) {
    if (!(Number.isInteger(tail) && tail >= FEWEST))
      throw new ValueError(`openMax: tail is ${tail}, and a whole number of at least ${FEWEST} is taken`);
    if (!(Number.isInteger(alpha) && alpha >= 1))
      throw new ValueError(`openMax: alpha is ${alpha}, and a whole number of at least 1 is taken`);
  }

  get fitted(): boolean {
    return this.calibration !== undefined;
  }

  fit({ values, count, width, labels }: HeadData, gpu: Gpu): void {
    const right: number[][] = Array.from({ length: width }, () => []);
    for (let row = 0; row < count; row++) {
      const logits = values.subarray(row * width, (row + 1) * width);
      const best = logits.reduce((top, value, i) => (value > logits[top] ? i : top), 0);
      if (best === labels[row]) right[best].push(row);
    }
    const means = new Float32Array(width * width);
    const tails = new Float32Array(2 * width);
    for (const [label, rows] of right.entries()) {
      if (rows.length < FEWEST) {
        throw new ValueError(
          `openMax: ${rows.length} images of class ${label} are classified rightly, and ${FEWEST} at least ` +
            `are needed to fit its tail; give more images, or train the classifier`,
        );
      }
      const own = rows.flatMap((row) => [...values.subarray(row * width, (row + 1) * width)]);
      const mean = meanOf(own, width);
      const distances = rows.map((row) =>
        Math.hypot(...mean.map((value, i) => values[row * width + i] - value)),
      );
      const { shape, scale } = fitWeibull(distances.sort((a, b) => b - a).slice(0, this.tail));
      means.set(mean, label * width);
      tails.set([shape, scale], 2 * label);
    }
    const fitted = { means: tensor(gpu, means, [width, width]), tails: tensor(gpu, tails, [width, 2]) };
    this.dispose();
    this.calibration = fitted;
  }

  forward(logits: Tensor): { score: Tensor; saved: Tensor } {
    const { means, tails } = this.calibration as Calibration;
    return logits.gpu.scope(() => {
      const { score, slopes } = openMaxKernel.run({ logits, means, tails }, { alpha: this.alpha });
      return { score, saved: slopes };
    });
  }

  inputGrad(dscore: Tensor, slopes: Tensor): Tensor {
    return scaleRows(slopes, dscore);
  }

  dispose(): void {
    for (const held of Object.values(this.calibration ?? {})) held.dispose();
    this.calibration = undefined;
  }
}

/**
 * OpenMax, as the log-odds of "known": ln Σ e^known - unknown. The mean logits of a class are of the images
 * that are classified rightly; the tail of their distances is a Weibull distribution with location 0, of
 * greatest likelihood in float64. The gradient goes through logits, distances and tails; which classes are
 * the `alpha` first is taken as it is.
 * @throws ValueError for options out of range; `fit` where a class has fewer than 3 such images
 */
export function openMax(backbone: Backbone, { tail = 20, alpha = 10 }: OpenMaxOptions = {}): Detector {
  return new HeadDetector(backbone, new OpenMaxHead(tail, alpha));
}
