// Each condition of the equality broken singly, with the departure that the theory predicts.
import { abs, add, addScaled, broadcastTo, div, type Gpu, mean, mul, type Tensor, tensor } from "handgrad";
import { activation, dense } from "handgrad/layers";
import { feedbackWeights, growthRule, pay, powerRule, type Rule, ruleNamed } from "handgrad/neurons";
import {
  type Bench,
  learnerOf,
  makeBench,
  paymentsOf,
  runForward,
  stateOf,
} from "../../test/helpers/neurons.js";
import { seededRandom } from "../../test/helpers/shapes.js";
import { upload } from "../../test/helpers/tensors.js";
import { type Array64, array64, dot, map } from "../../test/reference/array64.js";
import { zip } from "../../test/reference/elementwise.js";
import {
  agentOf,
  attention64,
  foresight64,
  learn64,
  type Payer64,
  receiverOf,
} from "../../test/reference/neurons.js";
import { matmul as matmul64 } from "../../test/reference/matmul.js";
import type { State } from "../../test/reference/network.js";
import { cosineOf, worstError } from "./compare64.js";

export interface DepartureRow {
  /** The letter of the condition that is broken, or "control". */
  readonly condition: string;
  readonly form: string;
  readonly quantity: string;
  readonly predicted: number;
  readonly measured: number;
  readonly tolerance: number;
  readonly holds: boolean;
}

const RATE = 0.5;
const LOWEST = "0.weight";

function row(
  condition: string,
  form: string,
  quantity: string,
  predicted: number,
  measured: number,
  tolerance: number,
): DepartureRow {
  const holds = Math.abs(measured - predicted) <= tolerance;
  return { condition, form, quantity, predicted, measured, tolerance, holds };
}

/** Dense 20-24-18-6 with tanh, on 12 samples of noise, or `samples`. */
const benchOf = (gpu: Gpu, samples = 12): Promise<Bench> =>
  makeBench(gpu, [dense(20, 24), activation("tanh"), dense(24, 18), activation("tanh"), dense(18, 6)], {
    inputShape: [samples, 20],
    classes: 6,
    seed: 11,
  });

/** A rule and what it pays, by formula in float64. */
interface Break {
  readonly condition: string;
  readonly form: string;
  readonly rule: Rule;
  readonly formula: (payer: Payer64) => Array64;
  /** From a cosine of 1 to backpropagation the departure is at least this. */
  readonly least: number;
}

const power = (p: number) => (payer: Payer64) =>
  payer.through(map(payer.w, (w) => Math.sign(w) * Math.abs(w) ** (p - 1)));
const grown = (payer: Payer64) => payer.through(zip(payer.w, payer.grad, (w, g) => w - RATE * g));
/** Receivers' rates, 1 to 3 in turn. */
const rateOf = (receiver: number): number => 1 + (receiver % 3);
const EPSILON = 0.05;

const unevenRule: Rule = {
  name: "uneven",
  title: "receivers with rates of their own",
  state: ({ receivers }, { gpu }) => ({
    rates: tensor(
      gpu,
      Array.from({ length: receivers }, (_, receiver) => rateOf(receiver)),
    ),
  }),
  feedback: ({ site, state }) => ({ weights: mul(site.weights, state.rates) }),
};

/** Growth counted in what Adam's first step would do, payment / (|payment| + ε), instead of in payments. */
const preconditionedRule: Rule = {
  name: "preconditioned",
  title: "growth counted in Adam's steps",
  feedback: ({ site }, payer) => ({
    weights: payer ? div(site.weights, add(abs(payer.grads.weight), EPSILON)) : site.weights,
  }),
};

/** Each neuron sees what it is paid over the whole batch, not sample by sample. */
const batchMeanRule: Rule = {
  name: "batch-mean",
  title: "payments a batch",
  payments: ({ site, signal, saved }) =>
    broadcastTo(
      mean(pay(signal, { weights: site.weights }), { axes: [0], keepDims: true }),
      saved.inputShape,
    ),
};

