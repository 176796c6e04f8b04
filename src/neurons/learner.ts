/** Learning by a rule: the walk from the output down, in which each layer learns and pays the layer below. */
import { ValueError } from "../gpu/errors.js";
import { Activation } from "../layers/activation.js";
import { Conv2d } from "../layers/conv2d.js";
import { EnsembleDense } from "../layers/ensemble_dense.js";
import { disposeAll, type Layer, type Saved, type Tensors } from "../layers/layer.js";
import { Residual, Sequential } from "../layers/sequential.js";
import { conv2dInputGrad } from "../ops/conv.js";
import { add, addScaled, fill, full, mul, sign } from "../ops/elementwise.js";
import { advanceSchedule, checkSchedule, type Schedule, scheduleRate } from "../ops/schedule.js";
import { type Optimizer, Sgd } from "../optimizer.js";
import { empty, type Shape, Tensor, zeros } from "../tensor.js";
import { Actions, actionState, restoreTotals } from "./actions.js";
import { type Intake, pay, resolve } from "./feedback.js";
import type { Account, Outcome, Payer, Rule } from "./rule.js";
import { type LedgerPage, pageOf } from "./instrument.js";
import { type Site, sitesOf } from "./sites.js";

export interface LearnerOptions {
  readonly rule: Rule;
  /** Of the model's input; the batch may be any. */
  readonly inputShape: Shape;
  /** A tensor is the caller's, who writes the rate of each update to it: [1], or [members] of an ensemble. */
  readonly learningRate: number | Schedule | Tensor;
  /** Of the default optimizer. Default 0.9. */
  readonly momentum?: number;
  /**
   * Makes another optimizer than `Sgd`; `learningRate` holds the rate of each step. Payments and ledgers count raw
   * gradients, whatever the optimizer makes of them.
   */
  readonly optimizer?: (parameters: Tensors, learningRate: Tensor) => Optimizer;
  /** Draws what a rule keeps at random; of an ensemble one seed for each network. Default 0. */
  readonly seed?: number | readonly number[];
  /** Keep books of who paid whom, for `ledger`. Default false. */
  readonly books?: boolean;
  /**
   * Whether payments to dense weights get their ledger's rate in the kernel that makes them (the same but for rounding);
   * never with `books`, which hold raw payments. Default: where that is faster.
   */
  readonly fused?: boolean;
}

/** What a descent carries along. */
interface Walk {
  readonly outcome: Outcome;
  /** Whether what the layers read is to be paid, too. */
  readonly below: boolean;
  /** Of an update; without them payments stay raw. */
  readonly actions?: Actions;
}

/** Apart from the streams of initial weights, so that a network of the same seed is not its own random feedback. */
const FIRST_STREAM = 2 ** 20;

function checkMembers(
  ensemble: boolean,
  {
    members,
    seed,
    books,
    rates,
  }: { members: number; seed: number | readonly number[]; books: boolean; rates: number },
): void {
  if (rates !== members)
    throw new ValueError(
      `learner: learningRate has ${rates} elements, and ${members}, one a network, is taken`,
    );
  if (ensemble && books)
    throw new ValueError("learner: books is true and the network an ensemble; keep the books of one network");
  const seeds = typeof seed === "number" ? undefined : seed.length;
  if (ensemble ? seeds === members : seeds === undefined) return;
  throw new ValueError(
    `learner: seed is ${JSON.stringify(seed)}, and ${ensemble ? `a list of ${members}, one a network,` : "a number"} is taken`,
  );
}

/**
 * A network's agents with all that they keep, or those of all networks of an ensemble (`stackModels`), each as if it
 * were alone. `step` works inside `gpu.program`. For an ensemble `error` has shape [members, samples, classes].
 * @throws ValueError for a network with transposed or grouped convolutions
 * @example
 * const learner = new Learner(model, { rule: ruleNamed("share"), inputShape: x.shape, learningRate: 0.1 });
 * const { y: logits, saved } = model.forward(x, { training: true });
 * const { dlogits: error } = softmaxCrossEntropy(logits, labels);
 * learner.step({ saved, logits, error });
 */
export class Learner {
  readonly rule: Rule;
  readonly sites: readonly Site[];
  /** What the rule keeps, by site. */
  readonly states: Readonly<Record<string, Tensors>>;
  readonly optimizer: Optimizer;
  /** [1] or [members], the rate of the last update, at first that of the coming one. */
  readonly learningRate: Tensor;
  /** Missing where the caller writes the rate. */
  private readonly schedule?: Schedule;
  private readonly updates: Tensor;
  private readonly ensemble: boolean;
  private readonly byName: ReadonlyMap<string, Site>;
  /** The growth of attention through each weight so far, by site; without books empty. */
  private readonly flows: Readonly<Record<string, Tensor>>;
  private readonly fused?: boolean;

