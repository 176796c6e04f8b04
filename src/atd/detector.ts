/**
 * What a detector of out-of-distribution images is: a score of an image, larger for what it takes to be
 * in-distribution, with its gradient down to the pixels.
 *
 * Scores are on the scale of logits or logarithms, never of probabilities: in float32 a sigmoid is exactly 1
 * from a logit of 17 on, its gradient exactly 0, and an attack would stall there and look like robustness.
 */
import type { Differentiable } from "../attacks/model.js";
import type { Tensor } from "../tensor.js";

/** The detectors that handgrad has; a detector of your own may have any other name. */
export type DetectorName =
  | "msp"
  | "maxLogit"
  | "energy"
  | "entropy"
  | "odin"
  | "mahalanobis"
  | "relativeMahalanobis"
  | "knn"
  | "openMax"
  | "openGan"
  | "atd";

/**
 * A classifier in two parts, both in evaluation mode; detectors score what either of them gives. They use the
 * parts and never dispose of them.
 */
export interface Backbone {
  /** Images from 0 to 1, normalized in here if at all, to features [n, width]. */
  readonly features: Differentiable;
  /** Features to logits [n, classes]. */
  readonly head: Differentiable;
}

/** What a detector is fitted to. All tensors stay the caller's. */
export interface FitData {
  /** In-distribution images [n, …], from 0 to 1. */
  readonly x: Tensor;
  /** u32 [n]: their classes. */
  readonly labels: Tensor;
  /** Images of an open set [m, …], known to be out; only the detectors that are trained on them take them. */
  readonly outliers?: Tensor;
}

export interface FitOptions {
  /** Images a forward pass; default 256. */
  readonly batch?: number;
  /** Heard with the share that is done, 0 to 1. */
  readonly onProgress?: (share: number) => void;
}

/**
 * A detector. As a `Differentiable` it is what `attack` runs against: `scoreLoss` raises or lowers its score,
 * and the gradient goes end to end, from the score through the network to the pixels.
 * @example
 * const detector = energy({ features, head });
 * await detector.fit({ x, labels });
 * const scores = await detector.score(images).data();       // larger: more in-distribution
 * const worst = await attack(detector, images, pgd({ epsilon: 8 / 255, loss: scoreLoss() }), { labels: isInside });
 */
export interface Detector extends Differentiable {
  readonly name: string;
  /** Whether `score` may be asked: what has nothing to fit is fitted from the start. */
  readonly fitted: boolean;
  /**
   * Sets what the score needs from in-distribution images; a second fit takes the place of the first. Programs
   * recorded before it (an attack's, say) are not to be run after it.
   */
  fit(data: FitData, options?: FitOptions): Promise<void>;
  /** [n] scores of images [n, …] from 0 to 1; larger is more in-distribution. Records ops, reads nothing. */
  score(x: Tensor): Tensor;
  /** The score as y [n], with what its gradient needs. @throws ValueError before `fit` */
  forward(x: Tensor): { readonly y: Tensor; readonly saved: unknown };
  /** ∂L/∂x [n, …] from dy = ∂L/∂score [n]. */
  inputGrad(dy: Tensor, saved: unknown): Tensor;
  /** Releases what `fit` made; backbone and given networks are left alone. */
  dispose(): void;
}
