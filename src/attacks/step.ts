/**
 * The step of all projected gradient attacks: direction, step, projection and clamp in one kernel (l1 has its
 * own).
 */
import stepWgsl from "../../shaders/pgd_step.wgsl";
import stepL1Wgsl from "../../shaders/pgd_step_l1.wgsl";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
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
  /** APGD: δ before the last step; linf and l2 only. */
  readonly previous?: Tensor;
  readonly budget: Tensor;
  readonly flags: Tensor;
}

/** Where the results go; `next` may be `previous`. */
export interface StepOut {
  readonly next: Tensor;
  readonly images: Tensor;
}

const stepKernel = defineKernel<StepOptions>({
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
  uniforms: ({ x }, { alpha = 1 }) => ({ ...sampleSizes("attack", x), alpha }),
  grid: ({ x }, limits) => gridFor(x[0], 1, limits),
  work: ({ x }, { norm }) => sizeOf(x) * (norm === "l2" ? 100 : 40),
});

const stepL1Kernel = defineKernel<StepOptions>({
  name: "pgd_step_l1",
  wgsl: stepL1Wgsl,
  bindings: {
    x: "read",
    gradient: "read",
    delta: "read",
    budget: "read",
    flags: "readWrite",
    next: "write",
    images: "write",
  },
  constants: (_shapes, { steepest = true, earlyStop = false }, gpu) => ({
    WORKGROUP_SIZE: lanesASample(gpu),
    STEEPEST: steepest,
    EARLY_STOP: earlyStop,
  }),
  shape: ({ x }) => ({ next: x, images: x }),
  uniforms: ({ x }, { sparsity = 0 }) => {
    const { count, size } = sampleSizes("attack", x);
    return { count, size, kept: Math.max(1, Math.round((1 - sparsity) * size)) };
  },
  grid: ({ x }, limits) => gridFor(x[0], 1, limits),
  work: ({ x }) => 500 * sizeOf(x),
});

/** Records one step; flags what is wrong with the gradient. */
export function takeStep({ previous, ...inputs }: StepInputs, options: StepOptions, out: StepOut): void {
  if (options.norm === "l1") stepL1Kernel.run({ ...inputs }, options, { out: { ...out } });
  else stepKernel.run({ ...inputs, previous }, options, { out: { ...out } });
}
