import { test } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { centralDifference } from "./helpers/gradient.js";
import {
  broadcastCase,
  conv2dCase,
  convTranspose2dCase,
  matmulCase,
  type Random,
  seededRandom,
} from "./helpers/shapes.js";
import * as reference from "./reference/index.js";
import type { Array64 } from "./reference/index.js";

/** `gradient` is that of Σ dy·forward(x) with respect to x. */
function checkGradient(
  gradient: Array64,
  forward: (x: Array64) => Array64,
  x: Array64,
  dy: Array64,
  what: string,
) {
  const expected = centralDifference((moved) => reference.dot(forward(moved), dy), x);
  // Differences of sums of size s are good to about 1e-16·s / 1e-5 for each element.
  const noise = 1e-10 * Math.sqrt(x.data.length) * reference.l1Norm(dy).data[0];
  const error = reference.l2Norm(reference.sub(gradient, expected)).data[0];
  const size = reference.l2Norm(expected).data[0];
  assert.equal(gradient.shape, x.shape, `${what}: shape`);
  assert.ok(error <= 1e-7 * size + noise, `${what}: error ${error} on a gradient of size ${size}`);
}

/** Runs a check for a few seeds, each its own draws. */
function forSeeds(count: number, check: (random: Random, what: string) => void) {
  for (let seed = 1; seed <= count; seed++) check(seededRandom(seed), `seed ${seed}`);
}

test("conv2d: gradients on random shapes", () => {
  forSeeds(12, (random, what) => {
    const { x, w, bias, options } = conv2dCase(random, 5);
    const y = reference.conv2d(x, w, { ...options, bias });
    const dy = random.array(y.shape);
    const dx = reference.conv2dInputGrad(dy, w, { ...options, inputShape: x.shape });
    const dw = reference.conv2dWeightGrad(x, dy, { ...options, weightShape: w.shape });
    checkGradient(dx, (v) => reference.conv2d(v, w, options), x, dy, `${what} dx`);
    checkGradient(dw, (v) => reference.conv2d(x, v, options), w, dy, `${what} dw`);
    const dbias = reference.conv2dBiasGrad(dy);
    checkGradient(dbias, (v) => reference.conv2d(x, w, { ...options, bias: v }), bias, dy, `${what} dbias`);
  });
});

test("convTranspose2d: gradients on random shapes, and it is the adjoint of conv2d", () => {
  forSeeds(12, (random, what) => {
    const { x, w, options } = convTranspose2dCase(random, 5);
    const y = reference.convTranspose2d(x, w, options);
    const dy = random.array(y.shape);
    const dx = reference.convTranspose2dInputGrad(dy, w, { ...options, inputShape: x.shape });
    const dw = reference.convTranspose2dWeightGrad(x, dy, { ...options, weightShape: w.shape });
    checkGradient(dx, (v) => reference.convTranspose2d(v, w, options), x, dy, `${what} dx`);
    checkGradient(dw, (v) => reference.convTranspose2d(x, v, options), w, dy, `${what} dw`);
    assertClose(y, reference.conv2dInputGrad(x, w, { ...options, inputShape: y.shape }), { what });
  });
});

test("matmul: the gradients are products of transposes", () => {
  forSeeds(8, (random, what) => {
    const { a, b, options } = matmulCase(random, 8);
    const y = reference.matmul(a, b, options);
    const dy = random.array(y.shape);
    const { transposeA, transposeB } = options;
    const da = transposeA
      ? reference.matmul(b, dy, { transposeA: transposeB, transposeB: true })
      : reference.matmul(dy, b, { transposeB: !transposeB });
    const db = transposeB
      ? reference.matmul(dy, a, { transposeA: true, transposeB: transposeA })
      : reference.matmul(a, dy, { transposeA: !transposeA });
    const gradOfA = reference.sumTo(da, a.shape);
    const gradOfB = reference.sumTo(db, b.shape);
    checkGradient(gradOfA, (v) => reference.matmul(v, b, options), a, dy, `${what} da`);
    checkGradient(gradOfB, (v) => reference.matmul(a, v, options), b, dy, `${what} db`);
  });
});

test("broadcasting: sumTo is the gradient of broadcastTo", () => {
  forSeeds(20, (random, what) => {
    const [a, b] = broadcastCase(random, undefined, 4);
    const y = reference.mul(a, b);
    const dy = random.array(y.shape);
    const da = reference.sumTo(reference.mul(dy, b), a.shape);
    checkGradient(da, (v) => reference.mul(v, b), a, dy, `${what} da`);
    const p = reference.map(a, (v) => Math.abs(v) + 0.5);
    const dpow = reference.sumTo(
      reference.mul(
        dy,
        reference.mul(
          b,
          reference.pow(
            p,
            reference.map(b, (v) => v - 1),
          ),
        ),
      ),
      a.shape,
    );
    checkGradient(dpow, (v) => reference.pow(v, b), p, dy, `${what} dpow`);
  });
});

