/**
 * U, upper triangular with UᵀU = H⁻¹, on the device: block Cholesky with the inverse in place, of a batch of Hessians.
 * With H's rows and columns in reverse, L Lᵀ = H, and U = L⁻¹, in reverse again. In float32: what it rounds is of the size
 * of what the sums of the Hessians round.
 */
import finishWgsl from "../../shaders/spade_factor_finish.wgsl";
import startWgsl from "../../shaders/spade_factor_start.wgsl";
import stepWgsl from "../../shaders/spade_factor_step.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { spread } from "../gpu/spread.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { MOST_BYTES } from "./gram.js";
import { empty, type Tensor } from "../tensor.js";

/** Columns a block. */
const SIDE = 32;

interface StepCall {
  readonly block: number;
  readonly multiplies: boolean;
  readonly lanes: number;
  /** In a row of all problems. */
  readonly blocks: number;
}

/** The problems of one tensor of Hessians among all that are factored together. */
interface Part {
  readonly h: Tensor;
  /** Number of the first one, and where in m it begins. */
  readonly first: number;
  readonly start: number;
  /** The size in whole blocks. */
  readonly width: number;
}

const start = defineKernel<Part & { readonly damping: number }>({
  name: "spade_factor_start",
  wgsl: startWgsl,
  bindings: { h: "read", m: "readWrite", places: "readWrite", failed: "readWrite" },
  constants: { SIDE },
  shape: () => ({}),
  uniforms: ({ h: [problems, size] }, { width, first, start, damping }) => ({
    problems,
    size,
    width,
    first,
    start,
    damping,
  }),
  grid: ({ h: [problems] }, limits, { width }) => gridFor((problems * width) / SIDE, 1, limits),
});

const step = defineKernel<StepCall>({
  name: "spade_factor_step",
  wgsl: stepWgsl,
  bindings: { v: "readWrite", m: "readWrite", places: "read", failed: "readWrite" },
  constants: (_shapes, { multiplies, lanes }) => ({ SIDE, MULTIPLY: multiplies, LANES: lanes }),
  shape: () => ({}),
  uniforms: (_shapes, { block, blocks }) => ({ block, blocks, stride: spread(blocks), side: SIDE }),
  grid: (_shapes, limits, { blocks }) => gridFor(blocks, 1, limits),
  work: (_shapes, { block, multiplies, blocks }) => 2 * blocks * SIDE ** 3 * (multiplies ? 1 : block),
});

const finish = defineKernel<Part>({
  name: "spade_factor_finish",
  wgsl: finishWgsl,
  bindings: { m: "read", h: "read", u: "write", scale: "write", alive: "write" },
  shape: ({ h }) => ({ u: h, scale: h.slice(0, 2), alive: h.slice(0, 2) }),
  uniforms: ({ h: [problems, size] }, { width, start }) => ({ problems, size, width, start }),
  grid: ({ h: [problems, size] }, limits) => gridFor(problems * size * Math.ceil(size / 4), 64, limits),
});

export interface DeviceFactor {
  /** [problems, d, d], upper, UᵀU = H⁻¹ */
  readonly u: Tensor;
  /** [problems, d]: 1 / U_jj², 0 for dead inputs */
  readonly scale: Tensor;
  /** [problems, d]: 0 for dead inputs, else 1 */
  readonly alive: Tensor;
}

export interface DeviceFactors {
  /** One for each h. */
  readonly factors: readonly DeviceFactor[];
  /** u32, a problem after the other: 1 where a pivot was not positive, and the others say nothing. */
  readonly failed: Tensor;
}

/** Where it is faster than the CPU: on SwiftShader, whose subgroups have 4 lanes, it is as fast, and keeps both cores busy. */
const LANES = 8;
/** Of the largest one: smaller ones beside it cost little. */
const LEAST_SIZE = 128;
/** With less of the mean diagonal added float32 may not do. */
const LEAST_DAMPING = 1e-3;

/** Whether the device is to factor Hessians, all together, and not the CPU in float64. */
export function factorsOnDevice(hessians: readonly Tensor[], damping: number): boolean {
  const [{ gpu }] = hessians;
  const { software, lanes } = adapterTraits(gpu);
  const isLarge = hessians.some(({ shape }) => shape[1] >= LEAST_SIZE);
  const suits = software && lanes === LANES && isLarge && damping >= LEAST_DAMPING;
  return suits && 4 * partsOf(hessians).end <= MOST_BYTES;
}

/** Where the problems of each Hessian go, and where all end. */
function partsOf(hessians: readonly Tensor[]): { parts: Part[]; count: number; end: number } {
  let [count, end] = [0, 0];
  const parts = hessians.map((h): Part => {
    const width = SIDE * Math.ceil(h.shape[1] / SIDE);
    const part = { h, first: count, start: end, width };
    count += h.shape[0];
    end += h.shape[0] * width ** 2;
    return part;
  });
  return { parts, count, end };
}

/**
 * All at once, those of different sizes, too: a step of a single one leaves cores idle.
 * @param hessians [problems, d, d] each, symmetric
 * @param damping share of the mean diagonal that is added to the diagonal
 */
export function factorOnDevice(hessians: readonly Tensor[], damping: number): DeviceFactors {
  const [{ gpu }] = hessians;
  const { lanes } = adapterTraits(gpu);
  const { parts, count, end } = partsOf(hessians);
  return gpu.scope(() => {
    const m = empty(gpu, [end]);
    const v = empty(gpu, [count, SIDE, SIDE]);
    const places = empty(gpu, [count, 2], { dtype: "u32" });
    const failed = empty(gpu, [count], { dtype: "u32" });
    for (const part of parts) start.run({ h: part.h, m, places, failed }, { ...part, damping });
    const blocks = parts.reduce((sum, { h, width }) => sum + (h.shape[0] * width) / SIDE, 0);
    const steps = Math.max(...parts.map(({ width }) => width)) / SIDE;
    for (let block = 0; block < steps; block++) {
      for (const multiplies of [false, true])
        step.run({ v, m, places, failed }, { block, multiplies, lanes, blocks });
    }
    const factors = parts.map((part): DeviceFactor => {
      const { u, scale, alive } = finish.run({ m, h: part.h }, part);
      return { u, scale, alive };
    });
    return { factors, failed };
  });
}
