/** A discriminator's logit as a detector: D(F(x)), or D(x) of pixels. */
import type { Differentiable } from "../attacks/model.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { Detector } from "./detector.js";

/** g(f(x)) with its gradient down to x. @example const score = chain(features, discriminator); */
export function chain(first: Differentiable | undefined, second: Differentiable): Differentiable {
  if (!first) return second;
  return {
    forward(x) {
      const below = first.forward(x);
      const above = second.forward(below.y);
      return { y: above.y, saved: [below.saved, above.saved] };
    },
    inputGrad(dy, saved) {
      const [below, above] = saved as [unknown, unknown];
      return first.inputGrad(second.inputGrad(dy, above), below);
    },
  };
}

/**
 * A trained discriminator as a detector. Its score is the logit and not the sigmoid of it, which in float32 is
 * flat from about 17 on and would hide gradients.
 * @example
 * const detector = new DiscriminatorDetector("atd", features, discriminator);
 * const scores = await detector.score(images).data(); // larger: more in-distribution
 */
export class DiscriminatorDetector implements Detector {
  readonly fitted = true;
  private readonly whole: Differentiable;

  /** @param features F, or undefined for a discriminator of pixels; both stay the caller's */
  constructor(
    readonly name: string,
    features: Differentiable | undefined,
    discriminator: Sequential,
  ) {
    this.whole = chain(features, discriminator);
  }

  /** Nothing to fit: D was trained before. */
  async fit(): Promise<void> {}

  score(x: Tensor): Tensor {
    return x.gpu.scope(() => this.forward(x).y);
  }

  forward(x: Tensor): { y: Tensor; saved: unknown } {
    const { y, saved } = this.whole.forward(x);
    return { y: y.reshape([y.shape[0]]), saved };
  }

  inputGrad(dy: Tensor, saved: unknown): Tensor {
    return this.whole.inputGrad(dy.reshape([dy.shape[0], 1]), saved);
  }

  /** Releases nothing: networks are the caller's. */
  dispose(): void {}
}
