import { type Gpu, mul, softmaxCrossEntropy, tensor, ValueError } from "handgrad";
import { Dataset } from "handgrad/data";
import { activation, buildModel, dense, type Sequential } from "handgrad/layers";
import {
  attention,
  compareGradients,
  localGradients,
  measurePayments,
  ruleNamed,
  ruleNames,
  trainClassifier,
  verifyLocalSignal,
} from "handgrad/neurons";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, array64 } from "./reference/array64.js";
import { matmul as referenceMatmul } from "./reference/matmul.js";

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

for (const { name, params, inputs, outputs } of goldenCases("neurons")) {
  for (const rule of ruleNames) {
    neurons(`${name}: the ${rule} rule gives PyTorch's gradients`, async () => {
      const gpu = await sharedGpu();
      const model = goldenModel(gpu, params.activation as "relu" | "tanh", inputs);
      const { y, saved } = model.forward(toTensor(gpu, inputs.x));
      const { dlogits } = softmaxCrossEntropy(y, tensor(gpu, Uint32Array.from(inputs.labels.data)));
      const grads = localGradients(model, dlogits, saved, ruleNamed(rule));
      // The golden file holds the ascent direction, handgrad carries costs.
      for (const [index, layer] of [0, 2, 4].entries()) {
        for (const [part, key] of [
          ["weight", `dW${index}`],
          ["bias", `db${index}`],
        ] as [string, keyof typeof outputs][]) {
          const cost = mul(grads[`${layer}.${part}`], -1);
          assertClose(await cost.data(), outputs[key], { what: key });
        }
      }
      model.dispose();
    });
  }

  neurons(`${name}: attention and payments`, async () => {
    const gpu = await sharedGpu();
    const weights = [toTensor(gpu, inputs.W1), toTensor(gpu, inputs.W2)];
    assertClose(await attention(weights[0]).data(), outputs.attention1, { what: "attention of layer 1" });
    assertClose(await attention(weights[1]).data(), outputs.attention2, { what: "attention of layer 2" });
    const model = goldenModel(gpu, params.activation as "relu" | "tanh", inputs);
    const { y, saved } = model.forward(toTensor(gpu, inputs.x));
    const { dlogits } = softmaxCrossEntropy(y, tensor(gpu, Uint32Array.from(inputs.labels.data)));
    for (const rule of ["attention", "measured"]) {
      const inner = saved.inner![4];
      const paid = mul(ruleNamed(rule).payments(model.layers[4], dlogits, inner), -1);
      assertClose(await paid.data(), outputs.payment2, { what: `payments by the ${rule} rule` });
    }
    model.dispose();
  });
}

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
