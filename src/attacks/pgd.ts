/**
 * Projected gradient attacks: PGD (Madry et al., ICLR 2018), and those that differ from it in step and
 * direction.
 */
import { ValueError } from "../gpu/errors.js";
import { zeros } from "../tensor.js";
import { copyRowsWhere } from "./copy_rows.js";
import {
  type Attack,
  type AttackOptions,
  aimsOf,
  type Batch,
  checkAtLeast,
  checkCount,
  checkOptions,
  type Recorded,
  sampleSizes,
} from "./definition.js";
import { enter, openLedger } from "./ledger.js";
import { crossEntropyLoss } from "./losses.js";
import type { Differentiable } from "./model.js";
import { adamDirection, type Direction, momentum } from "./moments.js";
import { startAttack } from "./start.js";
import { takeStep } from "./step.js";

export interface PgdOptions extends AttackOptions {
  /** Default 20. */
  readonly steps?: number;
  /** The length of a step in pixel units; default `relativeStep` times ε. */
  readonly stepSize?: number;
  /** The length of a step as a share of ε; default 2.5 / steps. */
  readonly relativeStep?: number;
  /** Start uniformly in the ball; default true. Off, the first step starts at the image. */
  readonly randomStart?: boolean;
  /** What is kept a sample: its best iterate (default), or the last one. */
  readonly keep?: "best" | "last";
  /**
   * Norm l1: the share of the pixels that a step leaves alone (Tramèr and Boneh 2019), from 0 to 1; default
   * 0.95.
   */
  readonly sparsity?: number;
}

export type StepRule = Pick<PgdOptions, "stepSize" | "relativeStep">;

interface Direct {
  /** What to make of the gradients; default nothing. */
  readonly direction?: (x: Batch["x"]) => Direction;
  /** Go in the direction of steepest ascent; default true. */
  readonly steepest?: boolean;
}

/**
 * Projected gradient ascent with a random start: step by step along the steepest direction of the norm, back
 * to the ball, clamped to the box. The gradient of each sample is its own; nothing of the batch enters.
 * @throws ValueError for options out of range
 * @example
 * const { success } = await attack(model, images, pgd({ epsilon, restarts: 5 }), { labels });
 */
export function pgd(options: PgdOptions): Attack {
  return gradientAttack("pgd", options);
}

/**
 * The fast gradient sign method (Goodfellow et al., ICLR 2015): one step of length ε from the image, in l2
 * and l1 along their steepest directions.
 */
export function fgsm(options: Omit<PgdOptions, "steps" | "stepSize" | "relativeStep" | "keep">): Attack {
  const one = { steps: 1, relativeStep: 1, keep: "last" } as const;
  return gradientAttack("fgsm", { randomStart: false, ...options, ...one });
}

/**
 * The basic iterative method (Kurakin et al., ICLR 2017): PGD from the image itself, steps of ε / steps by
 * default.
 */
export function bim(options: PgdOptions): Attack {
  const { steps = 20 } = options;
  return gradientAttack("bim", { relativeStep: 1 / steps, randomStart: false, ...options });
}

export interface MiFgsmOptions extends PgdOptions {
  /** How much of the earlier gradients stays a step; default 1. */
  readonly decay?: number;
}

/** BIM along the sum of all gradients so far (Dong et al., CVPR 2018). */
export function miFgsm({ decay = 1, ...options }: MiFgsmOptions): Attack {
  checkAtLeast("miFgsm", "decay", decay, 0);
  const { steps = 20 } = options;
  const rule = { relativeStep: 1 / steps, randomStart: false, ...options };
  return gradientAttack("miFgsm", rule, { direction: (x) => momentum(x, decay) });
}

export interface AdamPgdOptions extends PgdOptions {
  /** Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
}

/**
 * PGD along Adam's direction, which is not projected on the steepest one. Gradients are divided by their
 * largest entry in the sample, so that Adam's ε does not hide small ones.
 */
export function adamPgd({ betas = [0.9, 0.999], ...options }: AdamPgdOptions): Attack {
  if (!betas.every((beta) => beta >= 0 && beta < 1))
    throw new ValueError(`adamPgd: betas are ${betas}, and two numbers from 0 to below 1 are taken`);
  return gradientAttack("adamPgd", options, {
    direction: (x) => adamDirection(x, betas),
    steepest: false,
  });
}

function gradientAttack(name: string, options: PgdOptions, direct: Direct = {}): Attack {
  checkOptions(name, options);
  const { norm = "linf", epsilon, loss = crossEntropyLoss, target, seed = 0 } = options;
  const { steps = 20, randomStart = true, restarts = 1, earlyStop = false } = options;
  const { stepSize, relativeStep = 2.5 / steps, keep = "best", sparsity = 0.95 } = options;
  checkCount(name, "steps", steps, 1);
  checkAtLeast(name, "stepSize", stepSize ?? 0, 0);
  checkAtLeast(name, "relativeStep", relativeStep, 0);
  if (keep !== "best" && keep !== "last")
    throw new ValueError(`${name}: keep is ${keep}, and "best" or "last" is taken`);
  if (!(sparsity >= 0 && sparsity <= 1))
    throw new ValueError(`${name}: sparsity is ${sparsity}, and a number from 0 to 1 is taken`);
  const step = stepSize === undefined ? { relative: relativeStep } : { absolute: stepSize };
  const kind = randomStart ? "uniform" : "zero";
  const stepOptions = { norm, steepest: direct.steepest, earlyStop, sparsity };
  const takeLast = keep === "last";
  const base = { name, norm, epsilon, loss, target, restarts, earlyStop, seed };

  const record = (model: Differentiable, batch: Batch): Recorded => {
    const { x } = batch;
    const { gpu } = x;
    const { count } = sampleSizes(name, x.shape);
    return gpu.scope(() => {
      const aims = aimsOf(model, batch, base);
      const ledger = openLedger(gpu, count, steps + 1);
      const best = zeros(gpu, x.shape);
      const direction = direct.direction?.(x);
      const start = startAttack(batch, { norm, epsilon, seed, kind, step });
      const { images, budget } = start;
      let { delta } = start;
      let next = x.like();
      for (let i = 0; i <= steps; i++) {
        gpu.scope(() => {
          const { y, saved } = model.forward(images);
          const judged = loss(y, aims);
          copyRowsWhere(delta, enter(ledger, judged, { column: i }, { takeLast }), best);
          if (i === steps) return;
          const slopes = model.inputGrad(judged.dy, saved);
          const gradient = direction?.(slopes, ledger.flags, i) ?? slopes;
          const { flags } = ledger;
          takeStep({ x, gradient, delta, budget, flags }, stepOptions, { next, images });
        });
        [delta, next] = [next, delta];
      }
      const outcome = { delta: best, loss: ledger.best, flags: ledger.flags, curve: ledger.curve };
      return { outcome, rounds: 0 };
    });
  };
  return { ...base, record };
}
