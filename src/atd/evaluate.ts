/**
 * What is left of a detector under attack: the scores of in- and out-of-distribution images at each ε, each
 * attacked end to end on the detector's own score, and what they make of clean, in, out and both.
 */
import { apgd } from "../attacks/apgd.js";
import type { Attack } from "../attacks/definition.js";
import { type AttackLoss, scoreLoss } from "../attacks/losses.js";
import { pgd } from "../attacks/pgd.js";
import { attack } from "../attacks/run.js";
import { ValueError } from "../gpu/errors.js";
import { aurocInterval, type DetectionMetrics, detectionMetrics } from "../metrics/detection.js";
import type { Tensor } from "../tensor.js";
import { outputsOf } from "./backbone.js";
import type { Detector } from "./detector.js";

/** Which images an attack works on: of those inside it lowers the score, of those outside it raises it. */
export type Side = "in" | "out";

/** Which sides are attacked in a comparison. */
export type Setting = "clean" | "in" | "out" | "both";

export const SETTINGS: readonly Setting[] = ["clean", "in", "out", "both"];

/** The scores of one side at one ε; plain JSON once `scores` is an array, so that a caller can keep it. */
export interface SideScores {
  readonly side: Side;
  /** In pixel units; 0 is without an attack. */
  readonly epsilon: number;
  /** The worst score of each image: of all iterates of all attacks and the image itself. */
  readonly scores: ArrayLike<number>;
  /** Images at which a score or a gradient was NaN or infinite: their scores prove nothing. */
  readonly nonFinite: number;
  /** Images at which a gradient was 0 in every entry: the attack could not see where to go. */
  readonly zeroGradient: number;
}

/** Makes the attacks of one side at one ε; they must raise `loss`. */
export type MakeAttacks = (options: { readonly epsilon: number; readonly loss: AttackLoss }) => Attack[];

export interface EvaluationOptions {
  /** In pixel units; 0, the clean scores, is added where it is missing. */
  readonly epsilons: readonly number[];
  /** Default: `adaptiveAttacks()`. */
  readonly attacks?: MakeAttacks;
  /** Images a program, at most; default 128. */
  readonly batch?: number;
  /** Scores from an earlier call on the same detector and images; what is there is not made again. */
  readonly done?: readonly SideScores[];
  /** Heard after each side and ε with its scores, to be kept for `done`. */
  readonly onSide?: (made: SideScores) => void;
  /** Heard with the share that is done, 0 to 1. */
  readonly onProgress?: (share: number) => void;
}

/**
 * PGD with a random start and APGD, both on the score itself, of so many steps each: the better result of
 * each image counts. Attacks of both kinds keep their best iterate.
 * @param options `steps` of each attack, default 50; `seed` of the random starts, default 0
 * @throws ValueError for options out of range
 */
export function adaptiveAttacks({ steps = 50, seed = 0 } = {}): MakeAttacks {
  return ({ epsilon, loss }) => [
    pgd({ epsilon, loss, steps, seed }),
    apgd({ epsilon, loss, steps, seed: seed + 1 }),
  ];
}

/**
 * Scores of both sides, without an attack and attacked at each ε. Takes up where an earlier call was
 * interrupted if what that one made is given as `done`.
 * @param inside [n, …] and @param outside [m, …] images from 0 to 1
 * @returns one entry a side and ε, ascending
 * @throws ValueError for an ε that is negative or not finite
 * @example
 * const sides = await attackSides(detector, inside, outside, { epsilons: [8 / 255] });
 * const rows = evaluationRows(sides, { seed: 1 });
 */
export async function attackSides(
  detector: Detector,
  inside: Tensor,
  outside: Tensor,
  options: EvaluationOptions,
): Promise<SideScores[]> {
  const { batch = 128, done = [], onSide, onProgress } = options;
  const makeAttacks = options.attacks ?? adaptiveAttacks();
  const epsilons = [...new Set([0, ...options.epsilons])].sort((a, b) => a - b);
  for (const epsilon of epsilons) {
    if (!(epsilon >= 0 && epsilon < Infinity))
      throw new ValueError(
        `attackSides: epsilons hold ${epsilon}, and finite numbers of at least 0 are taken`,
      );
  }
  const wanted = epsilons.flatMap((epsilon) => (["in", "out"] as const).map((side) => ({ side, epsilon })));
  const results: SideScores[] = [];
  for (const [index, { side, epsilon }] of wanted.entries()) {
    const x = side === "in" ? inside : outside;
    let result = done.find((known) => known.side === side && known.epsilon === epsilon);
    if (!result) {
      const report = (share: number): void => onProgress?.((index + share) / wanted.length);
      result =
        epsilon === 0
          ? await cleanScores(detector, x, side, batch)
          : await attackedScores(detector, x, { side, epsilon, batch, makeAttacks, report });
      onSide?.(result);
    }
    results.push(result);
    onProgress?.((index + 1) / wanted.length);
  }
  return results;
}

