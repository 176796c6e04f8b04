import { copy, softmaxCrossEntropy, ShapeError, tensor, ValueError } from "handgrad";
import {
  activation,
  buildModel,
  conv2d,
  dense,
  EnsembleDense,
  type Sequential,
  stackModels,
} from "handgrad/layers";
import {
  attentionRule,
  earnedRule,
  Learner,
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
import { seededRandom } from "./helpers/shapes.js";
import { array64 } from "./reference/array64.js";

const ensembles = suite("neurons: ensembles");
const SEEDS = [3, 11];
const RATES = [0.1, 0.04];
const [N, INPUTS, CLASSES] = [6, 10, 5];
// 7 and 5 are no multiples of four: items of four must not reach over two networks.
const records = [dense(INPUTS, 8), activation("relu"), dense(8, 7), activation("tanh"), dense(7, CLASSES)];

const build = async (): Promise<Sequential[]> => {
  const gpu = await sharedGpu();
  return SEEDS.map((seed) => buildModel(gpu, records, { seed }));
};

/** What the networks' parameters are after three updates, all at once and one by one. */
async function bothWays(rule: (member: number | undefined) => Rule): Promise<void> {
  const gpu = await sharedGpu();
  const random = seededRandom(5);
  const x = Float32Array.from(random.array([SEEDS.length, N, INPUTS]).data);
  const labels = Uint32Array.from(random.integers([SEEDS.length * N], 0, CLASSES - 1).data);
  const models = await build();
  const all = stackModels(models);
  const together = new Learner(all, {
    rule: rule(undefined),
    inputShape: [SEEDS.length, N, INPUTS],
    learningRate: tensor(gpu, RATES),
    seed: SEEDS,
    momentum: 0.5,
  });
  const input = tensor(gpu, x, [SEEDS.length, N, INPUTS]);
  const targets = tensor(gpu, labels);
  const step = gpu.program(() => {
    const { y: logits, saved } = all.forward(input, { training: true });
    const flat = logits.reshape([SEEDS.length * N, CLASSES]);
    const { dlogits } = softmaxCrossEntropy(flat, targets, { reduction: "sum" });
    const error = dlogits.reshape([SEEDS.length, N, CLASSES]);
    together.step({ saved, logits, error });
  });
  for (let more = 0; more < 2; more++) step.run();
  for (const [member, model] of models.entries()) {
    const own = tensor(gpu, x.slice(member * N * INPUTS, (member + 1) * N * INPUTS), [N, INPUTS]);
    const ownTargets = tensor(gpu, labels.slice(member * N, (member + 1) * N));
    const alone = new Learner(model, {
      rule: rule(member),
      inputShape: [N, INPUTS],
      learningRate: RATES[member],
      seed: SEEDS[member],
      momentum: 0.5,
    });
    for (let update = 0; update < 3; update++) {
      gpu.scope(() => {
        const { y: logits, saved } = model.forward(own, { training: true });
        const { dlogits: error } = softmaxCrossEntropy(logits, ownTargets, { reduction: "sum" });
        alone.step({ saved, logits, error });
      });
    }
    for (const [name, parameter] of Object.entries(model.parameters)) {
      const stacked = await all.parameters[name].data();
      const actual = stacked.slice(member * parameter.size, (member + 1) * parameter.size);
      const expected = array64(parameter.shape, await parameter.data());
      const what = `member ${member}, ${name}`;
      assertClose(array64(parameter.shape, actual), expected, { what, tolerance: 1e-5 });
    }
    for (const part of [alone, own, ownTargets]) part.dispose();
  }
  step.dispose();
  for (const part of [together, input, targets, all, ...models]) part.dispose();
}

// One rule of every kind; each pipeline takes its time.
const kinds = [
  "attention",
  "power-1.5",
  "growth",
  "slow",
  "share",
  "ln",
  "earned-neuron",
  "earned-growth",
  "normalized",
  "bang-bang",
  "movement",
  "direct-feedback-alignment",
  "sign-symmetry",
];
for (const name of kinds) {
  ensembles(`${name}: two networks at once are two networks`, () => bothWays(() => ruleNamed(name)));
}

const ledgers: Record<string, LedgerOptions> = {
  "receiver's mean": { holder: "receiver", counts: "square", endowment: 0.01, aversion: 0.5 },
  "sender's mean": { holder: "sender", counts: "payment", endowment: 0.1, aversion: 1 },
  "shuffled neuron": { holder: "neuron", counts: "growth", endowment: 0.1, aversion: 1, shuffled: true },
};
for (const [title, ledger] of Object.entries(ledgers)) {
  ensembles(`a ledger of a ${title}: the same`, () => bothWays(() => earnedRule(title, title, ledger)));
}

for (const holder of ["synapse", "receiver", "neuron"] as const) {
  ensembles(`a ledger of a ${holder} with numbers of each network's own`, () =>
    bothWays((member) => {
      const numbers = { endowment: [0.1, 0.02], aversion: [0.5, 1], keep: [1, 0.9] };
      const pick = (list: number[]) => (member === undefined ? list : list[member]);
      return {
        ...slowRule(0.8),
        name: "mine",
        ledger: {
          holder,
          counts: "square",
          endowment: pick(numbers.endowment),
          aversion: pick(numbers.aversion),
          keep: pick(numbers.keep),
        },
      };
    }),
  );
}

ensembles("a shuffled ledger gives each layer's neurons the same rates in another order", async () => {
  const gpu = await sharedGpu();
  const model = buildModel(gpu, [dense(INPUTS, 8), activation("relu"), dense(8, CLASSES)], { seed: 1 });
  const x = tensor(gpu, Float32Array.from(seededRandom(2).array([N, INPUTS]).data), [N, INPUTS]);
  const labels = tensor(
    gpu,
    Uint32Array.from({ length: N }, (_, i) => i % CLASSES),
  );
  const before = copy(model.parameters["0.weight"]);
  const moves: Float32Array[] = [];
  const base = { holder: "neuron", counts: "growth", endowment: 0.01, aversion: 1 } as const;
  for (const ledger of [{ ...base, aversion: 0 }, base, { ...base, shuffled: true }]) {
    const rule = { ...attentionRule, ledger };
    const learner = new Learner(model, { rule, inputShape: [N, INPUTS], learningRate: 1, momentum: 0 });
    const start = gpu.scope(() => Object.values(model.parameters).map((one) => copy(one)));
    gpu.scope(() => {
      const { y: logits, saved } = model.forward(x, { training: true });
      learner.step({ saved, logits, error: softmaxCrossEntropy(logits, labels).dlogits });
    });
    const [after, was] = [await model.parameters["0.weight"].data(), await before.data()];
    moves.push(Float32Array.from(after, (value, i) => value - was[i]));
    Object.values(model.parameters).forEach((one, i) => {
      copy(start[i], { out: one });
      start[i].dispose();
    });
    learner.dispose();
  }
  const length = (move: Float32Array, j: number): number =>
    Math.hypot(...Array.from({ length: INPUTS }, (_, i) => move[i * 8 + j]));
  const ratesOf = (move: Float32Array): number[] =>
    Array.from({ length: 8 }, (_, j) =>
      length(moves[0], j) > 1e-6 ? length(move, j) / length(moves[0], j) : 0,
    );
  const [own, other] = [ratesOf(moves[1]), ratesOf(moves[2])];
  const alive = own.filter((rate) => rate > 0);
  assert.ok(alive.length >= 4, `${own}`);
  const moved = own.filter((rate, j) => rate > 0 && Math.abs(rate - other[j]) > 1e-3 * rate);
  assert.ok(moved.length >= 2, "rates are another neuron's");
  // A neuron that is silent itself may have given its rate away.
  const known = other.filter((rate) => rate > 0 && own.some((one) => Math.abs(one - rate) <= 1e-3 * rate));
  assert.ok(known.length >= alive.length - 4, `${own} and ${other}`);
  for (const part of [x, labels, before, model]) part.dispose();
});

ensembles("what does not fit is named", async () => {
  const gpu = await sharedGpu();
  const models = await build();
  const all = stackModels(models);
  const common = { rule: attentionRule, inputShape: [2, N, INPUTS], learningRate: 0.1 } as const;
  await assertRejects(() => new Learner(all, common), ValueError, /list of 2/);
  await assertRejects(() => new Learner(all, { ...common, seed: [1] }), ValueError, /list of 2/);
  await assertRejects(
    () => new Learner(all, { ...common, seed: SEEDS, books: true }),
    ValueError,
    /books is true/,
  );
  const three = tensor(gpu, [1, 2, 3]);
  await assertRejects(
    () => new Learner(all, { ...common, seed: SEEDS, learningRate: three }),
    ValueError,
    /has 3 elements/,
  );
  const ledger = { holder: "synapse", counts: "square", endowment: [1, 2, 3], aversion: 1 } as const;
  await assertRejects(
    () => new Learner(all, { ...common, seed: SEEDS, rule: { ...attentionRule, ledger } }),
    ValueError,
    /3 numbers for 2 networks/,
  );
  await assertRejects(() => stackModels([]), ValueError, /models is empty/);
  const conv = buildModel(gpu, [conv2d(1, 2, 3)]);
  await assertRejects(() => stackModels([conv]), ValueError, /kind conv2d/);
  const x = tensor(gpu, new Float32Array(N * INPUTS), [N, INPUTS]);
  await assertRejects(() => all.forward(x), ShapeError, /\[2, n, 10\]/);
  assert.ok(all.layers[0] instanceof EnsembleDense);
  for (const part of [...models, all, three, conv, x]) part.dispose();
});

ensembles.run();
