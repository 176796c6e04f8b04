import { test } from "uvu";
import { assertClose, assertExact } from "./helpers/compare.js";
import { goldenCases } from "./helpers/golden.js";
import * as reference from "./reference/index.js";
import type { ActivationName, Array64 } from "./reference/index.js";

/** What the rounding of the golden files allows: most were printed with 8 digits, some with 12. */
const eightDigits = 1e-7;
const twelveDigits = 1e-11;

function close(actual: Array64, expected: Array64, what: string, tolerance = eightDigits) {
  assertClose(actual, expected, { what, tolerance });
}

test("matmul agrees with PyTorch", () => {
  for (const { name, params, inputs, outputs } of goldenCases("matmul")) {
    const { a, b, bias } = inputs;
    close(reference.matmul(a, b, params), outputs.y, name);
    close(reference.matmul(a, b, { ...params, bias }), outputs.yBias, `${name} with bias`);
    const activated = reference.matmul(a, b, { ...params, bias, activation: "relu" });
    close(activated, outputs.yBiasRelu, `${name} with bias and relu`);
  }
  for (const { name, inputs, outputs } of goldenCases("matmulBroadcast")) {
    close(reference.matmul(inputs.a, inputs.b), outputs.y, name, twelveDigits);
  }
});

test("conv2d and its gradients agree with PyTorch", () => {
  for (const [file, tolerance] of [
    ["conv2d", eightDigits],
    ["conv2dPadding", twelveDigits],
  ] as const) {
    for (const { name, params, inputs, outputs } of goldenCases(file)) {
      const { x, w, bias, dy } = inputs;
      close(reference.conv2d(x, w, { ...params, bias }), outputs.y, `${name} y`, tolerance);
      const dx = reference.conv2dInputGrad(dy, w, { ...params, inputShape: x.shape });
      const dw = reference.conv2dWeightGrad(x, dy, { ...params, weightShape: w.shape });
      close(dx, outputs.dx, `${name} dx`, tolerance);
      close(dw, outputs.dw, `${name} dw`, tolerance);
      close(reference.conv2dBiasGrad(dy), outputs.dbias, `${name} dbias`, tolerance);
    }
  }
});

test("convTranspose2d and its gradients agree with PyTorch", () => {
  for (const { name, params, inputs, outputs } of goldenCases("convTranspose2d")) {
    const { x, w, dy } = inputs;
    const dx = reference.convTranspose2dInputGrad(dy, w, { ...params, inputShape: x.shape });
    const dw = reference.convTranspose2dWeightGrad(x, dy, { ...params, weightShape: w.shape });
    close(reference.convTranspose2d(x, w, params), outputs.y, `${name} y`);
    close(dx, outputs.dx, `${name} dx`);
    close(dw, outputs.dw, `${name} dw`);
  }
  for (const { name, params, inputs, outputs } of goldenCases("convTranspose2dGeneral")) {
    const { x, w, bias, dy } = inputs;
    const dx = reference.convTranspose2dInputGrad(dy, w, { ...params, inputShape: x.shape });
    const dw = reference.convTranspose2dWeightGrad(x, dy, { ...params, weightShape: w.shape });
    close(reference.convTranspose2d(x, w, { ...params, bias }), outputs.y, `${name} y`, twelveDigits);
    close(dx, outputs.dx, `${name} dx`, twelveDigits);
    close(dw, outputs.dw, `${name} dw`, twelveDigits);
    close(reference.conv2dBiasGrad(dy), outputs.dbias, `${name} dbias`, twelveDigits);
  }
});

test("pooling and its gradients agree with PyTorch", () => {
  for (const { name, params, inputs, outputs } of goldenCases("pool2d")) {
    const { x, dy } = inputs;
    const options = { kernelSize: params.kernel, stride: params.stride, padding: params.padding };
    const inputShape = x.shape;
    if (params.kind === "max") {
      const { y, argmax } = reference.maxPool2d(x, options);
      assertExact(y, outputs.y, `${name} y`);
      close(reference.maxPool2dGrad(dy, argmax, { inputShape }), outputs.dx, `${name} dx`);
    } else {
      close(reference.averagePool2d(x, options), outputs.y, `${name} y`);
      close(reference.averagePool2dGrad(dy, { ...options, inputShape }), outputs.dx, `${name} dx`);
    }
  }
});

