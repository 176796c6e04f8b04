/**
 * Optimizers that keep the state of a whole model: a step is clipping, the schedule and one kernel a
 * parameter, all of it recorded, so that `gpu.program` can replay it.
 */
import { ShapeError, ValueError } from "./gpu/errors.js";
import type { Gpu } from "./gpu/gpu.js";
import { clipGradientNorm, clipGradientValue } from "./ops/clip.js";
import { type AdamOptions, adam, adamW, checkAdam, checkSgd, type SgdOptions, sgd } from "./ops/optimizer.js";
import { advance } from "./ops/random.js";
import { advanceSchedule, checkSchedule, type Schedule } from "./ops/schedule.js";
import { type Tensor, zeros } from "./tensor.js";

/** Tensors by name, as a model's `parameters`, or a list of them. */
export type TensorSet = Readonly<Record<string, Tensor>> | readonly Tensor[];

/** What every optimizer takes. */
export interface OptimizerOptions {
  /** A number, a schedule, or an f32 tensor of one element that the caller writes to. */
  readonly learningRate: number | Schedule | Tensor;
  /** Scales the gradients, in place, so that their norm over all parameters is at most this. */
  readonly clipNorm?: number;
  /** Holds every element of the gradients, in place, within ±this. */
  readonly clipValue?: number;
}

export type SgdOptimizerOptions = OptimizerOptions &
  Pick<SgdOptions, "momentum" | "weightDecay" | "nesterov">;

export type AdamOptimizerOptions = Partial<OptimizerOptions> & Omit<AdamOptions, "learningRate">;

/** An array on the host, as the readers and writers of `handgrad/io` have it. */
export interface StateArray {
  shape: number[];
  data: Float32Array;
}

/** What `Sgd`, `Adam` and `AdamW` have in common. */
export abstract class Optimizer {
  /** u32 [1]: how many steps were done. */
  readonly stepCount: Tensor;
  /** The rate given, or with a schedule a tensor [1] that holds the rate of the last step. */
  readonly learningRate: number | Tensor;
  /** With `clipNorm`, [1]: the norm of the last gradients before clipping. */
  readonly gradientNorm?: Tensor;
  /** By "<kind>.<parameter>", such as "velocity.weight". */
  readonly state: Readonly<Record<string, Tensor>>;
  private readonly schedule?: Schedule;
  private readonly parameters: ReadonlyMap<string, Tensor>;

  protected constructor(
    parameters: TensorSet,
    private readonly options: OptimizerOptions,
    stateKinds: readonly string[],
  ) {
    this.parameters = new Map(Object.entries(parameters));
    const first = this.parameters.values().next().value;
    if (!first) throw new ShapeError("optimizer: parameters is empty, and at least one tensor is taken");
    const { learningRate, clipNorm } = options;
    const gpu: Gpu = first.gpu;
    this.schedule = isSchedule(learningRate) ? learningRate : undefined;
    if (this.schedule) checkSchedule(this.schedule);
    this.learningRate = isSchedule(learningRate) ? zeros(gpu, [1]) : learningRate;
    this.stepCount = zeros(gpu, [1], { dtype: "u32" });
    if (clipNorm !== undefined) this.gradientNorm = zeros(gpu, [1]);
    const state: Record<string, Tensor> = {};
    for (const kind of stateKinds) {
      for (const [name, { shape }] of this.parameters) state[`${kind}.${name}`] = zeros(gpu, shape);
    }
    this.state = state;
  }

  /**
   * Records one step: clips the gradients, takes the schedule's rate and updates every parameter in place.
   * @param gradients one for each parameter, by the same names or in the same order; changed if there is
   *   clipping
   * @throws ShapeError if a gradient is missing, has no parameter, or has another shape
   */
  step(gradients: TensorSet): void {
    const given = new Map(Object.entries(gradients));
    for (const name of given.keys()) {
      if (!this.parameters.has(name))
        throw new ShapeError(`optimizer: gradients has "${name}", which is no parameter`);
    }
    const pairs = [...this.parameters].map(([name, parameter]) => {
      const gradient = given.get(name);
      if (!gradient)
        throw new ShapeError(`optimizer: gradients has no "${name}"; give one for each parameter`);
      return { name, parameter, gradient };
    });
    const { clipNorm, clipValue } = this.options;
    const list = pairs.map(({ gradient }) => gradient);
    if (clipValue !== undefined) clipGradientValue(list, clipValue);
    if (clipNorm !== undefined) clipGradientNorm(list, clipNorm, { out: this.gradientNorm });
    if (this.schedule) advanceSchedule(this.stepCount, this.learningRate as Tensor, this.schedule);
    else advance(this.stepCount);
    for (const { name, parameter, gradient } of pairs) this.update(name, parameter, gradient);
  }

  protected abstract update(name: string, parameter: Tensor, gradient: Tensor): void;

  /**
   * The state and the number of steps (as a float32, exact up to 2^24) on the host, for `encodeSafetensors`.
   * @example
   * const bytes = encodeSafetensors(await optimizer.save());
   */
  async save(): Promise<Map<string, StateArray>> {
    const saved = new Map<string, StateArray>();
    for (const [name, tensor] of [["step", this.stepCount] as const, ...Object.entries(this.state)]) {
      saved.set(name, { shape: [...tensor.shape], data: Float32Array.from(await tensor.data()) });
    }
    return saved;
  }

