/** APGD (F. Croce and M. Hein, ICML 2020): projected gradient ascent that chooses its own step size. */
import scheduleWgsl from "../../shaders/apgd_schedule.wgsl";
import { ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { empty, type Tensor, zeros } from "../tensor.js";
import { copyRowsWhere } from "./copy_rows.js";
import {
  type Attack,
  type AttackOptions,
  aimsOf,
  type Batch,
  checkCount,
  checkOptions,
  type Recorded,
  sampleSizes,
} from "./definition.js";
import { enter, openLedger } from "./ledger.js";
import { crossEntropyLoss, dlrLoss } from "./losses.js";
import type { Differentiable } from "./model.js";
import { startAttack } from "./start.js";
import { takeStep } from "./step.js";

export interface ApgdOptions extends AttackOptions {
  /** "linf" (default) or "l2". */
  readonly norm?: "linf" | "l2";
  /** Default 100. */
  readonly steps?: number;
  /** The share of steps that must have raised the loss since the last checkpoint; default 0.75. */
  readonly rho?: number;
}

/** The first step is 2 ε, and every step but the first goes on with a quarter of the last move. */
const FIRST_STEP = 2;
const ALPHA = 0.75;
/**
 * Checkpoints as shares of all steps: the first window, what each loses against the one before, and the
 * least.
 */
const WINDOW = { first: 0.22, shrink: 0.03, least: 0.06 } as const;

interface ScheduleCall {
  readonly column: number;
  /** Steps since the last checkpoint; 0 if this is none. */
  readonly window: number;
  readonly rho: number;
}

const scheduleKernel = defineKernel<ScheduleCall>({
  name: "apgd_schedule",
  wgsl: scheduleWgsl,
  bindings: {
    curve: "read",
    state: "readWrite",
    budget: "readWrite",
    improved: "write",
    restarted: "write",
  },
  shape: ({ curve: [count] }) => ({ improved: [count], restarted: [count] }),
  uniforms: ({ curve: [count, columns] }, { column, window, rho }) => ({
    count,
    column,
    columns,
    window,
    rho,
  }),
  grid: ({ curve }, limits) => gridFor(curve[0], 64, limits),
  work: ({ curve }, { window }) => 40 * curve[0] * (window + 1),
});

/**
 * The steps (from 1) after which the step size is looked at, with the number of steps since the one before.
 */
export function apgdCheckpoints(steps: number): Map<number, number> {
  const share = (part: number): number => Math.max(Math.floor(part * steps), 1);
  const checkpoints = new Map<number, number>();
  let window = share(WINDOW.first);
  for (let at = window; at <= steps; at += window) {
    checkpoints.set(at, window);
    window = Math.max(window - share(WINDOW.shrink), share(WINDOW.least));
  }
  return checkpoints;
}

/**
 * APGD. The step is halved, and the attack goes back to its best point, where the loss has stopped to grow.
 * @throws ValueError for options out of range
 * @example
 * const { success } = await attack(model, images, apgd({ epsilon: 8 / 255, loss: dlrLoss }), { labels });
 */
export function apgd(options: ApgdOptions): Attack {
  return adaptiveAttack("apgd", options);
}

/**
 * APGD toward other classes, the most likely one first and with each restart the next one; any wrong class is
 * a success. By default on the targeted DLR loss and with 9 restarts, as AutoAttack does.
 */
export function apgdTargeted(options: Omit<ApgdOptions, "target">): Attack {
  const defaults = { loss: dlrLoss, restarts: 9 };
  return adaptiveAttack("apgdTargeted", { ...defaults, ...options, target: "eachInTurn" });
}

function adaptiveAttack(name: string, options: ApgdOptions): Attack {
  checkOptions(name, options);
  const { norm = "linf", epsilon, loss = crossEntropyLoss, target, seed = 0 } = options;
  const { steps = 100, rho = 0.75, restarts = 1, earlyStop = false } = options;
  if (norm !== "linf" && norm !== "l2")
    throw new ValueError(`${name}: norm is ${norm}, and "linf" or "l2" is taken; pgd takes l1, too`);
  checkCount(name, "steps", steps, 1);
  if (!(rho >= 0 && rho <= 1))
    throw new ValueError(`${name}: rho is ${rho}, and a number from 0 to 1 is taken`);
  const checkpoints = apgdCheckpoints(steps);
  const base = { name, norm, epsilon, loss, target, restarts, earlyStop, seed };

  const record = (model: Differentiable, batch: Batch): Recorded => {
    const { x } = batch;
    const { gpu } = x;
    const { count } = sampleSizes(name, x.shape);
    return gpu.scope(() => {
      const aims = aimsOf(model, batch, base);
      const ledger = openLedger(gpu, count, steps + 1);
      const { flags, curve } = ledger;
      const best = zeros(gpu, x.shape);
      const start = startAttack(batch, {
        norm,
        epsilon,
        seed,
        kind: "uniform",
        step: { relative: FIRST_STEP },
      });
      const { images, budget } = start;
      // The highest point so far with its gradient, which the attack goes back to.
      const [top, topGradient] = [zeros(gpu, x.shape), zeros(gpu, x.shape)];
      const state = empty(gpu, [count, 3]);
      let { delta } = start;
      // No move comes before the first step, which gives it no weight either.
      let previous: Tensor = zeros(gpu, x.shape);
      for (let i = 0; i <= steps; i++) {
        gpu.scope(() => {
          const { y, saved } = model.forward(images);
          const judged = loss(y, aims);
          copyRowsWhere(delta, enter(ledger, judged, { column: i }), best);
          if (i === steps) return;
          const gradient = model.inputGrad(judged.dy, saved);
          const window = checkpoints.get(i) ?? 0;
          const { improved, restarted } = scheduleKernel.run(
            { curve, state, budget },
            { column: i, window, rho },
          );
          copyRowsWhere(delta, improved, top);
          copyRowsWhere(gradient, improved, topGradient);
          if (window > 0) {
            copyRowsWhere(top, restarted, delta);
            copyRowsWhere(topGradient, restarted, gradient);
          }
          const alpha = i === 0 ? 1 : ALPHA;
          const inputs = { x, gradient, delta, previous, budget, flags };
          takeStep(inputs, { norm, earlyStop, alpha }, { next: previous, images });
        });
        [delta, previous] = [previous, delta];
      }
      const outcome = { delta: best, loss: ledger.best, flags, curve };
      return { outcome, rounds: 0 };
    });
  };
  return { ...base, record };
}
