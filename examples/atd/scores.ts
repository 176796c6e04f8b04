// The scores of a set of images, clean and attacked: the unit of work of the experiment.
import { type Attack, apgd, attack, pgd, scoreLoss } from "handgrad/attacks";
import type { Detector } from "handgrad/atd";
import type { Dataset } from "handgrad/data";
import { imagesOf } from "./detectors.js";
import type { Place } from "./networks.js";

/** Which attacks: the strong one of the tables, or the shorter ones of the curves and of --quick. */
export type Strength = "pgd-50+apgd-25" | "pgd-20";

export interface AttackedScores {
  readonly clean: readonly number[];
  /** The worst score of each image that an attack of it found. */
  readonly attacked: readonly number[];
  readonly nonFinite: number;
  readonly zeroGradient: number;
  readonly seconds: number;
}

export interface AttackOrder {
  /** In images are lowered, out images raised. */
  readonly side: "in" | "out";
  readonly epsilon: number;
  readonly strength: Strength;
}

const BATCH = 250;

function stagesOf({ epsilon, strength, side }: AttackOrder, seed: number): Attack[] {
  const loss = scoreLoss({ direction: side === "in" ? "down" : "up" });
  const common = { epsilon, loss, seed };
  if (strength === "pgd-50+apgd-25") return [pgd({ ...common, steps: 50 }), apgd({ ...common, steps: 25 })];
  return [pgd({ ...common, steps: 20 })];
}

/** Passes through the network that an attack takes of an image: forward and back count as one. */
export function passesOf(strength: Strength): number {
  return { "pgd-50+apgd-25": 77, "pgd-20": 21 }[strength];
}

/** Attacks a set end to end on the detector's own score; the best of all attacks counts for each image. */
export async function attackSet(
  detector: Detector,
  set: Dataset,
  order: AttackOrder,
  { gpu, seed }: Place,
  onProgress?: (share: number) => void,
): Promise<AttackedScores> {
  const start = performance.now();
  const images = imagesOf(set, gpu);
  try {
    const stages = stagesOf(order, seed);
    let stage = 0;
    let name = stages[0].name;
    const result = await attack(detector, images, stages, {
      batch: BATCH,
      onProgress: ({ done, samples, stage: current }) => {
        if (current !== name) [stage, name] = [stage + 1, current];
        onProgress?.((stage + done / samples) / stages.length);
      },
    });
    result.dispose();
    const sign = order.side === "in" ? -1 : 1;
    const scores = (losses: Float32Array): number[] => Array.from(losses, (loss) => sign * loss);
    const { nonFinite, zeroGradient } = result.counts;
    return {
      clean: scores(result.cleanLoss),
      attacked: scores(result.loss),
      nonFinite,
      zeroGradient,
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    images.dispose();
  }
}
