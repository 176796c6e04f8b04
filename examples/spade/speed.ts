// `npm run spade -- speed`: how long a trace takes, beside the time that its arithmetic takes at this library's own matmul rate.
import { type Gpu, matmul, randomNormal, randomUniform, slice, type Tensor } from "handgrad";
import {
  activation,
  buildModel,
  Conv2d,
  conv2d,
  Dense,
  dense,
  flatten,
  type LayerRecord,
  maxPool2d,
  type Sequential,
} from "handgrad/layers";
import { type PrunableLayer, prunableLayers, type Ratios, traceOf, tracesOf } from "handgrad/spade";
import { startProgress } from "../start/progress.js";
import { printTable } from "../start/table.js";
import { loadNet, usualNets } from "./nets.js";
import { COPIES } from "./plan.js";
import { readTuned } from "./tuned.js";

/** A row of speed.json: augmentation, pass, Hessians, factors and solve of all layers, end to end. */
export interface SpeedRow {
  readonly what: string;
  /** Augmented copies of each image. */
  readonly samples: number;
  /** Median over the rounds, of all traces together; the least and the most. */
  readonly seconds: number;
  readonly range: readonly [number, number];
  /**
   * Of the method as it is written, a multiply-add as two: the pass over all copies, the upper halves of the Hessians as
   * matrix products, factor, inverse and factor of each, and the updates of the weights.
   */
  readonly gflop: number;
  /** `gflop` at the rate of 512³ products that were timed right before and behind the traces; the median. */
  readonly secondsAtMatmulRate: number;
  /** Of both, round by round; the median. */
  readonly timesAsProducts: number;
}

export interface Speed {
  readonly adapter: string;
  /** GFLOP/s of the 512³ products, the median. */
  readonly matmulRate: number;
  readonly rows: readonly SpeedRow[];
  /** Seconds of the traces one by one over those of the same traces as one batch, round by round; the median. */
  readonly batchGain: number;
}

interface Job {
  readonly what: string;
  readonly samples: number;
  readonly flop: number;
  run(): Promise<void>;
}

const ROUNDS = { usual: 7, quick: 1 };
const TOGETHER = { usual: 16, quick: 2 };
const PRODUCT = 512;
/** One after the other with one wait, so that what a wait costs does not count. */
const PRODUCTS = 4;

/** A small classifier of 28 × 28 pixels: 1-16-32-64 convolutions, each pooled, and dense layers 576-64-10. */
const SMALL: readonly LayerRecord[] = [
  conv2d(1, 16, 3, { padding: 1 }),
  activation("relu"),
  maxPool2d(2),
  conv2d(16, 32, 3, { padding: 1 }),
  activation("relu"),
  maxPool2d(2),
  conv2d(32, 64, 3, { padding: 1 }),
  activation("relu"),
  maxPool2d(2),
  flatten(),
  dense(576, 64),
  activation("relu"),
  dense(64, 10),
];
const UNIFORM = 0.8;

/** Times all jobs in every round, so that a machine that slows down slows all alike. */
export async function runSpeed(gpu: Gpu, { quick }: { readonly quick: boolean }): Promise<Speed> {
  const kind = quick ? "quick" : "usual";
  const [name] = await usualNets();
  const { model: shipped } = await loadNet(gpu, name);
  const { one: tuned } = await readTuned(name);
  const small = buildModel(gpu, SMALL, { seed: 1 });
  const many = TOGETHER[kind];
  const images = randomUniform(gpu, [many, 1, 28, 28], { seed: 1 });
  const apart = Array.from({ length: many }, (_, i) => slice(images, [i, 0, 0, 0], [i + 1, 1, 28, 28]));
  const scene = randomUniform(gpu, [1, 1, 40, 40], { seed: 2 });
  const factor = randomNormal(gpu, [PRODUCT, PRODUCT], { seed: 3 });
  const trace = async (model: Sequential, x: Tensor, ratios: Ratios, samples: number): Promise<void> =>
    (await traceOf(model, x, { ...COPIES, ratios, samples })).dispose();
  const { samples: usual } = COPIES;
  const manyFlop = many * traceFlop(small, { image: images.shape, samples: usual, ratios: UNIFORM });
  const jobs: readonly Job[] = [
    {
      what: "small network",
      samples: 256,
      flop: traceFlop(small, { image: images.shape, samples: 256, ratios: UNIFORM }),
      run: () => trace(small, apart[0], UNIFORM, 256),
    },
    {
      what: `${name}, tuned ratios`,
      samples: usual,
      flop: traceFlop(shipped, { image: scene.shape, samples: usual, ratios: tuned }),
      run: () => trace(shipped, scene, tuned, usual),
    },
    {
      what: `small network, ${many} images one by one`,
      samples: usual,
      flop: manyFlop,
      run: async () => {
        for (const image of apart) await trace(small, image, UNIFORM, usual);
      },
    },
    {
      what: `small network, ${many} images as one batch`,
      samples: usual,
      flop: manyFlop,
      run: async () => {
        for (const one of await tracesOf(small, images, { ...COPIES, ratios: UNIFORM })) one.dispose();
      },
    },
  ];
  try {
    const { times, products } = await timeRounds(jobs, () => multiply(gpu, factor), ROUNDS[kind]);
    const productFlop = PRODUCTS * 2 * PRODUCT ** 3;
    const rows = jobs.map(({ what, samples, flop }, job): SpeedRow => {
      const atMatmulRate = products[job].map((seconds) => (seconds * flop) / productFlop);
      return {
        what,
        samples,
        seconds: median(times[job]),
        range: [Math.min(...times[job]), Math.max(...times[job])],
        gflop: flop / 1e9,
        secondsAtMatmulRate: median(atMatmulRate),
        timesAsProducts: median(times[job].map((seconds, round) => seconds / atMatmulRate[round])),
      };
    });
    const matmulRate = productFlop / median(products.flat()) / 1e9;
    const [, , oneByOne, batch] = times;
    const batchGain = median(oneByOne.map((seconds, round) => seconds / batch[round]));
    return { adapter: gpu.info.description, matmulRate, rows, batchGain };
  } finally {
    for (const held of [shipped, small, images, scene, factor, ...apart]) held.dispose();
  }
}

