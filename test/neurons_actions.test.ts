import { Adam, mul, softmaxCrossEntropy, tensor, ValueError } from "handgrad";
import {
  activation,
  avgPool2d,
  batchNorm,
  conv2d,
  convTranspose2d,
  dense,
  flatten,
  maxPool2d,
  residual,
} from "handgrad/layers";
import {
  attentionRule,
  earnedRule,
  Learner,
  type LearnerOptions,
  type LedgerOptions,
  type Rule,
  ruleNamed,
  slowRule,
} from "handgrad/neurons";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { type Bench, learnerOf, makeBench, paymentsOf, runForward, stateOf } from "./helpers/neurons.js";
import { upload } from "./helpers/tensors.js";
import { type Array64, array64, dot, map, sizeOf } from "./reference/array64.js";
import { zip } from "./reference/elementwise.js";
import { agentOf, chainRule, foresight64, learn64, type Payer64, receiverOf } from "./reference/neurons.js";
import type { State } from "./reference/network.js";
import { matmul } from "./reference/matmul.js";

const actions = suite("neurons: actions");
const RATE = 0.1;

const dense64 = [dense(6, 8), activation("tanh"), dense(8, 7), activation("tanh"), dense(7, 4)];
const conv64 = [
  conv2d(1, 3, 3, { padding: 1 }),
  activation("relu"),
  maxPool2d(2),
  conv2d(3, 4, 2),
  activation("tanh"),
  flatten(),
  dense(16, 5),
];

/** All that payments pass on their way: batch norm, both poolings, skip connections with and without weights. */
const residual64 = [
  conv2d(2, 4, 3, { padding: 1 }),
  batchNorm(4),
  activation("tanh"),
  maxPool2d(2),
  residual([conv2d(4, 4, 3, { padding: 1 }), activation("relu")]),
  residual([conv2d(4, 3, 3, { padding: 1 })], [conv2d(4, 3, 1)]),
  avgPool2d(2),
  flatten(),
  dense(12, 4),
];

const benches: Record<string, () => Promise<Bench>> = {
  dense: async () => makeBench(await sharedGpu(), dense64, { inputShape: [6, 6], classes: 4 }),
  convolution: async () =>
    makeBench(await sharedGpu(), conv64, { inputShape: [3, 1, 6, 6], classes: 5, seed: 5 }),
  residual: async () =>
    makeBench(await sharedGpu(), residual64, { inputShape: [5, 2, 8, 8], classes: 4, seed: 9 }),
};

/** Holds what a rule pays against a formula for payments, on all networks. */
function pays(
  title: string,
  rule: Rule,
  formula: (payer: Payer64, states: Readonly<Record<string, State>>) => Array64,
): void {
  actions(`${title} pays by its formula`, async () => {
    for (const name in benches) {
      const bench = await benches[name]();
      const learner = learnerOf(bench, rule);
      const states: Record<string, State> = {};
      for (const site of learner.sites) {
        const own: Record<string, Array64> = {};
        for (const [key, kept] of Object.entries(learner.states[site.name]))
          own[key] = array64(kept.shape, await kept.data());
        states[site.name] = own;
      }
      learner.dispose();
      const paid = await paymentsOf(bench, rule);
      const { grads } = learn64(bench.records, bench.state, bench.x, bench.labels, (payer) =>
        formula(payer, states),
      );
      for (const key in grads) {
        // Batch norm takes out the bias before it: nobody is paid for it.
        if (name === "residual" && key === "0.bias") continue;
        assertClose(paid[key], grads[key], { what: `${title}, ${name}, ${key}` });
      }
      bench.model.dispose();
    }
  });
}

pays("foresight", ruleNamed("foresight"), (payer) => (payer.top ? foresight64(payer) : chainRule(payer)));

pays("the control", ruleNamed("movement"), ({ w, x, signal, through }) => {
  const asked = through(
    map(w, () => 1),
    map(signal, (g) => g * g),
  );
  return zip(x, asked, (h, sum) => -x.shape[0] * h * sum);
});

const times = (x: Array64, { data: [factor] }: Array64) => map(x, (value) => factor * value);

