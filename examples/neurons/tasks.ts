// Data sets and networks of the neurons' experiments.
import type { Gpu } from "handgrad";
import { type Dataset, loadDna, loadFashion, loadMnist } from "handgrad/data";
import {
  activation,
  batchNorm,
  buildModel,
  conv2d,
  dense,
  flatten,
  type LayerRecord,
  maxPool2d,
  residual,
} from "handgrad/layers";
import { sitesOf } from "handgrad/neurons";

/**
 * Digits, clothes, and DNA: the third is no picture but letters in a row, with another number of classes, shares of classes
 * that differ, and a solution that is known (where splicing happens there are fixed pairs of letters).
 */
export const datasetNames = ["mnist", "fashion", "dna"] as const;
export type DatasetName = (typeof datasetNames)[number];

export const netNames = ["mlp", "conv"] as const;
export type NetName = (typeof netNames)[number];

/** What is learned from and chosen with, and what is only reported. */
export interface Task {
  readonly pool: Dataset;
  readonly test: Dataset;
}

/** Test items where the data set has no split of its own. */
const TEST = { mnist: 2000, dna: 1186 } as const;
/** Of the test items, so that it is the same for everybody. */
const SPLIT_SEED = 0;

/** @param fashionIdx a folder with the four IDX files of the whole Fashion-MNIST, instead of the subset */
export async function loadTask(name: DatasetName, fashionIdx?: string): Promise<Task> {
  if (name === "fashion") {
    const { train, test } = await loadFashion({ idxDirectory: fashionIdx });
    return { pool: train, test };
  }
  const all = name === "mnist" ? await loadMnist() : await loadDna();
  const [pool, test] = all.split([all.count - TEST[name], TEST[name]], {
    seed: SPLIT_SEED,
    stratified: true,
  });
  return { pool, test };
}

/**
 * An MLP with two hidden layers, or convolutions with pooling, batch norm and a skip connection (batch norm and
 * rectifier before the weights, after He et al. 2016, arXiv:1603.05027).
 */
export function netFor(net: NetName, { shape, imageSize, classNames }: Dataset, hidden = 64): LayerRecord[] {
  const classes = classNames.length;
  const relu = activation("relu");
  if (net === "mlp") {
    return [dense(imageSize, hidden), relu, dense(hidden, hidden), relu, dense(hidden, classes)];
  }
  const [channels, height, width] = shape;
  const letters = height === 1;
  const wide = letters ? 16 : 8;
  const units = letters
    ? Math.floor(width / 3)
    : Math.floor(Math.ceil(height / 2) / 2) * Math.floor(Math.ceil(width / 2) / 2);
  const [first, pool, second] = letters
    ? [
        conv2d(channels, wide, [1, 7], { padding: [0, 3] }),
        maxPool2d([1, 3]),
        conv2d(wide, wide, [1, 5], { padding: [0, 2] }),
      ]
    : [
        conv2d(channels, wide, 5, { stride: 2, padding: 2 }),
        maxPool2d(2),
        conv2d(wide, wide, 3, { padding: 1 }),
      ];
  const body = [batchNorm(wide), relu, second];
  return [first, pool, residual(body), batchNorm(wide), relu, flatten(), dense(wide * units, classes)];
}

/** Floating-point operations of training on one item: the products of all layers, forward, and twice on the way back. */
export function workOf(gpu: Gpu, records: readonly LayerRecord[], { shape, imageSize }: Dataset): number {
  const model = buildModel(gpu, records);
  const inputShape = records[0].kind === "dense" ? [1, imageSize] : [1, ...shape];
  const products = sitesOf(model, inputShape).map(({ layer, weights, inputShape: read }, index) => {
    const [, , ...positions] = layer.outputShape(read);
    // The lowest layer pays nobody.
    return (index === 0 ? 4 : 6) * weights.size * positions.reduce((product, size) => product * size, 1);
  });
  model.dispose();
  return products.reduce((sum, product) => sum + product, 0);
}
