/** Looking at a run: how attention is distributed, who is silent, how far the rule is from backpropagation. */
import type { DeviceBatch } from "../data/device_set.js";
import { ShapeError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import { softmaxCrossEntropy } from "../ops/loss.js";
import { norm } from "../ops/reduce.js";
import type { Tensor } from "../tensor.js";
import { attention } from "./attention.js";
import { compareGradients } from "./compare.js";
import type { Learner } from "./learner.js";
import type { Site } from "./sites.js";

/** What one layer's weights say at one moment. */
export interface LayerObservation {
  /** The layer that gives attention. */
  readonly layer: string;
  /** Between what the layer's weights are paid and the gradient by the chain rule; NaN if one of them is 0. */
  readonly cosine: number;
  /** Whose attention it is: the network's inputs, or neurons of the layer before. */
  readonly agents: "inputs" | "neurons";
  /** By agent. */
  readonly attention: Float32Array;
  /** Of the attention: 0 if all hold the same, near 1 if one holds all. */
  readonly gini: number;
  /** How many agents are silent (output 0) on every sample. */
  readonly silent: number;
  /** How many hold less than a thousandth of the mean attention. */
  readonly unattended: number;
}

/**
 * Looks at a network in evaluation mode; nothing changes.
 * @param batch some labelled inputs
 * @returns a row a layer, from the input up
 */
export async function observe(
  model: Sequential,
  learner: Learner,
  { x, labels }: DeviceBatch,
): Promise<LayerObservation[]> {
  const { sites } = learner;
  const seen = x.gpu.scope(() => {
    const { y: logits, saved } = model.forward(x);
    const { dlogits: error } = softmaxCrossEntropy(logits, labels);
    const inputs = learner.inputs(saved);
    return {
      paid: learner.payments({ saved, logits, error }),
      chain: model.backward(error, saved).grads,
      held: sites.map(({ weights, agents }) => attention(weights, { agents })),
      loudest: sites.map((site) => loudness(inputs[site.name], site)),
    };
  });
  try {
    const rows = await compareGradients(seen.paid, seen.chain);
    const [held, loudest] = await Promise.all([readAll(seen.held), readAll(seen.loudest)]);
    return sites.map(({ name }, index) => {
      const values = held[index];
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return {
        layer: name,
        cosine: rows.find(({ layer }) => layer === `${name}.weight`)?.cosine ?? Number.NaN,
        agents: sites.some(({ reader }) => reader === name) || index > 0 ? "neurons" : "inputs",
        attention: values,
        gini: gini(values),
        silent: loudest[index].filter((value) => value === 0).length,
        unattended: values.filter((value) => value < mean / 1000).length,
      };
    });
  } finally {
    const tensors = [
      ...Object.values(seen.paid),
      ...Object.values(seen.chain),
      ...seen.held,
      ...seen.loudest,
    ];
    for (const tensor of tensors) tensor.dispose();
  }
}

/** [agents], the largest |output| of each. */
function loudness(x: Tensor, { agents }: Site): Tensor {
  const samples = x.shape[0];
  return norm(x.reshape([samples, agents, x.size / samples / agents]), { ord: Infinity, axes: [0, 2] });
}

async function readAll(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  return (await Promise.all(tensors.map((tensor) => tensor.data()))) as Float32Array[];
}

/**
 * Inequality of values of at least 0: the mean difference between two of them, over twice their mean.
 * @returns 0 if all are equal (or 0), (n - 1) / n if one has all
 * @throws ShapeError without values
 * @example
 * gini([1, 1, 1, 1]); // 0
 * gini([0, 0, 0, 1]); // 0.75
 */
export function gini(values: ArrayLike<number>): number {
  const count = values.length;
  if (count === 0) throw new ShapeError("gini: values is empty, and at least one value is taken");
  const sorted = Float64Array.from(values).sort();
  const total = sorted.reduce((sum, value) => sum + value, 0);
  if (total === 0) return 0;
  return sorted.reduce((sum, value, rank) => sum + (2 * rank + 1 - count) * value, 0) / (count * total);
}

/** Who paid whom through one layer's weights, over all updates. */
export interface LedgerPage {
  /** The layer that paid. */
  readonly layer: string;
  readonly agents: number;
  readonly receivers: number;
  /**
   * [agents, receivers]: by how much agent i's attention grew by what receiver j paid, Σ over updates of w_ij times the raw
   * payment (before the learning rate); negative where attention was taken.
   */
  readonly paid: Float32Array;
}

/** Adds up taps of filters and positions of an agent. */
export function pageOf({ name, agents, receivers, weights }: Site, flow: Float32Array): LedgerPage {
  const paid = new Float64Array(agents * receivers);
  const { shape } = weights;
  for (let at = 0; at < flow.length; at++) {
    const [agent, receiver] =
      shape.length === 4
        ? [Math.floor(at / (shape[2] * shape[3])) % agents, Math.floor(at / (flow.length / receivers))]
        : [Math.floor(at / (flow.length / agents)), at % receivers];
    paid[agent * receivers + receiver] += flow[at];
  }
  return { layer: name, agents, receivers, paid: Float32Array.from(paid) };
}
