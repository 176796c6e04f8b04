/** What agents do with their payments: how payments to synapses become the directions that the optimizer takes. */
import { Dense } from "../layers/dense.js";
import { EnsembleDense } from "../layers/ensemble_dense.js";
import type { Saved, Tensors } from "../layers/layer.js";
import { abs, add, div, maximum, mul, sqrt, square, sub } from "../ops/elementwise.js";
import { gatherRows } from "../ops/gather.js";
import { mean, sum } from "../ops/reduce.js";
import { philoxPermutation } from "../random.js";
import { type Shape, type Tensor, tensor, zeros } from "../tensor.js";
import { sumByAgent } from "./attention.js";
import { bySynapses, type LedgerOptions, numbersOf, perMember, rateOf } from "./ledger.js";
import { isFusedFaster, ratedProduct } from "./outer_product.js";
import { incomingAxes, overReceivers, overSenders, type Site } from "./sites.js";

/**
 * - `gradient`: a quadratic cost of change; the best step is along the payments
 * - `ball`: each neuron moves its own weights by one unit, ‖Δθ_i‖ = rate; the direction is its payments'
 * - `bounded`: each neuron moves its output by one unit for every sample, whatever the size of the payment
 */
export type Budget = "gradient" | "ball" | "bounded";

/** Below it a length is 0. */
const TINY = 1e-30;

/** What a rule asks of agents, and what that keeps for every site. */
export interface ActionPlan {
  readonly budget?: Budget;
  readonly ledger?: LedgerOptions;
  readonly fixedTotals?: boolean;
}

/** The tensors that actions keep for a site; `seed` draws whose rate a neuron takes from a shuffled ledger. */
export function actionState(
  { ledger, fixedTotals }: ActionPlan,
  site: Site,
  { seed, stream }: { readonly seed: number | readonly number[]; readonly stream: number },
): Tensors {
  const state: Record<string, Tensor> = {};
  const { gpu } = site.weights;
  if (ledger && perMember(ledger)) state.numbers = numbersOf(ledger, site);
  if (ledger?.holder === "synapse") {
    state.ledgerWeight = zeros(gpu, site.weights.shape);
    if (site.bias) state.ledgerBias = zeros(gpu, site.bias.shape);
  }
  if (ledger?.holder === "neuron" && site.reader) {
    state.ledger = zeros(gpu, perSite(site, site.receivers));
    if (ledger.shuffled) state.others = tensor(gpu, othersOf(site, seed, stream));
  }
  if (ledger?.holder === "receiver") state.ledger = zeros(gpu, perSite(site, site.receivers));
  if (ledger?.holder === "sender") {
    state.ledger = zeros(gpu, perSite(site, site.agents));
    if (site.bias) state.ledgerBias = zeros(gpu, site.bias.shape);
  }
  if (fixedTotals) state.totals = gpu.scope(() => totalsOf(site));
  return state;
}

const perSite = ({ layer, members }: Site, count: number): Shape =>
  layer instanceof EnsembleDense ? [members, count] : [count];

/** The place in the ledger from which each neuron takes its rate. */
function othersOf(
  { receivers, members }: Site,
  seed: number | readonly number[],
  stream: number,
): Uint32Array {
  const seeds = typeof seed === "number" ? [seed] : seed;
  const others = new Uint32Array(members * receivers);
  for (const [member, own] of seeds.entries()) {
    const order = philoxPermutation(receivers, own, stream);
    for (let j = 0; j < receivers; j++) others[member * receivers + j] = member * receivers + order[j];
  }
  return others;
}

/** [receivers], what each receiver gives in all, Σ w². */
export function totalsOf(site: Pick<Site, "layer" | "weights">): Tensor {
  return sum(square(site.weights), { axes: incomingAxes(site) });
}

/** The payments to one site's synapses. */
type SiteGrads = { readonly weight: Tensor; readonly bias?: Tensor };

