/** One layer of some samples, as the solvers take it: matrices with a row an output and a column an input. */
import { Conv2d } from "../layers/conv2d.js";
import type { Dense } from "../layers/dense.js";
import { broadcastTo, mul, sub } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { slice, transpose } from "../ops/movement.js";
import { sum } from "../ops/reduce.js";
import { type Tensor, tensor, zeros } from "../tensor.js";
import { upperFactor } from "./factor.js";

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

/** A solution with what it costs, each [samples]. */
export interface Solved extends Solution {
  readonly problem: LayerProblem;
  /** tr(Δ H Δᵀ) of the difference to the dense weights, and tr(W H Wᵀ) of these. */
  readonly error: Tensor;
  readonly energy: Tensor;
  readonly removed: Tensor;
}

/** The weights are held transposed, [samples, groups, d, outputs], which is a dense layer's own layout. */
export class LayerProblem {
  readonly groups: number;
  /** Inputs of an output, d. */
  readonly size: number;
  /** Outputs a group. */
  readonly outputs: number;
  /** Taps of the filter; 1 for dense layers. */
  readonly area: number;
  /** [samples · groups, d, d], 2/N Σ x xᵀ; filled by the calibration. */
  readonly h: Tensor;
  /** [samples, groups, d, outputs] */
  readonly dense: Tensor;
  /** By the JSON of the options. */
  readonly solved = new Map<string, Solved>();
  private known?: Promise<Factors>;
  private ready?: Factors;
  private disposed = false;
  private energy?: Tensor;

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
    this.h = zeros(weight.gpu, [samples * groups, size, size]);
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

  /** The factors; reads the Hessians back the first time. */
  factors(): Promise<Factors> {
    if (!this.known) {
      this.known = this.factor();
      // Whoever waits for it sees an error, also if that is later.
      this.known.catch(() => {});
    }
    return this.known;
  }

  private async factor(): Promise<Factors> {
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
    const { gpu } = this.h;
    const lines = [samples, groups, size];
    this.ready = {
      u: tensor(gpu, u, h.shape),
      scale: tensor(gpu, scale, lines),
      alive: tensor(gpu, alive, lines),
      damping,
    };
    if (this.disposed) this.disposeFactors();
    return this.ready;
  }

  /** tr(Δ H Δᵀ) a sample, half of N times ‖Δ X‖². @param delta [samples, groups, d, outputs] @returns [samples] */
  quadratic(delta: Tensor): Tensor {
    const { samples, groups, size, outputs, h } = this;
    return h.gpu.scope(() => {
      const flat = delta.reshape([samples * groups, size, outputs]);
      const product = mul(matmul(h, flat), flat);
      return sum(product.reshape([samples, groups * size * outputs]), { axes: [1] });
    });
  }

  /** tr(W H Wᵀ) a sample. */
  denseEnergy(): Tensor {
    this.energy ??= this.quadratic(this.dense);
    return this.energy;
  }

  /** Adds what a solution costs. */
  keep(solution: Solution): Solved {
    const { weights, mask } = solution;
    const { samples, dense } = this;
    const energy = this.denseEnergy();
    const costs = dense.gpu.scope(() => ({
      error: this.quadratic(sub(weights, dense)),
      removed: sum(sub(1, mask).reshape([samples, dense.size / samples]), { axes: [1] }),
    }));
    return { ...solution, ...costs, energy, problem: this };
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
    for (const { weights, mask, error, removed } of this.solved.values())
      for (const held of [weights, mask, error, removed]) held.dispose();
    this.solved.clear();
    for (const held of [this.h, this.dense, this.energy]) held?.dispose();
    this.disposed = true;
    this.disposeFactors();
  }

  private disposeFactors(): void {
    const { u, scale, alive } = this.ready ?? {};
    for (const held of [u, scale, alive]) held?.dispose();
  }
}
