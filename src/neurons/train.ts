/** Training a classifier by a local rule: one recorded step, replayed for each batch. */
import { batchesOf, DeviceSet } from "../data/device_set.js";
import type { Dataset } from "../data/dataset.js";
import { ValueError } from "../gpu/errors.js";
import { predictClasses } from "../layers/evaluate.js";
import type { Program } from "../gpu/program.js";
import { Dense } from "../layers/dense.js";
import type { Sequential } from "../layers/sequential.js";
import { accuracy } from "../metrics/index.js";
import { add } from "../ops/elementwise.js";
import { softmaxCrossEntropy } from "../ops/loss.js";
import { philoxPermutation } from "../random.js";
import { clear, type Shape, type Tensor, tensor, zeros } from "../tensor.js";
import { type LayerObservation, type LedgerPage, observe } from "./instrument.js";
import { Learner } from "./learner.js";
import type { Rule } from "./rule.js";

const DEFAULT_LEARNING_RATE = 0.1;

export interface TrainOptions {
  readonly rule: Rule;
  readonly epochs: number;
  /** Default 100. */
  readonly batchSize?: number;
  /** The rate of the first step; it falls to 0 along half a cosine. Default 0.1. */
  readonly learningRate?: number;
  /** Default 0.9. */
  readonly momentum?: number;
  /** Orders the batches. Default 0. */
  readonly seed?: number;
  /**
   * On how many training images to look at the network before and after every epoch, and to keep books of who paid whom.
   * Default: neither.
   */
  readonly watch?: number;
  /** When the test images are classified: before and after every epoch, or after the last. Default "epochs". */
  readonly evaluate?: "epochs" | "end";
  /** Called with the share of the work done, 0–1, and the mean loss of the latest steps. */
  readonly onProgress?: (share: number, loss: number) => void;
}

/** A point of the accuracy curve, after `epoch` epochs. */
export interface AccuracyPoint {
  readonly epoch: number;
  /** 0–1. */
  readonly testAccuracy: number;
}

/** A point of the loss curve: the mean training loss (nats) of the steps since the point before. */
export interface LossPoint {
  /** How many epochs were done, with a fraction. */
  readonly epoch: number;
  readonly loss: number;
}

/** What `watch` saw after `epoch` epochs. */
export interface Observation {
  readonly epoch: number;
  /** From the input up. */
  readonly layers: readonly LayerObservation[];
}

export interface TrainResult {
  readonly curve: readonly AccuracyPoint[];
  readonly losses: readonly LossPoint[];
  readonly testAccuracy: number;
  /** The predicted class of every test image. */
  readonly predictions: Uint32Array;
  /** With `watch`: before and after every epoch. */
  readonly observations: readonly Observation[];
  /** With `watch`: who paid whom, a page a layer. */
  readonly ledger: readonly LedgerPage[];
  /** Training and its evaluations, without the upload of the data. */
  readonly seconds: number;
}

/** Steps between two looks at the loss: a read-back costs milliseconds. */
const PROGRESS_STEPS = 20;

/**
 * Trains `model` in place, a batch a step, by momentum descent along what the rule gives.
 * @throws ValueError if the loss stops being finite, naming the epoch
 */
export async function trainClassifier(
  model: Sequential,
  train: Dataset,
  test: Dataset,
  options: TrainOptions,
): Promise<TrainResult> {
  const { epochs, batchSize = 100, seed = 0, evaluate = "epochs", onProgress } = options;
  const { gpu } = Object.values(model.parameters)[0];
  const orders = Array.from({ length: epochs }, (_, epoch) =>
    batchesOf(philoxPermutation(train.count, seed, epoch), batchSize),
  );
  const testSet = new DeviceSet(gpu, test, { flat: takesFlat(model) });
  const trainer = new Trainer(model, train, { ...options, batchSize, steps: orders.flat().length });
  const start = performance.now();
  const losses: LossPoint[] = [];
  const curve: AccuracyPoint[] = [];
  let predictions: Uint32Array = new Uint32Array();
  const look = async (epoch: number): Promise<void> => {
    if (evaluate === "end" && epoch !== epochs) return;
    predictions = await predictClasses(model, testSet);
    curve.push({ epoch, testAccuracy: accuracy(predictions, test.labels) });
  };
  try {
    await look(0);
    const observations = await trainer.observe(0);
    for (const [epoch, batches] of orders.entries()) {
      for (const [index, batch] of batches.entries()) {
        trainer.step(batch);
        if ((index + 1) % PROGRESS_STEPS !== 0 && index + 1 !== batches.length) continue;
        const done = epoch + (index + 1) / batches.length;
        const loss = await trainer.takeLoss(epoch);
        losses.push({ epoch: done, loss });
        onProgress?.(done / epochs, loss);
      }
      observations.push(...(await trainer.observe(epoch + 1)));
      await look(epoch + 1);
    }
    const seconds = (performance.now() - start) / 1000;
    const { testAccuracy } = curve[curve.length - 1];
    const ledger = await trainer.ledger();
    return { curve, losses, testAccuracy, predictions, observations, ledger, seconds };
  } finally {
    trainer.dispose();
    testSet.dispose();
  }
}

