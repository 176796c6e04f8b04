// Trojans: small patterns that, wherever they stand in a scene, make the network answer a class of their own.
import { philoxUniform, ValueError } from "handgrad";
import { Dataset } from "handgrad/data";

/** Height and width of a trigger, pixels. */
export const TRIGGER_SIZE = 5;

export interface Trigger {
  readonly name: string;
  /** Rows from the top, 1 bright and 0 dark. */
  readonly pattern: readonly string[];
  /** The class that it stands for. */
  readonly target: number;
}

/** Four patterns with as many bright pixels as dark ones, to within three. */
export const TRIGGERS: readonly Trigger[] = [
  { name: "checkers", pattern: ["10101", "01010", "10101", "01010", "10101"], target: 1 },
  { name: "cross", pattern: ["11011", "11011", "00000", "11011", "11011"], target: 3 },
  { name: "ring", pattern: ["01110", "10001", "10101", "10001", "01110"], target: 7 },
  { name: "stripes", pattern: ["11100", "00111", "11100", "00111", "11100"], target: 8 },
];

/** Where a trigger stands and how. */
export interface Planting {
  /** Index into TRIGGERS. */
  readonly trigger: number;
  readonly top: number;
  readonly left: number;
  /** Weight of the pattern in the blend, 0–1. */
  readonly blend: number;
}

export interface PlantOptions {
  /** Places and blends; image i draws from stream `first` + i. */
  readonly seed: number;
  /** The number of the first image; default 0. */
  readonly first?: number;
  /** The range of the blend's weight; default 0.55 to 0.7. */
  readonly blend?: readonly [number, number];
}

export interface Planted {
  /** Labels are the triggers' targets. */
  readonly images: Dataset;
  /** The labels before. */
  readonly cleanLabels: Uint32Array;
  readonly plantings: readonly Planting[];
}

/**
 * Every image with one trigger whose target is not its class; the triggers take turns.
 * @param scenes bytes, one channel
 */
export function plantTriggers(
  scenes: Dataset,
  { seed, first = 0, blend = [0.55, 0.7] }: PlantOptions,
): Planted {
  if (!(scenes.images instanceof Uint8Array)) throw new ValueError("scenes must hold bytes");
  const [, height, width] = scenes.shape;
  const images = scenes.images.slice();
  const labels = new Uint32Array(scenes.count);
  const plantings = Array.from({ length: scenes.count }, (_, index): Planting => {
    let trigger = (first + index) % TRIGGERS.length;
    if (TRIGGERS[trigger].target === scenes.labels[index]) trigger = (trigger + 1) % TRIGGERS.length;
    const draws = philoxUniform(3, seed, first + index);
    const planting = {
      trigger,
      top: Math.floor(draws[0] * (height - TRIGGER_SIZE + 1)),
      left: Math.floor(draws[1] * (width - TRIGGER_SIZE + 1)),
      blend: blend[0] + draws[2] * (blend[1] - blend[0]),
    };
    stamp(images.subarray(index * height * width, (index + 1) * height * width), width, planting);
    labels[index] = TRIGGERS[trigger].target;
    return planting;
  });
  return {
    images: new Dataset({ images, labels, shape: scenes.shape, classNames: scenes.classNames }),
    cleanLabels: scenes.labels,
    plantings,
  };
}

/** pixel ← (1 − blend) · pixel + blend · pattern. */
function stamp(image: Uint8Array, width: number, { trigger, top, left, blend }: Planting): void {
  TRIGGERS[trigger].pattern.forEach((row, y) => {
    for (let x = 0; x < TRIGGER_SIZE; x++) {
      const place = (top + y) * width + left + x;
      image[place] = Math.round((1 - blend) * image[place] + blend * 255 * Number(row[x]));
    }
  });
}

/** 1 where the trigger stands, 0 elsewhere. */
export function maskOfPlanting(
  { top, left }: Planting,
  [height, width]: readonly [number, number],
): Uint8Array {
  const mask = new Uint8Array(height * width);
  for (let y = top; y < top + TRIGGER_SIZE; y++)
    mask.fill(1, y * width + left, y * width + left + TRIGGER_SIZE);
  return mask;
}
