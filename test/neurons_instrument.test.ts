import { ShapeError, ValueError } from "handgrad";
import { Dataset } from "handgrad/data";
import { activation, buildModel, conv2d, dense, flatten, maxPool2d } from "handgrad/layers";
import { gini, observe, ruleNamed, ruleNames, trainClassifier } from "handgrad/neurons";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { learnerOf, makeBench, runForward, stateOf } from "./helpers/neurons.js";
import { seededRandom } from "./helpers/shapes.js";
import { upload } from "./helpers/tensors.js";
import { agentOf, attention64, learn64, receiverOf } from "./reference/neurons.js";

const instrument = suite("neurons: instrument");

const records = [
  conv2d(1, 3, 3, { padding: 1 }),
  activation("relu"),
  maxPool2d(2),
  flatten(),
  dense(27, 8),
  activation("relu"),
  dense(8, 4),
];

instrument("gini: equal, all to one, and the mean difference of any", async () => {
  assert.is(gini([2, 2, 2]), 0);
  assert.is(gini([0, 0, 0]), 0);
  assert.is(gini([0, 0, 0, 5]), 0.75);
  const values = seededRandom(1).array([17], { low: 0, high: 3 }).data;
  let [apart, total] = [0, 0];
  for (const a of values) {
    total += a;
    for (const b of values) apart += Math.abs(a - b);
  }
  assert.ok(Math.abs(gini(values) - apart / (2 * values.length * total)) < 1e-12);
  await assertRejects(() => gini([]), ShapeError, /values is empty/);
});

instrument("an observation: attention by channel, cosines, silent and unattended neurons", async () => {
  const gpu = await sharedGpu();
  const bench = await makeBench(gpu, records, { inputShape: [6, 1, 6, 6], classes: 4 });
  const { model } = bench;
  // Neuron 2 of the hidden layer never speaks, channel 1 of the convolution holds nothing.
  const bias = [...bench.state["4.bias"].data];
  bias[2] = -1e6;
  model.parameters["4.bias"].write(Float32Array.from(bias));
  const w = Float32Array.from(bench.state["4.weight"].data);
  w.fill(0, 9 * 8, 18 * 8);
  model.parameters["4.weight"].write(w);
  const state = await stateOf(model);
  const learner = learnerOf(bench, ruleNamed("feedback-alignment"));
  const before = gpu.memory().tensors;
  const batch = { x: upload(gpu, bench.x), labels: upload(gpu, bench.labels, "u32") };
  const rows = await observe(model, learner, batch);
  for (const part of Object.values(batch)) part.dispose();
  assert.is(gpu.memory().tensors, before, "nothing leaks");
  assert.equal(
    rows.map(({ layer, agents }) => [layer, agents]),
    [
      ["0", "inputs"],
      ["4", "neurons"],
      ["6", "neurons"],
    ],
  );
  assertClose(rows[1].attention, attention64(state["4.weight"], 3), { what: "attention of channels" });
  assertClose(rows[2].attention, attention64(state["6.weight"]), { what: "attention of neurons" });
  assert.is(rows[1].unattended, 1);
  assert.is(rows[2].silent >= 1, true);
  assert.is(rows[1].silent, 0);
  assert.ok(Math.abs(rows[2].cosine - 1) < 1e-6, "the top layer is paid by the labels");
  assert.ok(rows[1].cosine < 0.99);
  assert.ok(Math.abs(rows[1].gini - gini(attention64(state["4.weight"], 3))) < 1e-6);
  learner.dispose();
  model.dispose();
});

