/** One batch attacked inside a program or scope, without a wait: what adversarial training takes. */
import { add } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";
import type { Attack, Batch, Outcome } from "./definition.js";
import type { Differentiable } from "./model.js";

/** What an attack leaves of a batch, and the attacked images. */
export interface Perturbed extends Outcome {
  /** x + δ. */
  readonly images: Tensor;
}

/**
 * Records an attack on a batch and returns at once; works inside `gpu.scope` and `gpu.program`. Images must
 * be from 0 to 1, which only `attack` can check.
 * @returns δ, x + δ, loss, flags and curve, on the device
 * @throws ShapeError, ValueError if the batch does not fit the attack
 * @example
 * const step = gpu.program(() => {
 *   const { images } = perturb(model, { x, labels, draw: counter }, pgd({ epsilon: 8 / 255, steps: 7 }));
 *   advance(counter);
 *   const { y, saved } = model.forward(images, { training: true });
 *   const { dlogits } = softmaxCrossEntropy(y, labels);
 *   optimizer.step(model.backward(dlogits, saved).grads);
 * });
 */
export function perturb(model: Differentiable, batch: Batch, how: Attack): Perturbed {
  return batch.x.gpu.scope(() => {
    const { outcome, rounds, round } = how.record(model, batch);
    for (let i = 0; i < rounds; i++) round?.();
    return { ...outcome, images: add(batch.x, outcome.delta) };
  });
}
