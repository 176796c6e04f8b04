// Four identities of attention, from what the device computed.
import type { Gpu } from "handgrad";
import { activation, dense, type LayerRecord } from "handgrad/layers";
import { type Learner, type LearnerOptions, type Rule, ruleNamed } from "handgrad/neurons";
import {
  type Bench,
  learnerOf,
  makeBench,
  paymentsOf,
  runForward,
  stateOf,
} from "../../test/helpers/neurons.js";
import { type Array64, array64, dot, map } from "../../test/reference/array64.js";
import { zip } from "../../test/reference/elementwise.js";
import { attention64, learn64, receiverOf } from "../../test/reference/neurons.js";
import { forwardNetwork } from "../../test/reference/network.js";

export interface IdentityRow {
  readonly identity: number;
  readonly statement: string;
  readonly relativeError: number;
  readonly tolerance: number;
  readonly holds: boolean;
}

const RATE = 0.25;
const records: readonly LayerRecord[] = [
  dense(10, 14),
  activation("relu"),
  dense(14, 12),
  activation("relu"),
  dense(12, 5),
];

function row(
  identity: number,
  statement: string,
  actual: number[],
  expected: number[],
  tolerance: number,
): IdentityRow {
  const relativeError =
    Math.hypot(...actual.map((value, i) => value - expected[i])) / Math.max(Math.hypot(...expected), 1e-30);
  return { identity, statement, relativeError, tolerance, holds: relativeError <= tolerance };
}

const benchOf = (gpu: Gpu, samples: number): Promise<Bench> =>
  makeBench(gpu, records, { inputShape: [samples, 10], classes: 5, seed: 21 });

/** Half the difference of attention after steps of η payments up and down: its first-order growth. */
function firstOrderGrowth(w: Array64, paid: Array64): number[] {
  const shifted = (sign: number) => attention64(zip(w, paid, (value, p) => value - sign * RATE * p));
  const [up, down] = [shifted(1), shifted(-1)];
  return Array.from(up, (value, i) => (value - down[i]) / 2);
}

/** The outputs of the layers before the dense layers, by the layers' names, and costs ∂L/∂h from float64. */
function senders({ state, x, labels }: Bench) {
  const { payments } = learn64(records, state, x, labels);
  const outputs = (upTo: number) => forwardNetwork(records.slice(0, upTo), state, x);
  return { payments, outputs: { 2: outputs(2), 4: outputs(4) } as Record<string, Array64> };
}

async function growthRows(gpu: Gpu): Promise<IdentityRow[]> {
  const bench = await benchOf(gpu, 8);
  const paid = await paymentsOf(bench, ruleNamed("attention"));
  const { payments, outputs } = senders(bench);
  const rows = ["2", "4"].map((layer) => {
    const importance = zip(outputs[layer], payments[layer], (h, cost) => -RATE * h * cost);
    const units = importance.shape[1];
    const expected = Array.from({ length: units }, (_, i) =>
      importance.data.reduce((sum, value, at) => (at % units === i ? sum + value : sum), 0),
    );
    const grown = firstOrderGrowth(bench.state[`${layer}.weight`], paid[`${layer}.weight`]);
    return row(1, `growth of A_i is -η Σ_s h_i ∂L/∂h_i, layer ${layer}`, grown, expected, 1e-5);
  });
  bench.model.dispose();
  return rows;
}

async function singleSampleRows(gpu: Gpu): Promise<IdentityRow[]> {
  const bench = await benchOf(gpu, 1);
  const paid = await paymentsOf(bench, ruleNamed("attention"));
  const { payments, outputs } = senders(bench);
  const rows = ["2", "4"].map((layer) => {
    const grown = firstOrderGrowth(bench.state[`${layer}.weight`], paid[`${layer}.weight`]);
    // Undefined where the neuron is silent.
    const awake = Array.from(outputs[layer].data.keys()).filter((i) => outputs[layer].data[i] !== 0);
    const actual = awake.map((i) => grown[i] / (RATE * outputs[layer].data[i]));
    const expected = awake.map((i) => -payments[layer].data[i]);
    return row(2, `batch 1: q_i is the growth of A_i over η h_i, layer ${layer}`, actual, expected, 1e-5);
  });
  bench.model.dispose();
  return rows;
}

