/** Scores of the logits alone: nothing to fit. */
import logitScoreWgsl from "../../../shaders/logit_score.wgsl";
import { ShapeError, ValueError } from "../../gpu/errors.js";
import { defineKernel, gridFor, sizeOf } from "../../gpu/kernel.js";
import type { Tensor } from "../../tensor.js";
import type { Backbone, Detector } from "../detector.js";
import { HeadDetector, type ScoreHead, scaleRows } from "./head_detector.js";

/** The value of `SCORE` in the WGSL. */
const SCORE = { odds: 0, maximum: 1, energy: 2, entropy: 3 } as const;

type LogitScore = keyof typeof SCORE;

const WORKGROUP_SIZE = 64;

const scoreKernel = defineKernel<{ kind: LogitScore; temperature: number }>({
  name: "logit_score",
  wgsl: logitScoreWgsl,
  bindings: { logits: "read", score: "write", slopes: "write" },
  constants: (_shapes, { kind }) => ({ SCORE: SCORE[kind] }),
  shape: ({ logits }) => {
    if (logits.length !== 2 || logits[1] < 2) {
      throw new ShapeError(
        `detector: the head gives shape [${logits}], and logits [n, classes] of at least 2 classes are taken`,
      );
    }
    return { score: [logits[0]], slopes: logits };
  },
  uniforms: ({ logits }, { temperature }) => ({ count: logits[0], classes: logits[1], temperature }),
  grid: ({ logits }, limits) => gridFor(logits[0], WORKGROUP_SIZE, limits),
  work: ({ logits }) => 80 * sizeOf(logits),
});

/** score [n] and its gradient with respect to the logits. */
export function logitScore(
  kind: LogitScore,
  logits: Tensor,
  temperature = 1,
): { score: Tensor; slopes: Tensor } {
  const { score, slopes } = scoreKernel.run({ logits }, { kind, temperature });
  return { score, slopes };
}

export interface TemperatureOptions {
  /** Divides the logits, above 0; default 1. */
  readonly temperature?: number;
}

/** @throws ValueError */
export function checkTemperature(name: string, temperature: number): void {
  if (temperature > 0 && temperature < Infinity) return;
  throw new ValueError(`${name}: temperature is ${temperature}, and a finite number above 0 is taken`);
}

function logitHead(name: string, kind: LogitScore, temperature = 1): ScoreHead {
  checkTemperature(name, temperature);
  return {
    name,
    reads: "logits",
    fitted: true,
    forward: (logits) => {
      const { score, slopes } = logitScore(kind, logits, temperature);
      return { score, saved: slopes };
    },
    inputGrad: (dscore, slopes) => scaleRows(slopes as Tensor, dscore),
  };
}

/**
 * The maximum softmax probability P (Hendrycks and Gimpel, ICLR 2017), as its log-odds
 * T ln(P / (1 - P)) + T ln(classes - 1): the same order, and so the same AUROC, without P's ties at 1 and with
 * a gradient where P's has vanished. 0 where all classes are equally likely.
 * @example
 * const scores = await msp(backboneOf(classifier)).score(images).data();
 */
export function msp(backbone: Backbone, { temperature = 1 }: TemperatureOptions = {}): Detector {
  return new HeadDetector(backbone, logitHead("msp", "odds", temperature));
}

/** The largest logit (Hendrycks et al., ICML 2022). */
export function maxLogit(backbone: Backbone): Detector {
  return new HeadDetector(backbone, logitHead("maxLogit", "maximum"));
}

/** Minus the free energy, T ln Σ e^(z / T) (Liu et al., NeurIPS 2020). */
export function energy(backbone: Backbone, { temperature = 1 }: TemperatureOptions = {}): Detector {
  return new HeadDetector(backbone, logitHead("energy", "energy", temperature));
}

/** -ln H of the softmax's entropy H: the order of -H, without its ties and vanishing gradients at 0. */
export function entropy(backbone: Backbone): Detector {
  return new HeadDetector(backbone, logitHead("entropy", "entropy"));
}