test("max pooling takes the first of equals, and global average agrees with PyTorch", () => {
  for (const { name, params, inputs, outputs } of goldenCases("poolIndices")) {
    const { x, dy } = inputs;
    const inputShape = x.shape;
    if (name === "globalAverage") {
      close(reference.globalAveragePool2d(x), outputs.y, `${name} y`, twelveDigits);
      close(reference.globalAveragePool2dGrad(dy, { inputShape }), outputs.dx, `${name} dx`, twelveDigits);
      continue;
    }
    const { y, argmax } = reference.maxPool2d(x, { ...params, kernelSize: params.kernel });
    assertExact(y, outputs.y, `${name} y`);
    assertExact(argmax, outputs.argmax, `${name} argmax`);
    close(reference.maxPool2dGrad(dy, argmax, { inputShape }), outputs.dx, `${name} dx`, twelveDigits);
  }
});

test("batch norm agrees with PyTorch in training and evaluation", () => {
  for (const { name, params, inputs, outputs } of goldenCases("batchNorm")) {
    const { x, gamma, beta, runningMean, runningVar, dy } = inputs;
    const train = reference.batchNormTrain(x, gamma, beta, runningMean, runningVar, params);
    const trainGrad = reference.batchNormTrainGrad(x, gamma, dy, params);
    close(train.y, outputs.yTrain, `${name} yTrain`);
    close(train.runningMean, outputs.newRunningMean, `${name} newRunningMean`);
    close(train.runningVar, outputs.newRunningVar, `${name} newRunningVar`);
    close(trainGrad.dx, outputs.dxTrain, `${name} dxTrain`);
    close(trainGrad.dgamma, outputs.dgammaTrain, `${name} dgammaTrain`);
    close(trainGrad.dbeta, outputs.dbetaTrain, `${name} dbetaTrain`);
    const y = reference.batchNormEval(x, gamma, beta, runningMean, runningVar, params);
    const { dx } = reference.batchNormEvalGrad(x, gamma, runningMean, runningVar, dy, params);
    close(y, outputs.yEval, `${name} yEval`);
    close(dx, outputs.dxEval, `${name} dxEval`);
  }
});

test("activations and their gradients agree with PyTorch", () => {
  for (const { name, params, inputs, outputs } of goldenCases("activations")) {
    const activation = name as ActivationName;
    close(reference.activate(inputs.x, activation, params), outputs.y, `${name} y`);
    close(reference.activateGrad(inputs.x, inputs.dy, activation, params), outputs.dx, `${name} dx`);
  }
});

test("losses agree with PyTorch", () => {
  // Logits up to 160, given with 8 digits, are off by up to 5e-6, and so are their exponentials.
  const tolerance = 1e-6;
  for (const { name, params, inputs, outputs } of goldenCases("losses")) {
    const { logits, labels, targets } = inputs;
    const { loss, dlogits } = name.startsWith("bce")
      ? reference.bceWithLogits(logits, targets, params)
      : reference.softmaxCrossEntropy(logits, labels, params);
    close(loss, outputs.loss, `${name} loss`, tolerance);
    close(dlogits, outputs.dlogits, `${name} dlogits`, tolerance);
    if (!name.startsWith("bce")) {
      close(reference.softmax(logits), outputs.softmax, `${name} softmax`, tolerance);
      close(reference.logSoftmax(logits), outputs.logSoftmax, `${name} logSoftmax`, tolerance);
    }
  }
});

test("softmax and log-softmax along any axis agree with PyTorch", () => {
  for (const { name, params, inputs, outputs } of goldenCases("softmaxAxes")) {
    const { x, dy } = inputs;
    const y = reference.softmax(x, params);
    const z = reference.logSoftmax(x, params);
    close(y, outputs.softmax, `${name} softmax`, twelveDigits);
    close(z, outputs.logSoftmax, `${name} logSoftmax`, twelveDigits);
    close(reference.softmaxGrad(y, dy, params), outputs.softmaxGrad, `${name} softmaxGrad`, twelveDigits);
    const dx = reference.logSoftmaxGrad(z, dy, params);
    close(dx, outputs.logSoftmaxGrad, `${name} logSoftmaxGrad`, twelveDigits);
  }
});

test("reductions over any axes agree with PyTorch", () => {
  const { sum, mean, l1Norm, l2Norm, max, min, argmax } = reference;
  for (const { name, params, inputs, outputs } of goldenCases("reductions")) {
    for (const [key, op] of Object.entries({ sum, mean, l1Norm, l2Norm, max, min, argmax })) {
      const expected = outputs[key as keyof typeof outputs];
      close(op(inputs.x, params), expected, `${name} ${key}`, twelveDigits);
    }
  }
});