  constructor(
    private readonly model: Sequential,
    {
      rule,
      inputShape,
      learningRate,
      momentum = 0.9,
      optimizer,
      seed = 0,
      books = false,
      fused,
    }: LearnerOptions,
  ) {
    this.rule = rule;
    this.fused = books ? false : fused;
    const given = learningRate instanceof Tensor ? learningRate : undefined;
    if (!(learningRate instanceof Tensor)) {
      this.schedule = typeof learningRate === "number" ? { kind: "constant", learningRate } : learningRate;
      checkSchedule(this.schedule);
    }
    this.sites = sitesOf(model, inputShape);
    this.ensemble = this.sites.some(({ layer }) => layer instanceof EnsembleDense);
    const members = this.sites[0]?.members ?? 1;
    checkMembers(this.ensemble, { members, seed, books, rates: given?.size ?? members });
    this.byName = new Map(this.sites.map((site) => [site.name, site]));
    const { gpu } = Object.values(model.parameters)[0];
    const classes = this.sites.at(-1)?.receivers ?? 0;
    this.states = Object.fromEntries(
      this.sites.map((site, stream) => {
        const own = rule.state?.(site, { gpu, seed, stream: FIRST_STREAM + stream, classes });
        return [site.name, { ...own, ...actionState(rule, site, { seed, stream: FIRST_STREAM + stream }) }];
      }),
    );
    const first = this.schedule ? scheduleRate(this.schedule, 0) : 0;
    this.learningRate = given ?? full(gpu, [members], first);
    this.updates = zeros(gpu, [1], { dtype: "u32" });
    this.flows = Object.fromEntries(
      books ? this.sites.map(({ name, weights }) => [name, zeros(gpu, weights.shape)]) : [],
    );
    this.optimizer =
      optimizer?.(model.parameters, this.learningRate) ??
      new Sgd(model.parameters, { learningRate: this.learningRate, momentum });
  }

  /**
   * What all parameters are paid, as costs; with a rule equal to backpropagation these are ∂L/∂parameter. Nothing is
   * changed.
   * @returns payments by parameter name, as `model.backward` names gradients; the caller's to release
   */
  payments(outcome: Outcome): Tensors {
    return this.walk(outcome);
  }

  /** One update from one batch: payments, what agents make of them, the optimizer's step. */
  step(outcome: Outcome): void {
    const { rule, sites, states } = this;
    this.nextRate();
    const actions = new Actions({ plan: rule, sites, states, fused: this.fused });
    const grads = this.walk(outcome, actions);
    this.learningRate.gpu.scope(() => {
      for (const { name, weights } of sites) {
        const flow = this.flows[name];
        // Payments are carried as costs: what is paid is minus that.
        if (flow) addScaled(flow, mul(weights, grads[`${name}.weight`]), -1, { out: flow });
      }
    });
    actions.finish();
    this.optimizer.step(grads);
    disposeAll(grads);
    this.learningRate.gpu.scope(() => {
      for (const site of sites) {
        if (rule.fixedTotals) restoreTotals(site, states[site.name]);
        rule.remember?.(this.account(site));
      }
    });
  }

  /**
   * Who paid whom in all updates so far: a page a layer, from the input up.
   * @throws ValueError for a learner without books
   */
  async ledger(): Promise<LedgerPage[]> {
    if (Object.keys(this.flows).length === 0)
      throw new ValueError("learner: there are no books; make the learner with { books: true }");
    return Promise.all(
      this.sites.map(async (site) => pageOf(site, (await this.flows[site.name].data()) as Float32Array)),
    );
  }

  /** What each site read in a forward pass, by name. */
  inputs(saved: Saved): Tensors {
    const found: Record<string, Tensor> = {};
    const look = (layers: readonly Layer[], { inner = [] }: Saved, prefix: string): void => {
      for (const [i, layer] of layers.entries()) {
        const name = `${prefix}${i}`;
        if (this.byName.has(name)) found[name] = inner[i].tensors.x;
        else if (layer instanceof Sequential) look(layer.layers, inner[i], `${name}.`);
        else if (layer instanceof Residual) {
          const [body, shortcut] = inner[i].inner as readonly Saved[];
          look(layer.body.layers, body, `${name}.body.`);
          if (layer.shortcut) look(layer.shortcut.layers, shortcut, `${name}.shortcut.`);
        }
      }
    };
    look(this.model.layers, saved, "");
    return found;
  }