pays("feedback alignment", ruleNamed("feedback-alignment"), (payer, states) => {
  const { fixed, unit } = states[payer.name];
  return payer.through(times(fixed, unit));
});

pays("sign-symmetry", ruleNamed("sign-symmetry"), (payer, states) => {
  const { fixed, unit } = states[payer.name];
  return payer.through(
    times(
      zip(payer.w, fixed, (w, size) => Math.sign(w) * Math.abs(size)),
      unit,
    ),
  );
});

pays("direct feedback alignment", ruleNamed("direct-feedback-alignment"), ({ name, x, error }, states) => ({
  ...matmul(error, states[name].direct),
  shape: x.shape,
}));

pays("bang-bang", ruleNamed("bang-bang"), (payer) => {
  const payment = chainRule(payer);
  // Behind a flattening of four positions a channel.
  const behind: Record<string, number> = { 6: 4, 8: 3 };
  const agents = behind[payer.name] ?? payer.w.shape[payer.w.shape.length === 2 ? 0 : 1];
  return map(payment, (q) => (Math.sign(q) * agents) / sizeOf(payment.shape));
});

/** Weights and biases after updates with a rule, on the device. */
async function trained(bench: Bench, rule: Rule, steps: number, options: Partial<LearnerOptions> = {}) {
  const learner = learnerOf(bench, rule, { momentum: 0, learningRate: RATE, ...options });
  for (let step = 0; step < steps; step++) runForward(bench, (outcome) => learner.step(outcome));
  learner.dispose();
  return stateOf(bench.model);
}

/** The same by the chain rule in float64, with what agents make of it given. */
function trained64(
  { records, state, x, labels }: Bench,
  steps: number,
  direction: (grads: State, now: State) => State,
): State {
  let now = state;
  for (let step = 0; step < steps; step++) {
    const moves = direction(learn64(records, now, x, labels).grads, now);
    now = Object.fromEntries(
      Object.entries(now).map(([name, value]) => [
        name,
        // Running statistics are no parameters.
        moves[name] ? zip(value, moves[name], (w, move) => w - RATE * move) : value,
      ]),
    );
  }
  return now;
}

const MEASURES: Record<LedgerOptions["counts"], (payment: number, w: number) => number> = {
  payment: (p) => Math.abs(p),
  square: (p) => p * p,
  growth: (p, w) => Math.abs(w * p),
};

/** A rule whose ledger fades fast enough to be seen in three updates. */
const fadingRule = earnedRule("fading", "fading", {
  holder: "synapse",
  counts: "payment",
  endowment: 0.1,
  aversion: 1,
  keep: 0.5,
});

for (const rule of [
  ...["earned-payment", "earned-square", "earned-growth", "earned-fading"].map(ruleNamed),
  fadingRule,
]) {
  for (const net of ["dense", "residual"]) {
    actions(`${rule.name}: three updates of a ${net} net with a ledger a synapse`, async () => {
      const bench = await benches[net]();
      const { counts, keep = 1, ...utility } = rule.ledger!;
      const [endowment, aversion, kept] = [utility.endowment, utility.aversion, keep].map(Number);
      const ledgers: Record<string, Float64Array> = {};
      const expected = trained64(bench, 3, (grads, now) =>
        Object.fromEntries(
          Object.entries(grads).map(([key, grad]) => {
            // Batch norm holds no attention and keeps no ledger.
            if (key.startsWith("1.")) return [key, grad];
            ledgers[key] ??= new Float64Array(grad.data.length);
            return [
              key,
              map(grad, (payment, at) => {
                ledgers[key][at] = kept * ledgers[key][at] + MEASURES[counts](payment, now[key].data[at]);
                return payment * (endowment + ledgers[key][at]) ** -aversion;
              }),
            ];
          }),
        ),
      );
      const actual = await trained(bench, rule, 3);
      for (const key of learnedOf(expected, net)) {
        const [mine, theirs] = [moved(actual, bench, key), moved(expected, bench, key)];
        assertClose(mine, theirs, { what: key, tolerance: 1e-4 });
      }
      bench.model.dispose();
    });
  }
}