test("bilinear resize and Gaussian blur agree with PyTorch", () => {
  for (const { name, params, inputs, outputs } of goldenCases("resize")) {
    const { x, dy } = inputs;
    close(reference.resizeBilinear(x, params.size), outputs.y, `${name} y`, twelveDigits);
    const dx = reference.resizeBilinearGrad(dy, { inputShape: x.shape });
    close(dx, outputs.dx, `${name} dx`, twelveDigits);
  }
  for (const { name, params, inputs, outputs } of goldenCases("gaussianBlur")) {
    close(reference.gaussianBlur(inputs.x, params), outputs.y, name, twelveDigits);
  }
});

test("sort and top-k agree with PyTorch, equals in their order", () => {
  for (const { name, params, inputs, outputs } of goldenCases("sorting")) {
    const { k, axis } = params;
    const up = reference.sort(inputs.x, { axis });
    const down = reference.sort(inputs.x, { axis, descending: true });
    const top = reference.topK(inputs.x, k, { axis });
    assertExact(up.values, outputs.values, `${name} values`);
    assertExact(up.indices, outputs.indices, `${name} indices`);
    assertExact(down.values, outputs.valuesDown, `${name} valuesDown`);
    assertExact(down.indices, outputs.indicesDown, `${name} indicesDown`);
    assertExact(top.values, outputs.topK, `${name} topK`);
    const ends = [...down.indices.shape];
    ends[reference.axisFrom0(axis, ends.length)] = k;
    const firstOfDown = reference.slice(
      down.indices,
      ends.map(() => 0),
      ends,
    );
    assertExact(top.indices, firstOfDown, `${name} indices of topK`);
  }
});

test("optimizers agree with PyTorch", () => {
  for (const file of ["optimisers", "optimizerVariants"] as const) {
    for (const { name, params, inputs, outputs } of goldenCases(file)) {
      if (name.startsWith("clip")) continue;
      const options = { ...params, learningRate: params.lr };
      const [steps, size] = inputs.grads.shape;
      let parameter = inputs.p;
      let velocity: Array64 | undefined;
      let state = reference.adamState([size]);
      for (let step = 0; step < steps; step++) {
        const row = inputs.grads.data.slice(step * size, (step + 1) * size);
        const gradient = reference.array64([size], row);
        if (name.startsWith("adam")) {
          const adam = name === "adamw" ? reference.adamWStep : reference.adamStep;
          ({ parameter, state } = adam(parameter, gradient, state, options));
        } else {
          ({ parameter, velocity } = reference.sgdStep(parameter, gradient, velocity, options));
        }
      }
      close(parameter, outputs.p, name, file === "optimisers" ? eightDigits : twelveDigits);
    }
  }
});

test("gradient clipping agrees with PyTorch", () => {
  const cases = goldenCases("optimizerVariants").filter(({ name }) => name.startsWith("clip"));
  for (const { name, params, inputs, outputs } of cases) {
    const gradients = [inputs.a, inputs.b];
    if (name === "clipValue") {
      const [a, b] = reference.clipGradientValue(gradients, params.limit);
      assertExact(a, outputs.a, name);
      assertExact(b, outputs.b, name);
    } else {
      const clipped = reference.clipGradientNorm(gradients, params.limit);
      close(clipped.gradients[0], outputs.a, name, twelveDigits);
      close(clipped.gradients[1], outputs.b, name, twelveDigits);
      close(reference.array64([], [clipped.norm]), outputs.norm, `${name} norm`, twelveDigits);
    }
  }
});

test("learning-rate schedules agree with PyTorch", () => {
  for (const { name, params, outputs } of goldenCases("schedules")) {
    const learningRate = params.lr;
    const rateAt: Record<string, (step: number) => number> = {
      step: (step) =>
        reference.stepSchedule(step, { learningRate, stepSize: params.step_size, gamma: params.gamma }),
      cosine: (step) =>
        reference.cosineSchedule(step, { learningRate, steps: params.T_max, minimum: params.eta_min }),
      linear: (step) =>
        reference.linearWarmup(step, {
          learningRate,
          warmupSteps: params.total_iters,
          startFactor: params.start_factor,
        }),
      oneCycle: (step) => reference.oneCycle(step, { maximum: params.max_lr, steps: params.total_steps }),
      oneCycleOdd: (step) =>
        reference.oneCycle(step, {
          maximum: params.max_lr,
          steps: params.total_steps,
          riseShare: params.pct_start,
          startDivisor: params.div_factor,
          endDivisor: params.final_div_factor,
        }),
    };
    const rates = Array.from(outputs.rates.data, (_, step) => rateAt[name](step));
    // The closed form of the cosine and PyTorch's recursion differ by a few roundings.
    close(reference.array64([rates.length], rates), outputs.rates, name, twelveDigits);
  }
});

test.run();
