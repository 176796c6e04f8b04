// What is trained, and with which numbers: two classifiers a seed, and the discriminators on top of them.
import type { AtdOptions, ClassifierTrainerOptions } from "handgrad/atd";

/** The ε of training and of the headline, in pixel units. */
export const EPSILON = 16 / 255;

/** Trained plainly, or adversarially. */
export type BackboneName = "standard" | "robust";
export const BACKBONES: readonly BackboneName[] = ["standard", "robust"];

export const CLASSIFIER_EPOCHS = 4;

export function classifierRecipe(backbone: BackboneName, seed: number): ClassifierTrainerOptions {
  return {
    epsilon: backbone === "robust" ? EPSILON : 0,
    attackSteps: 5,
    epochs: CLASSIFIER_EPOCHS,
    batchSize: 128,
    learningRate: 0.002,
    seed,
  };
}

export interface DiscriminatorRecipe {
  readonly backbone: BackboneName;
  readonly title: string;
  readonly options: Partial<AtdOptions>;
}

/** By name; the first is the method, "openGan-…" are baselines, the others take one part of the method away. */
export const RECIPES = {
  atd: { backbone: "robust", title: "ATD, G trained", options: {} },
  "openGan-standard": {
    backbone: "standard",
    title: "clean F, D trained without attacks",
    options: { attacked: "none" },
  },
  "openGan-robust": {
    backbone: "robust",
    title: "robust F, D trained without attacks",
    options: { attacked: "none" },
  },
  "atd-standard": { backbone: "standard", title: "clean F, D trained with attacks", options: {} },
  "g-frozen": { backbone: "robust", title: "G frozen (the released code)", options: { generator: "frozen" } },
  "g-none": { backbone: "robust", title: "no G", options: { generator: "none" } },
  "no-open-set": { backbone: "robust", title: "no open set", options: { openSet: false } },
  "in-only": { backbone: "robust", title: "only in attacked in training", options: { attacked: "in" } },
  "out-only": { backbone: "robust", title: "only out attacked in training", options: { attacked: "out" } },
  "attacked-fakes": { backbone: "robust", title: "fakes attacked, too", options: { attackFakes: true } },
} as const satisfies Record<string, DiscriminatorRecipe>;

export type RecipeName = keyof typeof RECIPES;
export const RECIPE_NAMES = Object.keys(RECIPES) as RecipeName[];

/** So many training images, and as many collages, are what a discriminator is trained on. */
export const DISCRIMINATOR_IMAGES = 4096;

export function discriminatorRecipe(name: RecipeName, seed: number): AtdOptions {
  return {
    epsilon: EPSILON,
    attackSteps: 5,
    epochs: 3,
    batchSize: 64,
    learningRate: 0.002,
    seed,
    ...RECIPES[name].options,
  };
}
