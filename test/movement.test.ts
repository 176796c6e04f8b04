import {
  concat,
  concatGrad,
  gatherRows,
  gatherRowsGrad,
  openGpu,
  pad,
  padGrad,
  ShapeError,
  slice,
  sliceGrad,
  type Tensor,
  tensor,
  transpose,
  transposeGrad,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, array64 } from "./reference/array64.js";
import * as reference from "./reference/index.js";

const movement = suite("movement");

async function upload(x: Array64, options: { dtype?: "f32" | "u32" } = {}): Promise<Tensor> {
  return tensor(await sharedGpu(), x.data, x.shape, options);
}

async function assertSame(actual: Tensor, expected: Array64, what?: string): Promise<void> {
  assertExact({ shape: actual.shape, data: await actual.data() }, expected, what);
}

movement("transpose by any permutation, and back", async () => {
  const random = seededRandom(1);
  for (let i = 0; i < 25; i++) {
    const rank = random.integer(0, 5);
    const x = random.array(random.shape(rank, rank > 3 ? 7 : 17));
    const permutation = random.permutation(rank);
    const negative = permutation.map((axis) => (random.uniform() < 0.5 ? axis : axis - rank));
    const input = await upload(x);
    const y = transpose(input, negative);
    await assertSame(y, reference.transpose(x, permutation), `[${x.shape}] by [${negative}]`);
    await assertSame(transposeGrad(y, negative), x, `[${x.shape}] back from [${negative}]`);
    await assertSame(transpose(input), reference.transpose(x));
    await assertSame(transposeGrad(transpose(input)), x);
  }
});

movement("transpose of matrices in tiles of four, with and without a batch", async () => {
  const random = seededRandom(2);
  for (const [shape, permutation] of [
    [
      [8, 12],
      [1, 0],
    ],
    [
      [3, 64, 4],
      [0, 2, 1],
    ],
    [
      [2, 5, 16, 20],
      [0, 1, 3, 2],
    ],
    [
      [2, 2, 8, 3, 8],
      [0, 3, 4, 1, 2],
    ],
    [
      [4, 1, 4],
      [2, 1, 0],
    ],
    [
      [2, 3, 8, 8],
      [1, 0, 3, 2],
    ],
  ]) {
    const x = random.array(shape);
    await assertSame(transpose(await upload(x), permutation), reference.transpose(x, permutation));
  }
});

movement("slice, pad and their gradients", async () => {
  const random = seededRandom(3);
  for (let i = 0; i < 25; i++) {
    const shape = random.shape(random.integer(1, 5), 7);
    const x = random.array(shape);
    const starts = shape.map((size) => random.integer(0, size - 1));
    const ends = shape.map((size, axis) => random.integer(starts[axis] + 1, size));
    const y = slice(await upload(x), starts, ends);
    const expected = reference.slice(x, starts, ends);
    await assertSame(y, expected);
    await assertSame(
      sliceGrad(y, starts, { inputShape: shape }),
      reference.sliceGrad(expected, starts, { inputShape: shape }),
    );
    const after = shape.map((size, axis) => size - ends[axis]);
    const padded = pad(y, starts, after, { value: -2.5 });
    const zeroPadded = reference.sliceGrad(expected, starts, { inputShape: shape });
    const ones = array64(
      expected.shape,
      expected.data.map(() => 1),
    );
    const inside = reference.sliceGrad(ones, starts, { inputShape: shape });
    await assertSame(
      padded,
      array64(
        shape,
        zeroPadded.data.map((v, k) => (inside.data[k] === 1 ? v : -2.5)),
      ),
    );
    await assertSame(padGrad(padded, starts, { inputShape: expected.shape }), expected);
  }
});

movement("concat along any axis, and its gradient", async () => {
  const random = seededRandom(4);
  for (let i = 0; i < 15; i++) {
    const shape = random.shape(random.integer(1, 4), 7);
    const axis = random.integer(0, shape.length - 1);
    const parts = Array.from({ length: random.integer(1, 4) }, () =>
      random.array(shape.map((size, a) => (a === axis ? random.integer(1, 9) : size))),
    );
    const tensors = await Promise.all(parts.map((part) => upload(part)));
    const y = concat(tensors, axis - shape.length);
    await assertSame(y, reference.concat(parts, axis));
    const pieces = concatGrad(
      y,
      axis,
      parts.map((part) => part.shape[axis]),
    );
    for (const [k, piece] of pieces.entries()) await assertSame(piece, parts[k]);
  }
});

