/** Layers one behind the other, and residual blocks of them. */
import { ShapeError } from "../gpu/errors.js";
import { add } from "../ops/elementwise.js";
import type { Shape, Tensor } from "../tensor.js";
import { Activation } from "./activation.js";
import {
  type Backward,
  type BackwardOptions,
  type Forward,
  type ForwardOptions,
  type Layer,
  type LayerRecord,
  NO_TENSORS,
  type Saved,
  type Tensors,
} from "./layer.js";

export interface SequentialRecord {
  readonly kind: "sequential";
  readonly layers: readonly LayerRecord[];
}

export interface ResidualRecord {
  readonly kind: "residual";
  readonly body: readonly LayerRecord[];
  /** Layers of the skip connection (say a 1×1 convolution where the shape changes); default: the identity. */
  readonly shortcut?: readonly LayerRecord[];
}

/** y = body(x) + shortcut(x) (He et al. 2016). @example residual([conv2d(8, 8, 3, { padding: 1 }), activation("relu")]) */
export function residual(body: readonly LayerRecord[], shortcut?: readonly LayerRecord[]): ResidualRecord {
  return shortcut ? { kind: "residual", body, shortcut } : { kind: "residual", body };
}

/**
 * Layers one behind the other. Parameters are named as PyTorch names them: "0.weight", "0.bias", "2.weight", …
 * A relu, leaky ReLU, tanh or sigmoid behind a dense, convolution or batch norm layer runs in that layer's epilogue.
 * @example
 * const model = buildModel(gpu, [dense(784, 128), activation("relu"), dense(128, 10)], { seed: 1 });
 * const { y, saved } = model.forward(x, { training: true });
 * const { loss, dlogits } = softmaxCrossEntropy(y, labels);
 * const { grads } = model.backward(dlogits, saved);
 */
export class Sequential implements Layer {
  readonly config: SequentialRecord;
  readonly parameters: Tensors;
  readonly buffers: Tensors;

  constructor(readonly layers: readonly Layer[]) {
    this.config = { kind: "sequential", layers: layers.map((layer) => layer.config) };
    this.parameters = prefixed(layers.map((layer) => layer.parameters));
    this.buffers = prefixed(layers.map((layer) => layer.buffers));
  }

  outputShape(input: Shape): Shape {
    return this.layers.reduce((shape, layer) => layer.outputShape(shape), input);
  }

  forward(x: Tensor, options: ForwardOptions = {}): Forward {
    const inner: Saved[] = [];
    let y = x;
    for (let i = 0; i < this.layers.length; i++) {
      const layer = this.layers[i];
      const next = this.layers[i + 1];
      if (layer.takesEpilogue && next instanceof Activation && next.fused) {
        const epilogue = { activation: next.fused, slope: next.config.slope };
        const { y: activated, saved } = layer.forward(y, { ...options, epilogue });
        inner.push(saved, next.saved(undefined, activated));
        y = activated;
        i++;
      } else {
        const step = layer.forward(y, options);
        inner.push(step.saved);
        y = step.y;
      }
    }
    return { y, saved: { tensors: NO_TENSORS, inputShape: x.shape, inner } };
  }

  inputGrad(dy: Tensor, saved: Saved): Tensor {
    return this.backward(dy, saved, { input: true, weights: false }).dx as Tensor;
  }

  weightGrads(dy: Tensor, saved: Saved): Tensors {
    return this.backward(dy, saved).grads;
  }

