/**
 * What a layer is: a forward pass, the gradient with respect to its input and the gradients with respect to its
 * weights, each written by hand. There is no hidden graph: `forward` returns what the gradients need, and the caller
 * hands it back.
 */
import type { Gpu } from "../gpu/gpu.js";
import type { ActivationOptions } from "../ops/activation_names.js";
import type { Shape, Tensor } from "../tensor.js";

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** What a forward pass keeps for its gradients. `shapes` are facts that tensors do not hold (an input's shape). */
export interface Saved {
  readonly tensors: Tensors;
  readonly inputShape: Shape;
  /** What the layers inside a container kept. */
  readonly inner?: readonly Saved[];
}

export interface ForwardOptions {
  /** Training mode: batch statistics, dropout. Default false. */
  readonly training?: boolean;
  /** The activation that follows, for a layer that takes it in its epilogue. */
  readonly epilogue?: ActivationOptions;
}

/** `y` and what the gradients take. */
export interface Forward {
  readonly y: Tensor;
  readonly saved: Saved;
}

export interface BackwardOptions {
  /** Whether ∂L/∂x is wanted, which training does not need. Default false. */
  readonly input?: boolean;
  /** Whether the parameters' gradients are wanted, which an attack does not need. Default true. */
  readonly weights?: boolean;
}

/** Gradients by the parameters' names, and ∂L/∂x if it was asked for. */
export interface Backward {
  readonly dx?: Tensor;
  readonly grads: Tensors;
}

/**
 * A layer. All methods but `dispose` record ops and return at once; they work inside `gpu.scope` and `gpu.program`.
 * Tensors in `Saved` stay alive until the caller releases them (a scope does it).
 */
export interface Layer {
  /** The architecture's record of this layer, which `buildLayer` takes. */
  readonly config: LayerRecord;
  /** What an optimizer updates, by name. */
  readonly parameters: Tensors;
  /** What training changes without a gradient (running statistics, counters), by name. */
  readonly buffers: Tensors;
  /** Whether `forward` takes an epilogue. */
  readonly takesEpilogue?: boolean;
  /** @throws ShapeError if the layer does not take this shape (batch included) */
  outputShape(input: Shape): Shape;
  forward(x: Tensor, options?: ForwardOptions): Forward;
  /** ∂L/∂x from dy = ∂L/∂y. */
  inputGrad(dy: Tensor, saved: Saved): Tensor;
  /** ∂L/∂parameter for each parameter. */
  weightGrads(dy: Tensor, saved: Saved): Tensors;
  /** Both at once, where they share work; what was not asked for is missing. */
  backward?(dy: Tensor, saved: Saved, options?: BackwardOptions): Backward;
  dispose(): void;
}

/** Any layer's record in an architecture: its kind and its options, as JSON holds them. */
export interface LayerRecord {
  readonly kind: string;
}

/** Numbers for initial weights: a seed, and the stream that this layer draws from. */
export interface Init {
  readonly gpu: Gpu;
  readonly seed: number;
  /** Counts the tensors drawn so far, so that each has a stream of its own. */
  stream: number;
}

/** Nothing to train, nothing to keep. */
export const NO_TENSORS: Tensors = Object.freeze({});

export function disposeAll(...groups: readonly Tensors[]): void {
  for (const tensors of groups) for (const tensor of Object.values(tensors)) tensor.dispose();
}