/** What an update's actions work with. */
export interface ActionParts {
  readonly plan: ActionPlan;
  readonly sites: readonly Site[];
  /** By site name, from `actionState`. */
  readonly states: Readonly<Record<string, Tensors>>;
  /** Whether product and rate are one kernel where they can be; default: where that is faster. */
  readonly fused?: boolean;
}

/**
 * Turns the payments of one update into directions. Sites come from the output down, each with what its synapses are
 * paid; a rate that is known by then is given to payments as they are made, in one kernel. `finish` does the rest.
 */
export class Actions {
  private readonly paid = new Map<Site, SiteGrads>();
  /** Sites whose payments have been rated as they were made; all others hold raw ones until `finish`. */
  private readonly rated = new Set<Site>();
  /** By rated site, what its senders earned in raw payments, in parts. */
  private readonly earned = new Map<Site, Tensor>();

  constructor(private readonly parts: ActionParts) {}

  /**
   * What a site's synapses are paid.
   * @param raw payments that somebody has asked for already
   * @returns { weight, bias }, which `finish` changes in place
   */
  pay(site: Site, signal: Tensor, saved: Saved, raw?: Tensors): Tensors {
    const grads = (raw ? undefined : this.payRated(site, signal, saved.tensors.x)) ?? raw;
    const all = grads ?? site.layer.weightGrads(signal, saved);
    this.paid.set(site, all as SiteGrads);
    return all;
  }

  /** Acts on what has not been acted on yet. */
  finish(): void {
    const { plan } = this.parts;
    const { ledger, budget, fixedTotals } = plan;
    const raw = [...this.paid].filter(([site]) => !this.rated.has(site));
    const [gpu] = [...this.paid].map(([site]) => site.weights.gpu);
    gpu?.scope(() => {
      if (fixedTotals) for (const [site, paid] of raw) keepTotal(site, paid.weight);
      if (ledger?.holder === "neuron") {
        // Payments stay raw until every rate is known.
        const rates = raw.map(([site]) => this.rateOfReceivers(ledger, site));
        raw.forEach(([site, paid], at) => {
          const rate = rates[at];
          if (rate) scaleReceivers(site, paid, rate);
        });
      }
      for (const [site, paid] of raw) {
        const state = this.stateOf(site);
        if (ledger?.holder === "receiver" || ledger?.holder === "sender") byMean(ledger, site, paid, state);
        if (ledger?.holder === "synapse") bySynapse(ledger, site, paid, state);
      }
      if (budget === "ball") for (const [site, paid] of this.paid) toUnitLength(site, paid);
    });
    for (const sums of this.earned.values()) sums.dispose();
  }

  private stateOf({ name }: Site): Tensors {
    return this.parts.states[name];
  }

  /** Payments at their rate, in one kernel a parameter; none where that cannot be, or is slower. */
  private payRated(site: Site, signal: Tensor, x: Tensor): SiteGrads | undefined {
    const { plan, sites, fused } = this.parts;
    const { ledger, fixedTotals } = plan;
    // The means of receivers and senders are known behind the product only, and totals are kept before the ledger.
    if (!ledger || fixedTotals || !isPlainProduct(site)) return undefined;
    if (ledger.holder !== "synapse" && ledger.holder !== "neuron") return undefined;
    if (!(fused ?? isFusedFaster(x, signal))) return undefined;
    const { gpu } = signal;
    const { ledgerWeight, ledgerBias, numbers } = this.stateOf(site);
    const isReader = sites.some(({ reader }) => reader === site.name);
    const made = gpu.scope(() => {
      const neuron = ledger.holder === "neuron";
      const rates = neuron ? this.rateOfReceivers(ledger, site) : undefined;
      const common = { signal, rates, numbers };
      const weights = ratedProduct(
        { ...common, x, w: site.weights, ledger: ledgerWeight },
        { ledger, earned: neuron && isReader },
      );
      const bias = site.bias && ratedProduct({ ...common, w: site.bias, ledger: ledgerBias }, { ledger });
      return { weight: weights.payments, earned: weights.earned, bias: bias?.payments };
    });
    const { weight, bias, earned } = made;
    this.rated.add(site);
    if (earned) this.earned.set(site, earned);
    return bias ? { weight, bias } : { weight };
  }

