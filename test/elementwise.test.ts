import {
  abs,
  add,
  addScaled,
  broadcastTo,
  ceil,
  clamp,
  DisposedError,
  div,
  empty,
  equal,
  exp,
  fill,
  floor,
  full,
  greater,
  less,
  log,
  maximum,
  minimum,
  mul,
  neg,
  pow,
  reciprocal,
  reduceToShape,
  ShapeError,
  sign,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  tensor,
  ValueError,
  where,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { broadcastCase, seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { type Array64, array64, map } from "./reference/array64.js";
import * as reference from "./reference/elementwise.js";

const elementwise = suite("elementwise");

/** What an op asks of its inputs, and whether its results are exact. */
interface Rule {
  positive?: boolean;
  whole?: boolean;
  exact?: boolean;
}

type Binary = (a: Tensor | number, b: Tensor | number) => Tensor;
type Unary = (x: Tensor) => Tensor;

const BINARY: [op: Binary, expected: (a: Array64, b: Array64) => Array64, rule: Rule][] = [
  [add, reference.add, {}],
  [sub, reference.sub, {}],
  [mul, reference.mul, {}],
  [div, reference.div, { positive: true }],
  [pow, reference.pow, { positive: true }],
  [minimum, reference.minimum, { exact: true }],
  [maximum, reference.maximum, { exact: true }],
  [greater, reference.greater, { exact: true }],
  [less, reference.less, { exact: true }],
  [equal, reference.equal, { exact: true, whole: true }],
];

const UNARY: [op: Unary, expected: (x: Array64) => Array64, rule: Rule][] = [
  [neg, reference.neg, { exact: true }],
  [abs, reference.abs, { exact: true }],
  [sign, reference.sign, { exact: true }],
  [exp, reference.exp, {}],
  [log, reference.log, { positive: true }],
  [sqrt, reference.sqrt, { positive: true }],
  [square, reference.square, {}],
  [reciprocal, reference.reciprocal, { positive: true }],
  [floor, reference.floor, { exact: true }],
  [ceil, reference.ceil, { exact: true }],
];

/** Each element's own relative error, which the norm of a whole tensor would hide. */
function assertEachClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.is(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]) / Math.abs(expected[i]);
    assert.ok(
      actual[i] === expected[i] || error <= tolerance,
      `[${i}]: ${actual[i]}, expected ${expected[i]}`,
    );
  }
}

function prepare(x: Array64, rule: Rule): Array64 {
  if (rule.positive) return map(x, (v) => Math.fround(Math.abs(v) * 3 + 0.1));
  return rule.whole ? map(x, (v) => Math.round(2 * v)) : map(x, (v) => 4 * v);
}

for (const [op, expected, rule] of BINARY) {
  elementwise(`${op.name} agrees with the reference, broadcast or not, and with a number`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(op.name.length);
    const check = rule.exact ? assertExact : assertClose;
    for (const shape of [
      [5, 8],
      [3, 7],
    ]) {
      const [a, b] = [random.array(shape), random.array(shape)].map((x) => prepare(x, rule));
      check(await download(op(upload(gpu, a), upload(gpu, b))), expected(a, b));
    }
    for (let round = 0; round < 4; round++) {
      const [a, b] = broadcastCase(random, random.integer(1, 6), 5).map((x) => prepare(x, rule));
      check(await download(op(upload(gpu, a), upload(gpu, b))), expected(a, b));
    }
    const a = prepare(random.array([4, 8]), rule);
    const two = array64([], [2]);
    check(await download(op(upload(gpu, a), 2)), expected(a, two));
    check(await download(op(2, upload(gpu, a))), expected(two, a));
  });
}

for (const [op, expected, rule] of UNARY) {
  elementwise(`${op.name} agrees with the reference`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(op.name.length);
    const check = rule.exact ? assertExact : assertClose;
    for (const shape of [
      [4, 16],
      [1, 13, 5],
    ]) {
      const x = prepare(random.array(shape), rule);
      check(await download(op(upload(gpu, x))), expected(x));
    }
  });
}

elementwise("exp, log and pow are right in every element, near 1 and far from it", async () => {
  const gpu = await sharedGpu();
  const spread = (low: number, high: number) =>
    Float32Array.from({ length: 1000 }, (_, i) => low + ((high - low) * i) / 999);
  const powers = spread(-87, 88);
  assertEachClose(await exp(tensor(gpu, powers)).data(), Float64Array.from(powers, Math.exp), 3e-7);
  const nearOne = spread(0.9, 1.1).map((v, i) => (i % 2 ? v : 1 + (v - 1) * 1e-4));
  assertEachClose(await log(tensor(gpu, nearOne)).data(), Float64Array.from(nearOne, Math.log), 3e-7);
  const wide = Float32Array.from(powers, Math.exp);
  assertEachClose(await log(tensor(gpu, wide)).data(), Float64Array.from(wide, Math.log), 3e-7);
  const bases = spread(0.3, 4);
  for (const power of [2, -3, 0.5, 40, -60.25]) {
    const expected = Float64Array.from(bases, (v) => v ** Math.fround(power));
    assertEachClose(await pow(tensor(gpu, bases), power).data(), expected, 1e-5);
  }
});