/** Parameters that are paid something: no running statistics, and not the bias that batch norm takes out. */
const learnedOf = (state: State, net: string): string[] =>
  Object.keys(state).filter(
    (key) => /weight$|bias$/.test(key) && !(net === "residual" && /^0\.bias$/.test(key)),
  );

actions("under Adam a ledger and the books count raw payments, before Adam and the rate", async () => {
  const bench = await benches.convolution();
  const adam: LearnerOptions["optimizer"] = (parameters, learningRate) =>
    new Adam(parameters, { learningRate });
  const rule = earnedRule("mine", "mine", {
    holder: "synapse",
    counts: "payment",
    endowment: 1,
    aversion: 1,
  });
  const learner = learnerOf(bench, rule, { optimizer: adam, learningRate: 0.02, books: true });
  const owned = new Map<string, Float64Array>();
  const grown = new Map<string, Float64Array>();
  for (let step = 0; step < 3; step++) {
    const now = await stateOf(bench.model);
    const { grads } = learn64(bench.records, now, bench.x, bench.labels);
    for (const { name } of learner.sites) {
      const { data } = grads[`${name}.weight`];
      const w = now[`${name}.weight`].data;
      owned.set(
        name,
        data.map((p, at) => Math.abs(p) + (owned.get(name)?.[at] ?? 0)),
      );
      grown.set(
        name,
        data.map((p, at) => (grown.get(name)?.[at] ?? 0) - w[at] * p),
      );
    }
    runForward(bench, (outcome) => learner.step(outcome));
  }
  const pages = await learner.ledger();
  for (const [index, { name, weights, agents }] of learner.sites.entries()) {
    const ledger = await learner.states[name].ledgerWeight.data();
    assertClose(ledger, owned.get(name) as Float64Array, { what: `ledger of ${name}`, tolerance: 1e-4 });
    const { paid, receivers } = pages[index];
    const expected = new Float64Array(agents * receivers);
    grown.get(name)?.forEach((value, at) => {
      expected[agentOf(at, weights.shape, agents) * receivers + receiverOf(at, weights.shape)] += value;
    });
    assertClose(paid, expected, { what: `books of ${name}`, tolerance: 1e-4 });
  }
  learner.dispose();
  bench.model.dispose();
});

actions("slow attention pays through the mean of past weights, on all networks", async () => {
  for (const net in benches) {
    const bench = await benches[net]();
    const learner = learnerOf(bench, slowRule(0.5), { momentum: 0, learningRate: 0.5 });
    for (let step = 0; step < 2; step++) runForward(bench, (outcome) => learner.step(outcome));
    const state = await stateOf(bench.model);
    const slow: Record<string, Array64> = {};
    for (const { name, weights } of learner.sites)
      slow[name] = array64(weights.shape, await learner.states[name].slow.data());
    const paid = runForward(bench, (outcome) => learner.payments(outcome));
    const { grads } = learn64(bench.records, state, bench.x, bench.labels, (payer) =>
      payer.through(slow[payer.name]),
    );
    for (const key of learnedOf(grads, net))
      assertClose(await paid[key].data(), grads[key], { what: `${net}, ${key}` });
    const [lowest] = learner.sites;
    const apart = zip(slow[lowest.name], state[`${lowest.name}.weight`], (a, b) => a - b);
    assert.ok(dot(apart, apart) > 0, "the mean is behind");
    for (const part of Object.values(paid)) part.dispose();
    learner.dispose();
    bench.model.dispose();
  }
});

/** How far a parameter went: its start does not hide errors. */
const moved = (after: State, bench: Bench, key: string): Array64 =>
  zip(after[key], bench.state[key], (now, before) => now - before);

