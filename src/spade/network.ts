/** Networks made of others: with some layers replaced, or with batch norm multiplied into the layer before. */
import { BatchNorm } from "../layers/batch_norm.js";
import { Conv2d } from "../layers/conv2d.js";
import { Dense } from "../layers/dense.js";
import type { Layer } from "../layers/layer.js";
import { shareLayer } from "../layers/masked.js";
import { Residual, Sequential } from "../layers/sequential.js";
import { add, div, full, mul, sqrt, sub } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";

/**
 * The same network, its layers sharing the other's tensors but for those that `replace` gives.
 * @param replace called with the name of every layer that is no container
 */
export function rebuild(
  model: Sequential,
  replace: (name: string, layer: Layer) => Layer | undefined,
  prefix = "",
): Sequential {
  return new Sequential(
    model.layers.map((layer, index) => {
      const name = `${prefix}${index}`;
      if (layer instanceof Sequential) return rebuild(layer, replace, `${name}.`);
      if (!(layer instanceof Residual)) return replace(name, layer) ?? shareLayer(layer);
      const body = rebuild(layer.body, replace, `${name}.body.`);
      return new Residual(body, layer.shortcut && rebuild(layer.shortcut, replace, `${name}.shortcut.`));
    }),
  );
}

/**
 * Multiplies each batch norm (in evaluation mode) that stands right behind a convolution or dense layer into it:
 * W' = W γ / σ, b' = β + (b - μ) γ / σ. The norm stays as the identity, so that the layers keep their names.
 */
export function foldBatchNorm(model: Sequential): Sequential {
  const folded = new Map<Layer, Layer>();
  const visit = (layers: readonly Layer[]): void => {
    layers.forEach((layer, index) => {
      const next = layers[index + 1];
      if ((layer instanceof Conv2d || layer instanceof Dense) && next instanceof BatchNorm) {
        folded.set(layer, foldedInto(layer, next));
        folded.set(next, identity(next));
      }
      if (layer instanceof Sequential) visit(layer.layers);
      if (layer instanceof Residual)
        for (const part of [layer.body, layer.shortcut]) visit(part?.layers ?? []);
    });
  };
  visit(model.layers);
  return rebuild(model, (_name, layer) => folded.get(layer));
}

/**
 * The same function in evaluation mode with fewer passes over the images: each batch norm is multiplied into the layer
 * right before it and left out, so that an activation behind it joins that layer's kernel.
 */
export interface FastPass {
  /** With tensors of its own that share the other's buffers. */
  readonly network: Sequential;
  /** What its layers are called in the other network. */
  readonly names: ReadonlyMap<Layer, string>;
}

export function fastPass(model: Sequential): FastPass {
  const names = new Map<Layer, string>();
  const build = ({ layers }: Sequential, prefix: string): Sequential => {
    const built: Layer[] = [];
    for (let index = 0; index < layers.length; index++) {
      const [layer, next] = [layers[index], layers[index + 1]];
      const name = `${prefix}${index}`;
      if (layer instanceof Sequential) built.push(build(layer, `${name}.`));
      else if (layer instanceof Residual) {
        const body = build(layer.body, `${name}.body.`);
        built.push(new Residual(body, layer.shortcut && build(layer.shortcut, `${name}.shortcut.`)));
      } else {
        const isFolded = (layer instanceof Conv2d || layer instanceof Dense) && next instanceof BatchNorm;
        const own = isFolded ? foldedInto(layer, next) : shareLayer(layer);
        names.set(own, name);
        built.push(own);
        if (isFolded) index++;
      }
    }
    return new Sequential(built);
  };
  return { network: build(model, ""), names };
}

function foldedInto(layer: Conv2d | Dense, norm: BatchNorm): Layer {
  const { gpu } = layer.parameters.weight;
  const { weight: gamma, bias: beta } = norm.parameters;
  const { runningMean, runningVar } = norm.buffers;
  const [weight, bias] = gpu.scope((): Tensor[] => {
    const scale = div(gamma, sqrt(add(runningVar, norm.config.eps ?? 1e-5)));
    const own = layer.parameters.bias;
    const centered = own ? sub(own, runningMean) : mul(runningMean, -1);
    const column = layer instanceof Conv2d ? scale.reshape([scale.size, 1, 1, 1]) : scale;
    return [mul(layer.parameters.weight, column), add(beta, mul(centered, scale))];
  });
  const shared = shareLayer(layer, { weight, bias });
  if (layer.parameters.bias) return shared;
  const config = { ...layer.config, bias: true };
  return Object.assign(shared, { parameters: { ...shared.parameters, bias }, config });
}

/** γ = √(1 + ε), μ = β = 0, σ² = 1. */
function identity(norm: BatchNorm): Layer {
  const { gpu, shape } = norm.parameters.weight;
  const zero = (): Tensor => full(gpu, shape, 0);
  const parts = { weight: full(gpu, shape, Math.sqrt(1 + (norm.config.eps ?? 1e-5))), bias: zero() };
  return shareLayer(norm, { ...parts, runningMean: zero(), runningVar: full(gpu, shape, 1) });
}
