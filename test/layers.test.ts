import { FormatError, ShapeError, tensor, ValueError } from "handgrad";
import {
  activation,
  avgPool2d,
  batchNorm,
  buildModel,
  conv2d,
  convTranspose2d,
  dense,
  dropout,
  flatten,
  globalAvgPool2d,
  type LayerRecord,
  loadModel,
  maxPool2d,
  residual,
  type Sequential,
  saveModel,
} from "handgrad/layers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { centralDifference } from "./helpers/gradient.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, array64, dot } from "./reference/array64.js";
import { forwardNetwork, type State } from "./reference/network.js";

const layers = suite("layers");

/** Small networks that between them hold every layer that does not draw. */
const NETWORKS: Readonly<Record<string, { input: number[]; records: LayerRecord[] }>> = {
  "dense, tanh": { input: [5, 7], records: [dense(7, 6), activation("tanh"), dense(6, 3, { bias: false })] },
  "dense, gelu and silu": {
    input: [3, 5],
    records: [dense(5, 8), activation("gelu"), dense(8, 4), activation("silu"), dense(4, 2)],
  },
  "convolutions, batch norm, pools": {
    input: [4, 2, 9, 8],
    records: [
      conv2d(2, 4, 3, { stride: 2, padding: 1, bias: false }),
      batchNorm(4),
      activation("leakyRelu", { slope: 0.2 }),
      conv2d(4, 6, [3, 2], { padding: [1, 0, 1, 1], groups: 2 }),
      activation("sigmoid"),
      maxPool2d(2, { stride: 1 }),
      avgPool2d(2),
      flatten(),
      dense(12, 3),
    ],
  },
  "residual blocks": {
    input: [3, 3, 5, 6],
    records: [
      residual([conv2d(3, 3, 3, { padding: 1 }), activation("tanh"), conv2d(3, 3, 1)]),
      residual([conv2d(3, 5, 3, { stride: 2, padding: 1 })], [conv2d(3, 5, 1, { stride: 2 })]),
      convTranspose2d(5, 2, 3, { stride: 2, padding: 1 }),
      globalAvgPool2d(),
    ],
  },
};

async function stateOf(model: Sequential): Promise<Record<string, Array64>> {
  const entries = Object.entries({ ...model.parameters, ...model.buffers });
  return Object.fromEntries(
    await Promise.all(entries.map(async ([name, t]) => [name, array64([...t.shape], await t.data())])),
  );
}

for (const [title, { input, records }] of Object.entries(NETWORKS)) {
  for (const training of [false, true]) {
    layers(`${title}, ${training ? "training" : "evaluation"}: forward and all gradients`, async () => {
      const gpu = await sharedGpu();
      const random = seededRandom(11);
      const model = buildModel(gpu, records, { seed: 3 });
      // Batch norm's parameters start at 1 and 0, where mistakes hide.
      for (const parameter of Object.values(model.parameters)) {
        parameter.write(Float32Array.from(random.array([...parameter.shape], { low: -0.7, high: 0.7 }).data));
      }
      const state = await stateOf(model);
      const xs = random.array(input, { low: -1, high: 1 });
      const x = tensor(gpu, Float32Array.from(xs.data), input);
      const expected = forwardNetwork(records, state, xs, { training });
      const weights = random.array([...expected.shape], { low: -1, high: 1 });
      const loss = (s: State, z: Array64): number =>
        dot(forwardNetwork(records, s, z, { training }), weights);

      const dy = tensor(gpu, Float32Array.from(weights.data), expected.shape);
      const { y, saved } = model.forward(x, { training });
      const { dx, grads } = model.backward(dy, saved, { input: true });
      assert.equal([...model.outputShape(input)], expected.shape);
      assertClose(await y.data(), expected, { what: "y" });
      assertClose(
        await dx!.data(),
        centralDifference((z) => loss(state, z), xs),
        { tolerance: 2e-5, what: "dx" },
      );
      assert.equal(Object.keys(grads).sort(), Object.keys(model.parameters).sort());
      for (const [name, grad] of Object.entries(grads)) {
        const reference = centralDifference((p) => loss({ ...state, [name]: p }, xs), state[name]);
        // A bias in front of batch norm in training has no gradient but rounding.
        const absolute = array64(
          reference.shape,
          reference.data.map(() => 1),
        );
        assertClose(await grad.data(), reference, { tolerance: 2e-5, what: name, absolute });
      }
      // The halves of `backward` are the two methods that a Layer has.
      assertExact(await model.inputGrad(dy, saved).data(), await dx!.data(), "inputGrad");
      const again = model.weightGrads(dy, saved);
      for (const name in grads) assertExact(await again[name].data(), await grads[name].data(), name);
      model.dispose();
    });
  }
}

layers("saved tensors: forward twice, then both gradients", async () => {
  const gpu = await sharedGpu();
  const model = buildModel(gpu, [dense(4, 3), activation("relu"), dense(3, 2)], { seed: 5 });
  const one = tensor(gpu, [[1, 2, 3, 4]]);
  const two = tensor(gpu, [[-1, 0.5, 2, -3]]);
  const dy = tensor(gpu, [[1, -1]]);
  const alone = await model.backward(dy, model.forward(one).saved).grads["0.weight"].data();
  const first = model.forward(one);
  model.forward(two);
  assertExact(await model.backward(dy, first.saved).grads["0.weight"].data(), alone, "gradient of the first");
  model.dispose();
});

