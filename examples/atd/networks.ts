// Networks of a seed: read where they are trained already, else trained, with a checkpoint an epoch.
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Gpu, ValueError } from "handgrad";
import {
  AtdTrainer,
  type AtdEpoch,
  type Backbone,
  backboneOf,
  ClassifierTrainer,
  discriminatorNetwork,
  extractorNetwork,
  generatorNetwork,
  LATENT,
  sample,
} from "handgrad/atd";
import { type Dataset, DeviceSet } from "handgrad/data";
import { buildModel, loadModel, predictClasses, saveModel, type Sequential } from "handgrad/layers";
import { accuracy } from "handgrad/metrics";
import { makeFolder } from "../experiment/shard.js";
import { writeWhole } from "../experiment/write_whole.js";
import { startProgress } from "../start/progress.js";
import { type AtdData, IN_CLASSES } from "./data.js";
import {
  type BackboneName,
  classifierRecipe,
  DISCRIMINATOR_IMAGES,
  discriminatorRecipe,
  RECIPES,
  type RecipeName,
} from "./recipes.js";

/** By which validation AUROC the epoch of a discriminator was chosen. */
export type Selected = "attacked" | "clean";

/** Where the networks of a seed are. */
export interface Place {
  readonly gpu: Gpu;
  readonly seed: number;
  /** Holds seed-1, seed-2, … */
  readonly folder: string;
}

export interface TrainedBackbone extends Backbone {
  readonly classifier: Sequential;
}

const folderOf = ({ folder, seed }: Place): string => join(folder, `seed-${seed}`);

export const fileOf = (place: Place, name: string): string => join(folderOf(place), `${name}.safetensors`);

export const discriminatorFile = (recipe: RecipeName, selected: Selected): string =>
  selected === "attacked" ? recipe : `${recipe}.clean`;

export function isTrained(place: Place, name: string): boolean {
  return existsSync(fileOf(place, name));
}

/** @throws ValueError if it is not trained yet */
export async function readNetwork(place: Place, name: string): Promise<Sequential> {
  const file = fileOf(place, name);
  const bytes = await readFile(file).catch((cause) => {
    throw new ValueError(
      `${file} is not there; train it: npm run atd -- train --seed ${place.seed} --weights ${place.folder}`,
      { cause },
    );
  });
  return loadModel(place.gpu, bytes, { name: file }).model;
}

export async function readBackbone(place: Place, name: BackboneName): Promise<TrainedBackbone> {
  const classifier = await readNetwork(place, name);
  return { classifier, ...backboneOf(classifier) };
}

/** What a trained file says of itself. */
const provenance = ({ gpu, seed }: Place, options: object, result: object): Record<string, string> => ({
  command: `npm run atd -- train --seed ${seed}`,
  seed: String(seed),
  adapter: gpu.info.description || gpu.info.device || gpu.info.vendor,
  options: JSON.stringify(options),
  result: JSON.stringify(result),
});

interface Resumable {
  save(): Promise<Uint8Array>;
  load(bytes: Uint8Array): void;
  readonly epochsDone: number;
}

/** Goes on from the checkpoint if there is one, and writes one after each epoch. */
async function runEpochs<Epoch>(
  file: string,
  trainer: Resumable & { epoch(onProgress: (share: number) => void): Promise<Epoch> },
  { title, epochs, note }: { title: string; epochs: number; note: (epoch: Epoch) => string },
): Promise<void> {
  if (existsSync(file)) trainer.load(await readFile(file));
  const progress = startProgress(title);
  try {
    let last = "";
    while (trainer.epochsDone < epochs) {
      const done = trainer.epochsDone;
      const epoch = await trainer.epoch((share) => progress.update((done + share) / epochs, last));
      last = note(epoch);
      if (!process.stderr.isTTY) console.log(`  epoch ${trainer.epochsDone} of ${epochs}: ${last}`);
      await writeWhole(file, await trainer.save());
    }
  } finally {
    progress.stop();
  }
}

/** Trains the classifier, if it is not there yet. */
export async function trainClassifier(
  place: Place,
  name: BackboneName,
  { train, testIn }: Pick<AtdData, "train" | "testIn">,
): Promise<void> {
  if (isTrained(place, name)) return;
  await makeFolder(folderOf(place));
  const { gpu, seed } = place;
  const options = classifierRecipe(name, seed);
  const model = buildModel(gpu, extractorNetwork(IN_CLASSES), { seed });
  const sets = { train: new DeviceSet(gpu, train), test: new DeviceSet(gpu, testIn) };
  const trainer = new ClassifierTrainer(model, sets.train, options);
  const checkpoint = `${fileOf(place, name)}.checkpoint`;
  try {
    await runEpochs(checkpoint, trainer, {
      title: `${name} classifier, seed ${seed}`,
      epochs: options.epochs,
      note: (loss) => `loss ${loss.toFixed(3)}`,
    });
    const result = {
      testAccuracy: accuracy(await predictClasses(model, sets.test), testIn.labels),
      losses: trainer.losses,
    };
    await writeWhole(fileOf(place, name), await saveModel(model, provenance(place, options, result)));
    await rm(checkpoint, { force: true });
  } finally {
    for (const held of [trainer, model, ...Object.values(sets)]) held.dispose();
  }
}

/** Trains a discriminator, if it is not there yet; keeps its best epochs by attacked and by clean validation. */
export async function trainDiscriminator(place: Place, name: RecipeName, data: AtdData): Promise<void> {
  if (isTrained(place, discriminatorFile(name, "clean"))) return;
  const { gpu, seed } = place;
  const options = discriminatorRecipe(name, seed);
  const { backbone, title } = RECIPES[name];
  const { classifier, features } = await readBackbone(place, backbone);
  const discriminator = buildModel(gpu, discriminatorNetwork(), { seed: seed + 1000 });
  const generator = buildModel(gpu, generatorNetwork(), { seed: seed + 2000 });
  const small = (set: Dataset): DeviceSet => new DeviceSet(gpu, sample(set, DISCRIMINATOR_IMAGES, seed));
  const images = {
    train: small(data.train),
    open: small(data.open),
    validationIn: new DeviceSet(gpu, data.validationIn),
    validationOut: new DeviceSet(gpu, data.validationOut),
  };
  const models = { features, discriminator, generator, latentShape: [LATENT] };
  const trainer = new AtdTrainer(models, images, options);
  const checkpoint = `${fileOf(place, name)}.checkpoint`;
  try {
    await runEpochs(checkpoint, trainer, {
      title: `${title}, seed ${seed}`,
      epochs: trainer.epochs,
      note: ({ lossD, clean, attacked }: AtdEpoch) =>
        `loss ${lossD.toFixed(3)}, validation ${clean?.toFixed(3)} clean, ${attacked?.toFixed(3)} attacked`,
    });
    for (const selected of ["attacked", "clean"] as const) {
      trainer.select(selected);
      const result = { selected, history: trainer.history };
      const file = fileOf(place, discriminatorFile(name, selected));
      await writeWhole(file, await saveModel(discriminator, provenance(place, options, result)));
    }
    await rm(checkpoint, { force: true });
  } finally {
    const held = [trainer, discriminator, generator, classifier, ...Object.values(images)];
    for (const item of held) item.dispose();
  }
}
