/** Convolution layers. */
import { ShapeError } from "../gpu/errors.js";
import {
  conv2d as convolve,
  conv2dBiasGrad,
  conv2dInputGrad,
  conv2dWeightGrad,
  type Padding,
} from "../ops/conv.js";
import { conv2dOutputShape } from "../ops/conv.js";
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

export interface Conv2dRecord {
  readonly kind: "conv2d";
  readonly inputs: number;
  readonly outputs: number;
  /** Height and width of the filters. */
  readonly kernel: number | readonly [number, number];
  readonly stride?: number | readonly [number, number];
  readonly padding?: Padding;
  readonly dilation?: number | readonly [number, number];
  readonly groups?: number;
  /** Default true. */
  readonly bias?: boolean;
  /** Default "he". */
  readonly init?: Initializer;
}

/** The record of a convolution layer. @example conv2d(16, 32, 3, { stride: 2, padding: 1 }) */
export function conv2d(
  inputs: number,
  outputs: number,
  kernel: Conv2dRecord["kernel"],
  options: Omit<Conv2dRecord, "kind" | "inputs" | "outputs" | "kernel"> = {},
): Conv2dRecord {
  return { kind: "conv2d", inputs, outputs, kernel, ...options };
}

/** x: [n, inputs, h, w] → y: [n, outputs, h', w']; weight: [outputs, inputs / groups, kh, kw]. */
export class Conv2d implements Layer {
  readonly buffers = NO_TENSORS;
  readonly takesEpilogue = true;
  readonly parameters: Tensors;
  private readonly weightShape: Shape;

  constructor(
    readonly config: Conv2dRecord,
    init: Init,
  ) {
    const { inputs, outputs, kernel, groups = 1 } = config;
    const [height, width] = typeof kernel === "number" ? [kernel, kernel] : kernel;
    if (inputs % groups !== 0 || outputs % groups !== 0) {
      throw new ShapeError(`conv2d: groups ${groups} must divide inputs ${inputs} and outputs ${outputs}`);
    }
    this.weightShape = [outputs, inputs / groups, height, width];
    const area = height * width;
    const fanIn = (inputs / groups) * area;
    const weight = initialize(init, config.init ?? "he", this.weightShape, fanIn, (outputs / groups) * area);
    this.parameters = config.bias === false ? { weight } : { weight, bias: zeros(init.gpu, [outputs]) };
  }

  outputShape(input: Shape): Shape {
    return conv2dOutputShape(input, this.weightShape, this.config);
  }

  forward(x: Tensor, { epilogue }: ForwardOptions = {}): Forward {
    const { weight, bias } = this.parameters;
    const y = convolve(x, weight, { ...geometry(this.config), bias, ...epilogue });
    return { y, saved: { tensors: { x }, inputShape: x.shape } };
  }

  inputGrad(dy: Tensor, { inputShape }: Saved): Tensor {
    return conv2dInputGrad(dy, this.parameters.weight, { ...geometry(this.config), inputShape });
  }

  weightGrads(dy: Tensor, { tensors }: Saved): Tensors {
    const weight = conv2dWeightGrad(tensors.x, dy, {
      ...geometry(this.config),
      weightShape: this.weightShape,
    });
    return this.parameters.bias ? { weight, bias: conv2dBiasGrad(dy) } : { weight };
  }

  dispose(): void {
    disposeAll(this.parameters);
  }
}

function geometry({ stride, padding, dilation, groups }: Conv2dRecord) {
  return { stride, padding, dilation, groups };
}
