/**
 * Training the discriminator (arXiv 2209.15246): epochs of recorded steps with the data on the device, a look
 * at validation images after each, and checkpoints from which training goes on with the same numbers.
 */
import { batchesOf, type DeviceSet } from "../data/device_set.js";
import { ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import type { Program } from "../gpu/program.js";
import type { Tensors } from "../layers/layer.js";
import type { Sequential } from "../layers/sequential.js";
import { Adam, type StateArray } from "../optimizer.js";
import { add } from "../ops/elementwise.js";
import { advance } from "../ops/random.js";
import { philoxPermutation } from "../random.js";
import { clear, type Tensor, zeros } from "../tensor.js";
import { type AtdOptions, type AtdSettings, type Selection, settingsOf } from "./atd_options.js";
import { type AtdNetworks, AtdStep } from "./atd_step.js";
import {
  checkSameOptions,
  checkTensors,
  decodeCheckpoint,
  encodeCheckpoint,
  readTensors,
  writeTensors,
} from "./checkpoint.js";
import { DiscriminatorDetector } from "./discriminator.js";
import { validate, type ValidationAuroc } from "./validate.js";

/** Networks as `AtdTrainer` takes them; they stay the caller's. */
export interface AtdModels extends Pick<AtdNetworks, "features" | "discriminator"> {
  /** Needed unless the mode is "none". */
  readonly generator?: Sequential;
  /** The shape of one z, such as [32] or [32, 1, 1]; needed with a generator. */
  readonly latentShape?: readonly number[];
}

/** Images on the device; they stay the caller's. */
export interface AtdImages {
  /** In. */
  readonly train: DeviceSet;
  /** Out, to train on; may be missing if `openSet` is false. */
  readonly open?: DeviceSet;
  /** In and out, to select by; without them the last epoch is kept. */
  readonly validationIn?: DeviceSet;
  readonly validationOut?: DeviceSet;
}

/** What an epoch came to. AUROCs are there if there are validation images. */
export interface AtdEpoch extends Partial<ValidationAuroc> {
  readonly lossD: number;
  readonly lossG?: number;
}

type Snapshot = ReadonlyMap<string, StateArray>;

interface Facts {
  readonly settings: AtdSettings;
  readonly history: readonly AtdEpoch[];
}

const KIND = "atd discriminator";
/** D's learning rate as a share of G's. */
const D_RATE = 1 / 1.5;
const BETAS = [0.5, 0.999] as const;
/** Keeps orders of images apart that come of one seed. */
const ORDERS = { train: 0, open: 0x40_00_00_00 } as const;

/**
 * Trains D, and G with it, in place; an epoch a call.
 * @throws ValueError for options out of range, or images or networks that they need and that are missing
 * @example
 * const trainer = new AtdTrainer(
 *   { features, discriminator, generator, latentShape: [32] },
 *   { train, open, validationIn, validationOut },
 *   { epsilon: 16 / 255, seed: 1 },
 * );
 * while (trainer.epochsDone < trainer.epochs) console.log(await trainer.epoch());
 * trainer.select("attacked");          // D is now that of the best epoch
 */
export class AtdTrainer {
  readonly epochs: number;
  private readonly gpu: Gpu;
  private readonly settings: AtdSettings;
  private readonly networks: AtdNetworks;
  private readonly optimizers: Readonly<Record<string, Adam>>;
  private readonly rows: Readonly<Record<"train" | "open", Tensor>>;
  private readonly draw: Tensor;
  private readonly lossSums: Readonly<Record<"D" | "G", Tensor>>;
  private readonly step: AtdStep;
  private program?: Program;
  private epochsSoFar: AtdEpoch[] = [];
  private readonly kept = new Map<Selection, Snapshot>();

  constructor(
    { features, discriminator, generator, latentShape = [] }: AtdModels,
    private readonly images: AtdImages,
    options: AtdOptions,
  ) {
    const settings = settingsOf(options);
    const { batchSize, learningRate } = settings;
    if (settings.openSet && !images.open)
      throw new ValueError(
        "AtdTrainer: openSet is true and there is no open set; give one or take openSet: false",
      );
    if (settings.generator !== "none" && !generator)
      throw new ValueError(
        `AtdTrainer: generator is ${settings.generator}, and the network of one is missing`,
      );
    this.settings = settings;
    this.epochs = settings.epochs;
    this.gpu = images.train.images.gpu;
    const rates = { betas: BETAS } as const;
    const optimizerD = new Adam(discriminator.parameters, { ...rates, learningRate: learningRate * D_RATE });
    const used = settings.generator === "none" ? undefined : generator;
    const trained = settings.generator === "trained" ? used : undefined;
    const optimizerG = trained && new Adam(trained.parameters, { ...rates, learningRate });
    this.optimizers = optimizerG ? { optimizerD, optimizerG } : { optimizerD };
    this.networks = { features, discriminator, generator: used, optimizerD, optimizerG };
    const words = (length: number): Tensor => zeros(this.gpu, [length], { dtype: "u32" });
    this.rows = { train: words(batchSize), open: words(batchSize) };
    this.draw = words(1);
    this.lossSums = { D: zeros(this.gpu, [1]), G: zeros(this.gpu, [1]) };
    this.step = new AtdStep(this.gpu, this.networks, settings, latentShape, this.draw);
  }

  get epochsDone(): number {
    return this.epochsSoFar.length;
  }

  /** What each epoch came to. */
  get history(): readonly AtdEpoch[] {
    return this.epochsSoFar;
  }

  /** D(F(x)) as it is now. */
  detector(name = "atd"): DiscriminatorDetector {
    return new DiscriminatorDetector(name, this.networks.features, this.networks.discriminator);
  }

  /**
   * One pass over the images that are in, as many of the open set beside them, and a look at the validation
   * images.
   * @param onProgress hears the share of the pass that is done
   * @throws ValueError when all epochs are done, or a loss stops being finite
   */
  async epoch(onProgress?: (share: number) => void): Promise<AtdEpoch> {
    const { epochs, batchSize, seed, learningRate } = this.settings;
    const epoch = this.epochsDone;
    if (epoch >= epochs)
      throw new ValueError(`AtdTrainer: all ${epochs} epochs are done; make another trainer`);
    const { train, open } = this.images;
    const batches = batchesOf(philoxPermutation(train.count, seed, ORDERS.train + epoch), batchSize);
    const openOrder = open && philoxPermutation(open.count, seed, ORDERS.open + epoch);
    for (const sums of Object.values(this.lossSums)) clear(sums);
    for (const [index, batch] of batches.entries()) {
      this.rows.train.write(batch);
      if (openOrder) {
        const at = (i: number): number => openOrder[(index * batchSize + i) % openOrder.length];
        this.rows.open.write(Uint32Array.from({ length: batchSize }, (_, i) => at(i)));
      }
      if (this.program) this.program.run();
      else this.program = this.gpu.program(() => this.body());
      await this.gpu.finish();
      onProgress?.((index + 1) / batches.length);
    }
    const lossD = (await this.lossSums.D.item()) / batches.length;
    const lossG = (await this.lossSums.G.item()) / batches.length;
    if (!(Number.isFinite(lossD) && Number.isFinite(lossG))) {
      throw new ValueError(
        `AtdTrainer: the losses are ${lossD} and ${lossG} in epoch ${epoch + 1}; take a smaller learningRate ` +
          `than ${learningRate}`,
      );
    }
    const seen = await this.look();
    const result = { lossD, ...(this.networks.optimizerG && { lossG }), ...seen };
    this.epochsSoFar.push(result);
    await this.keep();
    return result;
  }

  /**
   * Sets D to that of the best epoch.
   * @throws ValueError before the first epoch, or for a choice that takes validation images where there are none
   */
  select(by: Selection): void {
    const snapshot = this.kept.get(by);
    if (!snapshot) {
      throw new ValueError(
        `AtdTrainer: nothing is kept by ${by}; train an epoch first, with validation images unless it is "last"`,
      );
    }
    writeTensors(this.stateOf(this.networks.discriminator), snapshot);
  }

  /** Everything that the next epoch hangs on, and what is kept of those before. */
  async save(): Promise<Uint8Array<ArrayBuffer>> {
    const groups: Record<string, Snapshot> = {};
    for (const [name, tensors] of Object.entries(this.held())) groups[name] = await readTensors(tensors);
    for (const [name, optimizer] of Object.entries(this.optimizers)) groups[name] = await optimizer.save();
    for (const [by, snapshot] of this.kept) groups[`kept ${by}`] = snapshot;
    const facts: Facts = { settings: this.settings, history: this.epochsSoFar };
    return encodeCheckpoint(KIND, { groups, facts });
  }

  /**
   * Goes on where `save` was called: every later number is the same, bit for bit on the same adapter. To be
   * called after `save` and not after `select`, which changes D.
   * @throws FormatError if the checkpoint is damaged or of other networks or options
   */
  load(bytes: Uint8Array): void {
    const { groups, facts } = decodeCheckpoint<Facts>(KIND, bytes);
    checkSameOptions(this.settings, facts.settings);
    const held = this.held();
    for (const [name, tensors] of Object.entries(held)) checkTensors(name, tensors, groups[name]);
    const snapshots = (["clean", "attacked", "last"] as const).filter((by) => groups[`kept ${by}`]);
    for (const by of snapshots) checkTensors(`kept ${by}`, held.discriminator, groups[`kept ${by}`]);
    for (const [name, optimizer] of Object.entries(this.optimizers))
      optimizer.load(groups[name] ?? new Map());
    for (const [name, tensors] of Object.entries(held)) writeTensors(tensors, groups[name]);
    this.kept.clear();
    for (const by of snapshots) this.kept.set(by, groups[`kept ${by}`]);
    this.epochsSoFar = [...facts.history];
  }

  /** Releases what training needed; networks and images stay. */
  dispose(): void {
    this.program?.dispose();
    this.step.dispose();
    for (const optimizer of Object.values(this.optimizers)) optimizer.dispose();
    for (const group of [this.rows, this.lossSums]) for (const held of Object.values(group)) held.dispose();
    this.draw.dispose();
  }

  private body(): void {
    const { train, open } = this.images;
    const x = train.batch(this.rows.train).x;
    const outliers = this.settings.openSet ? open?.batch(this.rows.open).x : undefined;
    const { lossD, lossG } = this.step.record(x, outliers);
    add(this.lossSums.D, lossD, { out: this.lossSums.D });
    if (lossG) add(this.lossSums.G, lossG, { out: this.lossSums.G });
    advance(this.draw);
  }

  private async look(): Promise<ValidationAuroc | undefined> {
    const { validationIn, validationOut } = this.images;
    if (!validationIn || !validationOut) return undefined;
    return validate(this.detector(), validationIn.images, validationOut.images, this.settings);
  }

  /** Keeps D if this epoch is better than those before it. */
  private async keep(): Promise<void> {
    const latest = this.epochsSoFar[this.epochsSoFar.length - 1];
    const before = this.epochsSoFar.slice(0, -1);
    const best = (["clean", "attacked"] as const).filter((by) => {
      const value = latest[by];
      return value !== undefined && before.every((epoch) => value > (epoch[by] as number));
    });
    const snapshot = await readTensors(this.stateOf(this.networks.discriminator));
    for (const by of ["last", ...best] as const) this.kept.set(by, snapshot);
  }

  /** Tensors that change, beside the optimizers'. */
  private held(): Record<string, Tensors> {
    const { discriminator, generator } = this.networks;
    return {
      discriminator: this.stateOf(discriminator),
      ...(generator && { generator: this.stateOf(generator) }),
      counters: { draw: this.draw },
    };
  }

  private stateOf({ parameters, buffers }: Sequential): Tensors {
    return { ...parameters, ...buffers };
  }
}
