import {
  argmax,
  argmin,
  broadcastTo,
  empty,
  max,
  mean,
  min,
  norm,
  ShapeError,
  sum,
  type Tensor,
  tensor,
  ValueError,
  variance,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { absolute, type Array64, array64, map, reshape } from "./reference/array64.js";
import * as reference from "./reference/reductions.js";

const reductions = suite("reductions");

type Options = { axes?: number[]; keepDims?: boolean };

const argminOf = (x: Array64, options: Options) =>
  reference.argmax(
    map(x, (v) => -v),
    options,
  );

/** [op, reference, whether the result is exact] */
const OPS: [string, (x: Tensor, o: Options) => Tensor, (x: Array64, o: Options) => Array64, boolean][] = [
  ["sum", sum, reference.sum, false],
  ["mean", mean, reference.mean, false],
  ["max", max, reference.max, true],
  ["min", min, reference.min, true],
  ["argmax", argmax, reference.argmax, true],
  ["argmin", argmin, argminOf, true],
  ["L1 norm", (x, o) => norm(x, { ord: 1, ...o }), reference.l1Norm, false],
  ["L2 norm", (x, o) => norm(x, o), reference.l2Norm, false],
  ["largest size", (x, o) => norm(x, { ord: Infinity, ...o }), (x, o) => reference.max(absolute(x), o), true],
];

reductions("agree with PyTorch", async () => {
  const gpu = await sharedGpu();
  for (const { params, inputs, outputs } of goldenCases("reductions")) {
    const x = upload(gpu, inputs.x);
    const sizes = absolute(inputs.x);
    assertClose(await download(sum(x, params)), outputs.sum, { absolute: reference.sum(sizes, params) });
    assertClose(await download(mean(x, params)), outputs.mean, { absolute: reference.mean(sizes, params) });
    assertClose(await download(max(x, params)), outputs.max);
    assertClose(await download(min(x, params)), outputs.min);
    assertExact(await download(argmax(x, params)), outputs.argmax);
    assertClose(await download(norm(x, { ord: 1, ...params })), outputs.l1Norm);
    assertClose(await download(norm(x, params)), outputs.l2Norm);
  }
});

for (const [name, op, expected, exact] of OPS) {
  reductions(`${name} agrees with the reference over any axes`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(name.length);
    for (let round = 0; round < 6; round++) {
      const shape = random.shape(random.integer(1, 5), 7);
      // Whole numbers make ties.
      const x = name.startsWith("arg") ? random.integers(shape, 0, 5) : random.array(shape);
      const axes = random.permutation(shape.length).slice(0, random.integer(1, shape.length));
      const options = {
        axes: axes.map((axis) => (random.uniform() < 0.3 ? axis - shape.length : axis)),
        keepDims: random.uniform() < 0.4,
      };
      const got = await download(op(upload(gpu, x), options));
      if (exact) assertExact(got, expected(x, options));
      else assertClose(got, expected(x, options), { absolute: expected(absolute(x), options) });
    }
    const x = random.array([3, 5]);
    assertClose(await download(op(upload(gpu, x), {})), expected(x, {}), {
      absolute: expected(absolute(x), {}),
    });
  });
}

reductions("lines of many thousands, long in the middle or at either end", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(3);
  for (const [shape, axes] of [
    [[3, 4099], [1]],
    [[5003, 3], [0]],
    [[2, 1500, 3], [1]],
    [
      [70, 3, 1100],
      [0, 2],
    ],
  ]) {
    const x = map(random.array(shape), (v) => Math.fround(v + 0.5));
    const input = upload(gpu, x);
    assertClose(await download(sum(input, { axes })), reference.sum(x, { axes }), { tolerance: 1e-6 });
    assertExact(await download(max(input, { axes })), reference.max(x, { axes }));
    assertExact(await download(argmax(input, { axes })), reference.argmax(x, { axes }));
    const ties = map(x, (v) => Math.floor(3 * v));
    assertExact(await download(argmin(upload(gpu, ties), { axes })), argminOf(ties, { axes }));
  }
});

reductions("a sum of millions keeps six digits", async () => {
  const gpu = await sharedGpu();
  const size = 3_000_017;
  const values = Float32Array.from({ length: size }, (_, i) => 0.1 + (i % 97) / 1000);
  let expected = 0;
  let squares = 0;
  for (const v of values) {
    expected += v;
    squares += v * v;
  }
  const x = tensor(gpu, values);
  assertClose([await sum(x).item()], [expected], { tolerance: 1e-6 });
  assertClose([await mean(x).item()], [expected / size], { tolerance: 1e-6 });
  assertClose([await norm(x).item()], [Math.sqrt(squares)], { tolerance: 1e-6 });
  assert.is(await argmax(x).item(), 96);
  x.dispose();
});