/** The layer above has moved before it pays. */
const updatedRule: Rule = {
  name: "updated",
  title: "payments through updated weights",
  feedback: ({ site }, payer) => ({
    weights: payer ? addScaled(site.weights, payer.grads.weight, -RATE) : site.weights,
  }),
};

function meanOverSamples({ shape, data }: Array64): Array64 {
  const [samples, units] = shape;
  return map({ shape, data }, (_, at) => {
    let sum = 0;
    for (let s = 0; s < samples; s++) sum += data[s * units + (at % units)];
    return sum / samples;
  });
}

const breaks: readonly Break[] = [
  ...[1, 1.5, 3, 4].map((p) => ({
    condition: "a",
    form: `attention Σ|w|^${p}`,
    rule: powerRule(p, { unit: false }),
    formula: power(p),
    least: 1e-3,
  })),
  {
    condition: "a",
    form: "utility ln A",
    rule: ruleNamed("ln"),
    formula: (payer) => {
      const held = attention64(payer.w);
      return payer.through(
        map(payer.w, (w, at) => w / (held[agentOf(at, payer.w.shape, held.length)] + 1e-6)),
      );
    },
    least: 1e-3,
  },
  { condition: "b", form: "exact growth, second order", rule: growthRule(), formula: grown, least: 1e-5 },
  {
    condition: "c",
    form: "foresight",
    rule: ruleNamed("foresight"),
    formula: (payer) => (payer.top ? foresight64(payer) : payer.through(payer.w)),
    least: 1e-4,
  },
  {
    condition: "d",
    form: "receivers with rates of their own",
    rule: unevenRule,
    formula: (payer) => payer.through(map(payer.w, (w, at) => w * rateOf(receiverOf(at, payer.w.shape)))),
    least: 1e-3,
  },
  {
    condition: "e",
    form: "growth counted in Adam's steps",
    rule: preconditionedRule,
    formula: (payer) => payer.through(zip(payer.w, payer.grad, (w, g) => w / (Math.abs(g) + EPSILON))),
    least: 1e-2,
  },
  {
    condition: "f",
    form: "payments a batch",
    rule: batchMeanRule,
    formula: (payer) => meanOverSamples(payer.through(payer.w)),
    least: 1e-2,
  },
  { condition: "j", form: "weights after the update", rule: updatedRule, formula: grown, least: 1e-5 },
  {
    condition: "control",
    form: "(Δw)² as attention",
    rule: ruleNamed("movement"),
    formula: ({ w, x, signal }) => {
      const asked = matmul64(
        map(signal, (g) => g * g),
        map(w, () => 1),
        { transposeB: true },
      );
      return zip(x, asked, (h, sum) => -x.shape[0] * h * sum);
    },
    least: 0.5,
  },
];

/** For each break: the signal is what its formula says, the cosine is the formula's, and it is not 1. */
export async function brokenRows(gpu: Gpu): Promise<DepartureRow[]> {
  const bench = await benchOf(gpu);
  const { grads: chain } = learn64(bench.records, bench.state, bench.x, bench.labels);
  const rows: DepartureRow[] = [];
  for (const { condition, form, rule, formula, least } of breaks) {
    const paid = await paymentsOf(bench, rule, { learningRate: RATE });
    const { grads } = learn64(bench.records, bench.state, bench.x, bench.labels, formula);
    // ln comes in a unit of its own: a factor a layer.
    const error = rule.name === "ln" ? worstAngle(paid, grads) : worstError(paid, grads);
    rows.push(row(condition, form, "relative difference to its formula", 0, error, 1e-5));
    const predicted = cosineOf(grads[LOWEST], chain[LOWEST]);
    const measured = cosineOf(paid[LOWEST], chain[LOWEST]);
    const cosine = row(condition, form, "cosine to backpropagation, lowest layer", predicted, measured, 1e-5);
    rows.push({ ...cosine, holds: cosine.holds && 1 - measured >= least });
  }
  bench.model.dispose();
  return rows;
}

