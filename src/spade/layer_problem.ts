/** One layer of some samples, as the solvers take it: matrices with a row an output and a column an input. */
import costWgsl from "../../shaders/spade_cost.wgsl";
import differencesWgsl from "../../shaders/spade_differences.wgsl";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { Conv2d } from "../layers/conv2d.js";
import type { Dense } from "../layers/dense.js";
import { broadcastTo } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { slice, transpose } from "../ops/movement.js";
import { empty, type Tensor, tensor } from "../tensor.js";
import { factorOnDevice, factorsOnDevice } from "./factor_device.js";
import { upperFactor } from "./factor_host.js";

/** What `fastspade` and `spade` take of a Hessian. */
export interface Factors {
  /** [samples · groups, d, d], upper, UᵀU = H⁻¹ */
  readonly u: Tensor;
  /** [samples · groups, d]: 1 / U_jj², 0 for dead inputs */
  readonly scale: Tensor;
  /** [samples, groups, d]: 0 for dead inputs, else 1 */
  readonly alive: Tensor;
  /** By sample; of several groups the largest. */
  readonly damping: readonly number[];
}

/** Weights and mask of one layer, [samples, groups, d, outputs]. */
export interface Solution {
  readonly weights: Tensor;
  readonly mask: Tensor;
  /** By sample. */
  readonly damping: readonly number[];
}

/** A solution with what it costs. */
export interface Solved extends Solution {
  readonly problem: LayerProblem;
  /** Of `costsOf`. */
  readonly costs: Tensor;
}

/** What a layer's weights cost a sample. */
export interface Costs {
  /** tr(W H Wᵀ) of the dense weights, 2/N times ‖W X‖². */
  readonly energy: number;
  /** tr(Δ H Δᵀ) of the difference to them. */
  readonly error: number;
  /** Zeros of the mask. */
  readonly removed: number;
}

/** Of the values of `costsOf`, a sample's. */
export function costsIn(values: Float32Array, samples: number, sample: number): Costs {
  const each = values.length / samples;
  const sums = [0, 0, 0];
  for (let at = 0; at < each; at++) sums[at % 3] += values[sample * each + at];
  const [energy, error, removed] = sums;
  return { energy, error, removed };
}

/** Of a group, that a workgroup adds up. */
const INPUTS_A_PART = 64;

const cost = defineKernel<{ readonly outputs: number }>({
  name: "spade_cost",
  wgsl: costWgsl,
  bindings: { product: "read", both: "read", mask: "optional", costs: "write" },
  constants: { WORKGROUP_SIZE: INPUTS_A_PART },
  shape: ({ both: [samples, lines] }) => ({ costs: [samples, Math.ceil(lines / INPUTS_A_PART), 3] }),
  uniforms: ({ both: [samples, lines] }, { outputs }) => ({ samples, lines, outputs }),
  grid: ({ both: [samples, lines] }, limits) =>
    gridFor(samples * Math.ceil(lines / INPUTS_A_PART), 1, limits),
  work: ({ both }) => 2 * sizeOf(both),
});

const differences = defineKernel({
  name: "spade_differences",
  wgsl: differencesWgsl,
  bindings: { dense: "read", weights: "read", both: "write" },
  shape: ({ dense: [samples, groups, size, outputs] }) => ({ both: [samples * groups, size, 2 * outputs] }),
  uniforms: ({ dense: [samples, groups, size, outputs] }) => ({ lines: samples * groups * size, outputs }),
  grid: ({ dense: [samples, groups, size, outputs] }, limits) =>
    gridFor(samples * groups * size * Math.ceil(outputs / 4), 64, limits),
});

/** The weights are held transposed, [samples, groups, d, outputs], which is a dense layer's own layout. */
export class LayerProblem {
  readonly groups: number;
  /** Inputs of an output, d. */
  readonly size: number;
  /** Outputs a group. */
  readonly outputs: number;
  /** Taps of the filter; 1 for dense layers. */
  readonly area: number;
  /** [samples · groups, d, d], 2/N Σ x xᵀ; written by the calibration. */
  readonly h: Tensor;
  /** [samples, groups, d, outputs] */
  readonly dense: Tensor;
  /** By the JSON of the options. */
  readonly solved = new Map<string, Solved>();
  /** This layer and those whose factors are made with its own; set as these are begun. */
  factoredWith: readonly LayerProblem[] = [this];
  private known?: Promise<Factors>;
  private ready?: Factors;
  private disposed = false;