  /** Both gradients in one walk; the caller's dy is left alone, gradients made on the way are released. */
  backward(dy: Tensor, saved: Saved, { input = false, weights = true }: BackwardOptions = {}): Backward {
    const inner = saved.inner ?? [];
    if (inner.length !== this.layers.length) {
      throw new ShapeError(
        `sequential: saved holds ${inner.length} layers, and the model has ${this.layers.length}; pass what its forward returned`,
      );
    }
    const grads: Tensors[] = this.layers.map(() => NO_TENSORS);
    // The first layer with parameters: below it, only dx needs to go on.
    const lowest = input ? 0 : this.layers.findIndex((layer) => Object.keys(layer.parameters).length > 0);
    let flow = dy;
    for (let i = this.layers.length - 1; i >= Math.max(lowest, 0); i--) {
      const layer = this.layers[i];
      const last = i === lowest && !input;
      if (layer.backward) {
        const step = layer.backward(flow, inner[i], { input: !last, weights });
        grads[i] = step.grads;
        if (!last) flow = replace(flow, step.dx as Tensor, dy);
      } else {
        if (weights && Object.keys(layer.parameters).length > 0) grads[i] = layer.weightGrads(flow, inner[i]);
        if (!last) flow = replace(flow, layer.inputGrad(flow, inner[i]), dy);
      }
    }
    if (!input && flow !== dy) flow.dispose();
    return { dx: input ? flow : undefined, grads: prefixed(grads) };
  }

  dispose(): void {
    for (const layer of this.layers) layer.dispose();
  }
}

/** y = body(x) + shortcut(x). */
export class Residual implements Layer {
  readonly config: ResidualRecord;
  readonly parameters: Tensors;
  readonly buffers: Tensors;

  constructor(
    readonly body: Sequential,
    readonly shortcut?: Sequential,
  ) {
    this.config = residual(body.config.layers, shortcut?.config.layers);
    this.parameters = this.named(body.parameters, shortcut?.parameters);
    this.buffers = this.named(body.buffers, shortcut?.buffers);
  }

  outputShape(input: Shape): Shape {
    const body = this.body.outputShape(input);
    const skip = this.shortcut?.outputShape(input) ?? input;
    if (body.join() !== skip.join()) {
      throw new ShapeError(
        `residual: the body gives [${body}] and the skip connection [${skip}]; add a shortcut that fits`,
      );
    }
    return body;
  }

  forward(x: Tensor, options: ForwardOptions = {}): Forward {
    this.outputShape(x.shape);
    const body = this.body.forward(x, options);
    const skip = this.shortcut?.forward(x, options);
    const y = add(body.y, skip?.y ?? x);
    const inner = skip ? [body.saved, skip.saved] : [body.saved];
    return { y, saved: { tensors: NO_TENSORS, inputShape: x.shape, inner } };
  }

  inputGrad(dy: Tensor, saved: Saved): Tensor {
    return this.backward(dy, saved, { input: true, weights: false }).dx as Tensor;
  }

  weightGrads(dy: Tensor, saved: Saved): Tensors {
    return this.backward(dy, saved).grads;
  }

  backward(dy: Tensor, saved: Saved, { input = false, weights = true }: BackwardOptions = {}): Backward {
    const [bodySaved, skipSaved] = saved.inner as readonly Saved[];
    const body = this.body.backward(dy, bodySaved, { input, weights });
    const skip = this.shortcut?.backward(dy, skipSaved, { input, weights });
    const grads = this.named(body.grads, skip?.grads);
    if (!input) return { grads };
    const dx = add(body.dx as Tensor, skip?.dx ?? dy);
    body.dx?.dispose();
    skip?.dx?.dispose();
    return { dx, grads };
  }

  dispose(): void {
    this.body.dispose();
    this.shortcut?.dispose();
  }

  private named(body: Tensors, shortcut: Tensors = NO_TENSORS): Tensors {
    return { ...withPrefix("body", body), ...withPrefix("shortcut", shortcut) };
  }
}

/** Releases a gradient that was made on the way, but never the caller's own. */
function replace(old: Tensor, next: Tensor, callers: Tensor): Tensor {
  if (old !== callers) old.dispose();
  return next;
}

function withPrefix(prefix: string, tensors: Tensors): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${prefix}.${name}`, tensor]));
}

function prefixed(groups: readonly Tensors[]): Tensors {
  return Object.assign({}, ...groups.map((tensors, index) => withPrefix(String(index), tensors)));
}
