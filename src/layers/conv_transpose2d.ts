/** Transposed convolution layers. */
import { ShapeError } from "../gpu/errors.js";
import { conv2dBiasGrad } from "../ops/conv.js";
import {
  convTranspose2d as convolve,
  convTranspose2dInputGrad,
  convTranspose2dOutputShape,
  convTranspose2dWeightGrad,
} from "../ops/conv_transpose.js";
import { type Shape, type Tensor, zeros } from "../tensor.js";
import { type Initializer, initialize } from "./initializers.js";
import {
  disposeAll,
  type Forward,
  type Init,
  type Layer,
  NO_TENSORS,
  type Saved,
  type Tensors,
} from "./layer.js";

type Pair = number | readonly [number, number];

export interface ConvTranspose2dRecord {
  readonly kind: "convTranspose2d";
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel: Pair;
  readonly stride?: Pair;
  readonly padding?: Pair;
  readonly outputPadding?: Pair;
  readonly dilation?: Pair;
  readonly groups?: number;
  /** Default true. */
  readonly bias?: boolean;
  /** Default "he". */
  readonly init?: Initializer;
}

/** The record of a transposed convolution layer. @example convTranspose2d(64, 32, 4, { stride: 2, padding: 1 }) */
export function convTranspose2d(
  inputs: number,
  outputs: number,
  kernel: Pair,
  options: Omit<ConvTranspose2dRecord, "kind" | "inputs" | "outputs" | "kernel"> = {},
): ConvTranspose2dRecord {
  return { kind: "convTranspose2d", inputs, outputs, kernel, ...options };
}

/** x: [n, inputs, h, w] → y: [n, outputs, h', w']; weight: [inputs, outputs / groups, kh, kw]. */
export class ConvTranspose2d implements Layer {
  readonly buffers = NO_TENSORS;
  readonly parameters: Tensors;
  private readonly weightShape: Shape;

  constructor(
    readonly config: ConvTranspose2dRecord,
    init: Init,
  ) {
    const { inputs, outputs, kernel, groups = 1 } = config;
    const [height, width] = typeof kernel === "number" ? [kernel, kernel] : kernel;
    if (inputs % groups !== 0 || outputs % groups !== 0) {
      throw new ShapeError(
        `convTranspose2d: groups ${groups} must divide inputs ${inputs} and outputs ${outputs}`,
      );
    }
    this.weightShape = [inputs, outputs / groups, height, width];
    const area = height * width;
    const weight = initialize(
      init,
      config.init ?? "he",
      this.weightShape,
      (inputs / groups) * area,
      (outputs / groups) * area,
    );
    this.parameters = config.bias === false ? { weight } : { weight, bias: zeros(init.gpu, [outputs]) };
  }

  outputShape(input: Shape): Shape {
    return convTranspose2dOutputShape(input, this.weightShape, this.config);
  }

  forward(x: Tensor): Forward {
    const { weight, bias } = this.parameters;
    const y = convolve(x, weight, { ...geometry(this.config), bias });
    return { y, saved: { tensors: { x }, inputShape: x.shape } };
  }

  inputGrad(dy: Tensor, { inputShape }: Saved): Tensor {
    return convTranspose2dInputGrad(dy, this.parameters.weight, { ...geometry(this.config), inputShape });
  }

  weightGrads(dy: Tensor, { tensors }: Saved): Tensors {
    const weight = convTranspose2dWeightGrad(tensors.x, dy, {
      ...geometry(this.config),
      weightShape: this.weightShape,
    });
    return this.parameters.bias ? { weight, bias: conv2dBiasGrad(dy) } : { weight };
  }

  dispose(): void {
    disposeAll(this.parameters);
  }
}

function geometry({ stride, padding, outputPadding, dilation, groups }: ConvTranspose2dRecord) {
  return { stride, padding, outputPadding, dilation, groups };
}