  constructor(
    readonly name: string,
    readonly layer: Conv2d | Dense,
    readonly samples: number,
    private readonly damping: number,
  ) {
    const { weight } = layer.parameters;
    const isConv = layer instanceof Conv2d;
    this.groups = isConv ? (layer.config.groups ?? 1) : 1;
    this.area = isConv ? weight.shape[2] * weight.shape[3] : 1;
    this.size = isConv ? weight.shape[1] * this.area : weight.shape[0];
    this.outputs = weight.size / (this.groups * this.size);
    const { groups, size, outputs } = this;
    this.h = empty(weight.gpu, [samples * groups, size, size]);
    this.dense = weight.gpu.scope(() => {
      const columns = this.columnsOf(weight);
      // A convolution's are a copy already.
      return isConv && samples === 1 ? columns : broadcastTo(columns, [samples, groups, size, outputs]);
    });
  }

  /** Weights of one sample. */
  get weights(): number {
    return this.groups * this.size * this.outputs;
  }

  /** The factors, made the first time: on the device, else on the CPU. */
  factors(): Promise<Factors> {
    beginFactors([this]);
    return this.known as Promise<Factors>;
  }

  /** Whether its factors are there or on their way. */
  get isBegun(): boolean {
    return this.known !== undefined;
  }

  /** Whether the device is to factor these layers together. */
  static areFactoredOnDevice(problems: readonly LayerProblem[]): boolean {
    const hessians = problems.map(({ h }) => h);
    return factorsOnDevice(hessians, problems[0].damping);
  }

  /** @param made what the device makes of them, which is undefined where float32 or the damping does not do */
  begin(made?: Promise<Factors | undefined>): void {
    this.known = this.factor(made);
    // Whoever waits for it sees an error, also if that is later.
    this.known.catch(() => {});
  }

  private async factor(made?: Promise<Factors | undefined>): Promise<Factors> {
    // What the CPU is to factor is read back right behind its Hessian, before the next one is recorded.
    this.ready = (made && (await made)) ?? (await this.hostFactors());
    if (this.disposed) this.disposeFactors();
    return this.ready;
  }

  /** Of all together; undefined where float32 or the damping does not do. */
  static async deviceFactors(problems: readonly LayerProblem[]): Promise<(Factors | undefined)[]> {
    const [{ damping }] = problems;
    const hessians = problems.map(({ h }) => h);
    const { factors, failed } = factorOnDevice(hessians, damping);
    try {
      const flags = await failed.data();
      let end = 0;
      return problems.map(({ samples, groups, size }, index) => {
        const start = end;
        end += samples * groups;
        if (flags.subarray(start, end).some((flag) => flag !== 0)) return undefined;
        const { u, scale, alive } = factors[index];
        const lines = [samples, groups, size];
        return {
          u: u.reshape(u.shape),
          scale: scale.reshape(lines),
          alive: alive.reshape(lines),
          damping: new Array<number>(samples).fill(damping),
        };
      });
    } finally {
      for (const { u, scale, alive } of factors) for (const held of [u, scale, alive]) held.dispose();
      failed.dispose();
    }
  }

  /** In float64, with more damping where what was asked for does not do; reads the Hessians back. */
  async hostFactors(): Promise<Factors> {
    const { size, groups, samples, h } = this;
    const values = await h.data();
    const u = new Float32Array(values.length);
    const scale = new Float32Array(samples * groups * size);
    const alive = new Float32Array(samples * groups * size);
    const damping = new Array<number>(samples).fill(0);
    for (let problem = 0; problem < samples * groups; problem++) {
      const [start, end] = [problem * size * size, (problem + 1) * size * size];
      const factor = upperFactor(values.subarray(start, end), size, this.damping, u.subarray(start, end));
      const sample = Math.floor(problem / groups);
      damping[sample] = Math.max(damping[sample], factor.damping);
      for (let j = 0; j < size; j++) {
        alive[problem * size + j] = 1 - factor.dead[j];
        scale[problem * size + j] = (1 - factor.dead[j]) / factor.u[j * size + j] ** 2;
      }
    }
    const { gpu } = h;
    const lines = [samples, groups, size];
    return {
      u: tensor(gpu, u, h.shape),
      scale: tensor(gpu, scale, lines),
      alive: tensor(gpu, alive, lines),
      damping,
    };
  }

