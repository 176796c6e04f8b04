// From the scores of jobs to the rows of the table.
import type { Setting } from "handgrad/atd";
import { TEST_OUTS, type TestOut } from "./data.js";
import { ABLATIONS, EPSILONS, type Job, keyOf, type SetName, type Subject } from "./jobs.js";
import { aurocOverSeeds, type Pair } from "./intervals.js";
import { type BackboneName, BACKBONES, EPSILON, RECIPES, type RecipeName } from "./recipes.js";
import { DETECTORS } from "./detectors.js";
import type { AttackedScores, Strength } from "./scores.js";

/** An AUROC and how it was measured. */
interface Measurement {
  readonly testOut: TestOut;
  /** In pixel units; 0 for clean. */
  readonly epsilon: number;
  readonly setting: Setting;
  /** 0–1, the mean over seeds. */
  readonly auroc: number;
  readonly ci: readonly [number, number];
  /** How many. */
  readonly seeds: number;
  /** Images of each side, a seed. */
  readonly n: number;
  readonly perSeed: readonly number[];
  readonly attack: Strength | "none";
}

export interface Row extends Measurement {
  readonly detector: string;
  readonly backbone: string;
  /** Images of all seeds whose attack met NaN or infinity, or a gradient of 0. */
  readonly nonFinite: number;
  readonly zeroGradient: number;
}

export interface AblationRow extends Measurement {
  readonly name: string;
  readonly title: string;
}

/** Scores by the keys of their jobs. */
export type Found = (key: string) => AttackedScores | undefined;

const SETTINGS: readonly Setting[] = ["clean", "in", "out", "both"];
const STRENGTHS: readonly Strength[] = ["pgd-50+apgd-25", "pgd-20"];

/** The strongest results there are for a subject, a set and an ε, of every seed that has both sides. */
function pairsAt(
  found: Found,
  subject: Subject,
  testOut: TestOut,
  epsilon: number,
  seeds: readonly number[],
): { strength: Strength; sides: { inside: AttackedScores; outside: AttackedScores }[] } | undefined {
  for (const strength of STRENGTHS) {
    const sides = seeds.flatMap((seed) => {
      const scores = (set: SetName) =>
        found(keyOf({ ...subject, seed, set, epsilon, strength } satisfies Job));
      const [inside, outside] = [scores("in"), scores(testOut)];
      return inside && outside ? [{ inside, outside }] : [];
    });
    if (sides.length > 0) return { strength, sides };
  }
  return undefined;
}

function settingsAt(
  found: Found,
  subject: Subject,
  testOut: TestOut,
  epsilon: number,
  seeds: readonly number[],
) {
  const at = pairsAt(found, subject, testOut, epsilon, seeds);
  if (!at) return [];
  return SETTINGS.map((setting) => {
    const pairs: Pair[] = at.sides.map(({ inside, outside }) => ({
      inside: setting === "in" || setting === "both" ? inside.attacked : inside.clean,
      outside: setting === "out" || setting === "both" ? outside.attacked : outside.clean,
    }));
    const sum = (kind: "nonFinite" | "zeroGradient"): number =>
      at.sides.reduce((total, { inside, outside }) => total + inside[kind] + outside[kind], 0);
    return {
      testOut,
      epsilon: setting === "clean" ? 0 : epsilon,
      setting,
      ...aurocOverSeeds(pairs, 1),
      seeds: pairs.length,
      n: pairs[0].inside.length,
      attack: setting === "clean" ? ("none" as const) : at.strength,
      nonFinite: sum("nonFinite"),
      zeroGradient: sum("zeroGradient"),
    };
  });
}

/** Rows of what is there; "clean" once, from the headline's images. */
export function rowsOf(found: Found, seeds: readonly number[]): Row[] {
  return DETECTORS.flatMap((detector) =>
    BACKBONES.flatMap((backbone) =>
      TEST_OUTS.flatMap((testOut) =>
        [EPSILON, ...EPSILONS.filter((value) => value > 0 && value !== EPSILON)].flatMap((epsilon) =>
          settingsAt(found, { detector, backbone }, testOut, epsilon, seeds)
            .filter(({ setting }) => setting !== "clean" || epsilon === EPSILON)
            .map((row) => ({ detector, backbone, ...row })),
        ),
      ),
    ),
  );
}

export function ablationsOf(found: Found, seeds: readonly number[]): AblationRow[] {
  return ABLATIONS.flatMap((name) => {
    const backbone = name === "atd-standard" ? ("standard" as const) : ("robust" as const);
    const subject: Subject = { detector: `ablation ${name}`, backbone };
    const title =
      name === "atd.clean" ? "epoch chosen by clean validation" : RECIPES[name as RecipeName].title;
    return TEST_OUTS.flatMap((testOut) =>
      settingsAt(found, subject, testOut, EPSILON, seeds).map(
        ({ nonFinite: _n, zeroGradient: _z, ...row }) => ({
          name,
          title,
          ...row,
        }),
      ),
    );
  });
}

/** As tables call a row. */
export function titleOf({ detector, backbone }: Pick<Row, "detector" | "backbone">): string {
  if (detector === "atd") return backbone === "robust" ? "ATD" : "clean F, D with attacks";
  if (detector === "openGan") return RECIPES[`openGan-${backbone as BackboneName}`].title;
  return `${detector}, ${backbone} F`;
}

/** Clean, or at the ε that everything is attacked at. */
export const isHeadline = ({ epsilon }: Row): boolean => epsilon === 0 || epsilon === EPSILON;