layers(
  "dropout: training drops and scales, evaluation is the identity, gradient follows the mask",
  async () => {
    const gpu = await sharedGpu();
    const model = buildModel(gpu, [dropout(0.25)], { seed: 9 });
    const x = tensor(gpu, new Float32Array(4000).fill(3), [4000]);
    const { y, saved } = model.forward(x, { training: true });
    const values = await y.data();
    const dropped = values.filter((value) => value === 0).length / values.length;
    assert.ok(Math.abs(dropped - 0.25) < 0.03, `dropped ${dropped}`);
    assert.ok(values.every((value) => value === 0 || Math.abs(value - 4) < 1e-6));
    assertExact(await model.inputGrad(x, saved).data(), values, "dx of dy = x");
    const second = await model.forward(x, { training: true }).y.data();
    assert.not.equal([...second], [...values], "a second pass draws anew");
    assertExact(await model.forward(x).y.data(), await x.data(), "evaluation");
    model.dispose();
  },
);

layers("same seed, same weights; another seed, others", async () => {
  const gpu = await sharedGpu();
  const weights = async (seed: number) => {
    const model = buildModel(gpu, [dense(30, 20), dense(20, 5, { init: "xavierUniform" })], { seed });
    const values = [
      ...(await model.parameters["0.weight"].data()),
      ...(await model.parameters["1.weight"].data()),
    ];
    model.dispose();
    return values;
  };
  assert.equal(await weights(1), await weights(1));
  assert.not.equal(await weights(1), await weights(2));
  const he = (await weights(1)).slice(0, 600);
  const variance = he.reduce((sum, w) => sum + w * w, 0) / he.length;
  assert.ok(Math.abs(variance / (2 / 30) - 1) < 0.25, `He variance ${variance}`);
});

layers("a model is saved and loaded bit by bit", async () => {
  const gpu = await sharedGpu();
  const { records, input } = NETWORKS["convolutions, batch norm, pools"];
  const model = buildModel(gpu, records, { seed: 4 });
  const x = tensor(gpu, Float32Array.from(seededRandom(2).array(input).data), input);
  model.forward(x, { training: true });
  const bytes = await saveModel(model, { seed: "4" });
  const { model: copy, metadata } = loadModel(gpu, bytes);
  assert.equal(metadata, { seed: "4" });
  assert.equal(copy.config, model.config);
  assertExact(await copy.forward(x).y.data(), await model.forward(x).y.data(), "y");
  model.dispose();
  copy.dispose();
});

layers("a damaged or foreign model file is refused and nothing stays allocated", async () => {
  const gpu = await sharedGpu();
  const model = buildModel(gpu, [dense(4, 3)], { seed: 4 });
  const bytes = await saveModel(model);
  model.dispose();
  const before = gpu.memory().tensors;
  const huge = [dense(1e6, 1e6)];
  await assertRejects(() => loadModel(gpu, bytes.slice(0, -1)), FormatError, /./);
  await assertRejects(() => loadModel(gpu, bytes, { architecture: huge }), FormatError, /holds 15 numbers/);
  await assertRejects(
    () => loadModel(gpu, bytes, { architecture: [dense(3, 4)] }),
    FormatError,
    /shape|missing/,
  );
  await assertRejects(() => loadModel(gpu, bytes, { architecture: [dense(2, 2)] }), FormatError, /shape/);
  await assertRejects(
    () => loadModel(gpu, bytes, { architecture: [{ kind: "perceptron" }] }),
    FormatError,
    /"perceptron" is not known/,
  );
  const cancelling = [dense(1e6, 1e6), dense(-1e6, 1e6)];
  await assertRejects(() => loadModel(gpu, bytes, { architecture: cancelling }), FormatError, /NaN weights/);
  await assertRejects(
    () => loadModel(gpu, bytes, { architecture: [dense(0, 3)] }),
    FormatError,
    /cannot be made: init: weights of shape \[0,3\]/,
  );
  assert.is(gpu.memory().tensors, before);
});

layers("shapes that do not fit are named", async () => {
  const gpu = await sharedGpu();
  const model = buildModel(gpu, [dense(4, 3)]);
  const image = tensor(gpu, new Float32Array(8), [2, 1, 2, 2]);
  await assertRejects(() => model.forward(image), ShapeError, /\[n, 4\] is taken; put flatten\(\) before it/);
  await assertRejects(
    () => model.backward(image, { tensors: {}, inputShape: [] }),
    ShapeError,
    /saved holds 0 layers/,
  );
  model.dispose();
  await assertRejects(() => buildModel(gpu, [dense(0, 3)]), ShapeError, /init: weights of shape \[0,3\]/);
  await assertRejects(
    () => buildModel(gpu, [activation("swish" as "silu")]),
    ValueError,
    /activation: "swish" is not known/,
  );
});

layers.run();