/** Attention gained by a rectified neuron and the growth of its own weights, bias among them. */
async function balanceRows(gpu: Gpu): Promise<IdentityRow[]> {
  const bench = await benchOf(gpu, 8);
  const paid = await paymentsOf(bench, ruleNamed("attention"));
  const { state } = bench;
  const rows: IdentityRow[] = [];
  for (const [layer, reader] of [
    ["0", "2"],
    ["2", "4"],
  ]) {
    const [own, bias] = [paid[`${layer}.weight`], paid[`${layer}.bias`]];
    const given = paid[`${reader}.weight`];
    const units = bias.data.length;
    const incoming = new Float64Array(units);
    const second = new Float64Array(units);
    own.data.forEach((p, at) => {
      incoming[at % units] -= RATE * state[`${layer}.weight`].data[at] * p;
      second[at % units] -= p * p;
    });
    bias.data.forEach((p, j) => {
      incoming[j] -= RATE * state[`${layer}.bias`].data[j] * p;
      second[j] -= p * p;
    });
    given.data.forEach((p, at) => {
      second[Math.floor(at / given.shape[1])] += p * p;
    });
    const w = state[`${reader}.weight`];
    const outgoing = firstOrderGrowth(w, given);
    rows.push(
      row(
        3,
        `rectified: outgoing and incoming grow alike, to first order, layer ${layer}`,
        outgoing,
        [...incoming],
        1e-5,
      ),
    );
    const size = (value: Array64, keep: (at: number) => number, by: (at: number) => number) => {
      const sums = new Float64Array(units);
      value.data.forEach((_v, at) => {
        sums[by(at)] += 0.5 * keep(at) ** 2;
      });
      return sums;
    };
    const wOwn = state[`${layer}.weight`];
    const b = state[`${layer}.bias`];
    const after = (x: Array64, p: Array64) => (at: number) => x.data[at] - RATE * p.data[at];
    const now = (x: Array64) => (at: number) => x.data[at];
    const sender = (at: number) => Math.floor(at / given.shape[1]);
    const receiver = (at: number) => at % units;
    const [out1, out0] = [size(w, after(w, given), sender), size(w, now(w), sender)];
    const [in1, in0] = [size(wOwn, after(wOwn, own), receiver), size(wOwn, now(wOwn), receiver)];
    const [b1, b0] = [size(b, after(b, bias), receiver), size(b, now(b), receiver)];
    const difference = Array.from(out1, (value, i) => value - out0[i] - (in1[i] - in0[i] + b1[i] - b0[i]));
    const expected = Array.from(second, (value) => 0.5 * RATE ** 2 * value);
    rows.push(row(3, `the rest is ½ η² (Σ‖u_out‖² - Σ‖u_in‖²), layer ${layer}`, difference, expected, 1e-4));
  }
  bench.model.dispose();
  return rows;
}

/** A receiver that keeps its total takes from one what it gives to another. */
async function budgetRows(gpu: Gpu): Promise<IdentityRow[]> {
  const bench = await benchOf(gpu, 8);
  const rule: Rule = { ...ruleNamed("attention"), fixedTotals: true };
  const options: Partial<LearnerOptions> = { momentum: 0, learningRate: 1 };
  const learner: Learner = learnerOf(bench, rule, options);
  runForward(bench, (outcome) => learner.step(outcome));
  learner.dispose();
  const after = await stateOf(bench.model);
  bench.model.dispose();
  return ["0", "2", "4"].flatMap((layer) => {
    const [w, now] = [bench.state[`${layer}.weight`], after[`${layer}.weight`]];
    const total = (x: Array64) => perReceiver(map(x, (value) => value * value));
    // On the sphere Σ w Δw is -½ Σ (Δw)²: nothing at first order.
    const step = zip(now, w, (b, a) => b - a);
    const along = perReceiver(zip(w, step, (value, change) => value * change));
    const second = perReceiver(map(step, (change) => -0.5 * change * change));
    return [
      row(4, `receivers keep what they give in all, layer ${layer}`, total(now), total(w), 1e-5),
      row(4, `Σ_i w_ij Δw_ij is of second order only, layer ${layer}`, along, second, 1e-3),
      tangent(layer, bench, step),
    ];
  });
}

/** The step before it is brought back to the sphere is across the weights: compare with the projected payments. */
function tangent(layer: string, { state, x, labels }: Bench, step: Array64): IdentityRow {
  const w = state[`${layer}.weight`];
  const { grads } = learn64(records, state, x, labels);
  const g = grads[`${layer}.weight`];
  const receivers = w.shape[1];
  const column = ({ data }: Array64, j: number) =>
    array64(
      [w.shape[0]],
      Array.from(data).filter((_value, at) => at % receivers === j),
    );
  const expected: number[] = [];
  const actual: number[] = [];
  for (let j = 0; j < receivers; j++) {
    const [own, paid] = [column(w, j), column(g, j)];
    const share = dot(own, paid) / dot(own, own);
    const across = zip(own, paid, (weight, p) => weight - (p - share * weight));
    const back = Math.sqrt(dot(own, own) / dot(across, across));
    expected.push(...zip(across, own, (value, before) => value * back - before).data);
    actual.push(...column(step, j).data);
  }
  return row(4, `a step is the payments across the weights, layer ${layer}`, actual, expected, 1e-4);
}

function perReceiver(x: Array64): number[] {
  const sums: number[] = [];
  x.data.forEach((value, at) => {
    const receiver = receiverOf(at, x.shape);
    sums[receiver] = (sums[receiver] ?? 0) + value;
  });
  return sums;
}

export async function identities(gpu: Gpu): Promise<IdentityRow[]> {
  return [
    ...(await growthRows(gpu)),
    ...(await singleSampleRows(gpu)),
    ...(await balanceRows(gpu)),
    ...(await budgetRows(gpu)),
  ];
}
