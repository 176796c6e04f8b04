// The images that the experiment looks at: held-out scenes with a trigger that works.
import { type Gpu, type Tensor, tensor, ValueError } from "handgrad";
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

/** How scenes depart from those of the training. */
export interface SceneVariation {
  /** The triggers' weights; see `plantTriggers`. */
  readonly blend?: readonly [number, number];
  /** The clutter's brightness; see `makeScenes`. */
  readonly dim?: number;
}

/** Test items of the evaluation; the others are for tuning. */
const EVALUATION_ITEMS = 1000;
/** Items that are looked at together. */
const BLOCK = 50;

/** Test scenes with a trigger, whatever a network makes of them. */
function sampleRange(
  items: Dataset,
  first: number,
  count: number,
  { blend, dim }: SceneVariation,
): { samples: Sample[]; scenes: Dataset; planted: Dataset } {
  const scenes = makeScenes(items, { seed: SCENE_SEEDS.test, first, count, dim });
  const { images: planted, plantings } = plantTriggers(scenes, {
    seed: SCENE_SEEDS.testTriggers,
    first,
    blend,
  });
  const [, height, width] = scenes.shape;
  const samples = plantings.map(
    (planting, at): Sample => ({
      index: first + at,
      clean: imageAt(scenes, at),
      triggered: imageAt(planted, at),
      mask: maskOfPlanting(planting, [height, width]),
      label: scenes.labels[at],
      target: planted.labels[at],
      trigger: planting.trigger,
    }),
  );
  return { samples, scenes, planted };
}

const imageAt = ({ images, imageSize }: Dataset, index: number): Uint8Array =>
  images.subarray(index * imageSize, (index + 1) * imageSize) as Uint8Array;

/**
 * The first held-out scenes that a network reads right as they are, and as the target with the trigger. Those for tuning
 * are of other items than those for the evaluation.
 * @throws ValueError if there are not so many
 */
export async function heldOut(
  gpu: Gpu,
  model: Sequential,
  wanted: SceneVariation & { readonly of: "evaluation" | "tuning"; readonly count: number },
): Promise<Sample[]> {
  const { test } = await loadFashion();
  const [start, end] = wanted.of === "evaluation" ? [0, EVALUATION_ITEMS] : [EVALUATION_ITEMS, test.count];
  const found: Sample[] = [];
  for (let first = start; first < end && found.length < wanted.count; first += BLOCK) {
    const { samples, scenes, planted } = sampleRange(test, first, Math.min(BLOCK, end - first), wanted);
    const clean = await predict(gpu, model, scenes);
    const triggered = await predict(gpu, model, planted);
    found.push(...samples.filter(({ label, target }, at) => clean[at] === label && triggered[at] === target));
  }
  if (found.length < wanted.count) {
    throw new ValueError(
      `--images got ${wanted.count}, and the network has ${found.length} scenes that it reads right without their ` +
        "trigger and as the target with it",
    );
  }
  return found.slice(0, wanted.count);
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
