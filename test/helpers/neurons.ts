import { type Gpu, softmaxCrossEntropy } from "handgrad";
import { buildModel, type LayerRecord, type Sequential } from "handgrad/layers";
import { Learner, type LearnerOptions, type Rule } from "handgrad/neurons";
import { type Array64, array64 } from "../reference/array64.js";
import type { State } from "../reference/network.js";
import { seededRandom } from "./shapes.js";
import { upload } from "./tensors.js";

/** A network with a labelled batch, on the device and as float64. */
export interface Bench {
  gpu: Gpu;
  records: readonly LayerRecord[];
  model: Sequential;
  state: State;
  x: Array64;
  labels: Array64;
}

export interface BenchOptions {
  inputShape: readonly number[];
  classes: number;
  seed?: number;
  /** Instead of noise. */
  batch?: { x: Array64; labels: Array64 };
}

/** A network with random weights and biases, and a batch of noise with random labels. */
export async function makeBench(
  gpu: Gpu,
  records: readonly LayerRecord[],
  { inputShape, classes, seed = 1, batch }: BenchOptions,
): Promise<Bench> {
  const random = seededRandom(seed);
  const model = buildModel(gpu, records, { seed });
  for (const [name, parameter] of Object.entries(model.parameters)) {
    if (!name.endsWith("bias")) continue;
    parameter.write(Float32Array.from(random.array(parameter.shape, { low: -0.2, high: 0.2 }).data));
  }
  const x = batch?.x ?? random.array(inputShape);
  const labels = batch?.labels ?? random.integers([inputShape[0]], 0, classes - 1);
  return { gpu, records, model, state: await stateOf(model), x, labels };
}

/** Parameters and running statistics as float64. */
export async function stateOf(model: Sequential): Promise<State> {
  const state: Record<string, Array64> = {};
  for (const [name, value] of Object.entries({ ...model.parameters, ...model.buffers })) {
    state[name] = array64(value.shape, await value.data());
  }
  return state;
}

/** What a rule pays to every parameter on the bench's batch; a learner's options may say more. */
export async function paymentsOf(
  bench: Bench,
  rule: Rule,
  options: Partial<LearnerOptions> = {},
): Promise<Record<string, Array64>> {
  const learner = learnerOf(bench, rule, options);
  const paid = runForward(bench, (outcome) => learner.payments(outcome));
  const result: Record<string, Array64> = {};
  for (const [name, grad] of Object.entries(paid)) {
    result[name] = array64(grad.shape, await grad.data());
    grad.dispose();
  }
  learner.dispose();
  return result;
}

export function learnerOf({ model, x }: Bench, rule: Rule, options: Partial<LearnerOptions> = {}): Learner {
  return new Learner(model, { rule, inputShape: x.shape, learningRate: 0.1, seed: 3, ...options });
}

/** Runs a forward pass in training mode and hands on what learning takes. */
export function runForward<T>(
  { gpu, model, x, labels }: Bench,
  use: (outcome: Parameters<Learner["payments"]>[0]) => T,
): T {
  const [input, classes] = [upload(gpu, x), upload(gpu, labels, "u32")];
  const result = gpu.scope(() => {
    const { y: logits, saved } = model.forward(input, { training: true });
    const { dlogits: error } = softmaxCrossEntropy(logits, classes);
    return use({ saved, logits, error });
  });
  input.dispose();
  classes.dispose();
  return result;
}
