/** What agents do with their payments: how payments to synapses become the directions that the optimizer takes. */
import wgsl from "../../shaders/ledger_rate.wgsl";
import { ValueError } from "../gpu/errors.js";
import type { Tensors } from "../layers/layer.js";
import { abs, add, div, maximum, mul, pow, sqrt, square, sub } from "../ops/elementwise.js";
import { ItemKernel } from "../ops/item_kernel.js";
import { sum } from "../ops/reduce.js";
import { type Tensor, zeros } from "../tensor.js";
import { sumByAgent } from "./attention.js";
import { incomingAxes, overReceivers, type Site } from "./sites.js";

/**
 * - `gradient`: a quadratic cost of change; the best step is along the payments
 * - `ball`: each neuron moves its own weights by one unit, ‖Δθ_i‖ = rate; the direction is its payments'
 * - `bounded`: each neuron moves its output by one unit for every sample, whatever the size of the payment
 */
export type Budget = "gradient" | "ball" | "bounded";

/** Concave utility of attention earned: a payment to one that owns E counts (endowment + E)^-aversion. */
export interface LedgerOptions {
  /** Whose ledger: each synapse's own, or the neuron's, by what its attention earns, for all its incoming weights. */
  readonly holder: "synapse" | "neuron";
  /** |payment|, payment², or the growth of attention |w · payment|, all per batch and before rate and optimizer. */
  readonly counts: "payment" | "square" | "growth";
  /** What one owns at the start; above 0. */
  readonly endowment: number;
  /** 0 is no utility, 1 is a logarithm; at least 0. Adagrad is a synapse's ledger of squares with 0.5. */
  readonly aversion: number;
  /** What is left of a ledger after a step, above 0 up to 1. Default 1. */
  readonly keep?: number;
}

const MEASURE = { payment: 0, square: 1, growth: 2 } as const;
/** Below it a length is 0. */
const TINY = 1e-30;

const ledgerKernel = new ItemKernel<LedgerOptions>({
  name: "ledger_rate",
  wgsl,
  over: "payment",
  bindings: { w: "read", payment: "readWrite", ledger: "readWrite" },
  constants: (_shapes, { counts }) => ({ MEASURE: MEASURE[counts] }),
  shape: () => ({}),
  uniforms: (_shapes, { keep = 1, endowment, aversion }) => ({ keep, endowment, aversion }),
});

/** @throws ValueError for numbers out of range */
export function checkLedger({ endowment, aversion, keep = 1 }: LedgerOptions): void {
  if (!(endowment > 0 && Number.isFinite(endowment)))
    throw new ValueError(`ledger: endowment is ${endowment}, and a finite number above 0 is taken`);
  if (!(aversion >= 0 && Number.isFinite(aversion)))
    throw new ValueError(`ledger: aversion is ${aversion}, and a finite number of at least 0 is taken`);
  if (!(keep > 0 && keep <= 1)) throw new ValueError(`ledger: keep is ${keep}, and above 0 to 1 is taken`);
}

/** What a rule asks of agents, and what that keeps for every site. */
export interface ActionPlan {
  readonly budget?: Budget;
  readonly ledger?: LedgerOptions;
  readonly fixedTotals?: boolean;
}

/** The tensors that actions keep for a site. */
export function actionState({ ledger, fixedTotals }: ActionPlan, site: Site): Tensors {
  const state: Record<string, Tensor> = {};
  const { gpu } = site.weights;
  if (ledger?.holder === "synapse") {
    state.ledgerWeight = zeros(gpu, site.weights.shape);
    if (site.bias) state.ledgerBias = zeros(gpu, site.bias.shape);
  }
  if (ledger?.holder === "neuron" && site.reader) state.ledger = zeros(gpu, [site.receivers]);
  if (fixedTotals) state.totals = gpu.scope(() => totalsOf(site));
  return state;
}

/** [receivers], what each receiver gives in all, Σ w². */
export function totalsOf(site: Pick<Site, "layer" | "weights">): Tensor {
  return sum(square(site.weights), { axes: incomingAxes(site) });
}

/** The payments to one site's synapses. */
type SiteGrads = { readonly weight: Tensor; readonly bias?: Tensor };

/**
 * Turns payments into directions, in place.
 * @param grads by parameter name, as costs
 * @param states by site name, from `actionState`
 */
export function act(
  plan: ActionPlan,
  sites: readonly Site[],
  grads: Tensors,
  states: Readonly<Record<string, Tensors>>,
): void {
  const paid = Object.fromEntries(sites.map((site) => [site.name, gradsOf(grads, site)]));
  if (plan.fixedTotals) for (const site of sites) keepTotal(site, paid[site.name].weight);
  if (plan.ledger?.holder === "neuron") byNeuron(plan.ledger, sites, paid, states);
  if (plan.ledger?.holder === "synapse") {
    for (const site of sites) bySynapse(plan.ledger, site, paid[site.name], states[site.name]);
  }
  if (plan.budget === "ball") for (const site of sites) toUnitLength(site, paid[site.name]);
}

function gradsOf(grads: Tensors, { name, bias }: Site): SiteGrads {
  return { weight: grads[`${name}.weight`], bias: bias && grads[`${name}.bias`] };
}

function bySynapse(options: LedgerOptions, site: Site, { weight, bias }: SiteGrads, state: Tensors): void {
  const inputs = { w: site.weights, payment: weight, ledger: state.ledgerWeight };
  ledgerKernel.of(weight.size).run(inputs, options);
  if (site.bias && bias) {
    const own = { w: site.bias, payment: bias, ledger: state.ledgerBias };
    ledgerKernel.of(bias.size).run(own, options);
  }
}

/** What each neuron earned in its reader's weights sets the rate of its own. */
function byNeuron(
  { counts, endowment, aversion, keep = 1 }: LedgerOptions,
  sites: readonly Site[],
  paid: Readonly<Record<string, SiteGrads>>,
  states: Readonly<Record<string, Tensors>>,
): void {
  const rates = new Map<Site, Tensor>();
  for (const site of sites) {
    const reader = sites.find(({ name }) => name === site.reader);
    if (!reader) continue;
    const { weight } = paid[reader.name];
    const { ledger } = states[site.name];
    const earned =
      counts === "growth"
        ? abs(sumByAgent(mul(reader.weights, weight), reader))
        : sumByAgent(counts === "square" ? square(weight) : abs(weight), reader);
    if (keep !== 1) mul(ledger, keep, { out: ledger });
    add(ledger, earned, { out: ledger });
    rates.set(site, pow(add(ledger, endowment), -aversion));
  }
  for (const [site, rate] of rates) scaleReceivers(site, paid[site.name], rate);
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