for (const counts of ["growth", "payment", "square"] as const) {
  actions(`a neuron's ledger of ${counts}: two updates of a convolution net`, async () => {
    const bench = await benches.convolution();
    const readers: Record<string, [string, number]> = { 0: ["3", 3], 3: ["6", 4] };
    const ledgers: Record<string, Float64Array> = {};
    const [endowment, aversion, keep] = [0.02, 0.7, 0.9];
    const expected = trained64(bench, 2, (grads, now) => {
      const moves: Record<string, Array64> = { ...grads };
      for (const [name, [reader, agents]] of Object.entries(readers)) {
        const { shape, data } = grads[`${reader}.weight`];
        const earned = new Float64Array(agents);
        data.forEach((p, at) => {
          const agent = agentOf(at, shape, agents);
          const w = now[`${reader}.weight`].data[at];
          earned[agent] += counts === "growth" ? w * p : MEASURES[counts](p, w);
        });
        ledgers[name] ??= new Float64Array(agents);
        ledgers[name].forEach((owned, agent) => {
          ledgers[name][agent] = keep * owned + Math.abs(earned[agent]);
        });
        const rate = (agent: number) => (endowment + ledgers[name][agent]) ** -aversion;
        const weight = grads[`${name}.weight`];
        moves[`${name}.weight`] = map(weight, (p, at) => p * rate(receiverOf(at, weight.shape)));
        moves[`${name}.bias`] = map(grads[`${name}.bias`], (p, agent) => p * rate(agent));
      }
      return moves;
    });
    const rule = earnedRule("mine", "mine", { holder: "neuron", counts, endowment, aversion, keep });
    const actual = await trained(bench, rule, 2);
    for (const key in expected)
      assertClose(moved(actual, bench, key), moved(expected, bench, key), { what: key, tolerance: 1e-4 });
    bench.model.dispose();
  });
}

actions("normalized: every neuron moves its own weights by the rate, along its payments", async () => {
  for (const name in benches) {
    const bench = await benches[name]();
    const expected = trained64(bench, 1, (grads) => {
      const moves: Record<string, Array64> = {};
      for (const key in grads) {
        const layer = key.slice(0, key.lastIndexOf("."));
        if (name === "residual" && layer === "1") {
          moves[key] = grads[key];
          continue;
        }
        const [weight, bias] = [grads[`${layer}.weight`], grads[`${layer}.bias`]];
        const squares = bias.data.map((p) => p * p);
        weight.data.forEach((p, at) => {
          squares[receiverOf(at, weight.shape)] += p * p;
        });
        moves[key] = map(
          grads[key],
          (p, at) =>
            p /
            Math.sqrt(
              squares[
                receiverOf(at, grads[key].shape.length === 1 ? [1, grads[key].shape[0]] : weight.shape)
              ],
            ),
        );
      }
      return moves;
    });
    const actual = await trained(bench, ruleNamed("normalized"), 1);
    for (const key of learnedOf(expected, name))
      assertClose(moved(actual, bench, key), moved(expected, bench, key), {
        what: `${name}, ${key}`,
        tolerance: 1e-4,
      });
    bench.model.dispose();
  }
});

actions("random feedback is not the network's own first weights, with the same seed either", async () => {
  const bench = await benches.dense();
  const same = { seed: 1 };
  const chain = await paymentsOf(bench, attentionRule, same);
  for (const name of ["feedback-alignment", "direct-feedback-alignment"]) {
    const paid = await paymentsOf(bench, ruleNamed(name), same);
    const [mine, theirs] = [paid["2.weight"], chain["2.weight"]];
    const cosine = dot(mine, theirs) / Math.sqrt(dot(mine, mine) * dot(theirs, theirs));
    assert.ok(Math.abs(cosine) < 0.8, `${name}: ${cosine}`);
  }
  bench.model.dispose();
});

actions("slow attention follows the weights", async () => {
  const bench = await benches.dense();
  const learner = learnerOf(bench, ruleNamed("slow"), { momentum: 0 });
  const before = bench.state["2.weight"];
  runForward(bench, (outcome) => learner.step(outcome));
  const after = array64(before.shape, await bench.model.parameters["2.weight"].data());
  const slow = array64(before.shape, await learner.states["2"].slow.data());
  assertClose(
    slow,
    zip(before, after, (w, now) => 0.99 * w + 0.01 * now),
    { tolerance: 1e-6 },
  );
  learner.dispose();
  bench.model.dispose();
});

