/** Dropout (Srivastava et al. 2014), inverted: what is kept is scaled up in training, and evaluation is the identity. */
import { ValueError } from "../gpu/errors.js";
import { advance, dropout as drop, dropoutGrad } from "../ops/random.js";
import { type Shape, type Tensor, zeros } from "../tensor.js";
import {
  disposeAll,
  type Forward,
  type ForwardOptions,
  type Init,
  type Layer,
  NO_TENSORS,
  type Saved,
  type Tensors,
} from "./layer.js";

export interface DropoutRecord {
  readonly kind: "dropout";
  /** The share of inputs that is dropped, in [0, 1). */
  readonly rate: number;
}

/** The record of a dropout layer. @example dropout(0.5) */
export function dropout(rate: number): DropoutRecord {
  return { kind: "dropout", rate };
}

/** Draws a new mask a training pass from a counter on the device, so that a replayed program draws anew, too. */
export class Dropout implements Layer {
  readonly parameters = NO_TENSORS;
  readonly buffers: Tensors;
  private readonly seed: number;
  private readonly stream: number;

  constructor(
    readonly config: DropoutRecord,
    init: Init,
  ) {
    if (!(config.rate >= 0 && config.rate < 1)) {
      throw new ValueError(`dropout: rate is ${config.rate}, and at least 0 and less than 1 is taken`);
    }
    this.seed = init.seed;
    this.stream = init.stream++;
    this.buffers = { counter: zeros(init.gpu, [1], { dtype: "u32" }) };
  }

  outputShape(input: Shape): Shape {
    return input;
  }

  forward(x: Tensor, { training = false }: ForwardOptions = {}): Forward {
    const inputShape = x.shape;
    if (!training || this.config.rate === 0)
      return { y: x.reshape(x.shape), saved: { tensors: NO_TENSORS, inputShape } };
    const { counter } = this.buffers;
    const { y, mask } = drop(x, { rate: this.config.rate, seed: this.seed, stream: this.stream, counter });
    advance(counter);
    return { y, saved: { tensors: { mask }, inputShape } };
  }

  inputGrad(dy: Tensor, { tensors }: Saved): Tensor {
    return tensors.mask ? dropoutGrad(dy, tensors.mask) : dy.reshape(dy.shape);
  }

  weightGrads(): Tensors {
    return NO_TENSORS;
  }

  dispose(): void {
    disposeAll(this.buffers);
  }
}
