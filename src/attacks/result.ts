/** What an attack has found, on the host. */
import { add } from "../ops/elementwise.js";
import { copy, type Tensor } from "../tensor.js";
import { FLAGS } from "./definition.js";
import { NO_LOSS } from "./ledger.js";
import type { Sitting } from "./sitting.js";

/** What one attack of a chain did. */
export interface StageReport {
  readonly name: string;
  /** How many samples it was run on, in its first run. */
  readonly attacked: number;
  /** How many of them it had its way with. */
  readonly succeeded: number;
  /** The mean loss at each step, over samples and restarts; for `square` the best so far. */
  readonly lossCurve: Float64Array;
}

/**
 * The result of `attack`. Masks hold 0 or 1 a sample. `delta` and `images` are the caller's to dispose of.
 */
export interface AttackResult {
  readonly epsilon: number;
  /** [n, …]: ‖δ‖ ≤ ε, and 0 where nothing was better than the image itself. */
  readonly delta: Tensor;
  /** x + δ, from 0 to 1. */
  readonly images: Tensor;
  /** The attack had its way, or needed none: the clean image is counted, too. */
  readonly success: Uint8Array;
  /** No success although loss and gradients were sound. What is neither success nor robust proves nothing. */
  readonly robust: Uint8Array;
  /** The loss at δ, and at the clean image. */
  readonly loss: Float32Array;
  readonly cleanLoss: Float32Array;
  /** Success at the clean image: misclassified without an attack. */
  readonly cleanSuccess: Uint8Array;
  /** The class that each sample was to be taken for, if there is one. */
  readonly targets?: Uint32Array;
  /** The loss curve of the last stage that ran. */
  readonly lossCurve: Float64Array;
  readonly stages: readonly StageReport[];
  readonly counts: AttackCounts;
  /** Releases δ and the images. */
  dispose(): void;
}

/** Samples of each kind. */
export interface AttackCounts {
  readonly samples: number;
  readonly success: number;
  readonly robust: number;
  /** A loss or a gradient was NaN or infinite. */
  readonly nonFinite: number;
  /**
   * A gradient was 0 in every entry before there was a success: saturated or masked; try `dlrLoss` or
   * `square`.
   */
  readonly zeroGradient: number;
}

export interface Clean {
  readonly loss: Float32Array;
  readonly flags: Uint32Array;
}

/** Reads what a sitting has found. */
export async function readResult(
  sitting: Sitting,
  x: Tensor,
  facts: {
    readonly epsilon: number;
    readonly clean: Clean;
    readonly stages: readonly StageReport[];
    readonly targets?: Uint32Array;
  },
): Promise<AttackResult> {
  const delta = copy(sitting.delta);
  const images = add(x, delta);
  const dispose = (): void => {
    delta.dispose();
    images.dispose();
  };
  try {
    const loss = await sitting.best.data();
    const flags = (await sitting.flags.data()) as Uint32Array;
    const { clean, stages } = facts;
    const success = maskOf(flags, (flag) => (flag & FLAGS.success) !== 0);
    const robust = maskOf(flags, (flag) => flag === 0);
    const countOf = (bit: number): number => flags.reduce((sum, flag) => sum + (flag & bit ? 1 : 0), 0);
    return {
      ...facts,
      delta,
      images,
      success,
      robust,
      loss: lossesOf(loss),
      cleanLoss: lossesOf(clean.loss),
      cleanSuccess: maskOf(clean.flags, (flag) => (flag & FLAGS.success) !== 0),
      lossCurve: stages[stages.length - 1]?.lossCurve ?? new Float64Array(0),
      counts: {
        samples: flags.length,
        success: countOf(FLAGS.success),
        robust: robust.reduce((sum, value) => sum + value, 0),
        nonFinite: countOf(FLAGS.nonFinite),
        zeroGradient: countOf(FLAGS.zeroGradient),
      },
      dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** Means over runs: adds those of the rows given to the sums, finite losses only. */
export class CurveMean {
  private readonly sums: Float64Array;
  private readonly counts: Float64Array;

  constructor(private readonly points: number) {
    this.sums = new Float64Array(points);
    this.counts = new Float64Array(points);
  }

  add(curve: ArrayLike<number>, rows: readonly number[]): void {
    for (const row of rows) {
      for (let i = 0; i < this.points; i++) {
        const value = curve[row * this.points + i];
        if (!Number.isFinite(value)) continue;
        this.sums[i] += value;
        this.counts[i]++;
      }
    }
  }

  /** NaN where no loss was finite. */
  mean(): Float64Array {
    return this.sums.map((sum, i) => sum / this.counts[i]);
  }
}

/** NaN for what never had a finite loss. */
function lossesOf(values: ArrayLike<number>): Float32Array {
  return Float32Array.from(values, (value) => (value === NO_LOSS ? Number.NaN : value));
}

function maskOf(flags: ArrayLike<number>, test: (flag: number) => boolean): Uint8Array {
  return Uint8Array.from(flags, (flag) => (test(flag) ? 1 : 0));
}
