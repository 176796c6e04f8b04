/** Networks made of others: with some layers replaced, or with batch norm multiplied into the layer before. */
import foldWgsl from "../../shaders/batch_norm_fold.wgsl";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { BatchNorm } from "../layers/batch_norm.js";
import { Conv2d } from "../layers/conv2d.js";
import { Dense } from "../layers/dense.js";
import type { Layer } from "../layers/layer.js";
import { shareLayer } from "../layers/masked.js";
import { Residual, Sequential } from "../layers/sequential.js";
import { full } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";

/**
 * The same network, its layers sharing the other's tensors but for those that `replace` gives.
 * @param replace called with the name of every layer that is no container; null leaves the layer out
 */
export function rebuild(
  model: Sequential,
  replace: (name: string, layer: Layer) => Layer | null | undefined,
  prefix = "",
): Sequential {
  return new Sequential(
    model.layers.flatMap((layer, index) => {
      const name = `${prefix}${index}`;
      if (layer instanceof Sequential) return rebuild(layer, replace, `${name}.`);
      if (layer instanceof Residual) {
        const body = rebuild(layer.body, replace, `${name}.body.`);
        return new Residual(body, layer.shortcut && rebuild(layer.shortcut, replace, `${name}.shortcut.`));
      }
      const other = replace(name, layer);
      return other === null ? [] : (other ?? shareLayer(layer));
    }),
  );
}

/**
 * Multiplies each batch norm (in evaluation mode) that stands right behind a convolution or dense layer into it:
 * W' = W γ / σ, b' = β + (b - μ) γ / σ. The norm stays as the identity, so that the layers keep their names.
 */
export function foldBatchNorm(model: Sequential): Sequential {
  const folded = foldings(model, identity);
  return rebuild(model, (_name, layer) => folded.get(layer));
}

/**
 * The same function in evaluation mode with fewer passes over the images: as `foldBatchNorm`, the norms left out, so that
 * an activation behind one joins the kernel of the layer before it.
 */
export interface FastPass {
  /** With tensors of its own that share the other's buffers. */
  readonly network: Sequential;
  /** What its layers are called in the other network. */
  readonly names: ReadonlyMap<Layer, string>;
}

export function fastPass(model: Sequential): FastPass {
  const folded = foldings(model, () => null);
  const names = new Map<Layer, string>();
  const network = rebuild(model, (name, layer) => {
    const own = folded.has(layer) ? folded.get(layer) : shareLayer(layer);
    if (own) names.set(own, name);
    return own;
  });
  return { network, names };
}

/** What takes the place of the layers that are folded, and of the norms behind them. */
function foldings<T>(model: Sequential, inPlaceOf: (norm: BatchNorm) => T): Map<Layer, Layer | T> {
  const folded = new Map<Layer, Layer | T>();
  const visit = (layers: readonly Layer[]): void => {
    layers.forEach((layer, index) => {
      const next = layers[index + 1];
      if ((layer instanceof Conv2d || layer instanceof Dense) && next instanceof BatchNorm) {
        folded.set(layer, foldedInto(layer, next));
        folded.set(next, inPlaceOf(next));
      }
      if (layer instanceof Sequential) visit(layer.layers);
      if (layer instanceof Residual)
        for (const part of [layer.body, layer.shortcut]) visit(part?.layers ?? []);
    });
  };
  visit(model.layers);
  return folded;
}

/** Values that an invocation folds. */
const FOLDED_RUN = 8;

const foldKernel = defineKernel<{ readonly inner: number; readonly eps: number }>({
  name: "batch_norm_fold",
  wgsl: foldWgsl,
  bindings: {
    weight: "read",
    bias: "optional",
    gamma: "read",
    beta: "read",
    running_mean: "read",
    running_variance: "read",
    folded: "write",
    shift: "write",
  },
  constants: (_shapes, { inner }) => ({ RUN: FOLDED_RUN, ONE_OUTPUT: inner % FOLDED_RUN === 0 }),
  shape: ({ weight, gamma }) => ({ folded: weight, shift: gamma }),
  uniforms: ({ weight, gamma }, { inner, eps }) => ({
    count: sizeOf(weight),
    inner,
    outputs: sizeOf(gamma),
    eps,
  }),
  grid: ({ weight, gamma }, limits) =>
    gridFor(Math.max(Math.ceil(sizeOf(weight) / FOLDED_RUN), sizeOf(gamma)), 64, limits),
});

function foldedInto(layer: Conv2d | Dense, norm: BatchNorm): Layer {
  const { weight, bias } = layer.parameters;
  const { weight: gamma, bias: beta } = norm.parameters;
  const { runningMean, runningVar } = norm.buffers;
  const { folded, shift } = foldKernel.run(
    { weight, bias, gamma, beta, running_mean: runningMean, running_variance: runningVar },
    // A dense layer's outputs are the columns of its weight.
    { inner: layer instanceof Conv2d ? weight.size / gamma.size : 1, eps: norm.config.eps ?? 1e-5 },
  );
  const shared = shareLayer(layer, { weight: folded, bias: shift });
  if (bias) return shared;
  const config = { ...layer.config, bias: true };
  return Object.assign(shared, { parameters: { ...shared.parameters, bias: shift }, config });
}

/** γ = √(1 + ε), μ = β = 0, σ² = 1. */
function identity(norm: BatchNorm): Layer {
  const { gpu, shape } = norm.parameters.weight;
  const zero = (): Tensor => full(gpu, shape, 0);
  const parts = { weight: full(gpu, shape, Math.sqrt(1 + (norm.config.eps ?? 1e-5))), bias: zero() };
  return shareLayer(norm, { ...parts, runningMean: zero(), runningVar: full(gpu, shape, 1) });
}