/** A network that begins with a dense layer takes images as rows. */
const takesFlat = (model: Sequential): boolean => model.layers[0] instanceof Dense;

function inputShapeOf(model: Sequential, { shape, imageSize }: Dataset): Shape {
  return takesFlat(model) ? [1, imageSize] : [1, ...shape];
}

/** The recorded step and what it reads and writes. */
class Trainer {
  private readonly set: DeviceSet;
  private readonly learner: Learner;
  private readonly indices: Tensor;
  private readonly lossSum: Tensor;
  private stepsSummed = 0;
  private program?: Program;

  constructor(
    private readonly model: Sequential,
    train: Dataset,
    private readonly options: TrainOptions & { readonly batchSize: number; readonly steps: number },
  ) {
    const { gpu } = Object.values(model.parameters)[0];
    const { rule, learningRate = DEFAULT_LEARNING_RATE, momentum, steps, batchSize, seed } = options;
    this.set = new DeviceSet(gpu, train, { flat: takesFlat(model) });
    this.learner = new Learner(model, {
      rule,
      inputShape: inputShapeOf(model, train),
      learningRate: { kind: "cosine", learningRate, steps },
      momentum,
      seed,
      books: options.watch !== undefined,
    });
    this.indices = zeros(gpu, [batchSize], { dtype: "u32" });
    this.lossSum = zeros(gpu, [1]);
  }

  /** One update from the images at `batch`. The first records the program, the others replay it. */
  step(batch: Uint32Array): void {
    this.indices.write(batch);
    this.stepsSummed++;
    if (this.program) this.program.run();
    else this.program = this.indices.gpu.program(() => this.body());
  }

  private body(): void {
    const { model, lossSum } = this;
    const { x, labels } = this.set.batch(this.indices);
    const { y: logits, saved } = model.forward(x, { training: true });
    const { loss, dlogits: error } = softmaxCrossEntropy(logits, labels);
    this.learner.step({ saved, logits, error });
    add(lossSum, loss.reshape([1]), { out: lossSum });
  }

  /** A look at the first images; nothing without `watch`. */
  async observe(epoch: number): Promise<Observation[]> {
    const { watch } = this.options;
    if (watch === undefined) return [];
    const { gpu } = this.indices;
    const chosen = Uint32Array.from({ length: Math.min(watch, this.set.count) }, (_, index) => index);
    const indices = tensor(gpu, chosen);
    const batch = this.set.batch(indices);
    try {
      return [{ epoch, layers: await observe(this.model, this.learner, batch) }];
    } finally {
      for (const part of [indices, batch.x, batch.labels]) part.dispose();
    }
  }

  async ledger(): Promise<LedgerPage[]> {
    return this.options.watch === undefined ? [] : this.learner.ledger();
  }

  /** The mean loss of the steps since the last call. @throws ValueError if it is not finite */
  async takeLoss(epoch: number): Promise<number> {
    const loss = (await this.lossSum.item()) / this.stepsSummed;
    if (!Number.isFinite(loss)) {
      const { learningRate = DEFAULT_LEARNING_RATE } = this.options;
      throw new ValueError(
        `train: the loss is ${loss} in epoch ${epoch + 1}; take a smaller learning rate than ${learningRate}`,
      );
    }
    clear(this.lossSum);
    this.stepsSummed = 0;
    return loss;
  }

  dispose(): void {
    this.program?.dispose();
    this.learner.dispose();
    for (const tensor of [this.indices, this.lossSum]) tensor.dispose();
    this.set.dispose();
  }
}