test("pooling: gradients", () => {
  forSeeds(8, (random, what) => {
    const options = {
      kernelSize: [random.integer(2, 4), random.integer(2, 3)],
      stride: random.integer(1, 3),
      padding: [random.integer(0, 1), 0, 1, random.integer(0, 1)],
    };
    const x = random.distinct([2, 2, random.integer(4, 9), random.integer(4, 9)]);
    const { y, argmax } = reference.maxPool2d(x, options);
    const dy = random.array(y.shape);
    const inputShape = x.shape;
    const dmax = reference.maxPool2dGrad(dy, argmax, { inputShape });
    checkGradient(dmax, (v) => reference.maxPool2d(v, options).y, x, dy, `${what} max`);
    const daverage = reference.averagePool2dGrad(dy, { ...options, inputShape });
    checkGradient(daverage, (v) => reference.averagePool2d(v, options), x, dy, `${what} average`);
    const dyGlobal = random.array([2, 2]);
    const dglobal = reference.globalAveragePool2dGrad(dyGlobal, { inputShape });
    checkGradient(dglobal, reference.globalAveragePool2d, x, dyGlobal, `${what} global`);
  });
});

test("batch norm: gradients", () => {
  forSeeds(6, (random, what) => {
    const x = random.array([random.integer(2, 5), 3, ...random.pick([[], [4], [3, 5]])], { high: 3 });
    const [gamma, beta, runningMean] = [random.array([3]), random.array([3]), random.array([3])];
    const runningVar = random.array([3], { low: 0.5, high: 2 });
    const dy = random.array(x.shape);
    const train = (v: Array64, g = gamma, b = beta) =>
      reference.batchNormTrain(v, g, b, runningMean, runningVar).y;
    const inTrain = reference.batchNormTrainGrad(x, gamma, dy);
    checkGradient(inTrain.dx, (v) => train(v), x, dy, `${what} train dx`);
    checkGradient(inTrain.dgamma, (v) => train(x, v), gamma, dy, `${what} train dgamma`);
    checkGradient(inTrain.dbeta, (v) => train(x, gamma, v), beta, dy, `${what} train dbeta`);
    const evaluate = (v: Array64, g = gamma, b = beta) =>
      reference.batchNormEval(v, g, b, runningMean, runningVar);
    const inEval = reference.batchNormEvalGrad(x, gamma, runningMean, runningVar, dy);
    checkGradient(inEval.dx, (v) => evaluate(v), x, dy, `${what} eval dx`);
    checkGradient(inEval.dgamma, (v) => evaluate(x, v), gamma, dy, `${what} eval dgamma`);
    checkGradient(inEval.dbeta, (v) => evaluate(x, gamma, v), beta, dy, `${what} eval dbeta`);
  });
});

test("activations: gradients", () => {
  const random = seededRandom(1);
  const x = random.array([101], { low: -6, high: 6 });
  const dy = random.array([101]);
  for (const name of ["relu", "leakyRelu", "tanh", "sigmoid", "gelu", "silu"] as const) {
    const dx = reference.activateGrad(x, dy, name, { slope: 0.2 });
    checkGradient(dx, (v) => reference.activate(v, name, { slope: 0.2 }), x, dy, name);
  }
});

test("softmax, log-softmax and the losses: gradients", () => {
  forSeeds(5, (random, what) => {
    const x = random.array([3, 5, 4], { low: -4, high: 4 });
    const dy = random.array(x.shape);
    const axis = random.integer(-3, 2);
    const softmaxGrad = reference.softmaxGrad(reference.softmax(x, { axis }), dy, { axis });
    checkGradient(softmaxGrad, (v) => reference.softmax(v, { axis }), x, dy, `${what} softmax`);
    const logSoftmaxGrad = reference.logSoftmaxGrad(reference.logSoftmax(x, { axis }), dy, { axis });
    checkGradient(logSoftmaxGrad, (v) => reference.logSoftmax(v, { axis }), x, dy, `${what} logSoftmax`);

    const logits = random.array([6, 7], { low: -5, high: 5 });
    const labels = random.integers([6], 0, 6);
    const targets = random.array([6, 7], { low: 0, high: 1 });
    const one = reference.array64([], [1]);
    for (const reduction of ["mean", "sum", "none"] as const) {
      const crossEntropy = (v: Array64) => reference.softmaxCrossEntropy(v, labels, { reduction });
      const bce = (v: Array64) => reference.bceWithLogits(v, targets, { reduction });
      for (const loss of [crossEntropy, bce]) {
        const { loss: value, dlogits } = loss(logits);
        const above = reduction === "none" ? reference.map(value, () => 1) : one;
        checkGradient(dlogits, (v) => loss(v).loss, logits, above, `${what} ${reduction}`);
      }
    }
  });
});