  /** Releases what was kept; the model stays. Idempotent. */
  dispose(): void {
    disposeAll(this.flows);
    this.optimizer.dispose();
    for (const state of Object.values(this.states)) disposeAll(state);
    if (this.schedule) this.learningRate.dispose();
    this.updates.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private nextRate(): void {
    const { schedule, updates, learningRate } = this;
    if (!schedule) return;
    if (!this.ensemble) advanceSchedule(updates, learningRate, schedule);
    else if (schedule.kind !== "constant") {
      learningRate.gpu.scope(() => {
        const rate = empty(learningRate.gpu, [1]);
        advanceSchedule(updates, rate, schedule);
        mul(fill(learningRate, 1), rate, { out: learningRate });
      });
    }
  }

  private account(site: Site): Account {
    return { site, state: this.states[site.name] };
  }

  /** Payments to all parameters; those that `actions` has rated already are no longer raw. */
  private walk(outcome: Outcome, actions?: Actions): Tensors {
    const { saved, error } = outcome;
    return this.descend(this.model.layers, saved, error, "", { outcome, below: false, actions }).grads;
  }

  /** @returns payments to the parameters of `layers`, and (if asked for) to what they read, the caller's to release */
  private descend(
    layers: readonly Layer[],
    { inner = [] }: Saved,
    signal: Tensor,
    prefix: string,
    walk: Walk,
  ): { grads: Tensors; flow?: Tensor } {
    const { outcome, below, actions } = walk;
    const lowest = below ? 0 : layers.findIndex((layer) => Object.keys(layer.parameters).length > 0);
    const grads: Record<string, Tensor> = {};
    let flow = signal;
    const go = (next: Tensor): void => {
      if (flow !== signal && flow !== next) flow.dispose();
      flow = next;
    };
    for (let i = layers.length - 1; i >= Math.max(lowest, 0); i--) {
      const layer = layers[i];
      const name = `${prefix}${i}`;
      const wanted = below || i > lowest;
      const inside = { ...walk, below: wanted };
      if (layer instanceof Sequential) {
        const part = this.descend(layer.layers, inner[i], flow, `${name}.`, inside);
        Object.assign(grads, part.grads);
        if (part.flow) go(part.flow);
        continue;
      }
      if (layer instanceof Residual) {
        const part = this.descendBoth(layer, inner[i], flow, name, inside);
        Object.assign(grads, part.grads);
        if (part.flow) go(part.flow);
        continue;
      }
      const site = this.byName.get(name);
      const take = (own: Tensors): void => {
        for (const key in own) grads[`${name}.${key}`] = own[key];
      };
      if (!site) {
        if (Object.keys(layer.parameters).length > 0) take(layer.weightGrads(flow, inner[i]));
        if (wanted) go(layer.inputGrad(flow, inner[i]));
        continue;
      }
      const learn = (raw?: Tensors): Tensors =>
        actions?.pay(site, flow, inner[i], raw) ?? raw ?? layer.weightGrads(flow, inner[i]);
      if (!wanted) {
        take(learn());
        break;
      }
      const under = layers[i - 1];
      const passed = i > 0 && under instanceof Activation && under.fused ? under : undefined;
      const intake: Intake = passed
        ? { activation: passed.fused, slope: passed.config.slope, kept: inner[i - 1].tensors.kept }
        : {};
      const { payments, through, raw } = flow.gpu.scope(() => {
        let raw: Tensors | undefined;
        const payer: Payer = {
          ...this.account(site),
          signal: flow,
          saved: inner[i],
          // Made when the rule asks for them: else they may never be there as such.
          get grads() {
            raw ??= layer.weightGrads(flow, inner[i]);
            return raw;
          },
          top: site === this.sites.at(-1),
          outcome,
          learningRate: this.learningRate,
        };
        return { ...this.pay(payer, intake), raw };
      });
      take(learn(raw));
      go(payments);
      // The activation was passed on the way.
      if (through) i--;
    }
    if (below) return { grads, flow };
    if (flow !== signal) flow.dispose();
    return { grads };
  }

  /** A block's body and its skip connection: what goes in is paid by both. */
  private descendBoth(
    { body, shortcut }: Residual,
    { inner = [] }: Saved,
    signal: Tensor,
    name: string,
    walk: Walk,
  ): { grads: Tensors; flow?: Tensor } {
    const main = this.descend(body.layers, inner[0], signal, `${name}.body.`, walk);
    const skip = shortcut && this.descend(shortcut.layers, inner[1], signal, `${name}.shortcut.`, walk);
    const grads = { ...main.grads, ...skip?.grads };
    if (!main.flow) return { grads };
    const flow = add(main.flow, skip?.flow ?? signal);
    for (const part of [main.flow, skip?.flow]) if (part && part !== signal) part.dispose();
    return { grads, flow };
  }

  /** What one layer pays, and whether that went through the activation below. */
  private pay(payer: Payer, intake: Intake): { payments: Tensor; through: boolean } {
    const { rule } = this;
    const { site, signal, saved } = payer;
    const outputs = saved.inputShape.reduce((product, size) => product * size, 1);
    const agentsOutputs = outputs / (site.agents * site.members);
    const bound = rule.budget === "bounded" ? 1 / agentsOutputs : undefined;
    const bounded = (q: Tensor): Tensor => (bound === undefined ? q : mul(sign(q), bound));
    const special = rule.payments?.(payer);
    if (special) return { payments: bounded(special), through: false };
    if (!rule.feedback) return { payments: bounded(site.layer.inputGrad(signal, saved)), through: false };
    const feedback = rule.feedback(payer, payer);
    if (!(site.layer instanceof Conv2d)) {
      return {
        payments: pay(signal, feedback, { ...intake, bound }),
        through: intake.activation !== undefined,
      };
    }
    const weights = resolve(feedback);
    const options = { ...site.layer.config, inputShape: saved.inputShape };
    return { payments: bounded(conv2dInputGrad(signal, weights, options)), through: false };
  }
}