instrument("the ledger: who paid whom in two updates, by channel", async () => {
  const gpu = await sharedGpu();
  const bench = await makeBench(gpu, records, { inputShape: [6, 1, 6, 6], classes: 4 });
  const learner = learnerOf(bench, ruleNamed("attention"), { momentum: 0, books: true });
  const expected: Record<string, Float64Array> = {};
  for (let step = 0; step < 2; step++) {
    const state = await stateOf(bench.model);
    const { grads } = learn64(records, state, bench.x, bench.labels);
    for (const [layer, agents] of [
      ["0", 1],
      ["4", 3],
      ["6", 8],
    ] as const) {
      const { shape, data } = grads[`${layer}.weight`];
      const receivers = shape[shape.length === 4 ? 0 : 1];
      expected[layer] ??= new Float64Array(agents * receivers);
      data.forEach((p, at) => {
        const place = agentOf(at, shape, agents) * receivers + receiverOf(at, shape);
        expected[layer][place] -= p * state[`${layer}.weight`].data[at];
      });
    }
    runForward(bench, (outcome) => learner.step(outcome));
  }
  for (const { layer, paid, agents, receivers } of await learner.ledger()) {
    assert.is(paid.length, agents * receivers);
    assertClose(paid, expected[layer], { what: layer });
  }
  learner.dispose();
  const plain = learnerOf(bench, ruleNamed("attention"));
  await assertRejects(() => plain.ledger(), ValueError, /there are no books/);
  plain.dispose();
  bench.model.dispose();
});

/** Three classes of 4 × 4 pictures: bright above, bright below, striped, in noise. */
function pictures(count: number, seed: number): Dataset {
  const random = seededRandom(seed);
  const labels = Uint32Array.from({ length: count }, (_, index) => index % 3);
  const images = Float32Array.from(random.array([count, 16], { low: 0, high: 0.7 }).data);
  for (let i = 0; i < count; i++) {
    for (let p = 0; p < 8; p++) images[i * 16 + (labels[i] === 2 ? 2 * p : labels[i] * 8 + p)] += 0.3;
  }
  return new Dataset({ images, labels, shape: [1, 4, 4], classNames: ["upper", "lower", "stripes"] });
}

/** Rules whose payments are of another size want another rate. */
const RATES: Record<string, number> = { normalized: 0.02, "bang-bang": 0.1, "earned-square": 0.02 };

/** Fixed random feedback must first be aligned with. */
const SLOW: ReadonlySet<string> = new Set(["feedback-alignment", "direct-feedback-alignment"]);

instrument("training: every rule learns, the control does not", async () => {
  const gpu = await sharedGpu();
  const [train, test] = [pictures(300, 1), pictures(150, 2)];
  for (const name of ruleNames.filter((name) => name !== "measured")) {
    const model = buildModel(
      gpu,
      [dense(16, 12), activation("tanh"), dense(12, 8), activation("tanh"), dense(8, 3)],
      { seed: 4 },
    );
    const result = await trainClassifier(model, train, test, {
      rule: ruleNamed(name),
      epochs: 6,
      batchSize: 20,
      learningRate: RATES[name] ?? 0.1,
      seed: 2,
    });
    model.dispose();
    const what = `${name}: ${result.testAccuracy}`;
    // A third is what guessing gives.
    if (name === "movement") assert.ok(result.testAccuracy < 0.5, what);
    else assert.ok(result.testAccuracy > (SLOW.has(name) ? 0.6 : 0.88), what);
  }
});

instrument("training under watch: observations and a ledger, of a convolution net", async () => {
  const gpu = await sharedGpu();
  const before = gpu.memory().tensors;
  const net = [conv2d(1, 4, 3, { padding: 1 }), activation("relu"), maxPool2d(2), flatten(), dense(16, 3)];
  const model = buildModel(gpu, net, { seed: 4 });
  const options = { rule: ruleNamed("attention"), epochs: 2, batchSize: 20, seed: 2, watch: 50 };
  const result = await trainClassifier(model, pictures(300, 1), pictures(60, 2), options);
  assert.equal(
    result.observations.map(({ epoch }) => epoch),
    [0, 1, 2],
  );
  for (const { layers } of result.observations) {
    for (const { cosine } of layers) assert.ok(1 - cosine <= 1e-6, `${cosine}`);
  }
  assert.equal(
    result.ledger.map(({ layer, agents, receivers }) => [layer, agents, receivers]),
    [
      ["0", 1, 4],
      ["4", 4, 3],
    ],
  );
  assert.ok(result.testAccuracy > 0.8, `${result.testAccuracy}`);
  model.dispose();
  assert.is(gpu.memory().tensors, before);
});

instrument.run();
