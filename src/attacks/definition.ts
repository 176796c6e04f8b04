/** What an attack is: a record of steps for one batch, that a program replays. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import { fill } from "../ops/elementwise.js";
import { argmax } from "../ops/reduce.js";
import { empty, type Shape, type Tensor } from "../tensor.js";
import type { Aims, AttackLoss } from "./losses.js";
import type { Differentiable } from "./model.js";
import { chooseTargets, TARGETS, type Target } from "./targets.js";

/** How the size of δ is measured: its largest entry, √Σ δ², or Σ |δ|, a sample. */
export type Norm = "linf" | "l2" | "l1";

/** The value of `NORM` in the WGSL. */
export const NORM_CODE: Readonly<Record<Norm, number>> = { linf: 0, l2: 1, l1: 2 };

/** One batch on the device. Everything but x has a default. */
export interface Batch {
  /** [n, …], from 0 to 1. */
  readonly x: Tensor;
  /** u32 [n]; default the classes that the model takes the clean images for. */
  readonly labels?: Tensor;
  /**
   * u32 [n]: the class that each sample is to be taken for; default what the attack's `target` says, or none.
   */
  readonly targets?: Tensor;
  /** u32 [n]: the number of each sample, on which its random numbers hang; default 0 to n - 1. */
  readonly samples?: Tensor;
  /** u32 [1]: how often was drawn, so that a replayed program draws anew (`advance`); default 0. */
  readonly draw?: Tensor;
  /** f32 [1]: ε in place of the attack's own. */
  readonly epsilon?: Tensor;
  /** [n, …]: a first δ in place of the attack's own; it is brought into the ball and the box. */
  readonly start?: Tensor;
}

/** What an attack leaves of a batch. */
export interface Outcome {
  /** x's shape: ‖δ‖ ≤ ε and x + δ from 0 to 1. */
  readonly delta: Tensor;
  /** [n]: the loss at δ. */
  readonly loss: Tensor;
  /** u32 [n]: the sum of what `FLAGS` names. */
  readonly flags: Tensor;
  /** [n, points]: the loss of the steps. */
  readonly curve: Tensor;
}

/** Facts about a sample: the bits of `Outcome.flags`. */
export const FLAGS = {
  /** A loss, or an entry of a gradient, was NaN or infinite. */
  nonFinite: 1,
  /** A gradient was 0 in all entries before there was a success: the attack could not see where to go. */
  zeroGradient: 2,
  /** The attack had its way. */
  success: 4,
} as const;

/** What `record` leaves: the outcome, and what is still to be repeated for it. */
export interface Recorded {
  readonly outcome: Outcome;
  /** How often `round` is to be run, each time recording the same ops. */
  readonly rounds: number;
  readonly round?: () => void;
  /** Tensors that `round` uses. */
  readonly kept?: readonly Tensor[];
}

/** An attack, as `pgd` and its like make it; `attack` and `perturb` run it. */
export interface Attack {
  readonly name: string;
  readonly norm: Norm;
  /** In pixel units: 8/255 is eight gray levels. */
  readonly epsilon: number;
  readonly loss: AttackLoss;
  readonly target?: Target;
  /** How often the attack is run, each time from another start; the best result a sample is kept. */
  readonly restarts: number;
  /** Whether samples are left alone once the attack had its way with them. */
  readonly earlyStop: boolean;
  readonly seed: number;
  /** Records all steps for one batch. Uploads and reads nothing, so it works inside programs. */
  record(model: Differentiable, batch: Batch): Recorded;
}

/** What all attacks take. */
export interface AttackOptions {
  /** Default "linf". */
  readonly norm?: Norm;
  /** The largest ‖δ‖, in pixel units (images are from 0 to 1), at least 0. */
  readonly epsilon: number;
  /** What is raised; default `crossEntropyLoss`. */
  readonly loss?: AttackLoss;
  /** Aim at a class; see `Target`. Default: away from the label. */
  readonly target?: Target;
  /** Default 1. */
  readonly restarts?: number;
  /** Leave a sample alone once the attack had its way with it. Default false. */
  readonly earlyStop?: boolean;
  /** Of the random numbers, 0 to 2^53 - 1; default 0. */
  readonly seed?: number;
}

/** @throws ValueError for options that no attack takes */
export function checkOptions(
  name: string,
  { norm = "linf", epsilon, restarts = 1, seed = 0, target }: AttackOptions,
): void {
  if (!Object.hasOwn(NORM_CODE, norm))
    throw new ValueError(
      `${name}: norm is ${norm}, and one of ${Object.keys(NORM_CODE).join(", ")} is taken`,
    );
  checkAtLeast(name, "epsilon", epsilon, 0);
  checkCount(name, "restarts", restarts, 1);
  if (!(Number.isSafeInteger(seed) && seed >= 0))
    throw new ValueError(`${name}: seed is ${seed}, and a whole number from 0 to 2^53 - 1 is taken`);
  if (target !== undefined && !TARGETS.includes(target)) {
    throw new ValueError(
      `${name}: target is ${target}, and one of ${TARGETS.join(", ")} is taken; give classes as targets ` +
        `beside the labels`,
    );
  }
}

/** @throws ValueError unless `value` is a finite number of at least `least` */
export function checkAtLeast(name: string, option: string, value: number, least: number): void {
  if (!(value >= least && value < Infinity))
    throw new ValueError(`${name}: ${option} is ${value}, and a finite number of at least ${least} is taken`);
}

/** @throws ValueError unless `value` is a whole number of at least `least` */
export function checkCount(name: string, option: string, value: number, least: number): void {
  if (!(Number.isInteger(value) && value >= least))
    throw new ValueError(`${name}: ${option} is ${value}, and a whole number of at least ${least} is taken`);
}

/** Samples and values a sample. @throws ShapeError for x of less than two dimensions */
export function sampleSizes(name: string, shape: Shape): { count: number; size: number } {
  const [count, ...rest] = shape;
  if (rest.length === 0)
    throw new ShapeError(`${name}: x has shape [${shape}], and [n, …] of at least two dimensions is taken`);
  return { count, size: rest.reduce((product, length) => product * length, 1) };
}

/** The batch's ε, or the attack's own as a tensor. */
export function epsilonOf({ x, epsilon }: Batch, attack: Pick<Attack, "epsilon">): Tensor {
  return epsilon ?? fill(empty(x.gpu, [1]), attack.epsilon);
}

/** Labels and targets, asked of the model where the batch leaves them open. */
export function aimsOf(
  model: Differentiable,
  batch: Batch,
  { loss, target, seed }: Pick<Attack, "loss" | "target" | "seed">,
): Aims {
  const { x, labels, targets } = batch;
  const anyClass = target === "eachInTurn";
  const choose = target !== undefined && (!targets || anyClass);
  if (!choose && (labels || !loss.ofClasses || (targets && !anyClass))) return { labels, targets, anyClass };
  return x.gpu.scope(() => {
    const logits = model.forward(x).y;
    const known = labels ?? argmax(logits, { axes: [1] });
    return {
      labels: known,
      targets: choose ? chooseTargets(target, logits, known, { ...batch, seed }) : targets,
      anyClass,
    };
  });
}
