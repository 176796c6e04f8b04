import {
  mul,
  type Optimizer,
  Sgd,
  ShapeError,
  softmaxCrossEntropy,
  sum,
  type Tensor,
  tensor,
} from "handgrad";
import {
  activation,
  buildModel,
  conv2d,
  dense,
  flatten,
  type Sequential,
  stackModels,
} from "handgrad/layers";
import { attentionRule, Learner, type LedgerOptions, type Rule, ruleNamed } from "handgrad/neurons";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ratedProduct, type Tile } from "../src/neurons/outer_product.js";
import { assertClose, relativeError } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { learnerOf, makeBench, runForward, stateOf } from "./helpers/neurons.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, array64, map, sizeOf } from "./reference/array64.js";
import { ratedProduct64 } from "./reference/neurons.js";

const rates = suite("neurons: rates in the product");

/** A tile without a subgroup, for adapters and devices of all kinds. */
const ALONE: Tile = { rows: 4, blocks: 1, step: 1, group: [2, 4], lanes: 1 };

interface Trial {
  /** [members, samples, units, receivers]; 0 members is a network alone. */
  sizes: [number, number, number, number];
  counts: LedgerOptions["counts"];
  rated: "ledger" | "rates" | "raw";
  aversion?: number | number[];
  keep?: number | number[];
  earned?: boolean;
  tile?: Tile;
}

// Rows and columns that 4 divides and that it does not, sizes of 1, primes, and more than a tile in each direction.
const trials: Trial[] = [
  { sizes: [0, 1, 1, 1], counts: "payment", rated: "ledger" },
  { sizes: [0, 50, 68, 72], counts: "payment", rated: "ledger" },
  { sizes: [0, 130, 196, 100], counts: "payment", rated: "ledger" },
  { sizes: [0, 7, 13, 8], counts: "square", rated: "ledger", aversion: 0.5, keep: 0.9, tile: ALONE },
  { sizes: [0, 33, 20, 11], counts: "growth", rated: "ledger", aversion: 0.7, tile: ALONE },
  {
    sizes: [3, 6, 9, 5],
    counts: "square",
    rated: "ledger",
    aversion: [0.5, 1, 0],
    keep: [1, 0.9, 0.5],
    tile: ALONE,
  },
  { sizes: [0, 19, 31, 17], counts: "payment", rated: "rates", earned: true },
  { sizes: [0, 4, 24, 12], counts: "growth", rated: "rates", earned: true, tile: ALONE },
  { sizes: [2, 3, 5, 1031], counts: "square", rated: "raw", earned: true, tile: ALONE },
];

for (const trial of trials) {
  const { sizes, counts, rated, aversion = 1, keep = 1, earned = false, tile } = trial;
  const [members, samples, units, receivers] = sizes;
  rates(
    `payments at their rate, ${JSON.stringify({ ...trial, tile: tile && "alone" })}: as in float64`,
    async () => {
      const gpu = await sharedGpu();
      const random = seededRandom(samples + units);
      const networks = members || 1;
      const own = (shape: number[]) => (members ? [members, ...shape] : shape);
      const x = random.array(own([samples, units]));
      const signal = random.array(own([samples, receivers]));
      const w = random.array(own([units, receivers]));
      const before = random.array(own([units, receivers]), { low: 0, high: 2 });
      const known = random.array(own([receivers]), { low: 0.1, high: 3 });
      const pick = (value: number | number[], member: number) =>
        typeof value === "number" ? value : value[member];
      const endowment = Array.isArray(aversion) ? Array.from({ length: networks }, (_, i) => 0.5 + i) : 0.5;
      const options: LedgerOptions = { holder: "synapse", counts, endowment, aversion, keep };
      const live = gpu.memory().tensors;
      const upload = (value: Array64): Tensor => tensor(gpu, Float32Array.from(value.data), value.shape);
      const given = {
        x: upload(x),
        signal: upload(signal),
        w: upload(w),
        ledger: rated === "ledger" ? upload(before) : undefined,
        rates: rated === "rates" ? upload(known) : undefined,
        numbers: Array.isArray(aversion)
          ? tensor(
              gpu,
              Array.from({ length: networks }, (_, i) =>
                [keep, endowment, aversion].map((one) => pick(one, i)),
              ),
            )
          : undefined,
      };
      const made = ratedProduct(given, { ledger: options, earned, tile });
      const [payments, sums] = [made.payments, made.earned && sum(made.earned, { axes: [-1] })];
      const paid = await payments.data();
      const owned = await given.ledger?.data();
      const gained = await sums?.data();
      const part = ({ shape, data }: Array64, member: number): Array64 => {
        const size = sizeOf(shape) / networks;
        return array64(members ? shape.slice(1) : shape, data.slice(member * size, (member + 1) * size));
      };
      const mine = (values: ArrayLike<number>, member: number) =>
        Array.from(values).slice(
          (member * values.length) / networks,
          ((member + 1) * values.length) / networks,
        );
      for (let member = 0; member < networks; member++) {
        const factors = { x: part(x, member), signal: part(signal, member), w: part(w, member), counts };
        const numbers = {
          keep: pick(keep, member),
          endowment: pick(endowment, member),
          aversion: pick(aversion, member),
        };
        const expected = ratedProduct64({
          ...factors,
          ledger: rated === "ledger" ? { owned: part(before, member), ...numbers } : undefined,
          rates: rated === "rates" ? part(known, member) : undefined,
        });
        const what = `member ${member}`;
        assertClose(mine(paid, member), expected.payments.data, { what: `payments, ${what}` });
        if (owned && expected.owned)
          assertClose(mine(owned, member), expected.owned.data, { what: `ledger, ${what}` });
        if (!gained) continue;
        const absolute64 = (value: Array64): Array64 => map(value, Math.abs);
        const absolute = ratedProduct64({
          x: absolute64(factors.x),
          signal: absolute64(factors.signal),
          w: absolute64(factors.w),
          counts,
        }).earned;
        assertClose(mine(gained, member), expected.earned.data, {
          what: `earned, ${what}`,
          absolute: absolute.data,
        });
      }
      for (const one of [...Object.values(given), payments, made.earned, sums]) one?.dispose();
      assert.is(gpu.memory().tensors, live, "nothing leaks");
    },
  );
}

