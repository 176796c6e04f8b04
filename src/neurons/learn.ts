/** The walk from the output down: each layer learns from its own input and signal, then pays the layer below. */
import type { Saved, Tensors } from "../layers/layer.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import type { Rule } from "./rules.js";

/**
 * The gradients that each layer derives from what it is paid. With the backpropagation rule these are ∂L/∂parameter.
 * Payments made on the way are released.
 * @param signal the cost gradient at the output, ∂L/∂logits: the only place where labels enter
 * @param saved what `model.forward` kept
 * @returns gradients by parameter name, as `model.backward` names them
 */
export function localGradients(model: Sequential, signal: Tensor, saved: Saved, rule: Rule): Tensors {
  const { layers } = model;
  const inner = saved.inner as readonly Saved[];
  const lowest = layers.findIndex((layer) => Object.keys(layer.parameters).length > 0);
  const grads: Record<string, Tensor> = {};
  let flow = signal;
  for (let i = layers.length - 1; i >= Math.max(lowest, 0); i--) {
    for (const [name, grad] of Object.entries(layers[i].weightGrads(flow, inner[i])))
      grads[`${i}.${name}`] = grad;
    if (i === lowest) break;
    const paid = rule.payments(layers[i], flow, inner[i]);
    if (flow !== signal) flow.dispose();
    flow = paid;
  }
  if (flow !== signal) flow.dispose();
  return grads;
}
