import { type Gpu, ShapeError, tensor, ValueError } from "handgrad";
import { Dataset } from "handgrad/data";
import {
  activation,
  avgPool2d,
  batchNorm,
  buildModel,
  conv2d,
  dense,
  flatten,
  maxPool2d,
  residual,
  type Sequential,
} from "handgrad/layers";
import {
  attention,
  compareGradients,
  measurePayments,
  pay,
  powerRule,
  type Rule,
  ruleNamed,
  shareRule,
  trainClassifier,
  verifyLocalSignal,
} from "handgrad/neurons";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { type Bench, learnerOf, makeBench, paymentsOf, runForward } from "./helpers/neurons.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, array64, dot, map } from "./reference/array64.js";
import { zip } from "./reference/elementwise.js";
import { matmul as referenceMatmul } from "./reference/matmul.js";
import { agentOf, attention64, learn64, type Payer64, shares64 } from "./reference/neurons.js";

const neurons = suite("neurons");

const toTensor = (gpu: Gpu, { shape, data }: Array64) => tensor(gpu, Float32Array.from(data), shape);

/** The golden network: dense 12-10-9-5 with the case's activation between. */
function goldenModel(gpu: Gpu, name: "relu" | "tanh", inputs: Record<string, Array64>): Sequential {
  const model = buildModel(gpu, [
    dense(12, 10),
    activation(name),
    dense(10, 9),
    activation(name),
    dense(9, 5),
  ]);
  [0, 2, 4].forEach((layer, index) => {
    model.parameters[`${layer}.weight`].write(Float32Array.from(inputs[`W${index}`].data));
    model.parameters[`${layer}.bias`].write(Float32Array.from(inputs[`b${index}`].data));
  });
  return model;
}

/** The golden case's network with its batch. */
function goldenBench(gpu: Gpu, name: "relu" | "tanh", inputs: Record<string, Array64>): Bench {
  const model = goldenModel(gpu, name, inputs);
  return { gpu, records: [], state: {}, model, x: inputs.x, labels: inputs.labels };
}

for (const { name, params, inputs, outputs } of goldenCases("neurons")) {
  neurons(`${name}: rules equal to backpropagation give PyTorch's gradients`, async () => {
    const gpu = await sharedGpu();
    const bench = goldenBench(gpu, params.activation, inputs);
    for (const rule of ["attention", "measured", "backpropagation"]) {
      const paid = await paymentsOf(bench, ruleNamed(rule));
      // The golden file holds the ascent direction, handgrad carries costs.
      for (const [index, layer] of [0, 2, 4].entries()) {
        for (const [part, key] of [
          ["weight", `dW${index}`],
          ["bias", `db${index}`],
        ] as [string, keyof typeof outputs][]) {
          assertClose(negative(paid[`${layer}.${part}`]), outputs[key], { what: `${rule}: ${key}` });
        }
      }
    }
    bench.model.dispose();
  });

  neurons(`${name}: attention and payments of the forms that PyTorch gave`, async () => {
    const gpu = await sharedGpu();
    const weights = [toTensor(gpu, inputs.W1), toTensor(gpu, inputs.W2)];
    assertClose(await attention(weights[0]).data(), outputs.attention1, { what: "attention of layer 1" });
    assertClose(await attention(weights[1]).data(), outputs.attention2, { what: "attention of layer 2" });
    const bench = goldenBench(gpu, params.activation, inputs);
    const forms: [Rule, keyof typeof outputs][] = [
      [ruleNamed("attention"), "payment2"],
      [powerRule(1, { unit: false }), "paymentP1_2"],
      [powerRule(1.5, { unit: false }), "paymentP1.5_2"],
      [powerRule(3, { unit: false }), "paymentP3_2"],
      [shareRule({ unit: false }), "paymentShare_2"],
    ];
    for (const [rule, key] of forms) {
      const learner = learnerOf(bench, rule);
      const account = { site: learner.sites[2], state: learner.states["4"] };
      const paid = runForward(bench, ({ error }) => pay(error, rule.feedback!(account)));
      assertClose(negative(array64(paid.shape, await paid.data())), outputs[key], { what: key });
      learner.dispose();
    }
    bench.model.dispose();
  });
}

/** A convolution net with all that payments pass on their way. */
const convRecords = (name: "relu" | "tanh") => [
  conv2d(2, 5, 3, { padding: 1, stride: [1, 2] }),
  batchNorm(5),
  activation(name),
  maxPool2d(2),
  residual([conv2d(5, 6, 3, { padding: 1 }), activation(name), conv2d(6, 5, 1)]),
  activation(name),
  residual([conv2d(5, 4, 3, { padding: 1 })], [conv2d(5, 4, 1)]),
  avgPool2d(2),
  flatten(),
  dense(16, 12),
  activation(name),
  dense(12, 3),
];