rates("a bias: one row, no x", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(4);
  for (const receivers of [5, 72]) {
    const signal = random.array([9, receivers]);
    const w = random.array([1, receivers]);
    const owned = random.array([1, receivers], { low: 0, high: 1 });
    const given = {
      signal: tensor(gpu, Float32Array.from(signal.data), [9, receivers]),
      w: tensor(gpu, Float32Array.from(w.data)),
      ledger: tensor(gpu, Float32Array.from(owned.data)),
    };
    const ledger = { holder: "synapse", counts: "growth", endowment: 1, aversion: 1 } as const;
    const { payments } = ratedProduct(given, { ledger });
    const x = array64([9, 1], new Float64Array(9).fill(1));
    const expected = ratedProduct64({
      x,
      signal,
      w,
      counts: "growth",
      ledger: { owned, keep: 1, ...ledger },
    });
    assert.equal(payments.shape, [receivers]);
    assertClose(await payments.data(), expected.payments.data, { what: `${receivers}` });
    assertClose(await given.ledger.data(), expected.owned?.data as Float64Array, {
      what: `${receivers}, ledger`,
    });
    for (const one of [...Object.values(given), payments]) one.dispose();
  }
});

const layers = [dense(12, 8), activation("tanh"), dense(8, 8), activation("tanh"), dense(8, 4)];
// Behind the flattening sixteen positions are one agent.
const convolution = [
  conv2d(1, 3, 3),
  activation("tanh"),
  flatten(),
  dense(48, 6),
  activation("tanh"),
  dense(6, 4),
];
const ledgerOf = (holder: LedgerOptions["holder"], counts: LedgerOptions["counts"]): LedgerOptions => ({
  holder,
  counts,
  endowment: 0.1,
  aversion: 1,
  keep: 0.9,
});
const ruleOf = (ledger: LedgerOptions, rest: Partial<Rule> = {}): Rule => ({
  ...attentionRule,
  name: "mine",
  ledger,
  ...rest,
});

/** What rules may ask of payments: none of it may tell the two ways apart. */
const rules: Record<string, Rule> = {
  "a synapse's payments": ruleOf(ledgerOf("synapse", "payment")),
  "a neuron's growth": ruleOf(ledgerOf("neuron", "growth")),
  "a neuron's growth, shuffled": ruleOf({ ...ledgerOf("neuron", "growth"), shuffled: true }),
  "a synapse's, then a unit step": ruleOf(ledgerOf("synapse", "payment"), { budget: "ball" }),
  "a synapse's, with payments a rule looks at": ruleOf(ledgerOf("synapse", "payment"), {
    feedback: ruleNamed("growth").feedback,
  }),
  "a receiver's mean": ruleOf(ledgerOf("receiver", "square")),
  "a synapse's, with fixed totals": ruleOf(ledgerOf("synapse", "payment"), { fixedTotals: true }),
};

for (const [title, rule] of Object.entries(rules)) {
  rates(`${title}: three updates, rated in the product and behind it`, async () => {
    const gpu = await sharedGpu();
    for (const [records, inputShape] of [
      [layers, [6, 12]],
      [convolution, [3, 1, 6, 6]],
    ] as const) {
      const ways: Record<string, Array64>[] = [];
      for (const fused of [true, false]) {
        const bench = await makeBench(gpu, records, { inputShape, classes: 4 });
        const live = gpu.memory().tensors;
        const learner = learnerOf(bench, rule, { momentum: 0.5, fused });
        for (let step = 0; step < 3; step++) runForward(bench, (outcome) => learner.step(outcome));
        const kept: Record<string, Array64> = { ...(await stateOf(bench.model)) };
        for (const [site, state] of Object.entries(learner.states)) {
          for (const [name, one] of Object.entries(state)) {
            if (name.startsWith("ledger")) kept[`${name} of ${site}`] = array64(one.shape, await one.data());
          }
        }
        learner.dispose();
        assert.is(gpu.memory().tensors, live, "nothing leaks");
        bench.model.dispose();
        ways.push(kept);
      }
      assert.equal(Object.keys(ways[0]), Object.keys(ways[1]));
      for (const key in ways[0]) assertClose(ways[0][key], ways[1][key], { what: key, tolerance: 1e-6 });
    }
  });
}

