/**
 * The books of an attack on a batch: the best loss of each sample, what became of it, and the loss of every
 * step.
 */
import judgeWgsl from "../../shaders/attack_judge.wgsl";
import { ShapeError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { fill } from "../ops/elementwise.js";
import { empty, type Tensor, zeros } from "../tensor.js";
import type { Judged } from "./losses.js";

/** Stands for the loss of a sample that has none yet. */
export const NO_LOSS = -3.4028234663852886e38;

export interface Ledger {
  /** [n]: the loss of what is kept. */
  readonly best: Tensor;
  /** u32 [n]; see `FLAGS`. */
  readonly flags: Tensor;
  /** [n, points]. */
  readonly curve: Tensor;
}

/** Where a step's loss goes in the curve. */
export type Place = { readonly column: number } | { readonly query: Tensor; readonly stride: number };

export interface EnterOptions {
  /** Keep the last step and not the best one. Default false. */
  readonly takeLast?: boolean;
  /** Enter the best loss so far into the curve and not that of the step. Default false. */
  readonly bestCurve?: boolean;
}

type EnterCall = EnterOptions & { readonly column: number; readonly stride: number };

const WORKGROUP_SIZE = 64;

const judgeKernel = defineKernel<EnterCall>({
  name: "attack_judge",
  wgsl: judgeWgsl,
  bindings: {
    loss: "read",
    success: "optional",
    query: "optional",
    best: "readWrite",
    flags: "readWrite",
    curve: "readWrite",
    improved: "write",
  },
  constants: (_shapes, { takeLast = false, bestCurve = false }) => ({
    TAKE_LAST: takeLast,
    BEST_CURVE: bestCurve,
  }),
  shape: ({ loss, success, best }) => {
    for (const [name, shape] of Object.entries({ loss, success })) {
      if (shape && shape.join() !== best.join())
        throw new ShapeError(`attack: the loss function gave ${name} [${shape}], and [${best}] is taken`);
    }
    return { improved: loss };
  },
  uniforms: ({ loss, curve }, { column, stride }) => ({ count: loss[0], column, columns: curve[1], stride }),
  grid: ({ loss }, limits) => gridFor(loss[0], WORKGROUP_SIZE, limits),
});

/** Books for `count` samples and a curve of so many points. */
export function openLedger(gpu: Gpu, count: number, points: number): Ledger {
  return {
    best: fill(empty(gpu, [count]), NO_LOSS),
    flags: zeros(gpu, [count], { dtype: "u32" }),
    curve: zeros(gpu, [count, points]),
  };
}

/**
 * Enters a step. A success is better than none, and of two the greater loss is; a loss that is not finite is
 * never better, and is flagged.
 * @returns u32 [n]: 1 where this step is now the best
 */
export function enter(
  { best, flags, curve }: Ledger,
  { loss, success }: Judged,
  place: Place,
  options: EnterOptions = {},
): Tensor {
  const query = "query" in place ? place.query : undefined;
  const [column, stride] = "query" in place ? [0, place.stride] : [place.column, 1];
  const inputs = { loss, success, query, best, flags, curve };
  return judgeKernel.run(inputs, { ...options, column, stride }).improved;
}
