/**
 * Optimizer steps: kernels that change a parameter and its state in place, with PyTorch's formulas. What
 * changes from step to step may be data on the device (the learning rate, the step count), so that a recorded
 * program trains on. The classes in src/optimizer.ts keep the state of a whole model.
 */
import adamWgsl from "../../shaders/adam_step.wgsl";
import sgdMomentumWgsl from "../../shaders/sgd_momentum_step.wgsl";
import sgdWgsl from "../../shaders/sgd_step.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { type Shapes, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import { ItemKernel } from "./item_kernel.js";

export interface SgdOptions {
  /** At least 0, or an f32 tensor that holds it: of one element, or of one for each row of the parameter's first axis. */
  readonly learningRate: number | Tensor;
  /** Default 0; at least 0. */
  readonly momentum?: number;
  /** Zeros of the parameter's shape before the first step; needed for a momentum. */
  readonly velocity?: Tensor;
  /** An L2 penalty: weightDecay · parameter is added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Nesterov's momentum. Default false. */
  readonly nesterov?: boolean;
}

export interface AdamOptions {
  /** At least 0, or an f32 tensor of one element that holds it. Default 0.001. */
  readonly learningRate?: number | Tensor;
  /** Decay rates of the two means, from 0 to below 1. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Keeps the quotient finite; above 1e-37. Default 1e-8. */
  readonly eps?: number;
  /** Of `adam`, an L2 penalty in the gradient (default 0); of `adamW`, decoupled (default 0.01). */
  readonly weightDecay?: number;
}

/** The state of one parameter. */
export interface AdamState {
  /** The running mean of the gradient; zeros of the parameter's shape before the first step. */
  readonly first: Tensor;
  /** The running mean of its square; zeros before the first step. */
  readonly second: Tensor;
  /** u32 [1], the number of this step from 1: call `advance(step)` (or `advanceSchedule`) before each step. */
  readonly step: Tensor;
}

interface AdamCall {
  readonly op: string;
  readonly rate: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly decoupled: boolean;
}

/** Smaller ones may be flushed to 0, and 0 / 0 is NaN. */
const SMALLEST_EPS = 1e-37;
/** e to this power is 0 beside 1, and finite as a float32. */
const LOG_OF_ZERO = -1000;

const sgdKernel = new ItemKernel<{ rate: number; weightDecay: number }>({
  name: "sgd_step",
  wgsl: sgdWgsl,
  over: "parameter",
  bindings: { gradient: "read", learning_rate: "optional", parameter: "readWrite" },
  shape: (inputs) => checkRates(inputs, ["gradient"]),
  uniforms: ({ learning_rate }, { rate, weightDecay }) => ({
    rate,
    weight_decay: weightDecay,
    rates: ratesOf(learning_rate),
  }),
});

const sgdMomentumKernel = new ItemKernel<{
  rate: number;
  momentum: number;
  weightDecay: number;
  nesterov: boolean;
}>({
  name: "sgd_momentum_step",
  wgsl: sgdMomentumWgsl,
  over: "parameter",
  bindings: { gradient: "read", learning_rate: "optional", parameter: "readWrite", velocity: "readWrite" },
  shape: (inputs) => checkRates(inputs, ["gradient", "velocity"]),
  uniforms: ({ learning_rate }, { rate, momentum, weightDecay, nesterov }) => ({
    rate,
    momentum,
    weight_decay: weightDecay,
    nesterov: nesterov ? 1 : 0,
    rates: ratesOf(learning_rate),
  }),
});

const adamKernel = new ItemKernel<AdamCall>({
  name: "adam_step",
  wgsl: adamWgsl,
  over: "parameter",
  bindings: {
    gradient: "read",
    step: "read",
    learning_rate: "optional",
    parameter: "readWrite",
    first: "readWrite",
    second: "readWrite",
  },
  shape: (inputs, { op }) => {
    checkOne(op, "step", inputs);
    return checkShapes(op, inputs, ["gradient", "first", "second"]);
  },
  uniforms: ({ learning_rate }, { rate, betas, eps, weightDecay, decoupled }) => ({
    rate,
    rest1: 1 - betas[0],
    rest2: 1 - betas[1],
    log_beta1: Math.max(Math.log(betas[0]), LOG_OF_ZERO),
    log_beta2: Math.max(Math.log(betas[1]), LOG_OF_ZERO),
    eps,
    weight_decay: weightDecay,
    decoupled: decoupled ? 1 : 0,
    scheduled: learning_rate ? 1 : 0,
  }),
});

/** How many learning rates a tensor holds; 0 without. */
const ratesOf = (rates?: readonly number[]): number => (rates ? sizeOf(rates) : 0);

/** @throws ShapeError */
function checkRates(inputs: Shapes, names: readonly string[]): Shapes {
  const { parameter, learning_rate } = inputs;
  checkSame("sgd", inputs, names);
  const rates = ratesOf(learning_rate);
  if (rates > 1 && rates !== parameter[0]) {
    throw new ShapeError(
      `sgd: learning_rate has shape [${learning_rate}], and one element is taken, or ${parameter[0]} for a ` +
        `parameter of shape [${parameter}]`,
    );
  }
  return {};
}

function checkShapes(op: string, inputs: Shapes, names: readonly string[]): Shapes {
  checkSame(op, inputs, names);
  if (inputs.learning_rate) checkOne(op, "learning_rate", inputs);
  return {};
}

/** @throws ShapeError */
function checkSame(op: string, inputs: Shapes, names: readonly string[]): void {
  const { parameter } = inputs;
  for (const name of names) {
    if (inputs[name].join() === parameter.join()) continue;
    throw new ShapeError(
      `${op}: ${name} has shape [${inputs[name]}], and that of the parameter [${parameter}] is taken`,
    );
  }
}

