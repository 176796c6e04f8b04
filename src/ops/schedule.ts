/**
 * Learning-rate schedules as a kernel: the rate of the coming update is computed on the device from the count
 * of the updates done, so that a recorded training step goes on by itself. Each schedule is a rise and a fall
 * around a peak.
 */
import scheduleStepWgsl from "../../shaders/schedule_step.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";

/** With n the number of updates done before (0 for the first), and lr = learningRate: */
export type Schedule =
  /** lr */
  | { readonly kind: "constant"; readonly learningRate: number }
  /** lr · gamma^⌊n / stepSize⌋; gamma 0.1 by default */
  | {
      readonly kind: "step";
      readonly learningRate: number;
      readonly stepSize: number;
      readonly gamma?: number;
    }
  /** lr · gammaⁿ */
  | { readonly kind: "exponential"; readonly learningRate: number; readonly gamma: number }
  /** minimum + (lr - minimum) · (1 + cos(π n / steps)) / 2, then minimum (0 by default) */
  | {
      readonly kind: "cosine";
      readonly learningRate: number;
      readonly steps: number;
      readonly minimum?: number;
    }
  /** lr · (startFactor + (1 - startFactor) · n / warmupSteps), then lr; startFactor 1/3 by default */
  | {
      readonly kind: "linearWarmup";
      readonly learningRate: number;
      readonly warmupSteps: number;
      readonly startFactor?: number;
    }
  /** `linearWarmup` for warmupSteps, then `cosine` over the rest of the steps */
  | {
      readonly kind: "warmupCosine";
      readonly learningRate: number;
      readonly warmupSteps: number;
      readonly steps: number;
      readonly startFactor?: number;
      readonly minimum?: number;
    }
  /**
   * Smith's cycle (2017) of `steps` updates: half a cosine from maximum / startDivisor (25) up to the
   * maximum, at n = riseShare (0.3) · steps - 1, and another down to maximum / startDivisor / endDivisor
   * (10,000), at the last
   */
  | {
      readonly kind: "oneCycle";
      readonly maximum: number;
      readonly steps: number;
      readonly riseShare?: number;
      readonly startDivisor?: number;
      readonly endDivisor?: number;
    };

/** What every schedule comes down to; the fields are the kernel's uniforms. */
interface Plan {
  readonly rise: number;
  readonly fall: number;
  readonly every: number;
  readonly rise_steps: number;
  readonly fall_from: number;
  readonly fall_steps: number;
  readonly start: number;
  readonly peak: number;
  readonly end: number;
  readonly log_gamma: number;
}

const FLAT: Plan = {
  rise: 0,
  fall: 0,
  every: 1,
  rise_steps: 0,
  fall_from: 0,
  fall_steps: 1,
  start: 0,
  peak: 0,
  end: 0,
  log_gamma: 0,
};
const LINEAR_RISE = 1;
const COSINE_RISE = 2;
const COSINE_FALL = 1;
const GEOMETRIC_FALL = 2;

const scheduleStep = defineKernel<Plan>({
  name: "schedule_step",
  wgsl: scheduleStepWgsl,
  bindings: { step: "readWrite", learning_rate: "readWrite" },
  shape: (inputs) => {
    for (const name of ["step", "learning_rate"]) {
      if (sizeOf(inputs[name]) === 1) continue;
      throw new ShapeError(
        `advanceSchedule: ${name} has shape [${inputs[name]}], and a tensor of one element is taken`,
      );
    }
    return {};
  },
  uniforms: (_shapes, plan) => ({ ...plan }),
  grid: () => [1],
});

/** @throws ValueError for a parameter that is missing or out of range */
function planOf(schedule: Schedule): Plan {
  checkParameters(schedule);
  const plan = planOfKind(schedule);
  if (!Object.values(plan).every(Number.isFinite)) {
    throw new ValueError(`schedule ${schedule.kind}: a parameter is missing in ${JSON.stringify(schedule)}`);
  }
  return plan;
}

function checkParameters(schedule: Schedule): void {
  const check = (name: string, low: number, high: number, isWhole = false): void => {
    const value = (schedule as unknown as Record<string, number | undefined>)[name];
    if (value === undefined) return;
    if (
      value >= low &&
      value <= high &&
      Number.isFinite(Math.fround(value)) &&
      (!isWhole || Number.isInteger(value))
    )
      return;
    const range = high === Infinity ? `of at least ${low}` : `from ${low} to ${high}`;
    throw new ValueError(
      `schedule ${schedule.kind}: ${name} is ${value}, and a ${isWhole ? "whole" : "finite"} number ` +
        `${range} is taken`,
    );
  };
  for (const name of ["learningRate", "minimum", "maximum", "startFactor"]) check(name, 0, Infinity);
  for (const name of ["steps", "stepSize", "warmupSteps"]) check(name, 1, 2 ** 31, true);
  for (const name of ["startDivisor", "endDivisor", "gamma"]) check(name, 1e-30, Infinity);
  check("riseShare", 0, 1);
}

