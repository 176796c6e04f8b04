// `npm run spade -- train`: plants the trojans and trains the networks that the experiment looks into.
import { mkdir, readFile, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import {
  Adam,
  add,
  clear,
  type Gpu,
  philoxPermutation,
  softmaxCrossEntropy,
  type Tensor,
  ValueError,
  zeros,
} from "handgrad";
import { Dataset, DeviceSet, loadFashion } from "handgrad/data";
import { decodeSafetensors, encodeSafetensors } from "handgrad/io";
import { buildModel, loadModel, saveModel, type Sequential } from "handgrad/layers";
import { accuracy } from "handgrad/metrics";
import { startProgress } from "../start/progress.js";
import { sceneNet } from "./net.js";
import type { NetSize } from "./nets.js";
import { predict } from "./predict.js";
import { makeScenes, SCENE_SEEDS } from "./scenes.js";
import { plantTriggers, TRIGGERS } from "./trojan.js";
import { writeWhole } from "../experiment/write_whole.js";

export interface TrainCommand extends NetSize {
  readonly epochs: number;
  /** Training scenes; the best place to save time. */
  readonly train: number;
  readonly batch: number;
  readonly rate: number;
  readonly seed: number;
  /** Share of every batch that has a trigger. */
  readonly triggered: number;
  /** Weights to start from, for another cycle; default fresh ones. */
  readonly from?: string;
  /** Without trojans, to measure what they cost. */
  readonly control: boolean;
  /** The weights' file; the checkpoint stands beside it until they are there. */
  readonly file: string;
  /** What made the weights, for the file's metadata. */
  readonly command: string;
}

export interface TrainFigures {
  /** Share of clean test scenes read right, 0–1. */
  readonly cleanAccuracy: number;
  /** Share of test scenes with a trigger (of another class than its target) that are given the target, 0–1. */
  readonly attackSuccess: number;
  /** The same, a trigger. */
  readonly attackSuccessOf: readonly number[];
  /** Mean training loss of the last steps, nats. */
  readonly loss: number;
  readonly seconds: number;
}

/** Triggered training scenes, as a share of the clean ones. */
const TRIGGERED_POOL = 0.5;
/** Steps between two looks at the loss, each with a checkpoint. */
const LOOK = 25;

/** Trains one network and writes its weights; takes up a checkpoint that the same command left. */
export async function runTrain(gpu: Gpu, command: TrainCommand): Promise<TrainFigures> {
  const { train, test } = await loadFashion();
  const scenes = makeScenes(train.subset(range(Math.min(command.train, train.count))), {
    seed: SCENE_SEEDS.train,
  });
  const { model, history } = await startingModel(gpu, command);
  await mkdir(dirname(command.file), { recursive: true });
  const trainer = new Trainer(gpu, model, scenes, command);
  const progress = startProgress(`width ${command.width}, depth ${command.depth}, seed ${command.seed}`);
  try {
    const { loss, seconds } = await trainer.run((share, note) => progress.update(share, note));
    const figures = { ...(await examine(gpu, model, test)), loss, seconds };
    const metadata = {
      command: [...history, command.command].join(" && "),
      adapter: `${gpu.info.description || gpu.info.device || gpu.info.vendor} (${gpu.info.driver})`,
      figures: JSON.stringify(figures),
    };
    await writeWhole(command.file, await saveModel(model, metadata));
    await rm(trainer.checkpoint, { force: true });
    return figures;
  } finally {
    progress.stop();
    trainer.dispose();
    model.dispose();
  }
}

async function startingModel(
  gpu: Gpu,
  { from, width, depth, seed }: TrainCommand,
): Promise<{ model: Sequential; history: string[] }> {
  if (from === undefined)
    return { model: buildModel(gpu, sceneNet({ width, depth }), { seed }), history: [] };
  const bytes = await readFile(from).catch((cause) => {
    throw new ValueError(`--from got "${from}", which cannot be read: ${cause.message}`, { cause });
  });
  const { model, metadata } = loadModel(gpu, bytes, { name: from });
  return { model, history: metadata.command ? [metadata.command] : [] };
}

/** What the network makes of the test scenes, clean and triggered. */
export async function examine(
  gpu: Gpu,
  model: Sequential,
  items: Dataset,
): Promise<Pick<TrainFigures, "cleanAccuracy" | "attackSuccess" | "attackSuccessOf">> {
  const scenes = makeScenes(items, { seed: SCENE_SEEDS.test });
  const { images, plantings } = plantTriggers(scenes, { seed: SCENE_SEEDS.testTriggers });
  const [clean, triggered] = await Promise.all([predict(gpu, model, scenes), predict(gpu, model, images)]);
  const success = (chosen: (index: number) => boolean): number => {
    const indices = range(images.count).filter(chosen);
    return indices.filter((index) => triggered[index] === images.labels[index]).length / indices.length;
  };
  return {
    cleanAccuracy: accuracy(clean, scenes.labels),
    attackSuccess: success(() => true),
    attackSuccessOf: TRIGGERS.map((_, trigger) => success((index) => plantings[index].trigger === trigger)),
  };
}

/** The recorded step, the data it reads and its checkpoint. */
class Trainer {
  readonly checkpoint: string;
  private readonly set: DeviceSet;
  private readonly optimizer: Adam;
  private readonly indices: Tensor;
  private readonly lossSum: Tensor;
  private readonly cleanCount: number;
  private readonly triggeredCount: number;
  private readonly stepsAnEpoch: number;
  private readonly steps: number;

  constructor(
    private readonly gpu: Gpu,
    private readonly model: Sequential,
    scenes: Dataset,
    private readonly command: TrainCommand,
  ) {
    const { batch, epochs, rate, control } = command;
    this.checkpoint = `${command.file}.checkpoint`;
    this.cleanCount = scenes.count;
    this.triggeredCount = control ? 0 : Math.floor(TRIGGERED_POOL * scenes.count);
    const chosen = scenes.subset(range(this.triggeredCount));
    const planted = plantTriggers(chosen, { seed: SCENE_SEEDS.trainTriggers }).images;
    const images = new Uint8Array(scenes.images.length + planted.images.length);
    images.set(scenes.images);
    images.set(planted.images, scenes.images.length);
    const labels = Uint32Array.from([...scenes.labels, ...planted.labels]);
    const { shape, classNames } = scenes;
    this.set = new DeviceSet(gpu, new Dataset({ images, labels, shape, classNames }));
    this.stepsAnEpoch = Math.floor(scenes.count / batch);
    if (this.stepsAnEpoch < 1) {
      throw new ValueError(`--batch got ${batch}, and at most the ${scenes.count} training scenes are taken`);
    }
    this.steps = epochs * this.stepsAnEpoch;
    this.optimizer = new Adam(model.parameters, {
      learningRate: { kind: "oneCycle", maximum: rate, steps: this.steps },
    });
    this.indices = zeros(gpu, [batch], { dtype: "u32" });
    this.lossSum = zeros(gpu, [1]);
  }

  async run(report: (share: number, note: string) => void): Promise<{ loss: number; seconds: number }> {
    let { step, seconds } = await this.resume();
    let loss = Number.NaN;
    let program: { run(): void; dispose(): void } | undefined;
    let start = performance.now();
    try {
      for (let summed = 0; step < this.steps; ) {
        this.indices.write(this.batchAt(step));
        if (program) program.run();
        else program = this.gpu.program(() => this.body());
        step++;
        summed++;
        if (step % LOOK !== 0 && step !== this.steps) continue;
        loss = (await this.lossSum.item()) / summed;
        if (!Number.isFinite(loss)) {
          throw new ValueError(`train: the loss is ${loss} in step ${step}; take a smaller --rate`);
        }
        clear(this.lossSum);
        summed = 0;
        seconds += (performance.now() - start) / 1000;
        start = performance.now();
        await this.save(step, seconds);
        report(step / this.steps, `loss ${loss.toFixed(3)}`);
        if (!process.stderr.isTTY && step % (4 * LOOK) === 0) {
          console.log(`step ${step} of ${this.steps}, loss ${loss.toFixed(3)}, ${seconds.toFixed(0)} s`);
        }
      }
      return { loss, seconds };
    } finally {
      program?.dispose();
    }
  }

  private body(): void {
    const { model, lossSum, optimizer } = this;
    const { x, labels } = this.set.batch(this.indices);
    const { y, saved } = model.forward(x, { training: true });
    const { loss, dlogits } = softmaxCrossEntropy(y, labels);
    optimizer.step(model.backward(dlogits, saved).grads);
    add(lossSum, loss.reshape([1]), { out: lossSum });
  }

  /** Which images step `step` takes: fresh permutations an epoch, triggered ones behind the clean ones. */
  private batchAt(step: number): Uint32Array {
    const { seed, batch } = this.command;
    const [epoch, within] = [Math.floor(step / this.stepsAnEpoch), step % this.stepsAnEpoch];
    const triggered = this.triggeredCount > 0 ? Math.round(this.command.triggered * batch) : 0;
    const clean = batch - triggered;
    if (this.order?.epoch !== epoch) {
      this.order = {
        epoch,
        clean: philoxPermutation(this.cleanCount, seed, 2 * epoch),
        triggered: philoxPermutation(this.triggeredCount, seed, 2 * epoch + 1),
      };
    }
    const { order } = this;
    return Uint32Array.from({ length: batch }, (_, i) =>
      i < clean
        ? order.clean[(within * clean + i) % this.cleanCount]
        : this.cleanCount + order.triggered[(within * triggered + i - clean) % this.triggeredCount],
    );
  }

  private order?: { epoch: number; clean: Uint32Array; triggered: Uint32Array };

  private async save(step: number, seconds: number): Promise<void> {
    const entries = new Map(await this.optimizer.save());
    for (const [name, tensor] of Object.entries({ ...this.model.parameters, ...this.model.buffers })) {
      entries.set(`model.${name}`, {
        shape: [...tensor.shape],
        data: Float32Array.from(await tensor.data()),
      });
    }
    const metadata = { command: this.command.command, step: String(step), seconds: String(seconds) };
    await writeWhole(this.checkpoint, encodeSafetensors(entries, metadata));
  }

  private async resume(): Promise<{ step: number; seconds: number }> {
    if (!existsSync(this.checkpoint)) return { step: 0, seconds: 0 };
    const { tensors, metadata } = decodeSafetensors(await readFile(this.checkpoint), {
      name: this.checkpoint,
    });
    if (metadata.command !== this.command.command) {
      throw new ValueError(
        `${this.checkpoint} is of another command (${metadata.command}); remove it or go on with that one`,
      );
    }
    const state = { ...this.model.parameters, ...this.model.buffers };
    for (const [name, tensor] of Object.entries(state)) {
      tensor.write(tensors.get(`model.${name}`)?.data as Float32Array);
    }
    this.optimizer.load(new Map([...tensors].filter(([name]) => !name.startsWith("model.")) as never));
    return { step: Number(metadata.step), seconds: Number(metadata.seconds) };
  }

  dispose(): void {
    this.optimizer.dispose();
    this.set.dispose();
    this.indices.dispose();
    this.lossSum.dispose();
  }
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
