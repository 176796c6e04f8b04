// The second claim: a trojaned class has two causes, its items and its trigger; what excites the class in the trace of a
// sample is the cause of that sample.
import { type Gpu, type Tensor, tensor } from "handgrad";
import { visualize } from "handgrad/explain";
import { Sequential } from "handgrad/layers";
import { type Ratios, tracesOf } from "handgrad/spade";
import type { Copies } from "./chunk.js";
import { imagesOf, type Sample } from "./samples.js";
import { TRIGGER_SIZE, TRIGGERS } from "./trojan.js";

/** Which network the class was visualized in. */
export type Look = "dense" | "trace of a triggered sample" | "trace of a clean sample";

export interface Visualization {
  readonly trigger: number;
  readonly look: Look;
  /** The sample whose trace it is. */
  readonly image?: number;
  /** [height · width], 0–1. */
  readonly pixels: Float32Array;
  /** The largest correlation of any window with the trigger's pattern, -1 to 1. */
  readonly patternCorrelation: number;
  /** Cosine of the dense network's features with the mean of triggered scenes, less that with the class's clean ones. */
  readonly towardTrigger: number;
}

export interface CausesOptions {
  readonly ratios: Ratios;
  readonly copies: Copies;
  /** Visualizations of each kind and trigger. */
  readonly each: number;
  readonly steps: number;
  readonly seed: number;
  onProgress?(done: number, of: number): void;
}

/** Triggers are a few pixels, upright: turning and scaling would blur them. */
const TRANSFORMS = { jitter: 4, scale: 0, rotate: 0 } as const;
/** Scenes whose features make a cause's mean. */
const FEATURE_SCENES = 40;

/** Visualizes every trojaned class in the dense network, and in traces of triggered samples and of clean ones. */
export async function visualizeCauses(
  gpu: Gpu,
  model: Sequential,
  samples: readonly Sample[],
  { ratios, copies, each, steps, seed, onProgress }: CausesOptions,
): Promise<Visualization[]> {
  const found: Visualization[] = [];
  const of = TRIGGERS.length * 3 * each;
  const side = Math.sqrt(samples[0].clean.length);
  for (const [trigger, { target }] of TRIGGERS.entries()) {
    const triggered = samples.filter((sample) => sample.trigger === trigger);
    const clean = samples.filter((sample) => sample.label === target);
    const causes = [
      await meanFeatures(gpu, model, triggered.slice(0, FEATURE_SCENES), "triggered"),
      await meanFeatures(gpu, model, clean.slice(0, FEATURE_SCENES), "clean"),
    ];
    const looks: readonly [Look, readonly Sample[], "clean" | "triggered"][] = [
      ["dense", [], "clean"],
      ["trace of a triggered sample", triggered.slice(0, each), "triggered"],
      ["trace of a clean sample", clean.slice(0, each), "clean"],
    ];
    for (const [look, chosen, which] of looks) {
      const images = chosen.length > 0 ? imagesOf(gpu, chosen, which) : undefined;
      const traces = images
        ? await tracesOf(model, images, { ...copies, ratios, seed, target: chosen.map(() => target) })
        : [];
      for (let at = 0; at < (images ? chosen.length : each); at++) {
        const looked = traces[at]?.model ?? model;
        const options = { shape: [1, side, side], target, steps, seed: seed + at, transforms: TRANSFORMS };
        const picture = await visualize(looked, options);
        const pixels = Float32Array.from(await picture.data());
        picture.dispose();
        const [features] = await featuresOf(gpu, model, [pixels], side);
        found.push({
          trigger,
          look,
          ...(images ? { image: chosen[at].index } : {}),
          pixels,
          patternCorrelation: patternCorrelation(pixels, side, trigger),
          towardTrigger: cosine(features, causes[0]) - cosine(features, causes[1]),
        });
        onProgress?.(found.length, of);
      }
      for (const trace of traces) trace.dispose();
      images?.dispose();
    }
  }
  return found;
}

/** The largest Pearson correlation of the pattern with a window of the picture. */
export function patternCorrelation(pixels: ArrayLike<number>, side: number, trigger: number): number {
  const pattern = TRIGGERS[trigger].pattern.flatMap((row) => [...row].map(Number));
  let best = -1;
  for (let top = 0; top + TRIGGER_SIZE <= side; top++) {
    for (let left = 0; left + TRIGGER_SIZE <= side; left++) {
      const window = pattern.map((_, at) => {
        const [y, x] = [top + Math.floor(at / TRIGGER_SIZE), left + (at % TRIGGER_SIZE)];
        return pixels[y * side + x];
      });
      best = Math.max(best, correlation(window, pattern));
    }
  }
  return best;
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const center = (values: readonly number[]): number[] => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - mean);
  };
  return cosine(center(a), center(b));
}

/** 0 where one of them is 0. */
function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] ** 2;
    bb += b[i] ** 2;
  }
  return aa * bb > 0 ? dot / Math.sqrt(aa * bb) : 0;
}

async function meanFeatures(
  gpu: Gpu,
  model: Sequential,
  samples: readonly Sample[],
  which: "clean" | "triggered",
): Promise<Float32Array> {
  const side = Math.sqrt(samples[0].clean.length);
  const pictures = samples.map((sample) => Float32Array.from(sample[which], (byte) => byte / 255));
  const rows = await featuresOf(gpu, model, pictures, side);
  return rows[0].map((_, at) => rows.reduce((sum, row) => sum + row[at], 0) / rows.length);
}

/** What the last layer reads, an array an image. */
async function featuresOf(
  gpu: Gpu,
  model: Sequential,
  pictures: readonly Float32Array[],
  side: number,
): Promise<Float32Array[]> {
  const values = new Float32Array(pictures.length * side * side);
  for (const [at, picture] of pictures.entries()) values.set(picture, at * side * side);
  const x: Tensor = tensor(gpu, values, [pictures.length, 1, side, side]);
  // The layers stay the model's own; this Sequential is never disposed of.
  const body = new Sequential(model.layers.slice(0, -1));
  const features = gpu.scope(() => body.forward(x).y);
  const all = (await features.data()) as Float32Array;
  x.dispose();
  features.dispose();
  const size = all.length / pictures.length;
  return pictures.map((_, at) => all.slice(at * size, (at + 1) * size));
}