test("losses are finite and exact at logits of ±1e4", () => {
  const logits = reference.array64([2, 3], [1e4, -1e4, 0, -1e4, 1e4, 1e4]);
  const crossEntropy = reference.softmaxCrossEntropy(logits, reference.array64([2], [1, 2]), {
    reduction: "none",
  });
  assertClose(crossEntropy.loss, [2e4, Math.log(2)], { tolerance: 1e-12 });
  assertClose(crossEntropy.dlogits, [1, -1, 0, 0, 0.5, -0.5], { tolerance: 1e-12 });
  const targets = reference.array64([2, 3], [0, 1, 1, 0, 1, 0.25]);
  const bce = reference.bceWithLogits(logits, targets, { reduction: "none" });
  assertClose(bce.loss, [1e4, 1e4, Math.log(2), 0, 0, 7500], { tolerance: 1e-12 });
  assertClose(bce.dlogits, [1, -1, -0.5, 0, 0, 0.75], { tolerance: 1e-12 });
});

test("resize, slice, gather: gradients", () => {
  forSeeds(6, (random, what) => {
    const x = random.array([2, 2, random.integer(1, 7), random.integer(1, 7)]);
    const size: [number, number] = [random.integer(1, 9), random.integer(1, 9)];
    const inputShape = x.shape;
    const dy = random.array([2, 2, ...size]);
    const dx = reference.resizeBilinearGrad(dy, { inputShape });
    checkGradient(dx, (v) => reference.resizeBilinear(v, size), x, dy, `${what} resize`);

    const starts = x.shape.map((d) => random.integer(0, d - 1));
    const ends = starts.map((start, axis) => random.integer(start + 1, x.shape[axis]));
    const dySlice = random.array(starts.map((start, axis) => ends[axis] - start));
    const dslice = reference.sliceGrad(dySlice, starts, { inputShape });
    checkGradient(dslice, (v) => reference.slice(v, starts, ends), x, dySlice, `${what} slice`);

    const rows = random.integers([5], 0, 1);
    const dyRows = random.array([5, ...x.shape.slice(1)]);
    const dgather = reference.gatherRowsGrad(dyRows, rows, { inputShape });
    checkGradient(dgather, (v) => reference.gatherRows(v, rows), x, dyRows, `${what} gather`);
  });
});

test("transpose and concat: small cases by hand, and round trips", () => {
  const x = reference.array64([2, 3], [1, 2, 3, 4, 5, 6]);
  assertExact(reference.transpose(x), reference.array64([3, 2], [1, 4, 2, 5, 3, 6]));
  const joined = reference.concat([x, reference.array64([2, 1], [7, 8])], 1);
  assertExact(joined, reference.array64([2, 4], [1, 2, 3, 7, 4, 5, 6, 8]));
  forSeeds(6, (random, what) => {
    const shape = random.shape(4, 5);
    const y = random.array(shape);
    const order = random.permutation(4);
    const inverse = order.map((_, axis) => order.indexOf(axis));
    const turned = reference.transpose(y, order);
    assert.equal(
      turned.shape,
      order.map((axis) => shape[axis]),
      what,
    );
    assertExact(reference.transpose(turned, inverse), y, what);
    const axis = random.integer(0, 3);
    const cut = random.integer(0, shape[axis]);
    const before = [...shape];
    const from = shape.map(() => 0);
    before[axis] = from[axis] = cut;
    const halves = [
      reference.slice(
        y,
        shape.map(() => 0),
        before,
      ),
      reference.slice(y, from, shape),
    ];
    assertExact(reference.concat(halves, axis), y, what);
  });
});

test("the error function at known values", () => {
  // Abramowitz and Stegun, table 7.1, to the ten digits that are printed there.
  const known = [0, 0.112462916, 0.5204998778, 0.8427007929, 0.995322265, 0.9999779095, 1];
  const computed = [0, 0.1, 0.5, 1, 2, 3, 7].map(reference.errorFunction);
  for (const [i, value] of computed.entries()) {
    assert.ok(Math.abs(value - known[i]) <= 1e-10, `${value} for ${known[i]}`);
  }
  assert.is(reference.errorFunction(-1), -reference.errorFunction(1));
});

test.run();
