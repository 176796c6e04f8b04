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
import { empty, type Tensor, zeros } from "../tensor.js";

/** Columns a block. */
const SIDE = 32;

interface StepCall {
  readonly block: number;
  readonly multiplies: boolean;
  readonly lanes: number;
}

const start = defineKernel<{ readonly damping: number; readonly width: number }>({
  name: "spade_factor_start",
  wgsl: startWgsl,
  bindings: { h: "read", m: "write" },
  constants: { SIDE },
  shape: ({ h }, { width }) => ({ m: [h[0], width, width] }),
  uniforms: ({ h: [problems, size] }, { damping, width }) => ({ problems, size, width, damping }),
  grid: ({ m: [problems, width] }, limits) => gridFor((problems * width) / SIDE, 1, limits),
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

const finish = defineKernel({
  name: "spade_factor_finish",
  wgsl: finishWgsl,
  bindings: { m: "read", h: "read", u: "write", scale: "write", alive: "write" },
  shape: ({ h }) => ({ u: h, scale: h.slice(0, 2), alive: h.slice(0, 2) }),
  uniforms: ({ h: [problems, size], m }) => ({ problems, size, width: m[1] }),
  grid: ({ h: [problems, size] }, limits) => gridFor(problems * size * Math.ceil(size / 4), 64, limits),
});

export interface DeviceFactors {
  /** [problems, d, d], upper, UᵀU = H⁻¹ */
  readonly u: Tensor;
  /** [problems, d]: 1 / U_jj², 0 for dead inputs */
  readonly scale: Tensor;
  /** [problems, d]: 0 for dead inputs, else 1 */
  readonly alive: Tensor;
  /** u32 [problems]: 1 where a pivot was not positive, and the others say nothing. */
  readonly failed: Tensor;
}

const widthOf = (size: number): number => SIDE * Math.ceil(size / SIDE);

/** Where it is faster than the CPU: on SwiftShader, whose subgroups have 4 lanes, it is as fast, and keeps both cores busy. */
const LANES = 8;
const LEAST_SIZE = 128;
/** With less of the mean diagonal added float32 may not do. */
const LEAST_DAMPING = 1e-3;

/** Whether the device is to factor, and not the CPU in float64. */
export function factorsOnDevice({ gpu, shape: [problems, size] }: Tensor, damping: number): boolean {
  const { software, lanes } = adapterTraits(gpu);
  const suits = software && lanes === LANES && size >= LEAST_SIZE && damping >= LEAST_DAMPING;
  return suits && 4 * problems * widthOf(size) ** 2 <= MOST_BYTES;
}

/**
 * @param h [problems, d, d], symmetric
 * @param damping share of the mean diagonal that is added to the diagonal
 */
export function factorOnDevice(h: Tensor, damping: number): DeviceFactors {
  const { gpu, shape } = h;
  const { lanes } = adapterTraits(gpu);
  const width = widthOf(shape[1]);
  return gpu.scope(() => {
    const { m } = start.run({ h }, { damping, width });
    const v = empty(gpu, [shape[0], SIDE, SIDE]);
    const failed = zeros(gpu, [shape[0]], { dtype: "u32" });
    for (let block = 0; block < width / SIDE; block++) {
      for (const multiplies of [false, true]) step.run({ v, m, failed }, { block, multiplies, lanes });
    }
    const { u, scale, alive } = finish.run({ m, h }, undefined);
    return { u, scale, alive, failed };
  });
}
