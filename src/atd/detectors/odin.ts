/** ODIN (Liang et al., ICLR 2018): temperature, and a small step toward what the network believes. */
import { ValueError } from "../../gpu/errors.js";
import { addScaled, sign } from "../../ops/elementwise.js";
import type { Tensor } from "../../tensor.js";
import type { Backbone, Detector, FitData, FitOptions } from "../detector.js";
import { checkFitData, scaleRows } from "./head_detector.js";
import { checkTemperature, logitScore } from "./logit_scores.js";

export interface OdinOptions {
  /** Divides the logits, above 0; default 1000. */
  readonly temperature?: number;
  /** The length of the step in pixel units, at least 0; default 0.05. */
  readonly epsilon?: number;
}

interface SavedPass {
  readonly features: unknown;
  readonly head: unknown;
  readonly slopes: Tensor;
}

class OdinDetector implements Detector {
  readonly name = "odin";
  readonly fitted = true;

  constructor(
    private readonly backbone: Backbone,
    private readonly temperature: number,
    private readonly epsilon: number,
  ) {}

  /** Nothing to fit. */
  async fit(data: FitData, { batch = 1 }: FitOptions = {}): Promise<void> {
    checkFitData(this.name, data, batch);
  }

  score(x: Tensor): Tensor {
    return x.gpu.scope(() => this.forward(x).y);
  }

  forward(x: Tensor): { y: Tensor; saved: SavedPass } {
    const moved = x.gpu.scope(() => {
      const { saved } = this.pass(x);
      return addScaled(x, sign(this.slopesDown(saved.slopes, saved)), this.epsilon);
    });
    return this.pass(moved);
  }

  inputGrad(dy: Tensor, saved: SavedPass): Tensor {
    return dy.gpu.scope(() => this.slopesDown(scaleRows(saved.slopes, dy), saved));
  }

  dispose(): void {}

  private pass(x: Tensor): { y: Tensor; saved: SavedPass } {
    const below = this.backbone.features.forward(x);
    const above = this.backbone.head.forward(below.y);
    const { score, slopes } = logitScore("odds", above.y, this.temperature);
    return { y: score, saved: { features: below.saved, head: above.saved, slopes } };
  }

  private slopesDown(slopes: Tensor, saved: SavedPass): Tensor {
    return this.backbone.features.inputGrad(this.backbone.head.inputGrad(slopes, saved.head), saved.features);
  }
}

/**
 * ODIN: the log-odds of the largest softmax probability at temperature T, at the image
 * x̃ = x + ε sign ∇ₓ ln max softmax(z / T), which the box does not clip.
 *
 * The gradient for an attack is that of the score at x̃, passed on to x as it is (straight through): the sign
 * is constant almost everywhere, so where ODIN's score has a gradient this is it. Unrolling the inner step
 * would add nothing but zeros.
 * @throws ValueError for options out of range
 */
export function odin(backbone: Backbone, { temperature = 1000, epsilon = 0.05 }: OdinOptions = {}): Detector {
  checkTemperature("odin", temperature);
  if (!(epsilon >= 0 && epsilon < Infinity))
    throw new ValueError(`odin: epsilon is ${epsilon}, and a finite number of at least 0 is taken`);
  return new OdinDetector(backbone, temperature, epsilon);
}
