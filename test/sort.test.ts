import {
  argsort,
  randomUniform,
  ShapeError,
  sort,
  sortGrad,
  type Tensor,
  tensor,
  topK,
  topKGrad,
  transpose,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, array64 } from "./reference/array64.js";
import * as reference from "./reference/index.js";

const sorting = suite("sort");

async function upload(x: Array64, options: { dtype?: "f32" | "u32" } = {}): Promise<Tensor> {
  return tensor(await sharedGpu(), x.data, x.shape, options);
}

sorting("rows of any length, with and without ties, up and down", async () => {
  const random = seededRandom(1);
  for (const shape of [[1], [7], [3, 1], [2, 3, 64], [9, 65], [2, 256], [3, 257], [2, 1000], [1, 5003]]) {
    for (const x of [random.array(shape), random.integers(shape, -4, 4)]) {
      for (const descending of [false, true]) {
        const expected = reference.sort(x, { descending });
        const input = await upload(x);
        const { values, indices } = sort(input, { descending });
        const what = `[${shape}]${descending ? " down" : ""}`;
        assertExact(await values.data(), expected.values.data, `values of ${what}`);
        assertExact(await indices.data(), expected.indices.data, `indices of ${what}`);
        assertExact(await argsort(input, { descending }).data(), expected.indices.data, `argsort of ${what}`);
        assert.equal([values.shape, indices.shape, values.dtype], [shape, shape, "f32"]);
      }
    }
  }
});

sorting("golden cases along any axis, brought to the last", async () => {
  for (const { name, params, inputs, outputs } of goldenCases("sorting")) {
    const { shape } = inputs.x;
    const last = shape.length - 1;
    const swap = shape.map((_, axis) => axis);
    const axis = params.axis < 0 ? params.axis + shape.length : params.axis;
    [swap[axis], swap[last]] = [last, axis];
    const x = transpose(await upload(inputs.x), swap);
    const back = async (y: Tensor) => transpose(y, swap).data();
    const [up, down] = [sort(x), sort(x, { descending: true })];
    assertExact(await back(up.values), outputs.values.data, name);
    assertExact(await back(up.indices), outputs.indices.data, name);
    assertExact(await back(down.values), outputs.valuesDown.data, name);
    assertExact(await back(down.indices), outputs.indicesDown.data, name);
    assertExact(await back(topK(x, params.k).values), outputs.topK.data, name);
  }
});

sorting("numbers of all sizes: zeros of both signs are equal, bits are kept", async () => {
  const gpu = await sharedGpu();
  const numbers = [3e38, -0, 1e-40, 0, -1e-40, -3e38, 1, -0, -1, 2 ** -149, 1.0000001];
  const x = tensor(gpu, Float32Array.from(numbers));
  const { values, indices } = sort(x);
  assertExact(await indices.data(), [5, 8, 4, 1, 3, 7, 9, 2, 6, 10, 0]);
  const data = await values.data();
  assert.ok(Object.is(data[3], -0) && Object.is(data[4], 0) && Object.is(data[5], -0));
  assertExact(data, Float32Array.from([-3e38, -1, -1e-40, -0, 0, -0, 2 ** -149, 1e-40, 1, 1.0000001, 3e38]));
});

sorting("u32 values over the whole range, in short and long rows", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(2);
  for (const shape of [
    [3, 50],
    [2, 600],
  ]) {
    const x = array64(
      shape,
      Array.from({ length: shape[0] * shape[1] }, () => random.integer(0, 2 ** 32 - 1)),
    );
    x.data.set([0, 2 ** 32 - 1, 2 ** 32 - 1, 0, 2 ** 31]);
    for (const descending of [false, true]) {
      const { values, indices } = sort(tensor(gpu, x.data, shape, { dtype: "u32" }), { descending });
      const expected = reference.sort(x, { descending });
      assertExact(await values.data(), expected.values.data);
      assertExact(await indices.data(), expected.indices.data);
      assert.is(values.dtype, "u32");
    }
  }
});

