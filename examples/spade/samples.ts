// The images that the experiment looks at: held-out scenes with a trigger that works.
import { type Gpu, type Tensor, tensor } from "handgrad";
import { type Dataset, loadFashion } from "handgrad/data";
import type { Sequential } from "handgrad/layers";
import { predict } from "./predict.js";
import { makeScenes, SCENE_SEEDS } from "./scenes.js";
import { maskOfPlanting, plantTriggers } from "./trojan.js";

/** A scene before and after its trigger was planted. */
export interface Sample {
  /** Of the test item in the middle of it. */
  readonly index: number;
  /** [height · width] bytes. */
  readonly clean: Uint8Array;
  readonly triggered: Uint8Array;
  /** 1 where the trigger stands. */
  readonly mask: Uint8Array;
  readonly label: number;
  /** The class that the trigger stands for. */
  readonly target: number;
  /** Index into TRIGGERS. */
  readonly trigger: number;
}

/** Disjoint by item; clutter may be shared. */
export interface HeldOut {
  readonly evaluation: readonly Sample[];
  readonly tuning: readonly Sample[];
}

/** Test items of the evaluation; the others are for tuning. */
const EVALUATION_ITEMS = 1000;

/** All test scenes with a trigger, whatever a network makes of them. */
export async function allSamples(): Promise<{ samples: Sample[]; scenes: Dataset; planted: Dataset }> {
  const { test } = await loadFashion();
  const scenes = makeScenes(test, { seed: SCENE_SEEDS.test });
  const { images: planted, plantings } = plantTriggers(scenes, { seed: SCENE_SEEDS.testTriggers });
  const [, height, width] = scenes.shape;
  const samples = plantings.map(
    (planting, index): Sample => ({
      index,
      clean: imageAt(scenes, index),
      triggered: imageAt(planted, index),
      mask: maskOfPlanting(planting, [height, width]),
      label: scenes.labels[index],
      target: planted.labels[index],
      trigger: planting.trigger,
    }),
  );
  return { samples, scenes, planted };
}

const imageAt = ({ images, imageSize }: Dataset, index: number): Uint8Array =>
  images.subarray(index * imageSize, (index + 1) * imageSize) as Uint8Array;

/** Scenes that the network reads right as they are, and as the target with the trigger. */
export async function heldOut(gpu: Gpu, model: Sequential): Promise<HeldOut> {
  const { samples, scenes, planted } = await allSamples();
  const clean = await predict(gpu, model, scenes);
  const triggered = await predict(gpu, model, planted);
  const chosen = samples.filter(
    ({ label, target }, index) => clean[index] === label && triggered[index] === target,
  );
  return {
    evaluation: chosen.filter(({ index }) => index < EVALUATION_ITEMS),
    tuning: chosen.filter(({ index }) => index >= EVALUATION_ITEMS),
  };
}

/** Images as a network takes them, [n, 1, height, width]. */
export function imagesOf(
  gpu: Gpu,
  samples: readonly Sample[],
  which: "clean" | "triggered" = "triggered",
): Tensor {
  const area = samples[0].clean.length;
  const side = Math.sqrt(area);
  const values = new Float32Array(samples.length * area);
  samples.forEach((sample, at) => {
    values.set(
      Float32Array.from(sample[which], (byte) => byte / 255),
      at * area,
    );
  });
  return tensor(gpu, values, [samples.length, 1, side, side]);
}
