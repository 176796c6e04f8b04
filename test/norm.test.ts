import {
  batchNorm,
  batchNormEvalGrad,
  batchNormEvalInputGrad,
  batchNormGrad,
  empty,
  type Gpu,
  ShapeError,
  tensor,
  ValueError,
} from "handgrad";
import { activation as activationLayer, batchNorm as batchNormLayer, buildModel } from "handgrad/layers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { type Random, seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { absolute, map } from "./reference/array64.js";
import { activate } from "./reference/activations.js";
import * as reference from "./reference/batch_norm.js";

const norms = suite("batch norm");

/** Everything that one batch norm takes. */
function drawCase(random: Random, shape: number[]) {
  const channels = [shape[1]];
  return {
    x: random.array(shape, { low: -1, high: 3 }),
    dy: random.array(shape),
    gamma: random.array(channels, { low: 0.5, high: 2 }),
    beta: random.array(channels),
    runningMean: random.array(channels),
    runningVar: random.array(channels, { low: 0.5, high: 2 }),
  };
}

function uploadCase(gpu: Gpu, drawn: ReturnType<typeof drawCase>) {
  const { x, dy, gamma, beta, runningMean, runningVar } = drawn;
  return {
    x: upload(gpu, x),
    dy: upload(gpu, dy),
    gamma: upload(gpu, gamma),
    beta: upload(gpu, beta),
    runningMean: upload(gpu, runningMean),
    runningVar: upload(gpu, runningVar),
  };
}

for (const { name, params, inputs, outputs } of goldenCases("batchNorm")) {
  norms(`${name} agrees with PyTorch in training and evaluation`, async () => {
    const gpu = await sharedGpu();
    const { x, dy, gamma, beta, runningMean, runningVar } = uploadCase(gpu, inputs);
    const options = { runningMean, runningVar, ...params };
    assertClose(await download(batchNorm(x, gamma, beta, options).y), outputs.yEval);
    assertClose(await download(batchNormEvalGrad(dy, x, gamma, options).dx), outputs.dxEval);
    assertExact(await download(runningMean), inputs.runningMean.data.map(Math.fround));

    const { y, mean, invStd } = batchNorm(x, gamma, beta, { ...options, training: true });
    const { dx, dgamma, dbeta } = batchNormGrad(dy, x, gamma, { mean, invStd });
    assertClose(await download(y), outputs.yTrain);
    assertClose(await download(dx), outputs.dxTrain);
    assertClose(await download(dgamma), outputs.dgammaTrain);
    assertClose(await download(dbeta), outputs.dbetaTrain);
    assertClose(await download(runningMean), outputs.newRunningMean);
    assertClose(await download(runningVar), outputs.newRunningVar);
  });
}

for (const activation of ["relu", "leakyRelu", "tanh", "sigmoid"] as const) {
  norms(`applies ${activation} to its result, in training and evaluation`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(52);
    for (const shape of [
      [3, 5, 7, 9],
      [33, 7],
      [5, 3, 513],
    ]) {
      const drawn = drawCase(random, shape);
      const { x, gamma, beta, runningMean, runningVar } = uploadCase(gpu, drawn);
      const options = { activation, slope: 0.2 };
      const evaluated = batchNorm(x, gamma, beta, { runningMean, runningVar, ...options }).y;
      const { y: trained } = batchNorm(x, gamma, beta, { ...options, training: true });
      const expectedEval = reference.batchNormEval(
        drawn.x,
        drawn.gamma,
        drawn.beta,
        drawn.runningMean,
        drawn.runningVar,
      );
      const expectedTrain = reference.batchNormTrain(
        drawn.x,
        drawn.gamma,
        drawn.beta,
        drawn.runningMean,
        drawn.runningVar,
      ).y;
      const what = `[${shape}]`;
      assertClose(await download(evaluated), activate(expectedEval, activation, options), { what });
      assertClose(await download(trained), activate(expectedTrain, activation, options), { what });
    }
  });
}

norms("an activation that it does not know, and a slope below 0, are refused", async () => {
  const gpu = await sharedGpu();
  const { x, gamma, beta, runningMean, runningVar } = uploadCase(gpu, drawCase(seededRandom(53), [2, 3]));
  const running = { runningMean, runningVar };
  const call = (options: object) => () => batchNorm(x, gamma, beta, { ...running, ...options });
  await assertRejects(call({ activation: "gelu" }), ValueError, /batchNorm: activation is "gelu"/);
  await assertRejects(call({ activation: "leakyRelu", slope: -1 }), ValueError, /batchNorm: slope is -1/);
});

