/** What a learning rule is. */
import type { Gpu } from "../gpu/gpu.js";
import type { Saved, Tensors } from "../layers/layer.js";
import type { Tensor } from "../tensor.js";
import type { Budget } from "./actions.js";
import type { LedgerOptions } from "./ledger.js";
import type { Feedback } from "./feedback.js";
import type { Site } from "./sites.js";

/** What a forward pass and the loss leave for learning. */
export interface Outcome {
  /** What the model's `forward` kept. */
  readonly saved: Saved;
  /** [samples, classes] */
  readonly logits: Tensor;
  /** ∂L/∂logits: the only place where labels enter. */
  readonly error: Tensor;
}

/** What a rule may use when it makes its state, once. */
export interface Setup {
  readonly gpu: Gpu;
  /** Of an ensemble one for each network. */
  readonly seed: number | readonly number[];
  /** Different for every site. */
  readonly stream: number;
  /** How many numbers a sample's error has. */
  readonly classes: number;
}

/** A site with what the rule keeps for it. */
export interface Account {
  readonly site: Site;
  readonly state: Tensors;
}

/** A layer that is about to pay. */
export interface Payer extends Account {
  /** The costs at the layer's output, minus the payoff gradients g: [samples, receivers, …]. */
  readonly signal: Tensor;
  /** What the layer's forward pass kept; `saved.tensors.x` is what it reads. */
  readonly saved: Saved;
  /**
   * What its own synapses are paid, summed over the batch, as costs: { weight, bias }. Made when read; a rule that does not
   * read them lets a ledger's rate be part of the product.
   */
  readonly grads: Tensors;
  /** Whether it is the output layer. */
  readonly top: boolean;
  readonly outcome: Outcome;
  /** [1] ([members] of an ensemble), the rate of the coming update. */
  readonly learningRate: Tensor;
}

/**
 * A learning rule: what neurons are paid by the layer that reads them, and how they act on it. Signals are carried as
 * costs, minus the payoff gradient, so that optimizers, which descend, apply them as they are: a rule equal to
 * backpropagation carries ∂L/∂z. All methods record ops and return at once; tensors they make and do not return are
 * released for them.
 *
 * Payments come from `payments` if that gives any, else through the weights of `feedback`, else by the layer's own input
 * gradient, which is backpropagation.
 * @example
 * // Receivers pay only for what is written to their larger half.
 * const rule: Rule = {
 *   name: "half",
 *   title: "half attention",
 *   feedback: ({ site }) => ({ weights: mul(site.weights, greater(abs(site.weights), 0.05)) }),
 * };
 */
export interface Rule {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** Tensors that the rule keeps for a site, made once. */
  state?(site: Site, setup: Setup): Tensors;
  /** What the layer pays through; may be asked outside of a step too. */
  feedback?(account: Account, payer?: Payer): Feedback;
  /** Payments of any other kind: the shape of what the layer reads. */
  payments?(payer: Payer): Tensor | undefined;
  /** Called after every update, for what the rule keeps. */
  remember?(account: Account): void;
  /** What an agent may change in one step. Default "gradient". */
  readonly budget?: Budget;
  /** Concave utility of attention earned. Default: none. */
  readonly ledger?: LedgerOptions;
  /** Receivers give a fixed total: they keep the sum of squares of their incoming weights. Default false. */
  readonly fixedTotals?: boolean;
}
