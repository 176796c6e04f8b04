/** Pooling layers. */
import * as pool from "../ops/pool.js";
import type { Shape, Tensor } from "../tensor.js";
import { type Forward, type Layer, NO_TENSORS, type Saved, type Tensors } from "./layer.js";

type Pair = number | readonly [number, number];

export interface PoolRecord {
  readonly kind: "maxPool2d" | "avgPool2d";
  readonly kernel: Pair;
  /** Default: the kernel's size. */
  readonly stride?: Pair;
  readonly padding?: Pair;
}

export interface GlobalAvgPoolRecord {
  readonly kind: "globalAvgPool2d";
}

type PoolOptions = Pick<PoolRecord, "stride" | "padding">;

/** The record of a max pooling layer. @example maxPool2d(2) */
export function maxPool2d(kernel: Pair, options: PoolOptions = {}): PoolRecord {
  return { kind: "maxPool2d", kernel, ...options };
}

/** The record of an average pooling layer. @example avgPool2d(3, { stride: 2, padding: 1 }) */
export function avgPool2d(kernel: Pair, options: PoolOptions = {}): PoolRecord {
  return { kind: "avgPool2d", kernel, ...options };
}

/** The record of a global average pooling layer: [n, c, h, w] → [n, c]. @example globalAvgPool2d() */
export function globalAvgPool2d(): GlobalAvgPoolRecord {
  return { kind: "globalAvgPool2d" };
}

/** The maximum or mean of each window: [n, c, h, w] → [n, c, h', w']. */
export class Pool2d implements Layer {
  readonly parameters = NO_TENSORS;
  readonly buffers = NO_TENSORS;

  constructor(readonly config: PoolRecord) {}

  outputShape(input: Shape): Shape {
    return pool.poolOutputShape(input, this.config);
  }

  forward(x: Tensor): Forward {
    if (this.config.kind === "avgPool2d") {
      return { y: pool.avgPool2d(x, this.config), saved: { tensors: NO_TENSORS, inputShape: x.shape } };
    }
    const { y, argmax } = pool.maxPool2d(x, this.config);
    return { y, saved: { tensors: { argmax }, inputShape: x.shape } };
  }

  inputGrad(dy: Tensor, { tensors, inputShape }: Saved): Tensor {
    const options = { ...this.config, inputShape };
    return tensors.argmax ? pool.maxPool2dGrad(dy, tensors.argmax, options) : pool.avgPool2dGrad(dy, options);
  }

  weightGrads(): Tensors {
    return NO_TENSORS;
  }

  dispose(): void {}
}

/** The mean of each channel's plane: [n, c, h, w] → [n, c]. */
export class GlobalAvgPool2d implements Layer {
  readonly parameters = NO_TENSORS;
  readonly buffers = NO_TENSORS;

  constructor(readonly config: GlobalAvgPoolRecord) {}

  outputShape([batch, channels]: Shape): Shape {
    return [batch, channels];
  }

  forward(x: Tensor): Forward {
    return { y: pool.globalAvgPool2d(x), saved: { tensors: NO_TENSORS, inputShape: x.shape } };
  }

  inputGrad(dy: Tensor, { inputShape }: Saved): Tensor {
    return pool.globalAvgPool2dGrad(dy, { inputShape });
  }

  weightGrads(): Tensors {
    return NO_TENSORS;
  }

  dispose(): void {}
}
