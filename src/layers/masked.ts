/** Layers some of whose weights were removed: these are 0 and get gradient 0, so that training leaves them out. */
import { mul } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";
import { Conv2d } from "./conv2d.js";
import { Dense } from "./dense.js";
import type { Layer, Saved, Tensors } from "./layer.js";

/**
 * A layer with tensors of its own that share the other's buffers, so that each can be disposed without the other.
 * What is updated in place in one is in the other, too.
 */
export function shareLayer<T extends Layer>(layer: T, replaced: Tensors = {}): T {
  const share = (tensors: Tensors): Tensors =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, one]) => [name, replaced[name] ?? one.reshape(one.shape)]),
    );
  const fields = { parameters: share(layer.parameters), buffers: share(layer.buffers) };
  return Object.assign(Object.create(Object.getPrototypeOf(layer)), layer, fields);
}

/** A convolution with a mask of its weight's shape: 1 kept, 0 removed. */
export class MaskedConv2d extends Conv2d {
  declare readonly mask: Tensor;

  /** @param weight with zeros where the mask is 0; both become the layer's own, the bias is shared */
  static of(layer: Conv2d, weight: Tensor, mask: Tensor): MaskedConv2d {
    return masked(MaskedConv2d.prototype, layer, weight, mask);
  }

  override weightGrads(dy: Tensor, saved: Saved): Tensors {
    return maskGradient(super.weightGrads(dy, saved), this.mask);
  }

  override dispose(): void {
    super.dispose();
    this.mask.dispose();
  }
}

/** A dense layer with a mask of its weight's shape: 1 kept, 0 removed. */
export class MaskedDense extends Dense {
  declare readonly mask: Tensor;

  /** @param weight with zeros where the mask is 0; both become the layer's own, the bias is shared */
  static of(layer: Dense, weight: Tensor, mask: Tensor): MaskedDense {
    return masked(MaskedDense.prototype, layer, weight, mask);
  }

  override weightGrads(dy: Tensor, saved: Saved): Tensors {
    return maskGradient(super.weightGrads(dy, saved), this.mask);
  }

  override dispose(): void {
    super.dispose();
    this.mask.dispose();
  }
}

function masked<T extends Layer>(prototype: T, layer: Layer, weight: Tensor, mask: Tensor): T {
  return Object.assign(Object.create(prototype), shareLayer(layer, { weight }), { mask });
}

function maskGradient({ weight, ...rest }: Tensors, mask: Tensor): Tensors {
  return { weight: mul(weight, mask, { out: weight }), ...rest };
}
