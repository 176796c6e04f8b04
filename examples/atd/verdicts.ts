// What the experiment was to show, row by row, with thresholds that were set before it ran.
import { TEST_OUTS } from "./data.js";
import { EPSILON } from "./recipes.js";
import type { AblationRow, Row } from "./rows.js";

export interface Verdict {
  readonly claim: string;
  /** "open" where the runs that it takes are not there. */
  readonly verdict: "shown" | "not shown" | "open";
  readonly detail: string;
}

/** A gap below this is within what seeds and 500 images leave open. */
export const GAP = 0.06;
const NEAR_ZERO = 0.15;
const HIGH = 0.75;
const CHANCE = 0.5;
const ATD_BOTH = 0.7;
const ATD_CLEAN = 0.92;
/** AUROC of the same images at two ε may rise by this through the attack's own chance. */
const NOISE = 0.01;

const number = (value: number): string => value.toFixed(3);

interface Pick {
  readonly detector?: string;
  readonly backbone?: string;
  readonly setting?: string;
}

export function verdictsOf(rows: readonly Row[], ablations: readonly AblationRow[]): Verdict[] {
  const headline = (out: string) =>
    rows.filter((row) => row.testOut === out && (row.epsilon === 0 || row.epsilon === EPSILON));
  const pick = (from: readonly Row[], { detector, backbone, setting }: Pick) =>
    from.filter(
      (row) =>
        (!detector || row.detector === detector) &&
        (!backbone || row.backbone === backbone) &&
        (!setting || row.setting === setting),
    );
  const scores = (backbone: string, setting: string, out = "easy") =>
    pick(headline(out), { backbone, setting }).filter(({ detector }) => detector !== "atd");
  const atd = (setting: string, out = "easy"): Row | undefined =>
    pick(headline(out), { detector: "atd", backbone: "robust", setting })[0];
  return [
    ...standardFall(scores("standard", "clean"), scores("standard", "both")),
    belowChance(
      [...scores("standard", "both"), ...scores("robust", "both")].filter(
        ({ detector }) => detector !== "openGan",
      ),
      scores("robust", "both").filter(({ detector }) => detector === "openGan"),
      ({ detector, backbone, testOut }) =>
        pick(rows, { detector, backbone, setting: "both" }).filter((row) => row.testOut === testOut),
    ),
    ...TEST_OUTS.map((out) =>
      order(out, scores("standard", "both", out), scores("robust", "both", out), atd("both", out)),
    ),
    stands(atd("both"), atd("clean")),
    ...TEST_OUTS.filter((out) => out !== "easy").map((out) => standsOn(out, atd("both", out))),
    monotone(rows),
    ...parts(ablations),
  ];
}

const say = (holds: boolean): Verdict["verdict"] => (holds ? "shown" : "not shown");
const nameOf = ({ detector, backbone }: Row): string => `${detector} ${backbone}`;
const open = (claim: string): Verdict => ({ claim, verdict: "open", detail: "the runs are not there" });

function standardFall(clean: readonly Row[], both: readonly Row[]): Verdict[] {
  const fall = `1 standard-trained detectors are near 0 (to ${NEAR_ZERO}) with both sides attacked`;
  const high = `1 standard-trained detectors have a clean AUROC from ${HIGH} on`;
  if (both.length === 0) return [open(fall), open(high)];
  const worst = both.reduce((most, row) => (row.auroc > most.auroc ? row : most));
  const low = clean.filter((row) => row.auroc < HIGH);
  const areas = clean.map(({ auroc }) => auroc);
  return [
    {
      claim: fall,
      verdict: say(worst.auroc <= NEAR_ZERO),
      detail: `at most ${number(worst.auroc)} (${worst.detector}), of ${both.length} scores`,
    },
    {
      claim: high,
      verdict: say(low.length === 0),
      detail:
        `${number(Math.min(...areas))}–${number(Math.max(...areas))}` +
        `${low.length > 0 ? `; below: ${low.map((row) => `${row.detector} ${number(row.auroc)}`).join(", ")}` : ""}`,
    },
  ];
}

/** Each score has an ε, of those that it was attacked at, from which on both sides attacked are worse than chance. */
function belowChance(
  both: readonly Row[],
  openGan: readonly Row[],
  at: (row: Row) => readonly Row[],
): Verdict {
  const claim =
    "2 these and the scores of the robust classifier are below 0.5 at 16/255, or at 25/255, both sides attacked";
  if (!both.some(({ backbone }) => backbone === "robust")) return open(claim);
  const isBelow = (row: Row): boolean => row.ci[1] < CHANCE;
  const later = both.filter((row) => !isBelow(row));
  const never = later.filter((row) => !at(row).some(isBelow));
  const say16 = later.map((row) => {
    const others = at(row).filter(({ epsilon }) => epsilon > row.epsilon);
    const rest = others.map(({ epsilon, auroc }) => `, ${number(auroc)} at ${Math.round(255 * epsilon)}/255`);
    return `${nameOf(row)} ${number(row.auroc)}${rest.join("")}`;
  });
  const part = openGan.map(
    (row) => `; the un-attacked D on robust F, which is part of ATD: ${number(row.auroc)}`,
  );
  const detail =
    `${both.length - later.length} of ${both.length} scores are at 16/255` +
    `${say16.length > 0 ? `; others: ${say16.join("; ")}` : ""}${part.join("")}`;
  return { claim, verdict: say(never.length === 0), detail };
}

