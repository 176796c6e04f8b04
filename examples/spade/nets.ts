// The networks that were trained by `npm run spade -- train` and are shipped.
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Gpu, ValueError } from "handgrad";
import { loadModel, type Sequential } from "handgrad/layers";
import { prunableLayers } from "handgrad/spade";
import type { TrainFigures } from "./train.js";

export const WEIGHTS_FOLDER = join("weights", "spade");

export interface Net {
  readonly name: string;
  readonly model: Sequential;
  readonly figures: TrainFigures;
}

/** How large a network is; see `sceneNet`. */
export interface NetSize {
  /** Channels of the first layers. */
  readonly width: number;
  /** Convolutions of each of the three stages. */
  readonly depth: number;
}

const NAME = /^scenes-w(\d+)(?:-d(\d+))?-s\d+$/;
/** The depth that names leave out. */
export const USUAL_DEPTH = 2;

/** `scenes-w<width>-d<depth>-s<seed>`, without the depth if it is the usual one. */
export const netName = ({ width, depth }: NetSize, seed: number): string =>
  `scenes-w${width}${depth === USUAL_DEPTH ? "" : `-d${depth}`}-s${seed}`;

/** Names of the networks with trojans in a folder; see `netName`. */
export async function netNames(folder: string = WEIGHTS_FOLDER): Promise<string[]> {
  const files = await readdir(folder).catch(() => [] as string[]);
  const names = files.map((file) => basename(file, ".safetensors")).filter((name) => NAME.test(name));
  if (names.length === 0)
    throw new ValueError(`${folder} holds no scenes-w*-s*.safetensors; run inside a clone, or train first`);
  return names.sort();
}

/** Of the networks that the experiment looks into. */
const USUAL_WIDTH = 16;

/** Those networks, of the usual depth; all where there are none of this size. */
export async function usualNets(folder: string = WEIGHTS_FOLDER): Promise<string[]> {
  const names = await netNames(folder);
  const usual = names.filter((name) => {
    const { width, depth } = sizeOf(name);
    return width === USUAL_WIDTH && depth === USUAL_DEPTH;
  });
  return usual.length > 0 ? usual : names;
}

/** The size in a network's name. @throws ValueError for another name */
export function sizeOf(name: string): NetSize {
  const match = NAME.exec(name);
  if (match) return { width: Number(match[1]), depth: Number(match[2] ?? USUAL_DEPTH) };
  throw new ValueError(`--nets got "${name}", and scenes-w<width>-d<depth>-s<seed> is taken`);
}

/** A network and what its training reported; the caller disposes of the model. */
export async function loadNet(gpu: Gpu, name: string, folder: string = WEIGHTS_FOLDER): Promise<Net> {
  const file = join(folder, `${name}.safetensors`);
  const bytes = await readFile(file).catch((cause) => {
    throw new ValueError(`--nets got "${name}", and ${file} cannot be read: ${cause.message}`, { cause });
  });
  const { model, metadata } = loadModel(gpu, bytes, { name: basename(file) });
  return { name, model, figures: JSON.parse(metadata.figures ?? "{}") };
}

/** The layers that are pruned by default, from the input up, of at most so many inputs. */
export function layersOf({ model }: Net, most = Infinity): string[] {
  return prunableLayers(model)
    .filter(({ layer, byDefault }) => {
      const { shape } = layer.parameters.weight;
      const inputs = shape.length === 4 ? shape[1] * shape[2] * shape[3] : shape[0];
      return byDefault && inputs <= most;
    })
    .map(({ name }) => name);
}