async function cleanScores(detector: Detector, x: Tensor, side: Side, batch: number): Promise<SideScores> {
  const model = { forward: (images: Tensor) => ({ y: detector.score(images) }) };
  const { values } = await outputsOf(model, x, batch);
  const nonFinite = values.filter((value) => !Number.isFinite(value)).length;
  return { side, epsilon: 0, scores: values, nonFinite, zeroGradient: 0 };
}

async function attackedScores(
  detector: Detector,
  x: Tensor,
  how: {
    readonly side: Side;
    readonly epsilon: number;
    readonly batch: number;
    readonly makeAttacks: MakeAttacks;
    readonly report: (share: number) => void;
  },
): Promise<SideScores> {
  const { side, epsilon, batch, makeAttacks, report } = how;
  const sign = side === "in" ? -1 : 1;
  const loss = scoreLoss({ direction: side === "in" ? "down" : "up" });
  const stages = makeAttacks({ epsilon, loss });
  const runs = stages.reduce((sum, { restarts }) => sum + restarts, 0);
  let before = 0;
  const result = await attack(detector, x, stages, {
    batch,
    judge: loss,
    onProgress: ({ done, samples }) => {
      report((before + done / samples) / runs);
      if (done === samples) before++;
    },
  });
  result.dispose();
  const { nonFinite, zeroGradient } = result.counts;
  // An image whose score never was finite has a loss of NaN, which no metric takes for a number.
  return { side, epsilon, scores: result.loss.map((value) => sign * value), nonFinite, zeroGradient };
}

/** One comparison of in and out. */
export interface EvaluationRow extends DetectionMetrics {
  /** In pixel units: 16/255 is 0.0627…; 0 in the setting "clean". */
  readonly epsilon: number;
  readonly setting: Setting;
  /** Of the AUROC, by resampling images: 95 % unless asked otherwise. */
  readonly ci: readonly [low: number, high: number];
  /** Images inside and outside. */
  readonly n: readonly [inside: number, outside: number];
  /** Images of the sides that enter here whose attack met NaN or infinity, or a gradient of 0. */
  readonly nonFinite: number;
  readonly zeroGradient: number;
}

export interface RowOptions {
  /** Of the bootstrap. */
  readonly seed: number;
  /** Default 1,000. */
  readonly resamples?: number;
  /** Default 0.95. */
  readonly confidence?: number;
}

/**
 * The matrix of settings and ε: "clean" once, and "in", "out" and "both" at each ε above 0.
 * @param sides what `attackSides` made
 * @throws ValueError where a side is missing at an ε, or a score is NaN
 */
export function evaluationRows(sides: readonly SideScores[], options: RowOptions): EvaluationRow[] {
  const find = (side: Side, epsilon: number): SideScores => {
    const found = sides.find((entry) => entry.side === side && entry.epsilon === epsilon);
    if (!found)
      throw new ValueError(
        `evaluationRows: side "${side}" at epsilon ${epsilon} is missing; attack it first`,
      );
    return found;
  };
  const epsilons = [...new Set(sides.map(({ epsilon }) => epsilon))].sort((a, b) => a - b);
  return epsilons.flatMap((epsilon) =>
    SETTINGS.filter((setting) => (setting === "clean") === (epsilon === 0)).map((setting) => {
      const inside = find("in", setting === "in" || setting === "both" ? epsilon : 0);
      const outside = find("out", setting === "out" || setting === "both" ? epsilon : 0);
      const { low, high } = aurocInterval(inside.scores, outside.scores, options);
      return {
        epsilon,
        setting,
        ...detectionMetrics(inside.scores, outside.scores),
        ci: [low, high] as const,
        n: [inside.scores.length, outside.scores.length] as const,
        nonFinite: inside.nonFinite + outside.nonFinite,
        zeroGradient: inside.zeroGradient + outside.zeroGradient,
      };
    }),
  );
}

/**
 * Attacks both sides of a detector at each ε and makes the matrix of it: `attackSides`, then `evaluationRows`.
 * @example
 * const rows = await evaluateDetector(detector, inside, outside, { epsilons: [8 / 255, 16 / 255], seed: 1 });
 * const both = rows.find(({ setting, epsilon }) => setting === "both" && epsilon === 8 / 255);
 */
export async function evaluateDetector(
  detector: Detector,
  inside: Tensor,
  outside: Tensor,
  { seed, resamples, confidence, ...options }: EvaluationOptions & RowOptions,
): Promise<EvaluationRow[]> {
  const sides = await attackSides(detector, inside, outside, options);
  return evaluationRows(sides, { seed, resamples, confidence });
}
