/** Training a classifier by a local rule: one recorded step, replayed for each batch. */
import { batchesOf, DeviceSet } from "../data/device_set.js";
import type { Dataset } from "../data/dataset.js";
import { ValueError } from "../gpu/errors.js";
import { predictClasses } from "../layers/evaluate.js";
import type { Sequential } from "../layers/sequential.js";
import { accuracy } from "../metrics/index.js";
import { add } from "../ops/elementwise.js";
import { softmaxCrossEntropy } from "../ops/loss.js";
import { Sgd } from "../optimizer.js";
import { philoxPermutation } from "../random.js";
import { clear, zeros } from "../tensor.js";
import { localGradients } from "./learn.js";
import type { Rule } from "./rules.js";

export interface TrainOptions {
  readonly rule: Rule;
  readonly epochs: number;
  /** Default 32. */
  readonly batchSize?: number;
  /** Default 0.1. */
  readonly learningRate?: number;
  /** Default 0.9. */
  readonly momentum?: number;
  /** Orders the batches. Default 0. */
  readonly seed?: number;
  /** Called with the share of the work done, 0–1, and the mean loss of the epoch so far. */
  readonly onProgress?: (share: number, loss: number) => void;
}

/** One point of a learning curve, after `epoch` epochs. */
export interface CurvePoint {
  readonly epoch: number;
  /** Mean training loss over the epoch (nats); undefined before the first. */
  readonly loss?: number;
  /** 0–1. */
  readonly testAccuracy: number;
}

export interface TrainResult {
  readonly curve: readonly CurvePoint[];
  readonly testAccuracy: number;
  /** The predicted class of every test image. */
  readonly predictions: Uint32Array;
  /** Training and its evaluations, without the upload of the data. */
  readonly seconds: number;
}

/** Steps between two looks at the loss: a read-back costs milliseconds. */
const PROGRESS_STEPS = 25;

/**
 * Trains `model` in place on flat images.
 * @throws ValueError if the loss stops being finite, naming the epoch
 */
export async function trainClassifier(
  model: Sequential,
  train: Dataset,
  test: Dataset,
  options: TrainOptions,
): Promise<TrainResult> {
  const { rule, epochs, batchSize = 32, learningRate = 0.1, momentum = 0.9, seed = 0, onProgress } = options;
  const { gpu } = Object.values(model.parameters)[0];
  const trainSet = new DeviceSet(gpu, train, { flat: true });
  const testSet = new DeviceSet(gpu, test, { flat: true });
  const optimizer = new Sgd(model.parameters, { learningRate, momentum });
  const indices = zeros(gpu, [batchSize], { dtype: "u32" });
  const lossSum = zeros(gpu, [1]);
  const start = performance.now();

  const recordStep = () =>
    gpu.program(() => {
      const { x, labels } = trainSet.batch(indices);
      const { y: logits, saved } = model.forward(x, { training: true });
      const { loss, dlogits } = softmaxCrossEntropy(logits, labels);
      optimizer.step(localGradients(model, dlogits, saved, rule));
      add(lossSum, loss.reshape([1]), { out: lossSum });
    });

  const evaluate = async (epoch: number, loss?: number) => {
    const predictions = await predictClasses(model, testSet);
    return { predictions, point: { epoch, loss, testAccuracy: accuracy(predictions, test.labels) } };
  };

  let step: ReturnType<typeof recordStep> | undefined;
  let latest = await evaluate(0);
  const curve: CurvePoint[] = [latest.point];
  try {
    for (let epoch = 0; epoch < epochs; epoch++) {
      const batches = batchesOf(philoxPermutation(train.count, seed, epoch), batchSize);
      clear(lossSum);
      for (let i = 0; i < batches.length; i++) {
        indices.write(batches[i]);
        if (step) step.run();
        else step = recordStep();
        if ((i + 1) % PROGRESS_STEPS !== 0 && i + 1 !== batches.length) continue;
        const loss = (await lossSum.item()) / (i + 1);
        if (!Number.isFinite(loss)) {
          throw new ValueError(
            `train: the loss is ${loss} in epoch ${epoch + 1}; take a smaller learning rate than ${learningRate}`,
          );
        }
        onProgress?.((epoch + (i + 1) / batches.length) / epochs, loss);
        if (i + 1 === batches.length) {
          latest = await evaluate(epoch + 1, loss);
          curve.push(latest.point);
        }
      }
    }
  } finally {
    step?.dispose();
    optimizer.dispose();
    for (const tensor of [indices, lossSum]) tensor.dispose();
    trainSet.dispose();
    testSet.dispose();
  }
  const seconds = (performance.now() - start) / 1000;
  return { curve, testAccuracy: latest.point.testAccuracy, predictions: latest.predictions, seconds };
}