/** How far apart directions are, at worst: √(2 - 2 cos). */
function worstAngle(a: State, b: State): number {
  const angles = Object.keys(b)
    .filter((name) => name.endsWith("weight"))
    .map((name) => Math.sqrt(Math.max(0, 2 - 2 * cosineOf(a[name], b[name]))));
  return Math.max(...angles);
}

/** Γ at multiples of ½. */
function gamma(x: number): number {
  return x === 1 ? 1 : x === 0.5 ? Math.sqrt(Math.PI) : (x - 1) * gamma(x - 1);
}

/** E|w|^q of a standard normal weight, for whole q; else by the integral. */
function moment(q: number): number {
  if (Number.isInteger(q)) return (2 ** (q / 2) * gamma((q + 1) / 2)) / Math.sqrt(Math.PI);
  let sum = 0;
  for (let w = 5e-4; w < 12; w += 1e-3) sum += w ** q * Math.exp((-w * w) / 2) * 1e-3;
  return (2 * sum) / Math.sqrt(2 * Math.PI);
}

/** The cosine that one hop through Gaussian weights leaves: E|w|^p / √(E w² · E|w|^(2p-2)). */
export const gaussianCosine = (p: number): number => moment(p) / Math.sqrt(moment(2 * p - 2));

/** Payments through wide layers of Gaussian weights: a hop, and four. */
async function gaussianRows(gpu: Gpu): Promise<DepartureRow[]> {
  const [width, samples, hops] = [512, 16, 4];
  const random = seededRandom(5);
  const normal = (shape: number[]): Array64 =>
    map(array64(shape), () => {
      const [u, v] = [1 - random.uniform(), random.uniform()];
      return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
    });
  const weights = Array.from({ length: hops }, () => upload(gpu, normal([width, width])));
  const start = upload(gpu, normal([samples, width]));
  const walk = async (p: number, count: number): Promise<Array64> => {
    const end = gpu.scope(() => {
      let flow: Tensor = start;
      for (const w of weights.slice(0, count))
        flow = mul(pay(flow, { weights: w, transform: { kind: "power", exponent: p - 1 } }), 1 / width);
      return flow;
    });
    const result = array64(end.shape, await end.data());
    end.dispose();
    return result;
  };
  const rows: DepartureRow[] = [];
  for (const p of [1, 1.5, 3, 4]) {
    const measured = cosineOf(await walk(p, 1), await walk(2, 1));
    rows.push(
      row("a", `Σ|w|^${p}, Gaussian weights`, "cosine after one hop", gaussianCosine(p), measured, 0.02),
    );
  }
  const after = cosineOf(await walk(1, hops), await walk(2, hops));
  rows.push(
    row("a", "Σ|w|, Gaussian weights", "cosine after four hops", gaussianCosine(1) ** 4, after, 0.04),
  );
  for (const part of [start, ...weights]) part.dispose();
  return rows;
}

/** Rates that are not divided out multiply from layer to layer: the direction stays. */
async function multipliedRow(gpu: Gpu): Promise<DepartureRow[]> {
  const bench = await benchOf(gpu);
  const rule: Rule = {
    name: "multiplied",
    title: "rates not divided out",
    state: (_site, setup) => ({ rate: tensor(setup.gpu, [RATE]) }),
    feedback: ({ site, state }) => ({
      weights: feedbackWeights({ weights: site.weights, factor: state.rate }),
    }),
  };
  const paid = await paymentsOf(bench, rule);
  const { grads } = learn64(bench.records, bench.state, bench.x, bench.labels);
  const [mine, chain] = [paid[LOWEST], grads[LOWEST]];
  const size = (x: Array64): number => Math.hypot(...x.data);
  bench.model.dispose();
  const form = `rates of ${RATE} not divided out, two layers up`;
  return [
    row("d", form, "size over backpropagation's, lowest layer", RATE ** 2, size(mine) / size(chain), 1e-5),
    row("d", form, "cosine to backpropagation, lowest layer", 1, cosineOf(mine, chain), 1e-6),
  ];
}

