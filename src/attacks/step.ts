/** The step of all projected gradient attacks: direction, step, projection and clamp in one kernel. */
import stepWgsl from "../../shaders/pgd_step.wgsl";
import { defineKernel, gridFor, type KernelRecord, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { NORM_CODE, type Norm, sampleSizes } from "./definition.js";
import { lanesASample } from "./start.js";

export interface StepOptions {
  readonly norm: Norm;
  /** Go in the direction of steepest ascent (default), or along the gradient as it is. */
  readonly steepest?: boolean;
  /** Leave samples alone that are lost. Default false. */
  readonly earlyStop?: boolean;
  /** l1: the share of the pixels that a step does not move. */
  readonly sparsity?: number;
  /** APGD: the weight of the step itself; the rest goes to the last move. */
  readonly alpha?: number;
}

/** What a step takes: all [n, …] but `budget` [n, 2] and `flags` [n]. */
export interface StepInputs {
  readonly x: Tensor;
  readonly gradient: Tensor;
  readonly delta: Tensor;
  /** APGD: δ before the last step. */
  readonly previous?: Tensor;
  readonly budget: Tensor;
  readonly flags: Tensor;
}

/** Where the results go; `next` may be `previous`. */
export interface StepOut {
  readonly next: Tensor;
  readonly images: Tensor;
}

const record: KernelRecord<StepOptions> = {
  name: "pgd_step",
  wgsl: stepWgsl,
  bindings: {
    x: "read",
    gradient: "read",
    delta: "read",
    previous: "optional",
    budget: "read",
    flags: "readWrite",
    next: "write",
    images: "write",
  },
  inPlace: { next: "previous" },
  constants: ({ previous }, { norm, steepest = true, earlyStop = false }, gpu) => ({
    WORKGROUP_SIZE: lanesASample(gpu),
    NORM: NORM_CODE[norm],
    STEEPEST: steepest,
    EARLY_STOP: earlyStop,
    EXTRAPOLATE: previous !== undefined,
  }),
  shape: ({ x }) => ({ next: x, images: x }),
  uniforms: ({ x }, { sparsity = 0, alpha = 1 }) => {
    const { count, size } = sampleSizes("attack", x);
    return { count, size, kept: Math.max(1, Math.round((1 - sparsity) * size)), alpha };
  },
  grid: ({ x }, limits) => gridFor(x[0], 1, limits),
  work: ({ x }, { norm }) => sizeOf(x) * { linf: 40, l2: 100, l1: 2000 }[norm],
};

const stepKernel = defineKernel(record);

/** Records one step; flags what is wrong with the gradient. */
export function takeStep(inputs: StepInputs, options: StepOptions, out: StepOut): void {
  stepKernel.run({ ...inputs }, options, { out: { ...out } });
}