movement("gather rows, and the gradient that adds up", async () => {
  const random = seededRandom(5);
  for (const [count, width, taken] of [
    [5, [3], 1],
    [1, [4], 9],
    [40, [2, 5], 100],
    [9, [], 20],
    [300, [7], 400],
  ] as const) {
    const x = random.array([count, ...width]);
    const rows = random.integers([taken], 0, count - 1);
    const indices = await upload(rows, { dtype: "u32" });
    await assertSame(gatherRows(await upload(x), indices), reference.gatherRows(x, rows));
    const dy = random.array([taken, ...width]);
    const dx = gatherRowsGrad(await upload(dy), indices, { inputShape: x.shape });
    const options = { inputShape: x.shape };
    const absolute = reference.gatherRowsGrad(reference.absolute(dy), rows, options);
    assertClose(await dx.data(), reference.gatherRowsGrad(dy, rows, options).data, {
      absolute: absolute.data,
    });
  }
  const gpu = await sharedGpu();
  const pairs = tensor(
    gpu,
    [
      [1, 0],
      [2, 2],
    ],
    { dtype: "u32" },
  );
  const gathered = gatherRows(tensor(gpu, [10, 11, 12]), pairs);
  await assertSame(gathered, array64([2, 2], [11, 10, 12, 12]));
  await assertSame(gatherRowsGrad(gathered, pairs, { inputShape: [3] }), array64([3], [10, 11, 24]));
});

movement("the gradient of gathering is the same in every run", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(6);
  const rows = await upload(random.integers([2000], 0, 6), { dtype: "u32" });
  const dy = await upload(random.array([2000, 3], { low: -1e3, high: 1e3 }));
  const runs = [0, 1, 2].map(() => gatherRowsGrad(dy, rows, { inputShape: [7, 3] }));
  const [first, ...others] = await Promise.all(runs.map((dx) => dx.data()));
  for (const other of others) assertExact(other, first);
  const out = tensor(gpu, new Float32Array(21).fill(9), [7, 3]);
  assert.is(gatherRowsGrad(dy, rows, { inputShape: [7, 3], out }), out);
  assertExact(await out.data(), first);
});

movement("rows that are not there become NaN, which debug mode reports, and get no gradient", async () => {
  const gpu = await sharedGpu();
  const rows = tensor(gpu, [1, 3, 0xffffffff, 1], { dtype: "u32" });
  const y = await gatherRows(
    tensor(gpu, [
      [1, 2],
      [3, 4],
      [5, 6],
    ]),
    rows,
  ).data();
  assert.equal([...y], [3, 4, NaN, NaN, NaN, NaN, 3, 4]);
  const words = await gatherRows(tensor(gpu, [7, 8, 9], { dtype: "u32" }), rows).data();
  assertExact(words, [8, 2 ** 32 - 1, 2 ** 32 - 1, 8]);
  const debugging = await openGpu({ debug: true });
  const missing = gatherRows(tensor(debugging, [1, 2]), tensor(debugging, [2], { dtype: "u32" }));
  await assertRejects(() => missing.data(), ValueError, /"y" of gather_rows/);
  debugging.dispose();
  const dy = tensor(gpu, [
    [1, 2],
    [10, 20],
    [100, 200],
    [1000, 2000],
  ]);
  await assertSame(
    gatherRowsGrad(dy, rows, { inputShape: [3, 2] }),
    array64([3, 2], [0, 0, 1001, 2002, 0, 0]),
  );
});