  /**
   * Takes over what `save` gave.
   * @param saved all of this optimizer's state and nothing else; checked as a whole before anything is
   *   written
   * @throws ValueError if a name is missing or unknown, or the step is not a whole number; ShapeError for
   *   another shape
   * @example
   * optimizer.load(decodeSafetensors(bytes).tensors);
   */
  load(saved: ReadonlyMap<string, StateArray>): void {
    const targets: Readonly<Record<string, Tensor>> = { step: this.stepCount, ...this.state };
    for (const name of new Set([...saved.keys(), ...Object.keys(targets)])) {
      const [array, tensor] = [saved.get(name), targets[name]];
      if (!array || !tensor) {
        throw new ValueError(
          `optimizer.load: "${name}" is ${array ? "not of this optimizer" : "missing"}; give what save() gave ` +
            `for the same parameters and options`,
        );
      }
      if (array.shape.join() !== tensor.shape.join() || array.data.length !== tensor.size) {
        throw new ShapeError(
          `optimizer.load: "${name}" has shape [${array.shape}], and [${tensor.shape}] is taken`,
        );
      }
      if (!array.data.every(Number.isFinite))
        throw new ValueError(`optimizer.load: "${name}" is not finite everywhere`);
    }
    const steps = saved.get("step")!.data[0];
    if (!(Number.isInteger(steps) && steps >= 0 && steps < 2 ** 32)) {
      throw new ValueError(`optimizer.load: "step" is ${steps}, and a whole number of at least 0 is taken`);
    }
    for (const name in targets) targets[name].write(saved.get(name)!.data);
  }

  /** Releases the state; the parameters stay. Idempotent. */
  dispose(): void {
    this.stepCount.dispose();
    this.gradientNorm?.dispose();
    if (this.schedule) (this.learningRate as Tensor).dispose();
    for (const tensor of Object.values(this.state)) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function isSchedule(rate: OptimizerOptions["learningRate"]): rate is Schedule {
  return typeof rate === "object" && "kind" in rate;
}

/** A learning rate as the checks of the ops take it: a schedule has its own. */
function plainRate(rate: OptimizerOptions["learningRate"]): number | Tensor {
  return isSchedule(rate) ? 0 : rate;
}

/**
 * Stochastic gradient descent; see `sgd` for the formulas.
 * @throws ValueError for an option out of range
 * @example
 * const optimizer = new Sgd(model.parameters, { learningRate: 0.1, momentum: 0.9 });
 * const step = gpu.program(() => optimizer.step(gradientsOf(batch)));
 */
export class Sgd extends Optimizer {
  constructor(
    parameters: TensorSet,
    private readonly settings: SgdOptimizerOptions,
  ) {
    checkSgd("Sgd", { ...settings, learningRate: plainRate(settings.learningRate) });
    super(parameters, settings, settings.momentum ? ["velocity"] : []);
  }

  protected override update(name: string, parameter: Tensor, gradient: Tensor): void {
    const { momentum, weightDecay, nesterov } = this.settings;
    const velocity = this.state[`velocity.${name}`];
    sgd(parameter, gradient, { learningRate: this.learningRate, velocity, momentum, weightDecay, nesterov });
  }
}

/**
 * Adam; see `adam` for the formulas.
 * @throws ValueError for an option out of range
 * @example
 * const schedule = { kind: "cosine", learningRate: 0.001, steps: 5000 } as const;
 * const optimizer = new Adam(model.parameters, { learningRate: schedule, clipNorm: 1 });
 */
export class Adam extends Optimizer {
  constructor(
    parameters: TensorSet,
    private readonly settings: AdamOptimizerOptions = {},
  ) {
    const { learningRate = 0.001, ...rest } = settings;
    checkAdam("Adam", { ...rest, learningRate: plainRate(learningRate) });
    super(parameters, { ...rest, learningRate }, ["first", "second"]);
  }

  protected override update(name: string, parameter: Tensor, gradient: Tensor): void {
    const { betas, eps, weightDecay } = this.settings;
    const { learningRate, stepCount: step } = this;
    const [first, second] = [this.state[`first.${name}`], this.state[`second.${name}`]];
    const options = { first, second, step, learningRate, betas, eps, weightDecay };
    this.apply(parameter, gradient, options);
  }

  protected apply(parameter: Tensor, gradient: Tensor, options: Parameters<typeof adam>[2]): void {
    adam(parameter, gradient, options);
  }
}

/**
 * AdamW: Adam with decoupled weight decay, 0.01 by default; see `adamW` for the formulas.
 * @throws ValueError for an option out of range
 * @example
 * const optimizer = new AdamW(model.parameters, { learningRate: 0.001, weightDecay: 0.05 });
 */
export class AdamW extends Adam {
  protected override apply(parameter: Tensor, gradient: Tensor, options: Parameters<typeof adamW>[2]): void {
    adamW(parameter, gradient, options);
  }
}
