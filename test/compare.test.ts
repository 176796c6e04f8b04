import { test } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact, relativeError } from "./helpers/compare.js";
import {
  broadcastCase,
  conv2dCase,
  convTranspose2dCase,
  matmulCase,
  seededRandom,
} from "./helpers/shapes.js";
import { broadcastShape, conv2d, convTranspose2d, matmul, sizeOf } from "./reference/index.js";

test("relativeError is the norm of the difference over that of the reference", () => {
  assert.is(relativeError([3, 4.5], [3, 4]), 0.1);
  assert.is(relativeError([1, 2], [1, 2]), 0);
});

test("where terms cancel, 1 % of the absolute op is the floor of the denominator", () => {
  assert.is(relativeError([0.5], [0.25]), 1);
  assert.is(relativeError([0.5], [0.25], [100]), 0.25);
  assert.is(relativeError([0.5], [0.25], [1]), 1);
});

test("NaN and infinity never pass unseen", () => {
  for (const actual of [NaN, Infinity, -Infinity]) {
    assert.throws(() => assertClose([1, actual], [1, 2], { tolerance: 1e9 }));
  }
  assert.throws(() => assertClose([1, 2], [1, NaN]));
  assert.throws(() => assertClose([NaN], [NaN]));
  assert.throws(() => assertExact([NaN], [NaN]));
  assert.throws(() => assertClose([5, Infinity], [1, Infinity]));
  assertClose([1, Infinity], [1, Infinity]);
});

test("an expected zero takes nothing but zero", () => {
  assertClose([0, 0], [0, 0]);
  assert.throws(() => assertClose([0, 1e-30], [0, 0]));
});

test("shapes and lengths must agree", () => {
  assert.throws(() => assertClose([1, 2], [1]), /2 elements, expected 1/);
  const row = { shape: [1, 2], data: [1, 2] };
  assert.throws(() => assertClose({ shape: [2, 1], data: [1, 2] }, row), /shape \[2,1\], expected \[1,2\]/);
  assertClose(Float32Array.of(1, 2), row);
});

test("the message has the worst place and both values", () => {
  const expected = { shape: [2, 2], data: [1, 2, 3, 4] };
  const message = /product: relative error .* worst at \[1, 0\]: 3.5, expected 3 \(2 of 4 differ\)/;
  assert.throws(() => assertClose([1.1, 2, 3.5, 4], expected, { what: "product" }), message);
  assert.throws(() => assertExact([1.1, 2, NaN, 4], expected), /worst at \[1, 0\]: NaN, expected 3/);
});

test("the same seed draws the same, another seed something else", () => {
  const [a, b, c] = [5, 5, 6].map((seed) => seededRandom(seed).array([50]).data);
  assertExact(a, b);
  assert.throws(() => assertExact(a, c));
});

test("drawn values are float32 exactly and in range, distinct ones distinct", () => {
  const random = seededRandom(3);
  for (const v of random.array([1000], { low: -2, high: 5 }).data) {
    assert.is(Math.fround(v), v);
    assert.ok(v >= -2 && v <= 5);
  }
  const labels = random.integers([1000], 0, 9).data;
  assert.equal([...new Set(labels)].sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.is(new Set(random.distinct([20, 30]).data).size, 600);
  assert.equal(
    random.permutation(40).sort((p, q) => p - q),
    Array.from({ length: 40 }, (_, i) => i),
  );
});

test("every drawn case is a valid one", () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = seededRandom(seed);
    const [p, q] = broadcastCase(random);
    assert.ok(sizeOf(broadcastShape(p.shape, q.shape)) > 0);
    const product = matmulCase(random, 4);
    assert.ok(matmul(product.a, product.b, { ...product.options, bias: product.bias }).data.length > 0);
    const convolution = conv2dCase(random, 4);
    const transposed = convTranspose2dCase(random, 3);
    for (const [op, { x, w, bias, options }] of [
      [conv2d, convolution],
      [convTranspose2d, transposed],
    ] as const) {
      const y = op(x, w, { ...options, bias });
      assert.ok(y.shape.every((d) => d >= 1) && y.data.every(Number.isFinite), `seed ${seed}: [${y.shape}]`);
    }
  }
});

test.run();