function order(out: string, standard: readonly Row[], robust: readonly Row[], atd: Row | undefined): Verdict {
  const claim = `3 both sides attacked, ${out} set: standard F < robust F and a score < ATD, by ${GAP} each`;
  const best = (rows: readonly Row[]): Row =>
    rows.reduce((most, row) => (row.auroc > most.auroc ? row : most));
  if (!atd || standard.length === 0 || robust.length === 0) return open(claim);
  const [first, second] = [best(standard), best(robust.filter(({ detector }) => detector !== "openGan"))];
  const holds = first.auroc + GAP <= second.auroc && second.auroc + GAP <= atd.auroc;
  const detail = `best ${number(first.auroc)} (${nameOf(first)}), ${number(second.auroc)} (${nameOf(second)}), ATD ${number(atd.auroc)}`;
  return { claim, verdict: say(holds), detail };
}

function stands(atd: Row | undefined, clean: Row | undefined): Verdict {
  const claim = `4 ATD on the easy set: both sides attacked above 0.5 and at least ${ATD_BOTH}, clean at least ${ATD_CLEAN}`;
  if (!atd || !clean) return open(claim);
  const holds = atd.ci[0] > CHANCE && atd.auroc >= ATD_BOTH && clean.auroc >= ATD_CLEAN;
  const detail = `both ${number(atd.auroc)} (${number(atd.ci[0])}–${number(atd.ci[1])}), clean ${number(clean.auroc)}`;
  return { claim, verdict: say(holds), detail };
}

function standsOn(out: string, atd: Row | undefined): Verdict {
  const claim = `4 ATD on the ${out} set: both sides attacked above 0.5`;
  if (!atd) return open(claim);
  const detail = `${number(atd.auroc)} (${number(atd.ci[0])}–${number(atd.ci[1])})`;
  return { claim, verdict: say(atd.ci[0] > CHANCE), detail };
}

/** Whether one attack finds at least what the other finds; a weaker one at a larger ε may find less. */
const isAsStrong = (one: Row, other: Row): boolean => one.attack !== "pgd-20" || other.attack === "pgd-20";

/** both ≤ in, out ≤ clean, and no AUROC rises with ε. */
function monotone(rows: readonly Row[]): Verdict {
  const claim = `5 both ≤ in, out ≤ clean, and AUROC does not rise with ε (by more than ${NOISE})`;
  if (rows.length === 0) return open(claim);
  const broken: string[] = [];
  const of = (row: Row, epsilon: number, setting: string): Row | undefined =>
    rows.find(
      (other) =>
        nameOf(other) === nameOf(row) &&
        other.testOut === row.testOut &&
        other.epsilon === epsilon &&
        other.setting === setting &&
        other.seeds === row.seeds,
    );
  for (const row of rows) {
    if (row.setting === "clean") continue;
    if (row.setting === "both") {
      for (const setting of ["in", "out"]) {
        const one = of(row, row.epsilon, setting);
        if (one && row.auroc > one.auroc) broken.push(`${nameOf(row)} both above ${setting}`);
      }
    }
    const clean = of(row, 0, "clean");
    if (clean && row.auroc > clean.auroc) broken.push(`${nameOf(row)} ${row.setting} above clean`);
    const larger = rows.filter(
      (other) =>
        nameOf(other) === nameOf(row) &&
        other.testOut === row.testOut &&
        other.setting === row.setting &&
        other.epsilon > row.epsilon &&
        isAsStrong(other, row),
    );
    for (const other of larger) {
      const [first] = row.perSeed;
      const [later] = other.perSeed;
      if (later > first + NOISE)
        broken.push(
          `${nameOf(row)} ${row.setting} ${number(first)} → ${number(later)} from ε ${Math.round(255 * row.epsilon)} ` +
            `to ${Math.round(255 * other.epsilon)}`,
        );
    }
  }
  const curves = new Set(rows.filter(({ epsilon }) => epsilon > 0 && epsilon !== EPSILON).map(nameOf)).size;
  if (curves === 0 && broken.length === 0)
    return { claim, verdict: "open", detail: "settings are in order; the curves are not there" };
  return {
    claim,
    verdict: say(broken.length === 0),
    detail: broken.length === 0 ? `${rows.length} rows, ${curves} curves` : broken.join("; "),
  };
}

/** What taking each part away costs. */
function parts(ablations: readonly AblationRow[]): Verdict[] {
  const both = ablations.filter(({ testOut, setting }) => testOut === "easy" && setting === "both");
  const whole = both.find(({ name }) => name === "atd");
  if (!whole) return [open("6 which parts of ATD earn their place")];
  return both
    .filter(({ name }) => name !== "atd")
    .map((row) => {
      const shared = Math.min(row.perSeed.length, whole.perSeed.length);
      const gaps = Array.from({ length: shared }, (_, i) => whole.perSeed[i] - row.perSeed[i]);
      const gap = gaps.reduce((sum, value) => sum + value, 0) / shared;
      const every = gaps.every((value) => value > 0);
      return {
        claim: `6 ATD is better than: ${row.title} (by ${GAP} on average, in every seed)`,
        verdict: say(gap >= GAP && every),
        detail: `${gap >= 0 ? "+" : "−"}${number(Math.abs(gap))} on average of ${shared} (${gaps.map((value) => number(value)).join(", ")})`,
      };
    });
}