elementwise("what real numbers do not define gives what IEEE 754 says", async () => {
  const gpu = await sharedGpu();
  const special = tensor(gpu, [0, -2, 0, -1.5]);
  const is = (actual: ArrayLike<number>, expected: number[]) => {
    for (const [i, value] of expected.entries()) {
      assert.ok(Object.is(actual[i], value), `[${i}]: ${actual[i]}, expected ${value}`);
    }
  };
  is(await log(special).data(), [-Infinity, NaN, -Infinity, NaN]);
  is(await exp(tensor(gpu, [100, -1000, 1e30, 0])).data(), [Infinity, 0, Infinity, 1]);
  is(await pow(special, tensor(gpu, [0, 3, 2, 2])).data(), [1, -8, 0, 2.25]);
  is(await pow(special, tensor(gpu, [-1, 0, 0.5, 0.5])).data(), [Infinity, 1, 0, NaN]);
});

elementwise("addScaled is a + scale · b", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(5);
  for (const [a, b] of [[random.array([6, 6]), random.array([6, 6])], broadcastCase(random)]) {
    const expected = reference.add(a, reference.scale(b, -0.25));
    assertClose(await download(addScaled(upload(gpu, a), upload(gpu, b), -0.25)), expected);
  }
});

elementwise("clamp holds values between bounds, of which one may be infinite", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, [-3, -1, 0.5, 4, 9]);
  assertExact(await clamp(x, -1, 4).data(), [-1, -1, 0.5, 4, 4]);
  assertExact(await clamp(x, 0, Infinity).data(), [0, 0, 0.5, 4, 9]);
  await assertRejects(() => clamp(x, 2, 1), ValueError, /clamp: bounds 2 and 1 are taken in ascending/);
  await assertRejects(() => clamp(x, NaN, 1), ValueError, /bounds NaN and 1/);
});

elementwise("axes that repeat in turns broadcast up to rank 9", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(9);
  const a = random.array([2, 1, 3, 1, 2, 1, 3, 1, 2]);
  const b = random.array([1, 2, 1, 3, 1, 2, 1, 2, 1]);
  assertClose(await download(sub(upload(gpu, a), upload(gpu, b))), reference.sub(a, b));
  const [long, other] = [
    empty(gpu, [2, 1, 2, 1, 2, 1, 2, 1, 2, 1]),
    empty(gpu, [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]),
  ];
  await assertRejects(() => add(long, other), ShapeError, /repeat their axes in 10 turns, and 9 are taken/);
});

elementwise("results go into an operand of their own shape", async () => {
  const gpu = await sharedGpu();
  const make = () => [
    tensor(gpu, [
      [1, 2],
      [3, 4],
    ]),
    tensor(gpu, [
      [10, 20],
      [30, 40],
    ]),
  ];
  let [a, b] = make();
  assert.is(sub(a, b, { out: a }), a);
  assertExact(await a.data(), [-9, -18, -27, -36]);
  [a, b] = make();
  assert.is(sub(a, b, { out: b }), b);
  assertExact(await b.data(), [-9, -18, -27, -36]);
  [a, b] = make();
  sub(a, tensor(gpu, [1, 2]), { out: a });
  assertExact(await a.data(), [0, 0, 2, 2]);
  sub(tensor(gpu, [1, 2]), b, { out: b });
  assertExact(await b.data(), [-9, -18, -29, -38]);
  assertExact(await square(neg(sub(3, a, { out: a }), { out: a }), { out: a }).data(), [9, 9, 1, 1]);
  [a, b] = make();
  pow(a, tensor(gpu, [2, 3]), { out: a });
  assertClose(await a.data(), [1, 8, 9, 64]);
});

elementwise("out that is both operands, or one that is repeated, is refused", async () => {
  const gpu = await sharedGpu();
  const a = tensor(gpu, [
    [1, 2],
    [3, 4],
  ]);
  const row = tensor(gpu, [1, 2]);
  await assertRejects(() => add(a, a, { out: a }), ShapeError, /shares its buffer/);
  await assertRejects(
    () => add(a, row, { out: row }),
    ShapeError,
    /out "y" has shape \[2\], and the result has \[2,2\]/,
  );
  await assertRejects(() => add(a, a, { out: tensor(gpu, [1, 2, 3, 4]) }), ShapeError, /out "y" has shape/);
  await assertRejects(
    () => sqrt(a, { out: tensor(gpu, [1, 2, 3, 4]) }),
    ShapeError,
    /elementwise_unary\(sqrt\)/,
  );
  assertExact(await a.data(), [1, 2, 3, 4]);
});

