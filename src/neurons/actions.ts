/** What agents do with their payments: how payments to synapses become the directions that the optimizer takes. */
import wgsl from "../../shaders/ledger_rate.wgsl";
import { ValueError } from "../gpu/errors.js";
import type { Tensors } from "../layers/layer.js";
import { abs, add, div, maximum, mul, pow, sqrt, square, sub } from "../ops/elementwise.js";
import { ItemKernel } from "../ops/item_kernel.js";
import { EnsembleDense } from "../layers/ensemble_dense.js";
import { gatherRows } from "../ops/gather.js";
import { mean, sum } from "../ops/reduce.js";
import { slice } from "../ops/slice.js";
import { philoxPermutation } from "../random.js";
import { type Shape, type Tensor, tensor, zeros } from "../tensor.js";
import { sumByAgent } from "./attention.js";
import { incomingAxes, overReceivers, overSenders, type Site } from "./sites.js";

/**
 * - `gradient`: a quadratic cost of change; the best step is along the payments
 * - `ball`: each neuron moves its own weights by one unit, ‖Δθ_i‖ = rate; the direction is its payments'
 * - `bounded`: each neuron moves its output by one unit for every sample, whatever the size of the payment
 */
export type Budget = "gradient" | "ball" | "bounded";

/** A number, or in an ensemble one for each network. */
export type PerMember = number | readonly number[];

/** Concave utility of attention earned: a payment to one that owns E counts (endowment + E)^-aversion. */
export interface LedgerOptions {
  /**
   * Whose ledger it is that sets the rate of a synapse: its own; that of the neuron it belongs to, of what the neuron's
   * outgoing weights earn (`neuron`) or the mean of what its incoming weights are paid (`receiver`); or the mean of what
   * the neuron that it listens to earns there (`sender`).
   */
  readonly holder: "synapse" | "neuron" | "receiver" | "sender";
  /** |payment|, payment², or the growth of attention |w · payment|, all per batch and before rate and optimizer. */
  readonly counts: "payment" | "square" | "growth";
  /** What one owns at the start; above 0. */
  readonly endowment: PerMember;
  /** 0 is no utility, 1 is a logarithm; at least 0. Adagrad is a synapse's ledger of squares with 0.5. */
  readonly aversion: PerMember;
  /** What is left of a ledger after a step, above 0 up to 1. Default 1. */
  readonly keep?: PerMember;
  /**
   * For `neuron`: each takes the rate that another of its layer has earned, always the same one, drawn at random. A
   * control: rates of the same distribution at any time that have nothing to do with their neuron. Default false.
   */
  readonly shuffled?: boolean;
}

const MEASURE = { payment: 0, square: 1, growth: 2 } as const;
/** Below it a length is 0. */
const TINY = 1e-30;

const ledgerKernel = new ItemKernel<LedgerOptions>({
  name: "ledger_rate",
  wgsl,
  over: "payment",
  bindings: { w: "read", numbers: "optional", payment: "readWrite", ledger: "readWrite" },
  constants: (_shapes, { counts }) => ({ MEASURE: MEASURE[counts] }),
  shape: () => ({}),
  uniforms: ({ numbers }, { keep = 1, endowment, aversion }) => ({
    members: numbers ? numbers[0] : 1,
    keep: single(keep),
    endowment: single(endowment),
    aversion: single(aversion),
  }),
});

/** What the kernel's uniform holds: nothing where each network has its own. */
const single = (value: PerMember): number => (typeof value === "number" ? value : 0);
const listOf = (value: PerMember): readonly number[] => (typeof value === "number" ? [value] : value);
const perMember = ({ endowment, aversion, keep = 1 }: LedgerOptions): boolean =>
  [endowment, aversion, keep].some((value) => typeof value !== "number");

