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
  { detector: "mahalanobis", backbone: "robust" },
  { detector: "knn", backbone: "robust" },
  { detector: "openGan", backbone: "robust" },
  { detector: "msp", backbone: "standard" },
];

/** What the verdicts are about comes first, so that an interrupted run has said the most. */
const KEY: readonly Subject[] = [
  { detector: "atd", backbone: "robust" },
  { detector: "msp", backbone: "standard" },
  { detector: "msp", backbone: "robust" },
  { detector: "openGan", backbone: "standard" },
  { detector: "openGan", backbone: "robust" },
  { detector: "mahalanobis", backbone: "standard" },
  { detector: "mahalanobis", backbone: "robust" },
];
const ALL: readonly Subject[] = DETECTORS.flatMap((detector) =>
  BACKBONES.map((backbone) => ({ detector, backbone })),
);
/** Of which some are above chance at the headline's ε: is there a larger one from which they are not? */
const ROBUST: readonly Subject[] = ALL.filter(({ backbone }) => backbone === "robust");
const LARGEST = EPSILONS[EPSILONS.length - 1];
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
    seed: number,
    subjects: readonly Subject[],
    sets: readonly SetName[],
    strength: Strength = "pgd-50+apgd-25",
    epsilons: readonly number[] = [EPSILON],
  ): void => {
    for (const { detector, backbone } of subjects) {
      for (const epsilon of epsilons) {
        for (const set of sets) {
          const job = { seed, detector, backbone, set, epsilon, strength };
          if (!jobs.has(keyOf(job))) jobs.set(keyOf(job), job);
        }
      }
    }
  };
  const ablations: readonly Subject[] = ABLATIONS.map((name) => ({
    detector: `ablation ${name}`,
    backbone: name === "atd-standard" ? "standard" : "robust",
  }));
  const others = EPSILONS.filter((value) => value > 0 && value !== EPSILON);
  const [first, ...rest] = seeds;
  for (const seed of seeds) add(seed, KEY, KEY_SETS);
  add(first, KEY, MORE_SETS);
  add(first, CURVES, KEY_SETS, "pgd-20", others);
  add(first, ROBUST, KEY_SETS, "pgd-20", [LARGEST]);
  for (const seed of seeds) add(seed, ablations, KEY_SETS, "pgd-20");
  add(first, ALL, KEY_SETS);
  for (const seed of rest) add(seed, KEY, MORE_SETS);
  for (const seed of rest) add(seed, ALL, KEY_SETS);
  for (const seed of seeds) add(seed, ALL, MORE_SETS);
  if (full) {
    const every = EPSILONS.filter((value) => value > 0);
    for (const seed of seeds) add(seed, ALL, ["in", ...TEST_OUTS], "pgd-50+apgd-25", every);
  }
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