sorting("a hundred thousand elements come out in order, each once", async () => {
  const gpu = await sharedGpu();
  const x = randomUniform(gpu, [100003], { seed: 3, low: -1 });
  const { values, indices } = sort(x);
  const [source, sorted, order] = [await x.data(), await values.data(), await indices.data()];
  assertExact(sorted, Float32Array.from(source).sort());
  assertExact(
    Array.from(order, (index) => source[index]),
    sorted,
  );
  for (let i = 1; i < order.length; i++) {
    if (sorted[i] === sorted[i - 1] && order[i] <= order[i - 1])
      assert.unreachable(`ties out of order at ${i}`);
  }
});

sorting("the k largest and smallest, of short and long rows", async () => {
  const random = seededRandom(4);
  for (const shape of [
    [2, 3, 10],
    [4, 1000],
  ]) {
    const x = random.integers(shape, -20, 20);
    for (const k of [0, 1, 5, shape[shape.length - 1]]) {
      for (const largest of [true, false]) {
        const { values, indices } = topK(await upload(x), k, { largest });
        assert.equal(values.shape, [...shape.slice(0, -1), k]);
        if (k === 0) continue;
        const expected = reference.topK(x, k, { largest });
        assertExact(await values.data(), expected.values.data);
        assertExact(await indices.data(), expected.indices.data);
      }
    }
  }
});

sorting("gradients go back to where the values came from", async () => {
  const random = seededRandom(5);
  const x = random.distinct([3, 41]);
  const dy = random.array([3, 6]);
  const { indices } = topK(await upload(x), 6);
  const dx = topKGrad(await upload(dy), indices, { inputShape: [3, 41] });
  const expected = array64([3, 41]);
  (await indices.data()).forEach((index, i) => {
    expected.data[Math.floor(i / 6) * 41 + index] = dy.data[i];
  });
  assertExact(await dx.data(), expected.data);
  // Sorting back what was sorted gives x itself.
  const sorted = sort(await upload(x));
  const out = await upload(random.array([3, 41]));
  assert.is(sortGrad(sorted.values, sorted.indices, { inputShape: [3, 41], out }), out);
  assertExact(await out.data(), x.data);
});

sorting("out tensors are written, and nothing else is kept", async () => {
  const gpu = await sharedGpu();
  const x = randomUniform(gpu, [2, 700], { seed: 1 });
  const out = { values: zeros(gpu, [2, 3]), indices: zeros(gpu, [2, 3], { dtype: "u32" }) };
  const { tensors } = gpu.memory();
  const result = topK(x, 3, { out });
  assert.is(result.values, out.values);
  assert.is(result.indices, out.indices);
  assert.is(gpu.memory().tensors, tensors);
  assertExact(await out.values.data(), await topK(x, 3).values.data());
  const whole = zeros(gpu, [2, 700]);
  const program = gpu.program(() => sort(x, { out: { values: whole } }));
  const { buffersCreated } = gpu.memory();
  program.run();
  assert.is(gpu.memory().buffersCreated, buffersCreated);
  assertExact(await whole.data(), await sort(x).values.data());
  program.dispose();
});

sorting("what cannot be sorted is refused", async () => {
  const gpu = await sharedGpu();
  const x = zeros(gpu, [2, 5]);
  const words = zeros(gpu, [2, 5], { dtype: "u32" });
  await assertRejects(() => sort(zeros(gpu, [])), ShapeError, /sort: x is a scalar/);
  await assertRejects(() => topK(x, 6), ValueError, /topK: k is 6, and a whole number from 0 to 5/);
  await assertRejects(() => topK(x, 1.5), ValueError, /k is 1.5/);
  await assertRejects(() => argsort(words, { out: words }), ShapeError, /out shares its buffer with x/);
  await assertRejects(
    () => sort(x, { out: { values: x } }),
    ShapeError,
    /"y" is written and shares its buffer/,
  );
  await assertRejects(() => sort(x, { out: { indices: x } }), ShapeError, /out shares its buffer with x/);
  await assertRejects(
    () => argsort(x, { out: zeros(gpu, [5, 2], { dtype: "u32" }) }),
    ShapeError,
    /has shape \[5,2\]/,
  );
  await assertRejects(
    () => topKGrad(x, words, { inputShape: [3, 9] }),
    ShapeError,
    /topKGrad: dvalues \[2,5\]/,
  );
  await assertRejects(
    () => topKGrad(x, words, { inputShape: [2, 5], out: x }),
    ShapeError,
    /shares its buffer with dvalues/,
  );
});

sorting.run();
