/** Does the local signal equal the backpropagation gradient? Measured on a batch, by differencing attention itself. */
import type { DeviceBatch } from "../data/device_set.js";
import type { Sequential } from "../layers/sequential.js";
import { softmaxCrossEntropy } from "../ops/loss.js";
import { type Closeness, compareGradients } from "./compare.js";
import { localGradients } from "./learn.js";
import { ruleNamed } from "./rules.js";

/**
 * Compares, layer by layer, what the neurons of `model` would learn from differences of their attention with the
 * gradient of the cross-entropy loss by the chain rule.
 * @param batch some labelled inputs of the model
 * @returns one row a weight matrix
 */
export async function verifyLocalSignal(model: Sequential, { x, labels }: DeviceBatch): Promise<Closeness[]> {
  const { local, reference } = x.gpu.scope(() => {
    const { y: logits, saved } = model.forward(x);
    const { dlogits } = softmaxCrossEntropy(logits, labels);
    const local = localGradients(model, dlogits, saved, ruleNamed("measured"));
    const reference = model.backward(dlogits, saved).grads;
    return { local, reference };
  });
  try {
    return await compareGradients(local, reference);
  } finally {
    for (const tensor of [...Object.values(local), ...Object.values(reference)]) tensor.dispose();
  }
}
