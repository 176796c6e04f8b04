/** Joins all dimensions but the batch. */
import type { Shape, Tensor } from "../tensor.js";
import { type Forward, type Layer, NO_TENSORS, type Saved, type Tensors } from "./layer.js";

export interface FlattenRecord {
  readonly kind: "flatten";
}

/** The record of a flatten layer. @example flatten() */
export function flatten(): FlattenRecord {
  return { kind: "flatten" };
}

/** x: [n, …] → y: [n, product of the rest]; both share one buffer. */
export class Flatten implements Layer {
  readonly parameters = NO_TENSORS;
  readonly buffers = NO_TENSORS;

  constructor(readonly config: FlattenRecord) {}

  outputShape([batch, ...rest]: Shape): Shape {
    return [batch, rest.reduce((product, size) => product * size, 1)];
  }

  forward(x: Tensor): Forward {
    return { y: x.reshape(this.outputShape(x.shape)), saved: { tensors: NO_TENSORS, inputShape: x.shape } };
  }

  inputGrad(dy: Tensor, { inputShape }: Saved): Tensor {
    return dy.reshape(inputShape);
  }

  weightGrads(): Tensors {
    return NO_TENSORS;
  }

  dispose(): void {}
}
