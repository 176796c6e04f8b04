/** A classifier seen as features and head, and what it says of whole sets of images. */
import { ValueError } from "../gpu/errors.js";
import { Sequential } from "../layers/sequential.js";
import { gatherRows } from "../ops/movement.js";
import { type Tensor, tensor } from "../tensor.js";
import type { Backbone } from "./detector.js";

/**
 * The two parts of a classifier, sharing its weights: everything but the last layers, and these.
 * @param headLayers how many layers make the logits of the features; default 1
 * @throws ValueError if no layer is left for either part
 * @example
 * const detector = energy(backboneOf(classifier));
 */
export function backboneOf(classifier: Sequential, headLayers = 1): Backbone {
  const { layers } = classifier;
  if (!(Number.isInteger(headLayers) && headLayers >= 1 && headLayers < layers.length)) {
    throw new ValueError(
      `backboneOf: headLayers is ${headLayers}, and a whole number from 1 to ${layers.length - 1} is ` +
        `taken for a classifier of ${layers.length} layers`,
    );
  }
  return {
    features: new Sequential(layers.slice(0, -headLayers)),
    head: new Sequential(layers.slice(-headLayers)),
  };
}

/** Outputs of a model, one row an image, on the host. */
export interface Rows {
  readonly values: Float32Array;
  readonly count: number;
  readonly width: number;
}

/**
 * A model's outputs for a whole set, batch by batch.
 * @param x [n, …]
 * @param onBatch hears after each batch how many images are done
 */
export async function outputsOf(
  model: { forward(x: Tensor): { readonly y: Tensor } },
  x: Tensor,
  batch: number,
  onBatch?: (done: number) => void,
): Promise<Rows> {
  const count = x.shape[0];
  const parts: Float32Array[] = [];
  for (let start = 0; start < count; start += batch) {
    const size = Math.min(batch, count - start);
    const rows = tensor(
      x.gpu,
      Uint32Array.from({ length: size }, (_, i) => start + i),
    );
    const y = x.gpu.scope(() => model.forward(gatherRows(x, rows)).y);
    try {
      parts.push((await y.data()) as Float32Array);
    } finally {
      y.dispose();
      rows.dispose();
    }
    onBatch?.(start + size);
  }
  const values = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return { values, count, width: values.length / count };
}