/**
 * Seconds of jobs and of products by job and round: the mean of those right before and right behind the job, as a machine
 * that slows down slows both. A round before the first compiles, and does not count.
 */
async function timeRounds(jobs: readonly Job[], product: () => Promise<void>, rounds: number) {
  const times: number[][] = jobs.map(() => []);
  const products: number[][] = jobs.map(() => []);
  const progress = startProgress("traces");
  try {
    for (let round = 0; round <= rounds; round++) {
      let before = await secondsOf(product);
      for (const [at, job] of jobs.entries()) {
        const own = await secondsOf(job.run);
        const behind = await secondsOf(product);
        if (round > 0) {
          times[at].push(own);
          products[at].push((before + behind) / 2);
        }
        before = behind;
        progress.update((round + (at + 1) / jobs.length) / (rounds + 1), job.what);
      }
    }
  } finally {
    progress.stop();
  }
  return { times, products };
}

async function secondsOf(run: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
}

async function multiply(gpu: Gpu, factor: Tensor): Promise<void> {
  gpu.scope(() => {
    for (let i = 0; i < PRODUCTS; i++) matmul(factor, factor);
  });
  await gpu.finish();
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The layers that `traceOf` prunes. */
function prunedLayers(model: Sequential, ratios: Ratios): Set<unknown> {
  const isPruned = ({ name, byDefault }: PrunableLayer): boolean =>
    typeof ratios === "number" ? byDefault : Boolean(ratios[name]);
  return new Set(
    prunableLayers(model)
      .filter(isPruned)
      .map(({ layer }) => layer),
  );
}

interface TraceSize {
  readonly image: readonly number[];
  readonly samples: number;
  readonly ratios: Ratios;
}

/**
 * Of one image's trace: 2 a weight and position of a copy for the pass; for each pruned layer of d inputs an output d² a
 * position of a copy for the upper half of the Hessian, 4/3 d³ for its chain of factors, and d² an output for the updates.
 */
function traceFlop(model: Sequential, { image: [, ...shape], samples, ratios }: TraceSize): number {
  const pruned = prunedLayers(model, ratios);
  let [aCopy, once, at]: [number, number, readonly number[]] = [0, 0, [1, ...shape]];
  for (const layer of model.layers) {
    const out = layer.outputShape(at);
    if (layer instanceof Conv2d || layer instanceof Dense) {
      const { weight } = layer.parameters;
      const positions = out.slice(2).reduce((product, size) => product * size, 1);
      const inputs = weight.size / (layer instanceof Conv2d ? weight.shape[0] : weight.shape[1]);
      aCopy += positions * (2 * weight.size + (pruned.has(layer) ? inputs ** 2 : 0));
      if (pruned.has(layer)) once += (4 / 3) * inputs ** 3 + inputs * weight.size;
    }
    at = out;
  }
  return samples * aCopy + once;
}

export function printSpeed({ rows, matmulRate, batchGain }: Speed): void {
  printTable(
    ["trace", "copies", "seconds", "least to most", "GFLOP", "× their time as products"],
    rows.map(({ what, samples, seconds, range, gflop, timesAsProducts }) => [
      what,
      String(samples),
      seconds.toFixed(3),
      range.map((value) => value.toFixed(3)).join(" to "),
      gflop.toFixed(2),
      timesAsProducts.toFixed(2),
    ]),
  );
  console.log(
    `\n512³ products: ${matmulRate.toFixed(1)} GFLOP/s; one by one takes ${batchGain.toFixed(2)} times as long as the batch`,
  );
}