movement("u32 tensors and the bits of floats come through as they are", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(7);
  const x = array64(
    [3, 8, 5],
    Array.from({ length: 120 }, () => random.integer(0, 2 ** 32 - 1)),
  );
  const words = await upload(x, { dtype: "u32" });
  for (const permutation of [
    [2, 0, 1],
    [0, 2, 1],
    [1, 0, 2],
  ]) {
    const y = transpose(words, permutation);
    assert.is(y.dtype, "u32");
    await assertSame(y, reference.transpose(x, permutation));
  }
  await assertSame(slice(words, [1, 0, 2], [3, 8, 4]), reference.slice(x, [1, 0, 2], [3, 8, 4]));
  await assertSame(concat([words, words], 1), reference.concat([x, x], 1));
  const framed = pad(tensor(gpu, [5], { dtype: "u32" }), [1], [2], { value: 2 ** 32 - 1 });
  assertExact(await framed.data(), [2 ** 32 - 1, 5, 2 ** 32 - 1, 2 ** 32 - 1]);
  // Subnormal numbers, which arithmetic may flush to zero.
  const tiny = tensor(gpu, Float32Array.of(1e-40, -1e-41, -0, 1));
  const moved = await transpose(tiny.reshape([2, 2])).data();
  assert.ok(Object.is(moved[1], -0) && moved[0] > 0 && moved[2] < 0 && moved[3] === 1);
});

movement("nothing is kept but the result, and out is written", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(8);
  const x = await upload(random.array([6, 5]));
  const rows = tensor(gpu, [5, 0], { dtype: "u32" });
  const out = zeros(gpu, [5, 6]);
  const { tensors } = gpu.memory();
  assert.is(transpose(x, [1, 0], { out }), out);
  assert.is(gpu.memory().tensors, tensors);
  assertExact(await out.data(), await transpose(x).data());
  const results = [
    transpose(x),
    slice(x, [0, 0], [2, 2]),
    pad(x, [1, 1], [0, 0]),
    concat([x, x], 0),
    gatherRows(x, rows),
  ];
  results.push(gatherRowsGrad(results[4], rows, { inputShape: [6, 5] }));
  assert.is(gpu.memory().tensors, tensors + 1 + results.length);
});

movement("wrong arguments are refused", async () => {
  const gpu = await sharedGpu();
  const x = zeros(gpu, [2, 3]);
  const rows = zeros(gpu, [2], { dtype: "u32" });
  await assertRejects(() => transpose(x, [0]), ShapeError, /permutation \[0\] must name each of the 2 axes/);
  await assertRejects(() => transpose(x, [0, 0]), ValueError, /permutation \[0,0\] must name each/);
  await assertRejects(() => transpose(x, [0, 2]), ValueError, /axis is 2/);
  await assertRejects(
    () => transpose(x, [1, 0], { out: zeros(gpu, [2, 3]) }),
    ShapeError,
    /has shape \[2,3\]/,
  );
  await assertRejects(() => transpose(x, [0, 1], { out: x }), ShapeError, /shares its buffer/);
  await assertRejects(() => slice(x, [0], [2]), ShapeError, /one entry for each axis/);
  await assertRejects(() => slice(x, [0, 2], [2, 4]), ValueError, /axis 1 from 2 to 4/);
  await assertRejects(() => sliceGrad(x, [0, 2], { inputShape: [2, 4] }), ValueError, /axis 1 from 2 to 5/);
  await assertRejects(() => pad(x, [0, -1], [0, 0]), ValueError, /whole numbers of at least 0/);
  await assertRejects(() => pad(rows, [0], [1], { value: -1 }), ValueError, /value is -1, which is no u32/);
  await assertRejects(() => concat([], 0), ShapeError, /tensors is empty/);
  await assertRejects(() => concat([x, zeros(gpu, [3, 3])], 1), ShapeError, /f32 \[3,3\] does not go with/);
  await assertRejects(
    () => concat([rows, zeros(gpu, [2])], 0),
    ShapeError,
    /f32 \[2\] does not go with u32 \[2\]/,
  );
  await assertRejects(
    () => concat([x, x], 0, { out: zeros(gpu, [2, 6]) }),
    ShapeError,
    /the result is f32 \[4,3\]/,
  );
  await assertRejects(() => concatGrad(x, 1, [1, 1]), ShapeError, /sizes \[1,1\] must add up to 3/);
  await assertRejects(() => gatherRows(zeros(gpu, []), rows), ShapeError, /x is a scalar/);
  await assertRejects(() => gatherRows(x, x), ShapeError, /"rows" is f32/);
  await assertRejects(
    () => gatherRowsGrad(x, rows, { inputShape: [5, 4] }),
    ShapeError,
    /dy has shape \[2,3\]/,
  );
});

movement.run();
