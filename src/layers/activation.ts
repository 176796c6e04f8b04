/** Activations as layers. */
import { ValueError } from "../gpu/errors.js";
import { ACTIVATION_KEEPS, type ActivationName, activate, activationGrad } from "../ops/activation.js";
import { type FusedActivation, isFusedActivation } from "../ops/activation_names.js";
import type { Shape, Tensor } from "../tensor.js";
import { type Forward, type Layer, NO_TENSORS, type Saved, type Tensors } from "./layer.js";

export interface ActivationRecord {
  readonly kind: "activation";
  readonly name: ActivationName;
  /** The leaky ReLU's slope for negative inputs; default 0.01. */
  readonly slope?: number;
}

/** The record of an activation layer. @example activation("relu") */
export function activation(
  name: ActivationName,
  options: Pick<ActivationRecord, "slope"> = {},
): ActivationRecord {
  return { kind: "activation", name, ...options };
}

/**
 * y = φ(x). What the gradient takes is the output for relu, leakyRelu, tanh and sigmoid, which is how they can run in
 * the epilogue of the layer before, and the input for gelu and silu.
 */
export class Activation implements Layer {
  readonly parameters = NO_TENSORS;
  readonly buffers = NO_TENSORS;

  /** @throws ValueError for an unknown name or a slope below 0 */
  constructor(readonly config: ActivationRecord) {
    if (!Object.hasOwn(ACTIVATION_KEEPS, config.name)) {
      const known = Object.keys(ACTIVATION_KEEPS).join(", ");
      throw new ValueError(`activation: "${config.name}" is not known; take one of ${known}`);
    }
    if (config.name === "leakyRelu" && !((config.slope ?? 0) >= 0)) {
      throw new ValueError(`activation: slope is ${config.slope}, and a leaky ReLU takes at least 0`);
    }
  }

  /** The name, if the layer before can apply it in its epilogue. */
  get fused(): FusedActivation | undefined {
    const { name } = this.config;
    return isFusedActivation(name) ? name : undefined;
  }

  outputShape(input: Shape): Shape {
    return input;
  }

  forward(x: Tensor): Forward {
    const y = activate(x, this.config.name, { slope: this.config.slope });
    return { y, saved: this.saved(x, y) };
  }

  /** What `inputGrad` takes; x may be missing where only the output is needed. */
  saved(x: Tensor | undefined, y: Tensor): Saved {
    const kept = this.fused ? y : (x as Tensor);
    return { tensors: { kept }, inputShape: y.shape };
  }

  inputGrad(dy: Tensor, { tensors }: Saved): Tensor {
    return activationGrad(dy, tensors.kept, this.config.name, { slope: this.config.slope });
  }

  weightGrads(): Tensors {
    return NO_TENSORS;
  }

  dispose(): void {}
}
