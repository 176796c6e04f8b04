// The third method: the detector that ships, attacked live beside what most people use.
import { join } from "node:path";
import type { Gpu } from "handgrad";
import { runAttack } from "../atd/attack.js";
import { EPSILON } from "../atd/recipes.js";
import type { Section } from "../report/page.js";

/** Networks and test images of the seed that ships. */
const SEED = 1;
const STEPS = 20;
const IMAGES = 40;

export function runAtd(gpu: Gpu): Promise<{ json: unknown; section: Section }> {
  return runAttack(gpu, {
    set: "easy",
    epsilon: EPSILON,
    steps: STEPS,
    images: IMAGES,
    seed: SEED,
    weights: join("weights", "atd"),
  });
}
