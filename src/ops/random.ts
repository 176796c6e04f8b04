/**
 * Counter-based random numbers, drawn on the device: Philox4x32-10, with the definition of src/random.ts. A
 * block of four words comes of the key (the seed) and the counter (block, stream, draw low, draw high): word
 * i mod 4 of block floor(i / 4) makes element i. Uniform draws, choices and permutations are the same bits on
 * every adapter, normal draws agree within 1e-5.
 *
 * The draw is 0 unless a `counter` tensor is given: one or two u32 words that kernels read and `advance`
 * counts up, so that a replayed program draws anew at each run. Different seeds, streams and draws never
 * share a counter.
 */
import advanceWgsl from "../../shaders/advance_counter.wgsl";
import randomChoiceWgsl from "../../shaders/random_choice.wgsl";
import randomKeysWgsl from "../../shaders/random_keys.wgsl";
import randomNormalWgsl from "../../shaders/random_normal.wgsl";
import randomUniformWgsl from "../../shaders/random_uniform.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { type DType, defineKernel, gridFor, type Kernel, type Shape, sizeOf } from "../gpu/kernel.js";
import { empty, type Tensor } from "../tensor.js";
import {
  checkCounter,
  checkShare,
  type DrawOptions,
  drawUniforms,
  givenOptions,
  keepScale,
  thresholdOf,
} from "./draw.js";
import { orderOfRows } from "./radix_sort.js";

export type { DrawOptions } from "./draw.js";
export { dropout, dropoutGrad, type DropoutOptions } from "./dropout.js";

export interface RandomOptions extends DrawOptions {
  readonly out?: Tensor;
}

export interface UniformOptions extends RandomOptions {
  /** Default 0. */
  readonly low?: number;
  /** Default 1; never reached. */
  readonly high?: number;
}

export interface NormalOptions extends RandomOptions {
  /** Default 0. */
  readonly mean?: number;
  /** The standard deviation; default 1. */
  readonly std?: number;
}

export interface BernoulliOptions extends RandomOptions {
  /** Of a 1; taken to a multiple of 2^-24. */
  readonly probability: number;
}

export interface DropoutMaskOptions extends RandomOptions {
  /** The share of zeros, from 0 to 1; taken to a multiple of 2^-24. */
  readonly rate: number;
}

/** What the kernels of this family get: the draw, the shape of the result and their own uniforms. */
interface Draw {
  readonly draw: DrawOptions;
  readonly shape: Shape;
  readonly values: Readonly<Record<string, number>>;
}

const WORDS_A_BLOCK = 4;

function drawKernel(name: string, wgsl: string, output: string, elementsABlock: number): Kernel<Draw> {
  return defineKernel<Draw>({
    name,
    wgsl,
    bindings: { counter: "optional", [output]: "write" },
    shape: (inputs, { shape }) => {
      checkCounter(name, inputs);
      return { [output]: shape };
    },
    uniforms: (shapes, { draw, shape, values }) => ({
      count: sizeOf(shape),
      ...drawUniforms(shapes, draw),
      ...values,
    }),
    grid: (_shapes, limits, { shape }) => gridFor(Math.ceil(sizeOf(shape) / elementsABlock), 64, limits),
    // Ten rounds of about forty integer operations each.
    work: (_shapes, { shape }) => (400 / elementsABlock) * sizeOf(shape),
  });
}

const uniformKernel = drawKernel("random_uniform", randomUniformWgsl, "y", WORDS_A_BLOCK);
const normalKernel = drawKernel("random_normal", randomNormalWgsl, "y", WORDS_A_BLOCK);
const choiceKernel = drawKernel("random_choice", randomChoiceWgsl, "y", WORDS_A_BLOCK);
const keysKernel = drawKernel("random_keys", randomKeysWgsl, "keys", 1);

const advanceKernel = defineKernel({
  name: "advance_counter",
  wgsl: advanceWgsl,
  bindings: { counter: "readWrite" },
  shape: (inputs) => {
    checkCounter("advance", inputs);
    return {};
  },
  uniforms: ({ counter }) => ({ words: counter[0] }),
  grid: () => [1],
});

function run(
  kernel: Kernel<Draw>,
  gpu: Gpu,
  shape: Shape,
  { out, ...draw }: RandomOptions,
  values: Draw["values"] = {},
  dtype: DType = "f32",
): Tensor {
  if (out && out.gpu !== gpu)
    throw new ShapeError(`${kernel.name}: out lives on another gpu than the one given`);
  drawUniforms({}, draw);
  const result = out ?? empty(gpu, shape, { dtype });
  const output = dtype === "f32" ? "y" : "keys";
  try {
    return kernel.run({ counter: draw.counter }, { draw, shape, values }, { out: { [output]: result } })[
      output
    ];
  } catch (error) {
    if (!out) result.dispose();
    throw error;
  }
}

/** The largest float32 below a float32. */
function floatBelow(value: number): number {
  const float = Float32Array.of(value);
  const bits = new Int32Array(float.buffer);
  if (value === 0) return -(2 ** -126); // Subnormal numbers may be flushed to 0.
  bits[0] += value > 0 ? -1 : 1;
  return float[0];
}

