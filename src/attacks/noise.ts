/** Noise of the same size as an attack: the floor that every attack must be well above. */
import { zeros } from "../tensor.js";
import { copyRowsWhere } from "./copy_rows.js";
import {
  type Attack,
  type AttackOptions,
  aimsOf,
  type Batch,
  checkAtLeast,
  checkOptions,
  type Recorded,
  sampleSizes,
} from "./definition.js";
import { enter, openLedger } from "./ledger.js";
import { crossEntropyLoss } from "./losses.js";
import type { Differentiable } from "./model.js";
import { startAttack } from "./start.js";

export interface GaussianNoiseOptions extends AttackOptions {
  /**
   * Standard deviation of a pixel as a share of ε; default 0.5. What leaves the ball is brought back to it.
   */
  readonly deviation?: number;
}

/**
 * δ uniform in the ball (linf: each pixel uniform from -ε to ε), then clamped to the box. `restarts` is the
 * number of tries.
 */
export function uniformNoise(options: AttackOptions): Attack {
  return noise("uniformNoise", "uniform", options);
}

/**
 * δ normal with a standard deviation of `deviation` · ε, brought back to the ball, then clamped to the box.
 */
export function gaussianNoise({ deviation = 0.5, ...options }: GaussianNoiseOptions): Attack {
  checkAtLeast("gaussianNoise", "deviation", deviation, 0);
  return noise("gaussianNoise", "gaussian", options, deviation);
}

function noise(
  name: string,
  kind: "uniform" | "gaussian",
  options: AttackOptions,
  deviation?: number,
): Attack {
  checkOptions(name, options);
  const { norm = "linf", epsilon, loss = crossEntropyLoss, target, seed = 0 } = options;
  const { restarts = 1, earlyStop = false } = options;
  const base = { name, norm, epsilon, loss, target, restarts, earlyStop, seed };

  const record = (model: Differentiable, batch: Batch): Recorded => {
    const { x } = batch;
    const { gpu } = x;
    const { count } = sampleSizes(name, x.shape);
    return gpu.scope(() => {
      const aims = aimsOf(model, batch, base);
      const ledger = openLedger(gpu, count, 1);
      const best = zeros(gpu, x.shape);
      const { delta, images } = startAttack(batch, { norm, epsilon, seed, kind, deviation });
      const judged = loss(model.forward(images).y, aims);
      copyRowsWhere(delta, enter(ledger, judged, { column: 0 }), best);
      const outcome = { delta: best, loss: ledger.best, flags: ledger.flags, curve: ledger.curve };
      return { outcome, rounds: 0 };
    });
  };
  return { ...base, record };
}
