// The small network whose pictures docs/explain.md shows.
import { Adam, add, clear, type Gpu, philoxPermutation, softmaxCrossEntropy, tensor, zeros } from "handgrad";
import { batchesOf, type Dataset, DeviceSet } from "handgrad/data";
import {
  activation,
  batchNorm,
  buildModel,
  conv2d,
  dense,
  globalAvgPool2d,
  type LayerRecord,
  maxPool2d,
  residual,
  type Sequential,
} from "handgrad/layers";

const BATCH = 100;
/** Steps between two looks at the loss. */
const LOOK = 10;

const block = (inputs: number, outputs: number): LayerRecord[] => [
  conv2d(inputs, outputs, 3, { padding: 1, bias: false }),
  batchNorm(outputs),
];

const ARCHITECTURE = [
  ...block(1, 8),
  activation("relu"),
  maxPool2d(2),
  ...block(8, 16),
  activation("relu"),
  residual([...block(16, 16), activation("relu"), ...block(16, 16)]),
  activation("relu"),
  maxPool2d(2),
  ...block(16, 32),
  activation("relu"),
  globalAvgPool2d(),
  dense(32, 10),
];

/** Trains by Adam with a rate that falls to 0. `onProgress` hears the share done and the last steps' mean loss. */
export async function trainNet(
  gpu: Gpu,
  train: Dataset,
  { epochs, seed }: { readonly epochs: number; readonly seed: number },
  onProgress: (share: number, loss: number) => void,
): Promise<Sequential> {
  const model = buildModel(gpu, ARCHITECTURE, { seed });
  const set = new DeviceSet(gpu, train);
  const steps = epochs * Math.floor(train.count / BATCH);
  const optimizer = new Adam(model.parameters, {
    learningRate: { kind: "cosine", learningRate: 0.003, steps },
  });
  const rows = tensor(gpu, new Uint32Array(BATCH));
  const sum = zeros(gpu, []);
  const record = () =>
    gpu.program(() => {
      const { x, labels } = set.batch(rows);
      const { y, saved } = model.forward(x, { training: true });
      const { loss, dlogits } = softmaxCrossEntropy(y, labels);
      optimizer.step(model.backward(dlogits, saved).grads);
      add(sum, loss, { out: sum });
    });
  let step: ReturnType<typeof record> | undefined;
  let done = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const batch of batchesOf(philoxPermutation(train.count, seed, epoch), BATCH)) {
      rows.write(batch);
      if (step) step.run();
      else step = record();
      if (++done % LOOK === 0) {
        onProgress(done / steps, (await sum.item()) / LOOK);
        clear(sum);
      }
    }
  }
  step?.dispose();
  optimizer.dispose();
  for (const held of [rows, sum]) held.dispose();
  set.dispose();
  return model;
}
