/**
 * U, upper triangular with UᵀU = H⁻¹, on the device: block Cholesky with the inverse in place, of a batch of Hessians.
 * With H's rows and columns in reverse, L Lᵀ = H, and U = L⁻¹, in reverse again. In float32: what it rounds is of the size
 * of what the sums of the Hessians round.
 */
import finishWgsl from "../../shaders/spade_factor_finish.wgsl";
import startWgsl from "../../shaders/spade_factor_start.wgsl";
import stepWgsl from "../../shaders/spade_factor_step.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { MOST_BYTES } from "./gram.js";
import { empty, type Tensor } from "../tensor.js";

/** Columns a block. */
const SIDE = 32;

interface StepCall {
  readonly block: number;
  readonly multiplies: boolean;
  readonly lanes: number;
}

interface Part {
  /** Of its problems among all that are factored together. */
  readonly first: number;
}

const start = defineKernel<Part & { readonly damping: number }>({
  name: "spade_factor_start",
  wgsl: startWgsl,
  bindings: { h: "read", m: "readWrite", failed: "readWrite" },
  constants: { SIDE },
  shape: () => ({}),
  uniforms: ({ h: [problems, size], m }, { first, damping }) => ({
    problems,
    size,
    width: m[1],
    first,
    damping,
  }),
  grid: ({ h: [problems], m }, limits) => gridFor((problems * m[1]) / SIDE, 1, limits),
});

const step = defineKernel<StepCall>({
  name: "spade_factor_step",
  wgsl: stepWgsl,
  bindings: { v: "readWrite", m: "readWrite", failed: "readWrite" },
  constants: (_shapes, { multiplies, lanes }) => ({ SIDE, MULTIPLY: multiplies, LANES: lanes }),
  shape: () => ({}),
  uniforms: ({ m }, { block }) => ({ blocks: m[1] / SIDE, block, side: SIDE }),
  // Above the first row there is nothing to sum up.
  grid: ({ m: [problems, width] }, _limits, { block, multiplies }) => [
    block === 0 && !multiplies ? 1 : width / SIDE,
    problems,
  ],
  work: ({ m: [problems, width] }, { block, multiplies }) =>
    2 * problems * SIDE * width * SIDE * (multiplies ? 1 : block),
});

const finish = defineKernel<Part>({
  name: "spade_factor_finish",
  wgsl: finishWgsl,
  bindings: { m: "read", h: "read", u: "write", scale: "write", alive: "write" },
  shape: ({ h }) => ({ u: h, scale: h.slice(0, 2), alive: h.slice(0, 2) }),
  uniforms: ({ h: [problems, size], m }, { first }) => ({ problems, size, width: m[1], first }),
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

const widthOf = (size: number): number => SIDE * Math.ceil(size / SIDE);

/** Where it is faster than the CPU: on SwiftShader, whose subgroups have 4 lanes, it is as fast, and keeps both cores busy. */
const LANES = 8;
const LEAST_SIZE = 128;
/** With less of the mean diagonal added float32 may not do. */
const LEAST_DAMPING = 1e-3;

/** Whether the device is to factor Hessians of one size, all together, and not the CPU in float64. */
export function factorsOnDevice(hessians: readonly Tensor[], damping: number): boolean {
  const [{ gpu, shape }] = hessians;
  const { software, lanes } = adapterTraits(gpu);
  const suits = software && lanes === LANES && shape[1] >= LEAST_SIZE && damping >= LEAST_DAMPING;
  return suits && 4 * countOf(hessians) * widthOf(shape[1]) ** 2 <= MOST_BYTES;
}

const countOf = (hessians: readonly Tensor[]): number =>
  hessians.reduce((sum, { shape }) => sum + shape[0], 0);

/**
 * All at once: a step of a single one leaves cores idle.
 * @param hessians [problems, d, d] each, symmetric, of one d
 * @param damping share of the mean diagonal that is added to the diagonal
 */
export function factorOnDevice(hessians: readonly Tensor[], damping: number): DeviceFactors {
  const [{ gpu, shape }] = hessians;
  const { lanes } = adapterTraits(gpu);
  const [count, width] = [countOf(hessians), widthOf(shape[1])];
  return gpu.scope(() => {
    const m = empty(gpu, [count, width, width]);
    const v = empty(gpu, [count, SIDE, SIDE]);
    const failed = empty(gpu, [count], { dtype: "u32" });
    let first = 0;
    const parts = hessians.map((h) => {
      const part = { h, first };
      first += h.shape[0];
      return part;
    });
    for (const { h, first } of parts) start.run({ h, m, failed }, { first, damping });
    for (let block = 0; block < width / SIDE; block++) {
      for (const multiplies of [false, true]) step.run({ v, m, failed }, { block, multiplies, lanes });
    }
    const factors = parts.map(({ h, first }): DeviceFactor => {
      const { u, scale, alive } = finish.run({ m, h }, { first });
      return { u, scale, alive };
    });
    return { factors, failed };
  });
}