norms(
  "in a model an activation behind it joins its kernel, and gradients are those of the two apart",
  async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(54);
    const model = buildModel(gpu, [batchNormLayer(6), activationLayer("relu")], { seed: 1 });
    const x = upload(gpu, random.array([4, 6, 5, 3], { low: -1, high: 1 }));
    const dy = upload(gpu, random.array([4, 6, 5, 3]));
    for (const training of [false, true]) {
      const [first, second] = model.layers;
      const norm = first.forward(x, { training });
      const relu = second.forward(norm.y);
      const whole = model.forward(x, { training });
      const { kernels } = await gpu.profile(() => model.forward(x, { training }));
      assert.is(
        kernels.some(({ kernel }) => kernel.startsWith("activation")),
        false,
        "no kernel of its own",
      );
      assertExact(await download(whole.y), await download(relu.y));
      const flow = second.inputGrad(dy, relu.saved);
      const apart = first.backward?.(flow, norm.saved, { input: true });
      const together = model.backward(dy, whole.saved, { input: true });
      assertExact(await download(together.dx as never), await download(apart?.dx as never));
      for (const name of ["weight", "bias"])
        assertExact(await download(together.grads[`0.${name}`]), await download(apart?.grads[name] as never));
    }
    model.dispose();
  },
);

norms("agrees with the reference: planes, flat features, long planes and many images", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(51);
  const shapes = [
    [3, 5, 7, 9],
    [33, 7],
    [2, 3, 37, 29],
    [131, 2, 2, 3],
    [200, 65],
    [2, 1, 3],
    [5, 3, 513],
  ];
  for (const shape of shapes) {
    const what = `[${shape}]`;
    const drawn = drawCase(random, shape);
    const { x, dy, gamma, beta, runningMean, runningVar } = uploadCase(gpu, drawn);
    const options = { eps: 1e-3, momentum: 0.3 };
    const evalOptions = { runningMean, runningVar, eps: 1e-3 };

    const evaluated = batchNorm(x, gamma, beta, evalOptions).y;
    const expectedEval = reference.batchNormEval(
      drawn.x,
      drawn.gamma,
      drawn.beta,
      drawn.runningMean,
      drawn.runningVar,
      options,
    );
    assertClose(await download(evaluated), expectedEval, { what });
    const evalGrads = batchNormEvalGrad(dy, x, gamma, evalOptions);
    const evalGradsOf = (above: typeof drawn.dy) =>
      reference.batchNormEvalGrad(drawn.x, drawn.gamma, drawn.runningMean, drawn.runningVar, above, options);
    const [expectedGrads, sizes] = [evalGradsOf(drawn.dy), evalGradsOf(absolute(drawn.dy))];
    for (const key of ["dx", "dgamma", "dbeta"] as const) {
      assertClose(await download(evalGrads[key]), expectedGrads[key], {
        absolute: sizes[key],
        what: `${key} ${what}`,
      });
    }
    assertExact(await download(batchNormEvalInputGrad(dy, gamma, evalOptions)), await download(evalGrads.dx));

    const trained = batchNorm(x, gamma, beta, { runningMean, runningVar, ...options, training: true });
    const expected = reference.batchNormTrain(
      drawn.x,
      drawn.gamma,
      drawn.beta,
      drawn.runningMean,
      drawn.runningVar,
      options,
    );
    assertClose(await download(trained.y), expected.y, { what });
    assertClose(await download(trained.mean), expected.mean, { what });
    assertClose(await download(trained.invStd), expected.inverseStd, { what });
    assertClose(await download(runningMean), expected.runningMean, { what });
    assertClose(await download(runningVar), expected.runningVar, { what });
    const grads = batchNormGrad(dy, x, gamma, trained);
    const trainGradsOf = (above: typeof drawn.dy) =>
      reference.batchNormTrainGrad(drawn.x, drawn.gamma, above, options);
    const expectedTrain = trainGradsOf(drawn.dy);
    const trainSizes = trainGradsOf(absolute(drawn.dy));
    assertClose(await download(grads.dx), expectedTrain.dx, { what: `dx ${what}` });
    for (const key of ["dgamma", "dbeta"] as const) {
      assertClose(await download(grads[key]), expectedTrain[key], {
        absolute: trainSizes[key],
        what: `${key} ${what}`,
      });
    }
  }
});

norms("the variance of data far from 0 keeps its digits", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(52);
  const drawn = drawCase(random, [17, 3, 9, 11]);
  const x = map(drawn.x, (v) => Math.fround(4096 + v));
  const { gamma, beta } = uploadCase(gpu, drawn);
  const { invStd, mean, y } = batchNorm(upload(gpu, x), gamma, beta, { training: true });
  const expected = reference.batchNormTrain(x, drawn.gamma, drawn.beta, drawn.runningMean, drawn.runningVar);
  assertClose(await download(invStd), expected.inverseStd);
  assertClose(await download(mean), expected.mean, { tolerance: 1e-7 });
  // The mean itself is a float32, off by up to 2^-12 where the values spread over 4.
  assertClose(await download(y), expected.y, { tolerance: 3e-4 });
});

