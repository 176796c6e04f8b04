/** Does the local signal equal the backpropagation gradient? Measured on a batch, by differencing attention itself. */
import type { DeviceBatch } from "../data/device_set.js";
import type { Sequential } from "../layers/sequential.js";
import { softmaxCrossEntropy } from "../ops/loss.js";
import { type Closeness, compareGradients } from "./compare.js";
import { Learner } from "./learner.js";
import type { Rule } from "./rule.js";
import { ruleNamed } from "./rules.js";

/**
 * Compares, layer by layer, what the neurons of `model` would learn from differences of their attention with the
 * gradient of the cross-entropy loss by the chain rule.
 * @param batch some labelled inputs of the model
 * @param rule another rule to compare with the chain rule
 * @returns one row a weight matrix
 */
export async function verifyLocalSignal(
  model: Sequential,
  { x, labels }: DeviceBatch,
  rule: Rule = ruleNamed("measured"),
): Promise<Closeness[]> {
  const learner = new Learner(model, { rule, inputShape: x.shape, learningRate: 0 });
  const { local, reference } = x.gpu.scope(() => {
    const { y: logits, saved } = model.forward(x);
    const { dlogits: error } = softmaxCrossEntropy(logits, labels);
    const local = learner.payments({ saved, logits, error });
    const reference = model.backward(error, saved).grads;
    return { local, reference };
  });
  try {
    return await compareGradients(local, reference);
  } finally {
    for (const tensor of [...Object.values(local), ...Object.values(reference)]) tensor.dispose();
    learner.dispose();
  }
}
