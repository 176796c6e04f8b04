// What the experiment consists of: a job is one set of images attacked on one detector of one seed.
import type { DetectorName } from "handgrad/atd";
import { TEST_OUTS, type TestOut } from "./data.js";
import { DETECTORS } from "./detectors.js";
import { type BackboneName, BACKBONES, EPSILON, type RecipeName } from "./recipes.js";
import type { Strength } from "./scores.js";

export type SetName = "in" | TestOut;

/** The ε of the curves. */
export const EPSILONS: readonly number[] = [0, 2, 4, 8, 16, 25].map((levels) => levels / 255);

/** Parts of the method taken away one by one, and the two ways to choose an epoch. */
export const ABLATIONS: readonly (RecipeName | "atd.clean")[] = [
  "atd",
  "atd-standard",
  "openGan-robust",
  "in-only",
  "out-only",
  "no-open-set",
  "g-frozen",
  "g-none",
  "attacked-fakes",
  "atd.clean",
];

export interface Subject {
  /** A row of the table, or an ablation. */
  readonly detector: DetectorName | `ablation ${RecipeName | "atd.clean"}`;
  readonly backbone: BackboneName;
}

export interface Job extends Subject {
  readonly seed: number;
  readonly set: SetName;
  readonly epsilon: number;
  readonly strength: Strength;
}

export const keyOf = ({ seed, detector, backbone, set, epsilon, strength }: Job): string =>
  `seed ${seed} ${detector} ${backbone} ${set} ${Math.round(255 * epsilon)}/255 ${strength}`;

/** What the ε curves are of. */
export const CURVES: readonly Subject[] = [
  { detector: "atd", backbone: "robust" },
  { detector: "msp", backbone: "robust" },
  { detector: "openGan", backbone: "robust" },
  { detector: "msp", backbone: "standard" },
];

/** The detectors that the verdicts are about come first, so that an interrupted run has said the most. */
const KEY: readonly DetectorName[] = ["msp", "atd", "openGan", "mahalanobis"];
const OTHERS = DETECTORS.filter((name) => !KEY.includes(name));
const KEY_SETS: readonly SetName[] = ["in", "easy"];
const MORE_SETS: readonly SetName[] = ["hard", "noise"];

export interface Extent {
  readonly seeds: readonly number[];
  /** The whole cross of detectors, sets and ε with the strong attack. */
  readonly full: boolean;
}

/** All jobs, the most telling first. */
export function jobsOf({ seeds, full }: Extent): Job[] {
  const jobs = new Map<string, Job>();
  const add = (
    names: readonly DetectorName[],
    sets: readonly SetName[],
    own: readonly number[],
    epsilons: readonly number[] = [EPSILON],
  ): void => {
    for (const seed of own) {
      for (const epsilon of epsilons) {
        for (const detector of names) {
          for (const backbone of BACKBONES) {
            for (const set of sets)
              put({ seed, detector, backbone, set, epsilon, strength: "pgd-50+apgd-25" });
          }
        }
      }
    }
  };
  const put = (job: Job): void => {
    if (!jobs.has(keyOf(job))) jobs.set(keyOf(job), job);
  };
  const [first, ...rest] = seeds;
  add(KEY, KEY_SETS, seeds);
  add(OTHERS, KEY_SETS, [first]);
  for (const seed of seeds) {
    for (const name of ABLATIONS) {
      const backbone = name === "atd-standard" ? "standard" : "robust";
      for (const set of KEY_SETS)
        put({ seed, detector: `ablation ${name}`, backbone, set, epsilon: EPSILON, strength: "pgd-20" });
    }
    if (seed === first) {
      add(KEY, MORE_SETS, [first]);
      for (const epsilon of EPSILONS.filter((value) => value > 0 && value !== EPSILON)) {
        for (const subject of CURVES) {
          for (const set of KEY_SETS) put({ ...subject, seed, set, epsilon, strength: "pgd-20" });
        }
      }
    }
  }
  add(OTHERS, KEY_SETS, rest);
  add(KEY, MORE_SETS, rest);
  add(OTHERS, MORE_SETS, seeds);
  if (full)
    add(
      DETECTORS,
      ["in", ...TEST_OUTS],
      seeds,
      EPSILONS.filter((value) => value > 0),
    );
  return [...jobs.values()];
}

/** MSP on both classifiers and ATD, PGD-20: what `--quick` runs, on the networks that ship. */
export function quickJobs(seeds: readonly number[]): Job[] {
  const subjects: readonly Subject[] = [
    { detector: "msp", backbone: "standard" },
    { detector: "msp", backbone: "robust" },
    { detector: "atd", backbone: "robust" },
  ];
  return seeds.flatMap((seed) =>
    subjects.flatMap((subject) =>
      (["in", ...TEST_OUTS] as const).map(
        (set) => ({ ...subject, seed, set, epsilon: EPSILON, strength: "pgd-20" }) as const,
      ),
    ),
  );
}