norms("a constant channel gives beta, and no division by 0", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, new Float32Array(24).fill(3.7), [4, 2, 3]);
  const [gamma, beta] = [tensor(gpu, [2, 3]), tensor(gpu, [-1, 1])];
  const { y, mean, invStd } = batchNorm(x, gamma, beta, { training: true });
  assertClose(
    await y.data(),
    Array.from({ length: 24 }, (_, i) => (Math.floor(i / 3) % 2 ? 1 : -1)),
    { tolerance: 2e-4 },
  );
  const { dx } = batchNormGrad(y, x, gamma, { mean, invStd });
  assert.ok((await dx.data()).every(Number.isFinite));
});

norms("results go into out, y over x and dx over dy", async () => {
  const gpu = await sharedGpu();
  const drawn = drawCase(seededRandom(53), [4, 3, 5, 5]);
  const { x, dy, gamma, beta, runningMean, runningVar } = uploadCase(gpu, drawn);
  const { y, mean, invStd } = batchNorm(x, gamma, beta, { training: true });
  const fresh = batchNormGrad(dy, x, gamma, { mean, invStd });
  const out = { dx: dy, dgamma: empty(gpu, [3]), dbeta: empty(gpu, [3]) };
  const kept = upload(gpu, drawn.dy);
  const into = batchNormGrad(dy, x, gamma, { mean, invStd }, { out });
  for (const key of ["dx", "dgamma", "dbeta"] as const) {
    assert.is(into[key], out[key]);
    assertExact(await download(into[key]), await download(fresh[key]));
  }
  const alias = { dgamma: gamma };
  await assertRejects(
    () => batchNormGrad(kept, x, gamma, { mean, invStd }, { out: alias }),
    ShapeError,
    /batchNormGrad: out.dgamma shares its buffer with gamma/,
  );
  assert.is(batchNorm(x, gamma, beta, { training: true, out: x }).y, x);
  assertExact(await download(x), await download(y));
  assertExact(await download(gamma), drawn.gamma);
  assert.is(batchNorm(x, gamma, beta, { runningMean, runningVar, out: x }).y, x);
  await assertRejects(
    () => batchNorm(x, gamma, beta, { runningMean, runningVar: runningMean, training: true }),
    ShapeError,
    /shares its buffer/,
  );
});

norms("a program takes the running statistics on with each run", async () => {
  const gpu = await sharedGpu();
  const drawn = drawCase(seededRandom(54), [6, 3, 4, 4]);
  const { x, dy, gamma, beta, runningMean, runningVar } = uploadCase(gpu, drawn);
  const before = gpu.memory().tensors;
  const program = gpu.program(() => {
    const { y, ...statistics } = batchNorm(x, gamma, beta, { runningMean, runningVar, training: true });
    return { y, dx: batchNormGrad(dy, x, gamma, statistics).dx };
  });
  assert.is(gpu.memory().tensors, before + 2);
  program.run();
  program.run();
  const first = reference.batchNormTrain(
    drawn.x,
    drawn.gamma,
    drawn.beta,
    drawn.runningMean,
    drawn.runningVar,
  );
  let { runningMean: expectedMean, runningVar: expectedVar } = first;
  for (let i = 0; i < 2; i++) {
    const next = reference.batchNormTrain(drawn.x, drawn.gamma, drawn.beta, expectedMean, expectedVar);
    [expectedMean, expectedVar] = [next.runningMean, next.runningVar];
  }
  assertClose(await download(runningMean), expectedMean);
  assertClose(await download(runningVar), expectedVar);
  assertClose(await download(program.result.y), first.y);
  program.dispose();
});

norms("wrong arguments are named", async () => {
  const gpu = await sharedGpu();
  const x = empty(gpu, [4, 3, 2, 2]);
  const [three, two] = [empty(gpu, [3]), empty(gpu, [2])];
  const statistics = { runningMean: three, runningVar: three };
  await assertRejects(
    () => batchNorm(x, two, three, statistics),
    ShapeError,
    /batchNorm: gamma has shape \[2\], and \[3\]/,
  );
  await assertRejects(
    () => batchNorm(three, three, three, statistics),
    ShapeError,
    /x has shape \[3\], and \[n, channels\]/,
  );
  await assertRejects(() => batchNorm(x, three, three, {}), ShapeError, /evaluation needs both/);
  await assertRejects(
    () => batchNorm(empty(gpu, [1, 3]), three, three, { training: true }),
    ShapeError,
    /x has shape \[1,3\], which has no variance within a channel/,
  );
  await assertRejects(() => batchNorm(x, three, three, { ...statistics, eps: 0 }), ValueError, /eps is 0/);
  await assertRejects(
    () => batchNorm(x, three, three, { training: true, momentum: 1.5 }),
    ValueError,
    /momentum is 1.5, and 0 to 1/,
  );
  await assertRejects(
    () => batchNormGrad(three, x, three, { mean: three, invStd: three }),
    ShapeError,
    /batchNormGrad: dy has shape \[3\] and x has \[4,3,2,2\]/,
  );
});

norms.run();