function planOfKind(schedule: Schedule): Plan {
  switch (schedule.kind) {
    case "constant":
      return { ...FLAT, peak: schedule.learningRate };
    case "step":
    case "exponential": {
      const { gamma = 0.1, learningRate } = schedule;
      const every = schedule.kind === "step" ? schedule.stepSize : 1;
      return { ...FLAT, peak: learningRate, fall: GEOMETRIC_FALL, every, log_gamma: Math.log(gamma) };
    }
    case "cosine": {
      const { learningRate, steps, minimum = 0 } = schedule;
      return { ...FLAT, peak: learningRate, fall: COSINE_FALL, fall_steps: steps, end: minimum };
    }
    case "linearWarmup":
    case "warmupCosine":
      return planOfWarmup(schedule);
    case "oneCycle": {
      const { maximum, steps, riseShare = 0.3, startDivisor = 25, endDivisor = 1e4 } = schedule;
      const start = maximum / startDivisor;
      const top = riseShare * steps - 1;
      return {
        ...FLAT,
        rise: top > 0 ? COSINE_RISE : 0,
        rise_steps: Math.max(top, 0),
        start,
        peak: maximum,
        fall: COSINE_FALL,
        fall_from: top,
        // With riseShare 1 the rate falls at the first update past the cycle.
        fall_steps: Math.max(steps - 1 - top, 1e-6),
        end: start / endDivisor,
      };
    }
    default:
      throw new ValueError(
        `schedule: kind "${(schedule as Schedule).kind}" is not known; take one of constant, step, ` +
          `exponential, cosine, linearWarmup, warmupCosine, oneCycle`,
      );
  }
}

function planOfWarmup(schedule: Extract<Schedule, { warmupSteps: number }>): Plan {
  const { learningRate, warmupSteps, startFactor = 1 / 3 } = schedule;
  const rise = {
    rise: LINEAR_RISE,
    rise_steps: warmupSteps,
    start: startFactor * learningRate,
    peak: learningRate,
  };
  if (schedule.kind === "linearWarmup") return { ...FLAT, ...rise };
  const { steps, minimum = 0 } = schedule;
  if (steps <= warmupSteps) {
    throw new ValueError(
      `schedule warmupCosine: steps is ${steps}, and more than warmupSteps (${warmupSteps}) is taken`,
    );
  }
  const fall = { fall: COSINE_FALL, fall_from: warmupSteps, fall_steps: steps - warmupSteps, end: minimum };
  return { ...FLAT, ...rise, ...fall };
}

/**
 * The learning rate of an update, on the host: for plots, and to see what the kernel will write.
 * @param schedule its kind and parameters
 * @param step how many updates come before, at least 0
 * @throws ValueError for a parameter out of range
 * @example
 * scheduleRate({ kind: "cosine", learningRate: 0.1, steps: 100 }, 50); // 0.05
 */
export function scheduleRate(schedule: Schedule, step: number): number {
  const plan = planOf(schedule);
  const halfCosine = (share: number): number => (1 - Math.cos(Math.PI * Math.min(Math.max(share, 0), 1))) / 2;
  if (plan.rise > 0 && step <= plan.rise_steps) {
    const share = step / plan.rise_steps;
    return plan.start + (plan.peak - plan.start) * (plan.rise === COSINE_RISE ? halfCosine(share) : share);
  }
  if (plan.fall === COSINE_FALL) {
    const left = (plan.fall_from + plan.fall_steps - step) / plan.fall_steps;
    return plan.end + (plan.peak - plan.end) * halfCosine(left);
  }
  if (plan.fall === GEOMETRIC_FALL)
    return plan.peak * Math.exp(plan.log_gamma * Math.floor(step / plan.every));
  return plan.peak;
}

/**
 * Writes the learning rate of the coming update and counts it: learningRate ← rate(step), step ← step + 1.
 * Call it once before the update's `sgd`, `adam` or `adamW`, which take both tensors.
 * @param step u32 [1], how many updates were begun; zeros at the start
 * @param learningRate f32 [1], overwritten
 * @param schedule its kind and parameters
 * @throws ShapeError for another shape or dtype; ValueError for a parameter out of range
 * @example
 * advanceSchedule(step, learningRate, { kind: "cosine", learningRate: 0.1, steps: 2000 });
 * adam(weights, dweights, { first, second, step, learningRate });
 */
export function advanceSchedule(step: Tensor, learningRate: Tensor, schedule: Schedule): void {
  scheduleStep.run({ step, learning_rate: learningRate }, planOf(schedule));
}

/** @throws ValueError for a parameter out of range */
export function checkSchedule(schedule: Schedule): void {
  planOf(schedule);
}