/** @throws ValueError for numbers out of range, or a shuffle of what has no neurons */
export function checkLedger({
  holder,
  endowment,
  aversion,
  keep = 1,
  shuffled = false,
}: LedgerOptions): void {
  for (const one of listOf(endowment)) {
    if (!(one > 0 && Number.isFinite(one)))
      throw new ValueError(`ledger: endowment is ${one}, and a finite number above 0 is taken`);
  }
  for (const one of listOf(aversion)) {
    if (!(one >= 0 && Number.isFinite(one)))
      throw new ValueError(`ledger: aversion is ${one}, and a finite number of at least 0 is taken`);
  }
  for (const one of listOf(keep)) {
    if (!(one > 0 && one <= 1)) throw new ValueError(`ledger: keep is ${one}, and above 0 to 1 is taken`);
  }
  if (shuffled && holder !== "neuron")
    throw new ValueError(`ledger: shuffled is taken for the holder neuron, and the holder is ${holder}`);
}

/** [members, 3], each network's keep, endowment and aversion. @throws ValueError for another number of them */
function numbersOf({ endowment, aversion, keep = 1 }: LedgerOptions, { members, weights }: Site): Tensor {
  const columns = [keep, endowment, aversion].map((value) =>
    typeof value === "number" ? new Array<number>(members).fill(value) : value,
  );
  const wrong = columns.find((column) => column.length !== members);
  if (wrong) {
    throw new ValueError(
      `ledger: there are ${wrong.length} numbers for ${members} networks; give one, or one for each network of an ensemble`,
    );
  }
  return tensor(
    weights.gpu,
    Array.from({ length: members }, (_, i) => columns.map((column) => column[i])),
  );
}

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
  if (plan.ledger?.holder === "receiver" || plan.ledger?.holder === "sender") {
    for (const site of sites) byMean(plan.ledger, site, paid[site.name], states[site.name]);
  }
  if (plan.ledger?.holder === "synapse") {
    for (const site of sites) bySynapse(plan.ledger, site, paid[site.name], states[site.name]);
  }
  if (plan.budget === "ball") for (const site of sites) toUnitLength(site, paid[site.name]);
}

function gradsOf(grads: Tensors, { name, bias }: Site): SiteGrads {
  return { weight: grads[`${name}.weight`], bias: bias && grads[`${name}.bias`] };
}

function bySynapse(options: LedgerOptions, site: Site, { weight, bias }: SiteGrads, state: Tensors): void {
  bySynapses(options, site.members, site.weights, weight, state.ledgerWeight, state.numbers);
  if (site.bias && bias) bySynapses(options, site.members, site.bias, bias, state.ledgerBias, state.numbers);
}

function bySynapses(
  options: LedgerOptions,
  members: number,
  w: Tensor,
  payment: Tensor,
  ledger: Tensor,
  numbers?: Tensor,
): void {
  // Items of four must not reach over two networks.
  ledgerKernel.of(payment.size / members).run({ w, numbers, payment, ledger }, options);
}

/** Adds what was earned to a ledger and gives the rates. */
function rateOf(options: LedgerOptions, earned: Tensor, { ledger, numbers }: Tensors): Tensor {
  const column = (index: number): Tensor => slice(numbers, [0, index], [numbers.shape[0], index + 1]);
  const [keep, endowment, aversion] = numbers
    ? [column(0), column(1), column(2)]
    : [single(options.keep ?? 1), single(options.endowment), single(options.aversion)];
  mul(ledger, keep, { out: ledger });
  add(ledger, earned, { out: ledger });
  return div(1, pow(add(ledger, endowment), aversion));
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

/** What each neuron earned in its reader's weights sets the rate of its own. */
function byNeuron(
  options: LedgerOptions,
  sites: readonly Site[],
  paid: Readonly<Record<string, SiteGrads>>,
  states: Readonly<Record<string, Tensors>>,
): void {
  const rates = new Map<Site, Tensor>();
  for (const site of sites) {
    const reader = sites.find(({ name }) => name === site.reader);
    if (!reader) continue;
    const { weight } = paid[reader.name];
    const { ledger, others } = states[site.name];
    const { counts } = options;
    const earned =
      counts === "growth"
        ? abs(sumByAgent(mul(reader.weights, weight), reader))
        : sumByAgent(counts === "square" ? square(weight) : abs(weight), reader);
    const rate = rateOf(options, earned, states[site.name]);
    const { shape, size } = ledger;
    rates.set(site, others ? gatherRows(rate.reshape([size]), others).reshape(shape) : rate);
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