/** Hands payments on to another optimizer and keeps a copy of their names and ranks. */
function watching(model: Sequential, learningRate: Tensor, seen: Set<string>): Optimizer {
  const inner = new Sgd(model.parameters, { learningRate, momentum: 0 });
  return Object.assign(Object.create(inner), {
    step: (grads: Record<string, Tensor>) => {
      for (const [name, one] of Object.entries(grads)) seen.add(`${name} ${one.shape}`);
      inner.step(grads);
    },
  });
}

rates("an ensemble with numbers of each network's own, replayed: the same both ways", async () => {
  const gpu = await sharedGpu();
  const live = gpu.memory().tensors;
  const random = seededRandom(8);
  const x = tensor(gpu, Float32Array.from(random.array([2, 6, 12]).data), [2, 6, 12]);
  const labels = tensor(gpu, Uint32Array.from(random.integers([12], 0, 3).data));
  for (const holder of ["synapse", "neuron"] as const) {
    const numbers = { endowment: [0.1, 0.02], aversion: [0.5, 1], keep: [1, 0.9] };
    const rule = ruleOf({ holder, counts: "growth", ...numbers });
    const ways: Record<string, ArrayLike<number>>[] = [];
    for (const fused of [true, false]) {
      const models = [3, 11].map((seed) => buildModel(gpu, layers, { seed }));
      const all = stackModels(models);
      const seen = new Set<string>();
      const learner = new Learner(all, {
        rule,
        inputShape: [2, 6, 12],
        learningRate: 0.1,
        seed: [3, 11],
        fused,
        optimizer: (_parameters, rate) => watching(all, rate, seen),
      });
      const step = gpu.program(() => {
        const { y: logits, saved } = all.forward(x, { training: true });
        const flat = softmaxCrossEntropy(logits.reshape([12, 4]), labels, { reduction: "sum" }).dlogits;
        learner.step({ saved, logits, error: mul(flat, 0.2).reshape([2, 6, 4]) });
      });
      for (let more = 0; more < 2; more++) step.run();
      const after: Record<string, ArrayLike<number>> = {};
      for (const [name, one] of Object.entries(all.parameters)) after[name] = await one.data();
      ways.push(after);
      assert.equal(
        [...seen].sort(),
        Object.entries(all.parameters)
          .map(([name, one]) => `${name} ${one.shape}`)
          .sort(),
      );
      step.dispose();
      for (const part of [learner, all, ...models]) part.dispose();
    }
    for (const name in ways[0])
      assertClose(ways[0][name], ways[1][name], { what: `${holder}, ${name}`, tolerance: 1e-6 });
  }
  for (const one of [x, labels]) one.dispose();
  assert.is(gpu.memory().tensors, live, "nothing leaks");
});

rates("books hold raw payments, also where one kernel was asked for", async () => {
  const gpu = await sharedGpu();
  const flows: Float32Array[] = [];
  for (const aversion of [0, 2]) {
    const bench = await makeBench(gpu, layers, { inputShape: [6, 12], classes: 4 });
    const rule = ruleOf({ ...ledgerOf("synapse", "payment"), aversion });
    const learner = learnerOf(bench, rule, { books: true, fused: true });
    runForward(bench, (outcome) => learner.step(outcome));
    flows.push(...(await learner.ledger()).slice(0, 1).map(({ paid }) => Float32Array.from(paid)));
    learner.dispose();
    bench.model.dispose();
  }
  // With an aversion of 2 the rates differ from 1 by far.
  assert.ok(relativeError(flows[0], flows[1]) <= 1e-6);
  assert.ok(flows[0].some((value) => value !== 0));
});

rates("what does not fit is named", async () => {
  const gpu = await sharedGpu();
  const [x, signal, wrong] = [tensor(gpu, [[1, 2]]), tensor(gpu, [[1, 2, 3]]), tensor(gpu, [[1, 2]])];
  const ledger = ledgerOf("synapse", "payment");
  await assertRejects(
    () => ratedProduct({ x, signal, ledger: wrong }, { ledger }),
    ShapeError,
    /ledger has shape \[1,2\], and \[2,3\] is taken/,
  );
  const tall = tensor(gpu, [[1], [2]]);
  await assertRejects(() => ratedProduct({ x: tall, signal }, { ledger }), ShapeError, /x has shape \[2,1\]/);
  for (const one of [x, signal, wrong, tall]) one.dispose();
});

rates.run();
