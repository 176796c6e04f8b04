// The scores of a set of images, clean and attacked: the unit of work of the experiment.
import { type Attack, apgd, attack, pgd, scoreLoss } from "handgrad/attacks";
import type { Detector } from "handgrad/atd";
import type { Dataset } from "handgrad/data";
import { imagesOf } from "./detectors.js";
import type { Place } from "./networks.js";

/** Which attacks: the strong one of the tables, or the shorter ones of the curves and of --quick. */
export type Strength = "pgd-50+apgd-25" | "pgd-50" | "pgd-20";

export interface AttackedScores {
  readonly clean: readonly number[];
  /** The worst score of each image that an attack of it found. */
  readonly attacked: readonly number[];
  /** Images left alone when they had passed every clean image of the other side. */
  readonly passed: number;
  readonly nonFinite: number;
  readonly zeroGradient: number;
  readonly seconds: number;
}

export interface AttackOrder {
  /** In images are lowered, out images raised. */
  readonly side: "in" | "out";
  readonly epsilon: number;
  readonly strength: Strength;
  /**
   * The lowest clean score of all that is out (for in), or the highest of all that is in (for out). An image beyond it has
   * lost against every image of the other side, and an attack on those moves them only further: no AUROC can tell how far
   * it goes, so the attacks after leave it alone.
   */
  readonly threshold: number;
  /** Networks without defenses give way to a short attack; the longer ones then go for what is left. */
  readonly warmUp: boolean;
}

const BATCH = 250;

function stagesOf({ epsilon, strength, threshold, side, warmUp }: AttackOrder, seed: number): Attack[] {
  const loss = scoreLoss({ direction: side === "in" ? "down" : "up", threshold });
  const common = { epsilon, loss, seed };
  const first = warmUp ? [pgd({ ...common, steps: 10 })] : [];
  if (strength === "pgd-50+apgd-25")
    return [...first, apgd({ ...common, steps: 25 }), pgd({ ...common, steps: 50 })];
  return [...first, pgd({ ...common, steps: strength === "pgd-50" ? 50 : 20 })];
}

/** Passes through the network that an attack takes of an image that withstands it: forward and back count as one. */
export function passesOf(strength: Strength): number {
  return { "pgd-50+apgd-25": 77, "pgd-50": 51, "pgd-20": 21 }[strength];
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
    const { success, nonFinite, zeroGradient } = result.counts;
    return {
      clean: scores(result.cleanLoss),
      attacked: scores(result.loss),
      passed: success,
      nonFinite,
      zeroGradient,
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    images.dispose();
  }
}