actions("Adam changes steps, not payments: the attention rule stays Adam on gradients", async () => {
  const adam: LearnerOptions["optimizer"] = (parameters, learningRate) =>
    new Adam(parameters, { learningRate });
  const results: State[] = [];
  for (const rule of [attentionRule, ruleNamed("backpropagation")]) {
    const bench = await benches.convolution();
    results.push(await trained(bench, rule, 3, { optimizer: adam, learningRate: 0.01 }));
    bench.model.dispose();
  }
  for (const key in results[0]) assertClose(results[0][key], results[1][key], { what: key });
});

actions("a step in a program: the same as one by one, with a schedule, and nothing leaks", async () => {
  const gpu = await sharedGpu();
  const before = gpu.memory().tensors;
  const options = { learningRate: { kind: "cosine", learningRate: 0.2, steps: 4 }, momentum: 0.9 } as const;
  for (const name of ["growth", "share", "earned-neuron", "slow"]) {
    const bench = await benches.convolution();
    const alone = await trained(bench, ruleNamed(name), 3, options);
    bench.model.dispose();
    const again = await benches.convolution();
    const learner = learnerOf(again, ruleNamed(name), options);
    const { model, x, labels } = again;
    const [input, classes] = [upload(gpu, x), upload(gpu, labels, "u32")];
    const program = gpu.program(() => {
      const { y: logits, saved } = model.forward(input, { training: true });
      learner.step({ saved, logits, error: softmaxCrossEntropy(logits, classes).dlogits });
    });
    program.run();
    program.run();
    const replayed = await stateOf(model);
    for (const key in alone)
      assertClose(replayed[key], alone[key], { what: `${name}, ${key}`, tolerance: 1e-6 });
    program.dispose();
    learner.dispose();
    for (const part of [input, classes, model]) part.dispose();
  }
  assert.is(gpu.memory().tensors, before);
});

actions("a user's rule: receivers at rates of their own pay by them", async () => {
  const bench = await benches.dense();
  const rates = { 2: [1, 2, 3, 4, 5, 6, 7], 4: [0.5, 1, 2, 4] } as Record<string, number[]>;
  const rule: Rule = {
    name: "uneven",
    title: "uneven receivers",
    state: (site, { gpu }) => ({ rates: tensor(gpu, rates[site.name] ?? [1]) }),
    feedback: ({ site, state }) => ({ weights: mul(site.weights, state.rates) }),
  };
  const paid = await paymentsOf(bench, rule);
  const { grads } = learn64(bench.records, bench.state, bench.x, bench.labels, (payer) =>
    payer.name === "0"
      ? payer.x
      : payer.through(map(payer.w, (w, at) => w * rates[payer.name][receiverOf(at, payer.w.shape)])),
  );
  for (const key in grads) assertClose(paid[key], grads[key], { what: key });
  bench.model.dispose();
});

actions("what cannot be is named", async () => {
  const gpu = await sharedGpu();
  const make = (records: Parameters<typeof makeBench>[1]) =>
    makeBench(gpu, records, { inputShape: [2, 2, 4, 4], classes: 2 });
  for (const [records, message] of [
    [[convTranspose2d(2, 2, 2)], /layer 0 is a transposed convolution/],
    [[activation("relu"), conv2d(2, 2, 1, { groups: 2 })], /layer 1 has 2 groups/],
  ] as const) {
    const bench = await make(records);
    await assertRejects(
      () => new Learner(bench.model, { rule: attentionRule, inputShape: [2, 2, 4, 4], learningRate: 1 }),
      ValueError,
      message,
    );
    bench.model.dispose();
  }
  const ledger: LedgerOptions = { holder: "synapse", counts: "payment", endowment: 1, aversion: 1 };
  for (const [wrong, message] of [
    [{ endowment: 0 }, /endowment is 0/],
    [{ aversion: -1 }, /aversion is -1/],
    [{ keep: 2 }, /keep is 2/],
  ] as const) {
    await assertRejects(() => earnedRule("x", "x", { ...ledger, ...wrong }), ValueError, message);
  }
});

actions.run();
