/** Validation AUROC of a detector, on clean images and with both sides attacked. */
import { scoreLoss } from "../attacks/losses.js";
import { pgd } from "../attacks/pgd.js";
import { attack } from "../attacks/run.js";
import { auroc } from "../metrics/index.js";
import type { Tensor } from "../tensor.js";
import type { Detector } from "./detector.js";

export interface ValidationAuroc {
  /** From 0 to 1; in-distribution images are the positives. */
  readonly clean: number;
  /** The same with PGD against both sides. */
  readonly attacked: number;
}

/** @param how the attack: that of the training, from other starts */
export async function validate(
  detector: Detector,
  inside: Tensor,
  outside: Tensor,
  { epsilon, attackSteps, seed }: { epsilon: number; attackSteps: number; seed: number },
): Promise<ValidationAuroc> {
  const how = (direction: "up" | "down") =>
    pgd({ epsilon, steps: attackSteps, loss: scoreLoss({ direction }), seed: seed + 1 });
  const sides = [];
  for (const [x, direction] of [
    [inside, "down"],
    [outside, "up"],
  ] as const) {
    const result = await attack(detector, x, how(direction), { batch: 250 });
    const sign = direction === "up" ? 1 : -1;
    const scores = (losses: Float32Array): number[] => Array.from(losses, (loss) => sign * loss);
    sides.push({ clean: scores(result.cleanLoss), attacked: scores(result.loss) });
    result.dispose();
  }
  const [inScores, outScores] = sides;
  const labels = [...inScores.clean.map(() => 1), ...outScores.clean.map(() => 0)];
  const area = (kind: "clean" | "attacked"): number => auroc([...inScores[kind], ...outScores[kind]], labels);
  return { clean: area("clean"), attacked: area("attacked") };
}