reductions("more results than one dimension of workgroups", async () => {
  const gpu = await sharedGpu();
  const rows = 65535 * 64 + 5;
  const x = broadcastTo(tensor(gpu, [1, 2]), [rows, 2]);
  const sums = sum(x, { axes: 1 });
  assert.is(await max(sums).item(), 3);
  assert.is(await min(sums).item(), 3);
  x.dispose();
  sums.dispose();
});

reductions("the same line gives the same bits, again and beside others", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(8);
  const x = random.array([40, 2049]);
  const first = await sum(upload(gpu, x), { axes: [1] }).data();
  assertExact(await sum(upload(gpu, x), { axes: [1] }).data(), first);
  const row = array64([1, 2049], x.data.slice(0, 2049));
  assertExact(await sum(upload(gpu, row), { axes: [1] }).data(), first.slice(0, 1));
});

reductions("variance takes the mean off first", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(21);
  const x = map(random.array([6, 50, 3]), (v) => Math.fround(1000 + v));
  for (const correction of [0, 1] as const) {
    const averages = reference.mean(x, { axes: [1], keepDims: true });
    const rest = map(x, (v, i) => v - averages.data[Math.floor(i / 150) * 3 + (i % 3)]);
    const squares = reference.sum(
      map(rest, (v) => v * v),
      { axes: [1] },
    );
    const expected = map(squares, (v) => v / (50 - correction));
    assertClose(await download(variance(upload(gpu, x), { axes: [1], correction })), expected);
  }
  const scalar = reshape(random.array([4]), [4, 1]);
  await assertRejects(
    () => variance(upload(gpu, scalar), { axes: [1] }),
    ShapeError,
    /variance: .* more than 1 are taken/,
  );
});

reductions("results go into out, which may not be an input", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, [
    [1, 2],
    [3, 4],
  ]);
  const out = empty(gpu, [2]);
  assert.is(sum(x, { axes: [0], out }), out);
  assertExact(await out.data(), [4, 6]);
  const places = empty(gpu, [2, 1], { dtype: "u32" });
  assert.is(argmax(x, { axes: [1], keepDims: true, out: places }), places);
  assertExact(await places.data(), [1, 1]);
  const one = tensor(gpu, [5]);
  await assertRejects(() => sum(one, { keepDims: true, out: one }), ShapeError, /shares its buffer/);
  await assertRejects(
    () => sum(x, { axes: [0], out: empty(gpu, [3]) }),
    ShapeError,
    /out "y" has shape \[3\]/,
  );
});

reductions("nothing sums to 0, and has no mean or extremum", async () => {
  const gpu = await sharedGpu();
  const nothing = empty(gpu, [3, 0, 2]);
  assertExact(await download(sum(nothing, { axes: [1] })), array64([3, 2]));
  assertExact(await download(norm(nothing, { axes: [1] })), array64([3, 2]));
  for (const op of [mean, max, min, argmax, argmin]) {
    await assertRejects(() => op(nothing, { axes: [1] }), ShapeError, /there is no \w+ of nothing/);
  }
  assert.equal(max(nothing, { axes: [0] }).shape, [0, 2]);
});

reductions("wrong axes and norms are named", async () => {
  const gpu = await sharedGpu();
  const x = empty(gpu, [2, 3]);
  await assertRejects(() => sum(x, { axes: [2] }), ShapeError, /sum: axis 2 does not exist in shape \[2,3\]/);
  await assertRejects(() => max(x, { axes: [-3] }), ShapeError, /whole numbers from -2 to 1 are taken/);
  await assertRejects(() => mean(x, { axes: [1, -1] }), ShapeError, /mean: axes \[1,-1\] name an axis/);
  await assertRejects(() => norm(x, { ord: 3 }), ValueError, /norm: ord is 3/);
  await assertRejects(() => sum(empty(gpu, [2], { dtype: "u32" })), ShapeError, /"x" is u32, and f32/);
});

reductions("no temporaries are left", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, new Float32Array(5000));
  const before = gpu.memory().tensors;
  for (const op of [sum, max, argmax, norm, variance]) op(x).dispose();
  assert.is(gpu.memory().tensors, before);
});

reductions.run();