  /**
   * For `costsIn`: what the dense weights and the difference to them cost, and the zeros of the mask.
   * @param weights [samples, groups, d, outputs]
   */
  costsOf(weights: Tensor, mask?: Tensor): Tensor {
    const { samples, groups, size, outputs, h, dense } = this;
    return h.gpu.scope(() => {
      const { both } = differences.run({ dense, weights }, undefined);
      const product = matmul(h, both).reshape([samples, groups * size, 2 * outputs]);
      return cost.run({ product, both: both.reshape(product.shape), mask }, { outputs }).costs;
    });
  }

  /** Adds what a solution costs. */
  keep(solution: Solution): Solved {
    const { weights, mask } = solution;
    return { ...solution, costs: this.costsOf(weights, mask), problem: this };
  }

  /** A weight of the layer's own shape as [1, groups, d, outputs]. */
  columnsOf(weight: Tensor): Tensor {
    const { groups, size, outputs, layer } = this;
    const lines = [1, groups, size, outputs];
    if (!(layer instanceof Conv2d)) return weight.reshape(lines);
    return transpose(weight.reshape([groups, outputs, size]), [0, 2, 1]).reshape(lines);
  }

  /** A sample's part of [samples, groups, d, outputs] in the shape of the layer's weight. */
  weightOf(all: Tensor, sample: number): Tensor {
    const { samples, groups, size, outputs, layer } = this;
    const { shape } = layer.parameters.weight;
    const slicedOut = () => slice(all, [sample, 0, 0, 0], [sample + 1, groups, size, outputs]);
    return all.gpu.scope(() => {
      if (!(layer instanceof Conv2d)) return slicedOut().reshape(shape);
      const one = samples === 1 ? all : slicedOut();
      return transpose(one.reshape([groups, size, outputs]), [0, 2, 1]).reshape(shape);
    });
  }

  /** Releases the tensors, of a factorization under way as soon as it ends. Idempotent. */
  dispose(): void {
    for (const { weights, mask, costs } of this.solved.values())
      for (const held of [weights, mask, costs]) held.dispose();
    this.solved.clear();
    for (const held of [this.h, this.dense]) held.dispose();
    this.disposed = true;
    this.disposeFactors();
  }

  private disposeFactors(): void {
    const { u, scale, alive } = this.ready ?? {};
    for (const held of [u, scale, alive]) held?.dispose();
  }
}

/** Begins the factors of layers that have none yet: on the device, of those together that it is to factor, else on the CPU. */
export function beginFactors(problems: readonly LayerProblem[]): void {
  const missing = problems.filter(({ isBegun }) => !isBegun);
  const groups = deviceGroups(missing);
  const onDevice = new Set(groups.flat());
  for (const problem of missing) if (!onDevice.has(problem)) problem.begin();
  for (const group of groups) {
    const made = LayerProblem.deviceFactors(group);
    group.forEach((problem, index) => {
      problem.factoredWith = group;
      problem.begin(made.then((factors) => factors[index]));
    });
  }
}

/** The layers that the device is to factor, as many as fit together. */
export function deviceGroups(problems: readonly LayerProblem[]): LayerProblem[][] {
  const groups: LayerProblem[][] = [];
  for (const problem of largestFirst(problems)) {
    const joined = [...(groups.at(-1) ?? []), problem];
    if (groups.length > 0 && LayerProblem.areFactoredOnDevice(joined)) groups[groups.length - 1] = joined;
    else if (LayerProblem.areFactoredOnDevice([problem])) groups.push([problem]);
  }
  return groups;
}

/** The order in which layers are factored: those that take longest first. */
export function largestFirst(problems: Iterable<LayerProblem>): LayerProblem[] {
  return [...problems].sort((a, b) => b.size - a.size);
}