/**
 * Independent draws from [low, high), the same bits on every adapter: low + u·(high - low) with u a multiple
 * of 2^-24, both operations rounded to float32.
 * @param shape of the result
 * @throws ValueError unless low < high as finite float32 numbers, or for options left out, or a seed or stream out of range
 * @example
 * const noise = randomUniform(gpu, [64, 784], { seed: 7, low: -0.1, high: 0.1 });
 */
export function randomUniform(gpu: Gpu, shape: Shape, options: UniformOptions): Tensor {
  const { low = 0, high = 1, ...draw } = givenOptions("randomUniform", options);
  const [from, to] = [Math.fround(low), Math.fround(high)];
  const width = Math.fround(to - from);
  if (!(from < to && Number.isFinite(width))) {
    throw new ValueError(
      `randomUniform: low is ${low} and high is ${high}, and finite float32 numbers with low < high are taken`,
    );
  }
  return run(uniformKernel, gpu, shape, draw, { low: from, width, largest: floatBelow(to), zero: 0 });
}

/**
 * Independent normal draws, by Box and Muller's transform: elements 4b and 4b + 1 are √(-2 ln(1 - u₀)) times
 * cos 2πu₁ and sin 2πu₁, for the uniform draws u of block b; the next two come of u₂ and u₃. None is further
 * out than 5.77 standard deviations. Draws agree within 1e-5 on all adapters.
 * @param shape of the result
 * @throws ValueError for a mean that is not finite, a negative std, or a seed or stream out of range
 * @example
 * const weights = randomNormal(gpu, [784, 128], { seed: 7, std: Math.sqrt(2 / 784) });
 */
export function randomNormal(gpu: Gpu, shape: Shape, options: NormalOptions): Tensor {
  const { mean = 0, std = 1, ...draw } = givenOptions("randomNormal", options);
  if (!(Number.isFinite(mean) && Number.isFinite(std) && std >= 0)) {
    throw new ValueError(
      `randomNormal: mean is ${mean} and std is ${std}, and finite numbers are taken, std not negative`,
    );
  }
  return run(normalKernel, gpu, shape, draw, { mean, deviation: std });
}

/**
 * Independent draws of 1 (with the probability given) and 0; element i is 1 where the uniform draw is below
 * it.
 * @param shape of the result
 * @throws ValueError for a probability outside 0 to 1, or a seed or stream out of range
 * @example
 * const coins = bernoulli(gpu, [1000], { seed: 7, probability: 0.5 });
 */
export function bernoulli(gpu: Gpu, shape: Shape, options: BernoulliOptions): Tensor {
  const { probability, ...draw } = givenOptions("bernoulli", options);
  checkShare("bernoulli", "probability", probability);
  return run(choiceKernel, gpu, shape, draw, { threshold: thresholdOf(probability), below: 1, above: 0 });
}

/**
 * The mask of a dropout: 0 with probability `rate`, else 1 / (1 - rate).
 * @param shape of the result
 * @throws ValueError for a rate outside 0 to 1, or a seed or stream out of range
 * @example
 * const mask = dropoutMask(gpu, [64, 128], { seed: 7, rate: 0.5 }); // zeros and twos
 */
export function dropoutMask(gpu: Gpu, shape: Shape, options: DropoutMaskOptions): Tensor {
  const { rate, ...draw } = givenOptions("dropoutMask", options);
  checkShare("dropoutMask", "rate", rate);
  return run(choiceKernel, gpu, shape, draw, {
    threshold: thresholdOf(rate),
    below: 0,
    above: keepScale(rate),
  });
}

/**
 * A random order of 0 … count - 1, u32, that of `philoxPermutation` bit by bit.
 * @param count at least 0
 * @throws ValueError for a count that is not a whole number, or a seed or stream out of range
 * @example
 * const order = randomPermutation(gpu, 10000, { seed: 7 });
 * const shuffled = gatherRows(images, order);
 */
export function randomPermutation(gpu: Gpu, count: number, options: RandomOptions): Tensor {
  const { out, ...draw } = givenOptions("randomPermutation", options);
  if (!(Number.isInteger(count) && count >= 0)) {
    throw new ValueError(`randomPermutation: count is ${count}, and a whole number of at least 0 is taken`);
  }
  return gpu.scope(() => {
    const keys = run(keysKernel, gpu, [count], draw, {}, "u32");
    return orderOfRows(keys, { out });
  });
}

/**
 * Counts a counter tensor up by one, in place, so that the next draws with it are new ones.
 * @param counter u32 [1], or [2] with the low word first
 * @returns the counter
 * @throws ShapeError for another shape or dtype
 * @example
 * const counter = zeros(gpu, [1], { dtype: "u32" });
 * const program = gpu.program(() => {
 *   const noise = randomNormal(gpu, [64], { seed: 7, counter });
 *   advance(counter);
 *   return noise;
 * });
 */
export function advance(counter: Tensor): Tensor {
  advanceKernel.run({ counter }, undefined);
  return counter;
}