/** What F(W) is, by formula; with a unit it is as large as W. */
function unitOf(f: Array64, w: Array64): Array64 {
  const scale = Math.sqrt(dot(w, w) / dot(f, f));
  return map(f, (value) => scale * value);
}

const power = (p: number) => (w: Array64) => map(w, (v) => Math.sign(v) * Math.abs(v) ** (p - 1));
const utility = (aversion: number, agents: (w: Array64) => number) => (w: Array64) => {
  const held = attention64(w, agents(w));
  return map(w, (v, at) => v * (held[agentOf(at, w.shape, held.length)] + 1e-6) ** -aversion);
};
/** The dense layer behind the flattening reads 4 channels of 4 positions. */
const agentsOf = ({ shape }: Array64) => (shape.length === 4 ? shape[1] : shape[0] === 16 ? 4 : shape[0]);

const RATE = 0.1;
const formulas: Record<string, (payer: Payer64) => Array64> = {
  attention: ({ w }) => w,
  "power-1": ({ w }) => unitOf(power(1)(w), w),
  "power-1.5": ({ w }) => unitOf(power(1.5)(w), w),
  "power-3": ({ w }) => unitOf(power(3)(w), w),
  "power-4": ({ w }) => unitOf(power(4)(w), w),
  growth: ({ w, grad }) => zip(w, grad, (v, g) => v - RATE * g),
  "lookahead-10": ({ w, grad }) => zip(w, grad, (v, g) => v - 10 * RATE * g),
  slow: ({ w }) => w,
  share: ({ w }) => unitOf(shares64(w), w),
  ln: ({ w }) => unitOf(utility(1, agentsOf)(w), w),
  "utility-0.5": ({ w }) => unitOf(utility(0.5, agentsOf)(w), w),
};

for (const name of ["relu", "tanh"] as const) {
  neurons(`${name}, a convolution net: each rule pays by its formula, in float64`, async () => {
    const gpu = await sharedGpu();
    const bench = await makeBench(gpu, convRecords(name), { inputShape: [3, 2, 8, 16], classes: 3 });
    for (const rule in formulas) {
      const paid = await paymentsOf(bench, ruleNamed(rule), { learningRate: RATE });
      const { grads } = learn64(bench.records, bench.state, bench.x, bench.labels, (payer) =>
        payer.through(formulas[rule](payer)),
      );
      assert.equal(Object.keys(paid).sort(), Object.keys(grads).sort());
      for (const key in grads) {
        // Batch norm takes out the bias before it: nobody is paid for it.
        const absolute = key === "0.bias" ? grads["1.bias"] : undefined;
        const tolerance = key === "0.bias" ? 1e-3 : 1e-5;
        assertClose(paid[key], grads[key], { what: `${rule}, ${key}`, absolute, tolerance });
      }
    }
    bench.model.dispose();
  });
}

neurons("paying: fused and by parts, odd sizes and large ones, through activations", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(8);
  for (const [samples, units, receivers] of [
    [1, 1, 1],
    [9, 33, 7],
    [70, 66, 12],
    [130, 210, 200],
  ]) {
    const w = random.array([units, receivers]);
    const signal = random.array([samples, receivers]);
    const kept = random.array([samples, units]);
    const marginal = random.array([units], { low: 0.5, high: 2 });
    const f = map(w, (v, at) => Math.sign(v) * v * v * marginal.data[Math.floor(at / receivers)]);
    const q = referenceMatmul(signal, f, { transposeB: true });
    const tensors = [w, signal, kept, marginal].map((value) => toTensor(gpu, value));
    const feedback = {
      weights: tensors[0],
      transform: { kind: "power", exponent: 2 } as const,
      marginal: tensors[3],
    };
    const what = `${samples} × ${units} × ${receivers}`;
    const paid = pay(tensors[1], feedback, { activation: "leakyRelu", slope: 0.2, kept: tensors[2] });
    const leaky = zip(q, kept, (value, y) => value * (y > 0 ? 1 : 0.2));
    assertClose(await paid.data(), leaky, { what });
    const moved = pay(tensors[1], feedback, { activation: "tanh", kept: tensors[2], bound: 0.25 });
    const bounded = zip(q, kept, (value, y) => 0.25 * Math.sign(value) * (1 - y * y));
    assertClose(await moved.data(), bounded, { what: `${what}, bounded`, tolerance: 1e-3 });
    for (const part of [...tensors, paid, moved]) part.dispose();
  }
  const [w, g] = [tensor(gpu, [[1, 2]]), tensor(gpu, [[1, 2, 3]])];
  await assertRejects(
    () => pay(g, { weights: w, transform: { kind: "share" } }),
    ShapeError,
    /weights have shape \[1,2\] and the signal \[1,3\]/,
  );
  await assertRejects(
    () => pay(w, { weights: w, other: g, transform: { kind: "borrowedSign" } }),
    ShapeError,
    /other has shape \[1,3\], and \[1,2\] is taken/,
  );
});

