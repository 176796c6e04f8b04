/** A small network to attack, trained in the test, and its images. */
import { Adam, type Gpu, softmaxCrossEntropy, type Tensor, tensor } from "handgrad";
import { activation, buildModel, dense, flatten, type Sequential } from "handgrad/layers";
import { seededRandom } from "./shapes.js";

export interface Victim {
  readonly model: Sequential;
  /** [count, 1, 8, 8] from 0 to 1. */
  readonly x: Tensor;
  readonly labels: Uint32Array<ArrayBuffer>;
}

export const CLASSES = 5;

/** Blurred patterns, one a class, under noise. */
function images(seed: number, count: number) {
  const patterns = seededRandom(77);
  const templates = Array.from({ length: CLASSES }, () =>
    Array.from({ length: 64 }, () => patterns.uniform()),
  );
  const random = seededRandom(seed);
  const labels = Uint32Array.from({ length: count }, (_, i) => i % CLASSES);
  const pixels = Float32Array.from({ length: 64 * count }, (_, i) => {
    const value = 0.5 * templates[labels[i >> 6]][i & 63] + 0.7 * random.uniform() - 0.1;
    return Math.min(Math.max(value, 0), 1);
  });
  return { pixels, labels };
}

/** A network of two dense layers after a few steps of Adam, and images that it has not seen. */
export function trainVictim(gpu: Gpu, { count = 60, steps = 60 } = {}): Victim {
  const model = buildModel(gpu, [flatten(), dense(64, 24), activation("relu"), dense(24, CLASSES)], {
    seed: 2,
  });
  const train = images(1, 200);
  const x = tensor(gpu, train.pixels, [200, 1, 8, 8]);
  const labels = tensor(gpu, train.labels);
  const optimizer = new Adam(model.parameters, { learningRate: 0.01 });
  const step = gpu.program(() => {
    const { y, saved } = model.forward(x, { training: true });
    const { dlogits } = softmaxCrossEntropy(y, labels);
    optimizer.step(model.backward(dlogits, saved).grads);
  });
  for (let i = 1; i < steps; i++) step.run();
  step.dispose();
  optimizer.dispose();
  for (const used of [x, labels]) used.dispose();
  const test = images(2, count);
  return { model, x: tensor(gpu, test.pixels, [count, 1, 8, 8]), labels: test.labels };
}
