/** What the training of the discriminator takes, and what it is checked for. */
import { ValueError } from "../gpu/errors.js";

/**
 * What becomes of the generator: it learns; it stays as it was drawn, only its running statistics move (what
 * the released reference code does); or there is none.
 */
export type GeneratorMode = "trained" | "frozen" | "none";

/** Which real images are attacked in a training step. */
export type AttackedSides = "both" | "in" | "out" | "none";

/** Which epoch is kept: the one with the best validation AUROC of clean or of attacked images, or the last. */
export type Selection = "clean" | "attacked" | "last";

export interface AtdOptions {
  /** L∞ radius of the attack in training and validation, in pixel units. */
  readonly epsilon: number;
  /** Steps of the attack, each of 2.5 ε / steps; default 10. */
  readonly attackSteps?: number;
  /** Default "both". */
  readonly attacked?: AttackedSides;
  /** Weight of the open set; the fakes have 1 - alpha. From 0 to 1; default 0.5. */
  readonly alpha?: number;
  /** Default "trained". */
  readonly generator?: GeneratorMode;
  /**
   * Attack the fakes, too, which the method leaves out. Their ball in feature space is as large as what the
   * attack moves the features of real images by, on average; on pixels it is that of the images. Default false.
   */
  readonly attackFakes?: boolean;
  /** Train on an open set beside the fakes; default true. */
  readonly openSet?: boolean;
  /** Passes over the in-distribution images; default 3. */
  readonly epochs?: number;
  /** Default 128: so many images of each kind a step. */
  readonly batchSize?: number;
  /** Adam's rate for G; D's is this by 1.5. Default 0.001. */
  readonly learningRate?: number;
  /** Of the order of batches, z and the attack's starts; default 0. */
  readonly seed?: number;
}

export type AtdSettings = Required<AtdOptions>;

const CHOICES = {
  attacked: ["both", "in", "out", "none"],
  generator: ["trained", "frozen", "none"],
} as const;

/** All options with their defaults. @throws ValueError for one out of range */
export function settingsOf(options: AtdOptions): AtdSettings {
  const settings: AtdSettings = {
    attackSteps: 10,
    attacked: "both",
    alpha: 0.5,
    generator: "trained",
    attackFakes: false,
    openSet: true,
    epochs: 3,
    batchSize: 128,
    learningRate: 0.001,
    seed: 0,
    ...options,
  };
  for (const name of ["attacked", "generator"] as const) {
    const known: readonly string[] = CHOICES[name];
    if (!known.includes(settings[name]))
      throw new ValueError(
        `AtdTrainer: ${name} is ${settings[name]}, and one of ${known.join(", ")} is taken`,
      );
  }
  for (const name of ["attackSteps", "epochs", "batchSize"] as const) {
    if (!(Number.isInteger(settings[name]) && settings[name] >= 1))
      throw new ValueError(`AtdTrainer: ${name} is ${settings[name]}, and a whole number from 1 is taken`);
  }
  for (const name of ["epsilon", "alpha"] as const) {
    if (!(settings[name] >= 0 && settings[name] <= 1))
      throw new ValueError(`AtdTrainer: ${name} is ${settings[name]}, and a number from 0 to 1 is taken`);
  }
  if (!(settings.learningRate > 0 && settings.learningRate < Infinity))
    throw new ValueError(
      `AtdTrainer: learningRate is ${settings.learningRate}, and a finite number above 0 is taken`,
    );
  if (settings.generator === "none" && !settings.openSet)
    throw new ValueError(
      `AtdTrainer: generator is none and openSet false, and D needs something that is out`,
    );
  if (settings.generator === "none" && settings.attackFakes)
    throw new ValueError(`AtdTrainer: attackFakes is true and generator none; there are no fakes to attack`);
  return settings;
}
