/**
 * What an attack runs against: any function of images that is given as a forward pass and its input gradient.
 */
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { div, sub } from "../ops/elementwise.js";
import { type Tensor, tensor } from "../tensor.js";

/**
 * A model, or a score made of one. `Sequential` is one as it is; a detector's score is a `forward` that goes
 * on from the model's, and an `inputGrad` that starts with the score's own gradient. Both record ops and
 * return at once. Weight gradients have no place here, so no attack can compute them.
 * @example
 * const score: Differentiable = {
 *   forward(x) {
 *     const { y, saved } = features.forward(x);
 *     const head = discriminator.forward(y);
 *     return { y: head.y, saved: [saved, head.saved] };
 *   },
 *   inputGrad: (dy, [below, above]: [Saved, Saved]) =>
 *     features.inputGrad(discriminator.inputGrad(dy, above), below),
 * };
 */
export interface Differentiable {
  /** y: [n, classes] logits, or a score a sample as [n] or [n, 1]. In evaluation mode. */
  forward(x: Tensor): { readonly y: Tensor; readonly saved: unknown };
  /** ∂L/∂x from dy = ∂L/∂y and what the forward pass saved. */
  inputGrad(dy: Tensor, saved: unknown): Tensor;
}

export interface Normalization {
  /** Of all pixels, or one a channel. */
  readonly mean: number | readonly number[];
  /** Above 0; of all pixels, or one a channel. */
  readonly std: number | readonly number[];
}

/** A model behind the normalization of its images. Owns two small tensors if mean and std are lists. */
export class NormalizedModel implements Differentiable {
  private readonly mean: number | Tensor;
  private readonly std: number | Tensor;

  constructor(
    gpu: Gpu,
    readonly model: Differentiable,
    { mean, std }: Normalization,
  ) {
    const deviations = typeof std === "number" ? [std] : std;
    if (!deviations.every((value) => value > 0 && value < Infinity))
      throw new ValueError(`normalized: std is ${std}, and finite numbers above 0 are taken`);
    const lengths = [mean, std].flatMap((given) => (typeof given === "number" ? [] : [given.length]));
    if (new Set(lengths).size > 1)
      throw new ShapeError(`normalized: mean and std have ${lengths.join(" and ")} channels; give as many`);
    const channels = (given: number | readonly number[]) =>
      typeof given === "number" ? given : tensor(gpu, Float32Array.from(given), [given.length, 1, 1]);
    this.mean = channels(mean);
    this.std = channels(std);
  }

  forward(x: Tensor): { y: Tensor; saved: unknown } {
    const centered = sub(x, this.mean);
    return this.model.forward(div(centered, this.std, { out: centered }));
  }

  inputGrad(dy: Tensor, saved: unknown): Tensor {
    return div(this.model.inputGrad(dy, saved), this.std);
  }

  /** Releases the tensors of mean and std; the model is left alone. */
  dispose(): void {
    for (const value of [this.mean, this.std]) if (typeof value !== "number") value.dispose();
  }
}

/**
 * Puts (x - mean) / std before a model, so that attacks act on pixels from 0 to 1 and ε is in pixel units.
 * @throws ValueError for a std that is not above 0, ShapeError for lists of different lengths
 * @example
 * const model = normalized(gpu, network, { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] });
 */
export function normalized(gpu: Gpu, model: Differentiable, normalization: Normalization): NormalizedModel {
  return new NormalizedModel(gpu, model, normalization);
}
