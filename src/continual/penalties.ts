/** Penalties that hold parameters where they served earlier tasks: what forgetting is usually met with. */
import { ValueError } from "../gpu/errors.js";
import { disposeAll, type Tensors } from "../layers/layer.js";
import { add, addScaled, div, maximum, mul, square, sub } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { sum } from "../ops/reduce.js";
import { Sgd, type SgdOptimizerOptions } from "../optimizer.js";
import { copy, type Tensor, zeros } from "../tensor.js";

/** What a penalty does in a step and between tasks. All but `taskDone` works inside `gpu.program`. */
export interface Penalty {
  /** Adds the penalty's gradient to the gradients, in place; called before the update. */
  add(grads: Tensors): void;
  /** Called after the update with what `add` saw; may look at how far parameters went. */
  moved?(grads: Tensors): void;
  /** After a task. `squares` holds, by parameter, the mean over the task's samples of squared gradients. */
  taskDone(squares: Tensors): void;
  /** Whether `taskDone` looks at `squares`. */
  readonly wantsSquares: boolean;
  dispose(): void;
}

function checkStrength(name: string, strength: number | Tensor): void {
  if (typeof strength === "number" && !(strength >= 0 && Number.isFinite(strength)))
    throw new ValueError(`${name}: strength is ${strength}, and a finite number of at least 0 is taken`);
}

/**
 * Elastic weight consolidation (Kirkpatrick et al. 2017): λ/2 Σ_tasks Σ F (θ - θ_task)², F the diagonal of the empirical
 * Fisher information (squared gradients of the true labels' log-likelihood, a sample at a time, as Avalanche has it).
 * The tasks' quadratics are kept as one: Σ F θ² - 2 Σ F θ_task θ.
 * @throws ValueError for a strength λ below 0
 */
export class ElasticConsolidation implements Penalty {
  readonly wantsSquares = true;
  private readonly stiffness: Tensors;
  private readonly pull: Tensors;

  constructor(
    private readonly parameters: Tensors,
    private readonly strength: number,
  ) {
    checkStrength("ElasticConsolidation", strength);
    [this.stiffness, this.pull] = [zerosLike(parameters), zerosLike(parameters)];
  }

  add(grads: Tensors): void {
    each(this.parameters, (name, parameter) => {
      const force = sub(mul(this.stiffness[name], parameter), this.pull[name]);
      addScaled(grads[name], force, this.strength, { out: grads[name] });
    });
  }

  taskDone(squares: Tensors): void {
    each(this.parameters, (name, parameter) => {
      add(this.stiffness[name], squares[name], { out: this.stiffness[name] });
      add(this.pull[name], mul(squares[name], parameter), { out: this.pull[name] });
    });
  }

  dispose(): void {
    disposeAll(this.stiffness, this.pull);
  }
}

/**
 * Synaptic intelligence (Zenke et al. 2017): c Σ Ω (θ - θ*)², Ω of a task what each parameter's moves lowered the loss by,
 * -Σ gradient · Δθ, over (θ_end - θ_start)² + ξ; θ* is where the last task ended. Without momentum Δθ = θ's own move.
 * @throws ValueError for a strength c below 0
 */
export class SynapticIntelligence implements Penalty {
  readonly wantsSquares = false;
  private readonly before: Tensors;
  private readonly raw: Tensors;
  private readonly path: Tensors;
  private readonly anchor: Tensors;
  private readonly importance: Tensors;

  /** @param options strength c; damping ξ, default 0.1 as in the paper */
  constructor(
    private readonly parameters: Tensors,
    private readonly options: { readonly strength: number; readonly damping?: number },
  ) {
    checkStrength("SynapticIntelligence", options.strength);
    this.before = zerosLike(parameters);
    this.raw = zerosLike(parameters);
    this.path = zerosLike(parameters);
    this.importance = zerosLike(parameters);
    this.anchor = mapTensors(parameters, (parameter) => copy(parameter));
  }

  add(grads: Tensors): void {
    each(this.parameters, (name, parameter) => {
      copy(parameter, { out: this.before[name] });
      // The loss's own gradient, without the penalty.
      copy(grads[name], { out: this.raw[name] });
      const force = mul(this.importance[name], sub(parameter, this.anchor[name]));
      addScaled(grads[name], force, 2 * this.options.strength, { out: grads[name] });
    });
  }

  moved(): void {
    each(this.parameters, (name, parameter) => {
      const gain = mul(this.raw[name], sub(this.before[name], parameter));
      add(this.path[name], gain, { out: this.path[name] });
    });
  }

  taskDone(): void {
    const { damping = 0.1 } = this.options;
    each(this.parameters, (name, parameter) => {
      const way = add(square(sub(parameter, this.anchor[name])), damping);
      const importance = maximum(div(this.path[name], way), 0);
      add(this.importance[name], importance, { out: this.importance[name] });
      mul(this.path[name], 0, { out: this.path[name] });
      copy(parameter, { out: this.anchor[name] });
    });
  }

  dispose(): void {
    disposeAll(this.before, this.raw, this.path, this.importance, this.anchor);
  }
}

/** Gradient descent with a penalty. */
export class PenaltySgd extends Sgd {
  constructor(
    parameters: Tensors,
    settings: SgdOptimizerOptions,
    private readonly penalty: Penalty,
  ) {
    super(parameters, settings);
  }

  override step(gradients: Tensors): void {
    this.penalty.add(gradients);
    super.step(gradients);
    this.penalty.moved?.(gradients);
  }
}

/**
 * Squared gradients of dense weights and biases, a sample at a time, summed: a sample's gradient is x_i g_j, its square
 * x_i² g_j², so their sum is one product.
 * @param x what the layer read, [n, inputs] or [members, n, inputs]
 * @param signal ∂L/∂output of each sample's own loss (no mean)
 */
export function denseSquares(x: Tensor, signal: Tensor): { weight: Tensor; bias: Tensor } {
  const g = square(signal);
  return { weight: matmul(square(x), g, { transposeA: true }), bias: sum(g, { axes: [g.rank - 2] }) };
}

function each(tensors: Tensors, use: (name: string, tensor: Tensor) => void): void {
  const [first] = Object.values(tensors);
  first.gpu.scope(() => {
    for (const name in tensors) use(name, tensors[name]);
  });
}

const mapTensors = (tensors: Tensors, make: (tensor: Tensor) => Tensor): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, make(tensor)]));

const zerosLike = (tensors: Tensors): Tensors => mapTensors(tensors, ({ gpu, shape }) => zeros(gpu, shape));