neurons("measured payments: random shapes, dead receivers and neurons without weights", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(3);
  for (const [units, receivers, samples] of [
    [1, 1, 1],
    [7, 13, 5],
    [31, 128, 17],
    [3, 1, 70],
  ]) {
    const w = random.array([units, receivers]);
    const g = random.array([samples, receivers]);
    w.data.fill(0, 0, receivers);
    const expected = referenceMatmul(g, w, { transposeB: true });
    const absolute = referenceMatmul(abs(g), abs(w), { transposeB: true });
    const paid = await measurePayments(toTensor(gpu, w), toTensor(gpu, g)).data();
    assertClose(paid, expected, { what: `${units} × ${receivers} × ${samples}`, absolute });
  }
  const silent = measurePayments(tensor(gpu, [[1, 2]]), tensor(gpu, [[0, 0]]));
  assertExact(await silent.data(), [0], "nobody asks");
});

const negative = (x: Array64): Array64 => map(x, (value) => -value);
const abs = ({ shape, data }: Array64): Array64 => array64(shape, data.map(Math.abs));

/** Two classes of noisy 4 × 4 pictures, told apart by which half is bright. */
function halves(count: number, seed: number): Dataset {
  const random = seededRandom(seed);
  const labels = Uint32Array.from({ length: count }, (_, index) => index % 2);
  const images = Float32Array.from(random.array([count, 16], { low: 0, high: 0.6 }).data);
  for (let i = 0; i < count; i++) for (let p = 0; p < 8; p++) images[i * 16 + labels[i] * 8 + p] += 0.2;
  return new Dataset({ images, labels, shape: [1, 4, 4], classNames: ["upper", "lower"] });
}

neurons(
  "training: every rule learns, backpropagation and attention alike, the same again from the same seed",
  async () => {
    const gpu = await sharedGpu();
    const [train, test] = [halves(400, 1), halves(200, 2)];
    const run = async (name: string) => {
      const model = buildModel(gpu, [dense(16, 12), activation("relu"), dense(12, 2)], { seed: 6 });
      const shares: number[] = [];
      const result = await trainClassifier(model, train, test, {
        rule: ruleNamed(name),
        epochs: 4,
        batchSize: 20,
        learningRate: 0.05,
        seed: 6,
        onProgress: (share) => shares.push(share),
      });
      const [x, labels] = [tensor(gpu, train.images as Float32Array, [400, 16]), tensor(gpu, train.labels)];
      const closeness = await verifyLocalSignal(model, { x, labels });
      for (const t of [x, labels]) t.dispose();
      const weights = [...(await model.parameters["0.weight"].data())];
      model.dispose();
      assert.is(shares.at(-1), 1);
      assert.is(result.curve.length, 5);
      assert.ok(result.testAccuracy > 0.9, `${name}: ${result.testAccuracy}`);
      for (const { layer, relativeError, cosine } of closeness) {
        assert.ok(relativeError <= 1e-5, `${name}, ${layer}: ${relativeError}`);
        assert.ok(1 - cosine <= 1e-6, `${name}, ${layer}: cosine ${cosine}`);
      }
      return { weights, accuracy: result.testAccuracy };
    };
    const before = gpu.memory().tensors;
    const attentionRun = await run("attention");
    const backpropagation = await run("backpropagation");
    assert.ok(Math.abs(attentionRun.accuracy - backpropagation.accuracy) <= 0.01);
    assert.equal((await run("attention")).weights, attentionRun.weights, "same seed, same weights");
    assert.is(gpu.memory().tensors, before, "nothing leaks");
  },
);

neurons("a diverging run and an unknown rule are named", async () => {
  const gpu = await sharedGpu();
  await assertRejects(() => ruleNamed("hebb"), ValueError, /"hebb" is not known; take one of attention/);
  const model = buildModel(gpu, [dense(16, 2)], { seed: 1 });
  const options = { rule: ruleNamed("attention"), epochs: 3, batchSize: 20, learningRate: 1e38 };
  const before = gpu.memory().tensors;
  await assertRejects(
    () => trainClassifier(model, halves(100, 1), halves(20, 2), options),
    ValueError,
    /the loss is .* take a smaller learning rate/,
  );
  assert.is(gpu.memory().tensors, before);
  model.dispose();
});

neurons("comparing gradients sees a difference", async () => {
  const gpu = await sharedGpu();
  const a = { "0.weight": tensor(gpu, [[3, 4]]), "0.bias": tensor(gpu, [9]) };
  const b = { "0.weight": tensor(gpu, [[4, -3]]), "0.bias": tensor(gpu, [1]) };
  const [row, ...rest] = await compareGradients(a, b);
  assert.is(rest.length, 0, "weights only");
  assert.ok(Math.abs(row.relativeError - Math.sqrt(50) / 5) < 1e-12);
  assert.is(row.cosine, 0);
});

neurons.run();