  /** What each neuron earned in its reader's weights sets the rate of its own; none for those that nobody reads. */
  private rateOfReceivers(options: LedgerOptions, site: Site): Tensor | undefined {
    const reader = this.parts.sites.find(({ name }) => name === site.reader);
    if (!reader) return undefined;
    const state = this.stateOf(site);
    const rate = rateOf(options, this.earnedFrom(reader, options), state);
    const { shape, size } = state.ledger;
    return state.others ? gatherRows(rate.reshape([size]), state.others).reshape(shape) : rate;
  }

  /** What the agents that a site reads earned there, raw. */
  private earnedFrom(reader: Site, { counts }: LedgerOptions): Tensor {
    const parts = this.earned.get(reader);
    const { weight } = this.paid.get(reader) as SiteGrads;
    if (counts === "growth") return abs(sumByAgent(parts ?? mul(reader.weights, weight), reader));
    return sumByAgent(parts ?? (counts === "square" ? square(weight) : abs(weight)), reader);
  }
}

/** Whether a site's payments are the product of what it read and its signal, and nothing else (as with a mask). */
function isPlainProduct({ layer }: Site): boolean {
  return [Dense, EnsembleDense].some(({ prototype }) => layer.weightGrads === prototype.weightGrads);
}

function bySynapse(options: LedgerOptions, site: Site, { weight, bias }: SiteGrads, state: Tensors): void {
  bySynapses(options, site.members, site.weights, weight, state.ledgerWeight, state.numbers);
  if (site.bias && bias) bySynapses(options, site.members, site.bias, bias, state.ledgerBias, state.numbers);
}

/** The mean that a neuron's synapses are paid sets the rate of all of them. */
function byMean(options: LedgerOptions, site: Site, paid: SiteGrads, state: Tensors): void {
  const { counts, holder } = options;
  const { weight } = paid;
  const measure =
    counts === "growth" ? abs(mul(site.weights, weight)) : counts === "square" ? square(weight) : abs(weight);
  if (holder === "receiver") {
    scaleReceivers(site, paid, rateOf(options, mean(measure, { axes: incomingAxes(site) }), state));
    return;
  }
  const synapses = site.weights.size / (site.members * site.agents);
  const rates = rateOf(options, mul(sumByAgent(measure, site), 1 / synapses), state);
  mul(weight, overSenders(rates, site), { out: weight });
  // A bias listens to nobody: it has a ledger of its own.
  if (site.bias && paid.bias)
    bySynapses(options, site.members, site.bias, paid.bias, state.ledgerBias, state.numbers);
}

function scaleReceivers(site: Site, { weight, bias }: SiteGrads, factors: Tensor): void {
  mul(weight, overReceivers(factors, site), { out: weight });
  if (bias) mul(bias, factors, { out: bias });
}

/** Each neuron's payments, bias among them, over their length; nothing paid, nothing moved. */
function toUnitLength(site: Site, paid: SiteGrads): void {
  const squares = sum(square(paid.weight), { axes: incomingAxes(site) });
  if (paid.bias) add(squares, square(paid.bias), { out: squares });
  scaleReceivers(site, paid, div(1, maximum(sqrt(squares), TINY)));
}

/** Takes out of each receiver's payments what would change its total, w (w · g) / Σ w². */
function keepTotal(site: Site, weight: Tensor): void {
  const along = sum(mul(site.weights, weight), { axes: incomingAxes(site) });
  const share = div(along, maximum(totalsOf(site), TINY));
  sub(weight, mul(site.weights, overReceivers(share, site)), { out: weight });
}

/** After the update: each receiver's weights back to its total. */
export function restoreTotals(site: Site, { totals }: Tensors): void {
  const factor = sqrt(div(totals, maximum(totalsOf(site), TINY)));
  mul(site.weights, overReceivers(factor, site), { out: site.weights });
}