/** With one sample in a batch, payments a batch are payments a sample. */
async function singleSampleRow(gpu: Gpu): Promise<DepartureRow> {
  const bench = await benchOf(gpu, 1);
  const paid = await paymentsOf(bench, batchMeanRule);
  const { grads } = learn64(bench.records, bench.state, bench.x, bench.labels);
  bench.model.dispose();
  const error = worstError(paid, grads);
  return row(
    "f",
    "payments a batch, of one sample",
    "relative difference to backpropagation",
    0,
    error,
    1e-5,
  );
}

/** The weights that lead to one receiver. */
const column = ({ shape, data }: Array64, j: number): Array64 =>
  array64(
    [shape[0]],
    Array.from(data).filter((_value, at) => at % shape[1] === j),
  );

/** A unit step a neuron: each neuron goes backpropagation's way, a layer as a whole does not. */
async function ballRows(gpu: Gpu): Promise<DepartureRow[]> {
  const bench = await benchOf(gpu);
  const { grads } = learn64(bench.records, bench.state, bench.x, bench.labels);
  const learner = learnerOf(bench, ruleNamed("normalized"), { momentum: 0 });
  runForward(bench, (outcome) => learner.step(outcome));
  learner.dispose();
  const after = await stateOf(bench.model);
  bench.model.dispose();
  const step = zip(bench.state[LOWEST], after[LOWEST], (before, now) => before - now);
  const chain = grads[LOWEST];
  const receivers = chain.shape[1];
  const sizes = Array.from({ length: receivers }, (_, j) => {
    const bias = grads["0.bias"].data[j];
    return Math.hypot(bias, ...Array.from(chain.data).filter((_value, at) => at % receivers === j));
  });
  const predicted = cosineOf(
    map(chain, (g, at) => g / sizes[at % receivers]),
    chain,
  );
  const own = Math.min(...sizes.map((_size, j) => cosineOf(column(step, j), column(chain, j))));
  return [
    row("g", "a unit step a neuron", "smallest cosine of a neuron's step", 1, own, 1e-4),
    row(
      "g",
      "a unit step a neuron",
      "cosine to backpropagation, lowest layer",
      predicted,
      cosineOf(step, chain),
      1e-4,
    ),
  ];
}

/** The logarithm, one layer below the outputs: each neuron goes backpropagation's way, at a rate of 1 / A_i. */
async function logarithmRows(gpu: Gpu): Promise<DepartureRow[]> {
  const bench = await benchOf(gpu);
  const paid = (await paymentsOf(bench, ruleNamed("ln")))["2.weight"];
  const chain = learn64(bench.records, bench.state, bench.x, bench.labels).grads["2.weight"];
  const held = attention64(bench.state["4.weight"]);
  bench.model.dispose();
  const neurons = Array.from(held, (attention, i) => {
    const [mine, theirs] = [column(paid, i), column(chain, i)];
    return {
      cosine: cosineOf(mine, theirs),
      rate: (dot(mine, theirs) / dot(theirs, theirs)) * (attention + 1e-6),
    };
  });
  const rates = neurons.map(({ rate }) => rate);
  const form = "utility ln A";
  return [
    row(
      "a",
      form,
      "smallest cosine of a neuron's payments",
      1,
      Math.min(...neurons.map(({ cosine }) => cosine)),
      1e-6,
    ),
    row("a", form, "rate · A_i, largest over smallest", 1, Math.max(...rates) / Math.min(...rates), 1e-5),
  ];
}

/** All departures, in the order of the conditions. */
export async function departures(gpu: Gpu): Promise<DepartureRow[]> {
  const rows = [
    ...(await brokenRows(gpu)),
    ...(await logarithmRows(gpu)),
    ...(await gaussianRows(gpu)),
    ...(await multipliedRow(gpu)),
    await singleSampleRow(gpu),
    ...(await ballRows(gpu)),
  ];
  return rows.sort((a, b) => (a.condition < b.condition ? -1 : a.condition > b.condition ? 1 : 0));
}
