/** A fully connected layer: y = activation(x W + b). */
import { ShapeError } from "../gpu/errors.js";
import { matmul } from "../ops/matmul.js";
import { sum } from "../ops/reduce.js";
import { type Shape, type Tensor, zeros } from "../tensor.js";
import { type Initializer, initialize } from "./initializers.js";
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

export interface DenseRecord {
  readonly kind: "dense";
  readonly inputs: number;
  readonly outputs: number;
  /** Default true. */
  readonly bias?: boolean;
  /** Default "he". */
  readonly init?: Initializer;
}

/** The record of a dense layer. @example dense(784, 128) */
export function dense(
  inputs: number,
  outputs: number,
  options: Pick<DenseRecord, "bias" | "init"> = {},
): DenseRecord {
  return { kind: "dense", inputs, outputs, ...options };
}

/** x: [n, inputs] → y: [n, outputs]; weight: [inputs, outputs], so that a neuron's outgoing weights are its row. */
export class Dense implements Layer {
  readonly buffers = NO_TENSORS;
  readonly takesEpilogue = true;
  readonly parameters: Tensors;

  constructor(
    readonly config: DenseRecord,
    init: Init,
  ) {
    const { inputs, outputs } = config;
    const weight = initialize(init, config.init ?? "he", [inputs, outputs], inputs, outputs);
    this.parameters = config.bias === false ? { weight } : { weight, bias: zeros(init.gpu, [outputs]) };
  }

  outputShape(input: Shape): Shape {
    const { inputs, outputs } = this.config;
    if (input.length !== 2 || input[1] !== inputs) {
      throw new ShapeError(
        `dense: x has shape [${input}], and [n, ${inputs}] is taken; put flatten() before it`,
      );
    }
    return [input[0], outputs];
  }

  forward(x: Tensor, { epilogue }: ForwardOptions = {}): Forward {
    this.outputShape(x.shape);
    const { weight, bias } = this.parameters;
    return {
      y: matmul(x, weight, { bias, ...epilogue }),
      saved: { tensors: { x }, inputShape: x.shape },
    };
  }

  /** dx = dy Wᵀ */
  inputGrad(dy: Tensor): Tensor {
    return matmul(dy, this.parameters.weight, { transposeB: true });
  }

  /** dW = xᵀ dy, db = the sum of dy over the batch */
  weightGrads(dy: Tensor, { tensors }: Saved): Tensors {
    const weight = matmul(tensors.x, dy, { transposeA: true });
    return this.parameters.bias ? { weight, bias: sum(dy, { axes: [0] }) } : { weight };
  }

  dispose(): void {
    disposeAll(this.parameters);
  }
}