function checkOne(op: string, name: string, shapes: Shapes): void {
  if (sizeOf(shapes[name]) !== 1) {
    throw new ShapeError(`${op}: ${name} has shape [${shapes[name]}], and a tensor of one element is taken`);
  }
}

/** @throws ValueError if an option is not a finite number of at least 0 */
export function checkNotNegative(op: string, options: Readonly<Record<string, unknown>>): void {
  for (const name in options) {
    const value = options[name];
    if (typeof value === "number" && !(value >= 0 && Number.isFinite(Math.fround(value)))) {
      throw new ValueError(`${op}: ${name} is ${value}, and a finite number of at least 0 is taken`);
    }
  }
}

/** A learning rate as the kernels take it: a number for the uniforms, or a tensor. */
function split(rate: number | Tensor): { rate: number; learning_rate?: Tensor } {
  return typeof rate === "number" ? { rate } : { rate: 0, learning_rate: rate };
}

/** @throws ValueError for options that `sgd` does not take */
export function checkSgd(
  op: string,
  { learningRate, momentum = 0, weightDecay, nesterov }: SgdOptions,
): void {
  checkNotNegative(op, { learningRate, momentum, weightDecay });
  if (nesterov && momentum === 0) {
    throw new ValueError(`${op}: nesterov is set and momentum is 0; give a momentum, such as 0.9`);
  }
}

/** @throws ValueError for options that `adam` and `adamW` do not take */
export function checkAdam(
  op: string,
  { learningRate, betas = [0.9, 0.999], eps = 1e-8, weightDecay }: AdamOptions,
): void {
  checkNotNegative(op, { learningRate, weightDecay });
  for (const beta of betas) {
    if (!(beta >= 0 && beta < 1))
      throw new ValueError(`${op}: betas are [${betas}], and two numbers from 0 to below 1 are taken`);
  }
  if (!(eps >= SMALLEST_EPS && Number.isFinite(Math.fround(eps)))) {
    throw new ValueError(`${op}: eps is ${eps}, and a finite number of at least ${SMALLEST_EPS} is taken`);
  }
}

/**
 * One step of stochastic gradient descent, in place: with g = gradient + weightDecay · parameter,
 * velocity ← momentum · velocity + g and parameter ← parameter - learningRate · velocity
 * (with `nesterov`: · (g + momentum · velocity)).
 * @param parameter any shape; changed in place
 * @param gradient the same shape
 * @returns the parameter
 * @throws ShapeError if shapes differ; ValueError for an option out of range, or a momentum without a
 *   velocity
 * @example
 * const velocity = zeros(gpu, weights.shape);
 * sgd(weights, dweights, { learningRate: 0.1, momentum: 0.9, velocity });
 */
export function sgd(parameter: Tensor, gradient: Tensor, options: SgdOptions): Tensor {
  const { velocity, momentum = 0, weightDecay = 0, nesterov = false } = options;
  checkSgd("sgd", options);
  const { rate, learning_rate } = split(options.learningRate);
  // Items of four must not reach over two rates.
  const part = parameter.size / Math.max(ratesOf(learning_rate?.shape), 1);
  if (velocity) {
    const inputs = { gradient, learning_rate, parameter, velocity };
    sgdMomentumKernel.of(part).run(inputs, { rate, momentum, weightDecay, nesterov });
    return parameter;
  }
  if (momentum > 0) {
    throw new ValueError(
      `sgd: momentum is ${momentum} and there is no velocity; give zeros of the parameter's shape`,
    );
  }
  sgdKernel.of(part).run({ gradient, learning_rate, parameter }, { rate, weightDecay });
  return parameter;
}

/**
 * One step of Adam (Kingma and Ba 2014), in place: m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², parameter ←
 * parameter - learningRate · (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + eps), t being `step`. Weight decay is an
 * L2 penalty: g = gradient + weightDecay · parameter.
 * @param parameter any shape; changed in place
 * @param gradient the same shape
 * @returns the parameter
 * @throws ShapeError if shapes differ; ValueError for an option out of range
 * @example
 * const first = zeros(gpu, weights.shape);
 * const second = zeros(gpu, weights.shape);
 * const step = zeros(gpu, [1], { dtype: "u32" });
 * advance(step); // before each step
 * adam(weights, dweights, { first, second, step, learningRate: 0.001 });
 */
export function adam(parameter: Tensor, gradient: Tensor, options: AdamOptions & AdamState): Tensor {
  return runAdam("adam", parameter, gradient, options, false);
}

/**
 * One step of AdamW (Loshchilov and Hutter 2017), in place: the parameter shrinks by learningRate ·
 * weightDecay of itself, and Adam's step without a penalty follows.
 * @param parameter any shape; changed in place
 * @param gradient the same shape
 * @returns the parameter
 * @throws ShapeError if shapes differ; ValueError for an option out of range
 * @example
 * advance(step);
 * adamW(weights, dweights, { first, second, step, learningRate: 0.001, weightDecay: 0.05 });
 */
export function adamW(parameter: Tensor, gradient: Tensor, options: AdamOptions & AdamState): Tensor {
  const { weightDecay = 0.01 } = options;
  return runAdam("adamW", parameter, gradient, { ...options, weightDecay }, true);
}

function runAdam(
  op: string,
  parameter: Tensor,
  gradient: Tensor,
  options: AdamOptions & AdamState,
  decoupled: boolean,
): Tensor {
  const { first, second, step, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 } = options;
  checkAdam(op, options);
  const { rate, learning_rate } = split(options.learningRate ?? 0.001);
  const inputs = { gradient, step, learning_rate, parameter, first, second };
  adamKernel.of(parameter.size).run(inputs, { op, rate, betas, eps, weightDecay, decoupled });
  return parameter;
}