elementwise("wrong arguments are named", async () => {
  const gpu = await sharedGpu();
  const a = empty(gpu, [2, 3]);
  await assertRejects(
    () => mul(a, empty(gpu, [2])),
    ShapeError,
    /mul: shapes \[2,3\] and \[2\] do not broadcast/,
  );
  await assertRejects(() => add(1, 2), ShapeError, /add: a and b are both numbers/);
  await assertRejects(() => add(a, NaN), ValueError, /add: b is NaN/);
  await assertRejects(() => addScaled(a, a, 1e39), ValueError, /addScaled: scale is 1e\+39/);
  await assertRejects(() => full(gpu, [2], Infinity), ValueError, /fill: value is Infinity/);
  await assertRejects(
    () => add(a, tensor(gpu, [1, 2, 3], { dtype: "u32" })),
    ShapeError,
    /"b" is u32, and f32/,
  );
  const gone = empty(gpu, [2, 3]);
  gone.dispose();
  await assertRejects(() => add(a, gone), DisposedError, /elementwise_binary\(add\): "b" was disposed/);
});

elementwise("where chooses, with tensors, numbers and broadcasting", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(11);
  const condition = random.integers([4, 1, 5], 0, 1);
  const [a, b] = [random.array([3, 5]), random.array([4, 3, 1])];
  const tensors: Tensor[] = [condition, a, b].map((x) => upload(gpu, x));
  assertExact(await download(where(tensors[0], tensors[1], tensors[2])), reference.where(condition, a, b));
  assertExact(
    await download(where(tensors[0], tensors[1], -1)),
    reference.where(condition, a, array64([], [-1])),
  );
  const x = tensor(gpu, [-2, -1, 1, 2]);
  assert.is(where(greater(x, 0), x, 0, { out: x }), x);
  assertExact(await x.data(), [0, 0, 1, 2]);
  const mask = tensor(gpu, [1, 0, 1, 0]);
  await assertRejects(() => where(mask, x, 0, { out: mask }), ShapeError, /shares its buffer/);
});

elementwise("broadcastTo repeats, and reduceToShape sums what was repeated", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(12);
  for (let round = 0; round < 5; round++) {
    const [a, b] = broadcastCase(random, random.integer(1, 5), 7);
    const dy = random.array(reference.broadcastShape(a.shape, b.shape));
    for (const x of [a, b]) {
      assertExact(await download(broadcastTo(upload(gpu, x), dy.shape)), reference.broadcastTo(x, dy.shape));
      const absolute = reference.sumTo(reference.abs(dy), x.shape);
      assertClose(await download(reduceToShape(upload(gpu, dy), x.shape)), reference.sumTo(dy, x.shape), {
        absolute,
      });
    }
  }
  const dy = tensor(gpu, [
    [1, 2],
    [3, 4],
  ]);
  const out = empty(gpu, [1, 2]);
  assert.is(reduceToShape(dy, [1, 2], { out }), out);
  assertExact(await out.data(), [4, 6]);
  assertExact(await reduceToShape(dy, [2, 2], { out: empty(gpu, [2, 2]) }).data(), [1, 2, 3, 4]);
  await assertRejects(() => broadcastTo(dy, [2, 1]), ShapeError, /broadcastTo: x has shape \[2,2\]/);
  await assertRejects(() => reduceToShape(dy, [3, 2, 2]), ShapeError, /reduceToShape: shape \[3,2,2\]/);
});

elementwise("tensors past one dimension of workgroups, and empty ones", async () => {
  const gpu = await sharedGpu();
  const size = 65535 * 64 + 3;
  const x = full(gpu, [size], 1);
  const edges = add(equal(x, 1), broadcastTo(tensor(gpu, [2]), [size]), { out: x });
  assert.is(await sum(edges).item(), 3 * size);
  x.dispose();
  assert.equal((await maximum(empty(gpu, [0, 3]), tensor(gpu, [1, 2, 3])).data()).length, 0);
  assert.equal((await fill(empty(gpu, [0]), 1).data()).length, 0);
});

elementwise("nothing but results is kept, in a program as outside", async () => {
  const gpu = await sharedGpu();
  const [x, row] = [
    tensor(gpu, [
      [1, 2],
      [3, 4],
    ]),
    tensor(gpu, [1, 2]),
  ];
  const before = gpu.memory().tensors;
  const program = gpu.program(() => where(greater(pow(x, row), 4), x, row));
  assert.is(gpu.memory().tensors, before + 1);
  assertExact(await program.result.data(), [1, 2, 1, 4]);
  x.write([
    [5, 6],
    [3, 1],
  ]);
  program.run();
  assertExact(await program.result.data(), [5, 6, 1, 2]);
  program.dispose();
});

elementwise.run();
