/**
 * Training the feature extractor with its classifier: plainly, or adversarially (Madry et al., ICLR 2018).
 * The attack, the step and all that is random are one recorded program; the images stay on the device.
 */
import { perturb } from "../attacks/perturb.js";
import { pgd } from "../attacks/pgd.js";
import { batchesOf, type DeviceSet } from "../data/device_set.js";
import { ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import type { Program } from "../gpu/program.js";
import type { Sequential } from "../layers/sequential.js";
import { Adam } from "../optimizer.js";
import { add } from "../ops/elementwise.js";
import { softmaxCrossEntropy } from "../ops/loss.js";
import { advance } from "../ops/random.js";
import { philoxPermutation } from "../random.js";
import { clear, type Tensor, zeros } from "../tensor.js";
import {
  checkSameOptions,
  checkTensors,
  decodeCheckpoint,
  encodeCheckpoint,
  readTensors,
  writeTensors,
} from "./checkpoint.js";

export interface ClassifierTrainerOptions {
  /** L∞ radius of the attack in pixel units; 0 trains plainly. */
  readonly epsilon: number;
  /** Steps of the attack, each of 2.5 ε / steps; default 5. */
  readonly attackSteps?: number;
  /** Passes over the images in all, on which the schedule of the learning rate hangs. */
  readonly epochs: number;
  /** Default 128; the rest of a pass that fills no batch is left out. */
  readonly batchSize?: number;
  /** Adam's first rate; it falls to 0 along half a cosine. Default 0.002. */
  readonly learningRate?: number;
  /** Of the order of the batches and the attack's starts; default 0. */
  readonly seed?: number;
}

type Settings = Required<ClassifierTrainerOptions>;

interface Facts {
  readonly settings: Settings;
  readonly epochsDone: number;
  readonly losses: readonly number[];
}

const KIND = "atd classifier";

/**
 * Trains a classifier in place, an epoch a call.
 * @throws ValueError for options out of range
 * @example
 * const trainer = new ClassifierTrainer(model, set, { epsilon: 16 / 255, epochs: 4, seed: 1 });
 * while (trainer.epochsDone < 4) await trainer.epoch();
 * await writeFile("checkpoint", await trainer.save());      // load() goes on with the same numbers
 */
export class ClassifierTrainer {
  private readonly gpu: Gpu;
  private readonly settings: Settings;
  private readonly optimizer: Adam;
  private readonly rows: Tensor;
  private readonly draw: Tensor;
  private readonly lossSum: Tensor;
  private program?: Program;
  private meanLosses: number[] = [];

  constructor(
    private readonly model: Sequential,
    private readonly train: DeviceSet,
    { attackSteps = 5, batchSize = 128, learningRate = 0.002, seed = 0, ...rest }: ClassifierTrainerOptions,
  ) {
    this.settings = { ...rest, attackSteps, batchSize, learningRate, seed };
    const { epochs } = rest;
    if (!(Number.isInteger(epochs) && epochs >= 1))
      throw new ValueError(`ClassifierTrainer: epochs is ${epochs}, and a whole number from 1 is taken`);
    this.gpu = train.images.gpu;
    const steps = epochs * batchesOf(philoxPermutation(train.count, seed), batchSize).length;
    this.optimizer = new Adam(model.parameters, { learningRate: { kind: "cosine", learningRate, steps } });
    this.rows = zeros(this.gpu, [batchSize], { dtype: "u32" });
    this.draw = zeros(this.gpu, [1], { dtype: "u32" });
    this.lossSum = zeros(this.gpu, [1]);
  }

  get epochsDone(): number {
    return this.meanLosses.length;
  }

  /** The mean training loss of each epoch done: of attacked images where there is an attack. */
  get losses(): readonly number[] {
    return this.meanLosses;
  }

  /**
   * One pass over the images in an order that hangs on seed and epoch.
   * @param onProgress hears the share of the pass that is done
   * @throws ValueError when all epochs are done, or the loss stops being finite
   */
  async epoch(onProgress?: (share: number) => void): Promise<number> {
    const { epochs, seed, batchSize, learningRate } = this.settings;
    if (this.epochsDone >= epochs)
      throw new ValueError(`ClassifierTrainer: all ${epochs} epochs are done; make another trainer`);
    const batches = batchesOf(philoxPermutation(this.train.count, seed, this.epochsDone), batchSize);
    clear(this.lossSum);
    for (const [index, batch] of batches.entries()) {
      this.rows.write(batch);
      if (this.program) this.program.run();
      else this.program = this.gpu.program(() => this.step());
      await this.gpu.finish();
      onProgress?.((index + 1) / batches.length);
    }
    const loss = (await this.lossSum.item()) / batches.length;
    if (!Number.isFinite(loss)) {
      throw new ValueError(
        `ClassifierTrainer: the loss is ${loss} in epoch ${this.epochsDone + 1}; take a smaller learningRate ` +
          `than ${learningRate}`,
      );
    }
    this.meanLosses.push(loss);
    return loss;
  }

  /** Everything that the next epoch hangs on. */
  async save(): Promise<Uint8Array<ArrayBuffer>> {
    const groups = {
      model: await readTensors(this.modelState()),
      optimizer: await this.optimizer.save(),
      counters: await readTensors({ draw: this.draw }),
    };
    const facts: Facts = { settings: this.settings, epochsDone: this.epochsDone, losses: this.meanLosses };
    return encodeCheckpoint(KIND, { groups, facts });
  }

  /**
   * Goes on where `save` was called: every later number is the same, bit for bit on the same adapter.
   * @throws FormatError if the checkpoint is damaged or of another network or other options
   */
  load(bytes: Uint8Array): void {
    const { groups, facts } = decodeCheckpoint<Facts>(KIND, bytes);
    checkSameOptions(this.settings, facts.settings);
    checkTensors("model", this.modelState(), groups.model);
    checkTensors("counters", { draw: this.draw }, groups.counters);
    this.optimizer.load(groups.optimizer);
    writeTensors(this.modelState(), groups.model);
    writeTensors({ draw: this.draw }, groups.counters);
    this.meanLosses = [...facts.losses];
  }

  /** Releases what training needed; the model stays. */
  dispose(): void {
    this.program?.dispose();
    this.optimizer.dispose();
    for (const held of [this.rows, this.draw, this.lossSum]) held.dispose();
  }

  private step(): void {
    const { model, train, lossSum } = this;
    const { epsilon, attackSteps, seed } = this.settings;
    const { x, labels } = train.batch(this.rows);
    const how = pgd({ epsilon, steps: attackSteps, seed });
    const { images } = epsilon > 0 ? perturb(model, { x, labels, draw: this.draw }, how) : { images: x };
    advance(this.draw);
    const { y, saved } = model.forward(images, { training: true });
    const { loss, dlogits } = softmaxCrossEntropy(y, labels);
    this.optimizer.step(model.backward(dlogits, saved).grads);
    add(lossSum, loss.reshape([1]), { out: lossSum });
  }

  private modelState() {
    return { ...this.model.parameters, ...this.model.buffers };
  }
}
