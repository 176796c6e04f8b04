import {
  copy,
  DisposedError,
  empty,
  fromBuffer,
  LimitError,
  type NestedNumbers,
  openGpu,
  ShapeError,
  tensor,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertExact } from "./helpers/compare.js";
import { affine, affineOf, counting, spy } from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";

const tensors = suite("tensors");
const STORAGE = 0x0080 | 0x0004 | 0x0008;

tensors("nested arrays, typed arrays and numbers come back as they went", async () => {
  const gpu = await sharedGpu();
  const cases: [NestedNumbers | Float64Array, number[], number[]][] = [
    [3.5, [], [3.5]],
    [[1, 2, 3], [3], [1, 2, 3]],
    [
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      [3, 2],
      [1, 2, 3, 4, 5, 6],
    ],
    [
      [[[1]], [[2]]],
      [2, 1, 1],
      [1, 2],
    ],
    [[[], []], [2, 0], []],
    [[], [0], []],
    [Float64Array.of(0.1, -2), [2], [Math.fround(0.1), -2]],
    [[-0, 3.4028234663852886e38, 1e-45], [3], [-0, 3.4028234663852886e38, 1.401298464324817e-45]],
  ];
  for (const [data, shape, expected] of cases) {
    const t = tensor(gpu, data);
    assert.equal([t.dtype, t.rank, t.size, t.shape], ["f32", shape.length, expected.length, shape]);
    const values = await t.data();
    assert.instance(values, Float32Array);
    assertExact(values, expected);
    t.dispose();
  }
});

tensors("typed arrays take a shape, and u32 comes by dtype or by Uint32Array", async () => {
  const gpu = await sharedGpu();
  const a = tensor(gpu, Float32Array.of(1, 2, 3, 4, 5, 6), [2, -1]);
  assert.equal([a.shape, a.dtype], [[2, 3], "f32"]);
  const big = counting(4, 0xfffffff1, 0xffffffff);
  const b = tensor(gpu, big, [4, 1]);
  assert.equal([b.shape, b.dtype], [[4, 1], "u32"]);
  assertExact(await b.data(), big);
  const c = tensor(gpu, Uint32Array.of(7, 8), { dtype: "f32" });
  assert.is(c.dtype, "f32");
  assertExact(await c.data(), [7, 8]);
  const d = tensor(gpu, [4294967295, 0], { dtype: "u32" });
  assertExact(await d.data(), [4294967295, 0]);
  const unshaped = tensor(gpu, [1, 2], undefined as never, { dtype: "u32" });
  assert.is(unshaped.dtype, "u32");
  unshaped.dispose();
  const e = tensor(gpu, Int32Array.of(-5, 5));
  assertExact(await e.data(), [-5, 5]);
  for (const t of [a, b, c, d, e]) t.dispose();
});

tensors("a part of a larger array, and an array that is reused at once", async () => {
  const gpu = await sharedGpu();
  const whole = counting(100, 3);
  const part = whole.subarray(10, 30);
  const t = tensor(gpu, part);
  whole.fill(1);
  assertExact(await t.data(), counting(20, 3, 30));
  t.write(whole.subarray(5, 25));
  assertExact(await t.data(), new Uint32Array(20).fill(1));
  t.dispose();
});

tensors("NaN and infinity are found at upload, with their index", async () => {
  const gpu = await sharedGpu();
  const start = gpu.memory().tensors;
  const bad: [RegExp, NestedNumbers | Float32Array][] = [
    [/tensor: value NaN at index 2 /, [1, 2, Number.NaN]],
    [
      /value Infinity at index 3 /,
      [
        [1, 2],
        [3, Number.POSITIVE_INFINITY],
      ],
    ],
    [/value -Infinity at index 0 /, Number.NEGATIVE_INFINITY],
    [/value NaN at index 1 /, Float32Array.of(0, Number.NaN)],
    [/value 1e\+39 at index 0 is not a finite float32/, [1e39]],
  ];
  for (const [message, data] of bad) await assertRejects(() => tensor(gpu, data), ValueError, message);
  assert.is(gpu.memory().tensors, start);
  const t = zeros(gpu, [2]);
  await assertRejects(() => t.write([0, Number.NaN]), ValueError, /tensor.write: value NaN at index 1/);
  assertExact(await t.data(), [0, 0], "nothing was written");
  t.write([1, Number.NaN], { checkFinite: false });
  assert.equal(Array.from(await t.data()), [1, Number.NaN]);
  const u = tensor(gpu, [Number.POSITIVE_INFINITY], { checkFinite: false });
  assert.is(await u.item(), Number.POSITIVE_INFINITY);
  for (const each of [t, u]) each.dispose();
});

tensors("a u32 is a whole number from 0 to 4294967295", async () => {
  const gpu = await sharedGpu();
  for (const value of [-1, 0.5, 4294967296, Number.NaN, Number.POSITIVE_INFINITY]) {
    const make = () => tensor(gpu, [0, value], { dtype: "u32" });
    await assertRejects(make, ValueError, new RegExp(`value ${value} at index 1 is not a u32`));
    await assertRejects(
      () => tensor(gpu, Float64Array.of(value), { dtype: "u32" }),
      ValueError,
      /at index 0 is not a u32/,
    );
  }
});

tensors("data that is ragged or no numbers is refused", async () => {
  const gpu = await sharedGpu();
  const start = gpu.memory();
  const ragged: unknown[] = [
    [[1, 2], [3]],
    [[1], [2, 3]],
    [[1, 2], 3],
    [1, [2]],
    [[[1], [2]], [[3]]],
    [[], [1]],
    ["a"],
    [[1, "2"]],
    null,
    undefined,
    { length: 2 },
    [null],
    [[1, 2], null],
    [Float32Array.of(1)],
    BigInt64Array.of(1n),
    new DataView(new ArrayBuffer(8)),
    "123",
  ];
  for (const data of ragged) {
    await assertRejects(
      () => tensor(gpu, data as NestedNumbers),
      ShapeError,
      /^tensor: .*(ragged|nested arrays of numbers or a typed array)/,
    );
  }
  assert.equal(gpu.memory(), start);
});

tensors("shapes are whole numbers that hold the data", async () => {
  const gpu = await sharedGpu();
  const six = counting(6);
  for (const shape of [[7], [2, 2], [4, -1], [-1, -1], [-2, -3], [1.5, 4], [Number.NaN], [0, -1], [6, 0]]) {
    await assertRejects(() => tensor(gpu, six, shape), ShapeError, /shape/);
  }
  for (const shape of [[-1], [1.5], [Number.NaN], ["2"] as never, [Number.POSITIVE_INFINITY]]) {
    await assertRejects(() => empty(gpu, shape), ShapeError, /must be whole numbers of at least 0/);
  }
  await assertRejects(
    () => empty(gpu, [2], { dtype: "i32" as never }),
    ShapeError,
    /dtype is i32, and "f32", "u32" or "f16" is taken/,
  );
  await assertRejects(() => zeros(gpu, 3 as never), ShapeError, /shape is 3, and an array/);
  const flat = tensor(gpu, six);
  await assertRejects(() => flat.reshape(6 as never), ShapeError, /reshape: shape is 6, and an array/);
  flat.dispose();
  const typed = Uint32Array.of(2, 3) as unknown as number[];
  await assertRejects(() => tensor(gpu, six, typed), ShapeError, /shape must be an array of numbers/);
  const shape = [2, 3];
  const t = empty(gpu, shape);
  shape[0] = 9;
  assert.equal(t.shape, [2, 3], "the caller's array is the caller's");
  assert.ok(Object.isFrozen(t.shape));
  t.dispose();
});

tensors("reshape shares the buffer", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(24));
  const y = x.reshape([2, -1, 4]);
  assert.equal(y.shape, [2, 3, 4]);
  assert.is(y.buffer, x.buffer);
  x.write(counting(24, 2));
  assertExact(await y.data(), counting(24, 2));
  x.dispose();
  affine(y, 1, 5, y);
  assertExact(await y.data(), affineOf(counting(24, 2), 1, 5), "lives on when its source is gone");
  for (const shape of [[5], [-1, 5], [-1, -1], [23], [25, -1], [1.5, 16]])
    await assertRejects(() => y.reshape(shape), ShapeError, /shape \[/);
  const none = zeros(gpu, [0, 3]);
  assert.equal(none.reshape([-1]).shape, [0]);
  await assertRejects(() => none.reshape([-1, 0]), ShapeError, /shape/);
  const scalar = tensor(gpu, [4]).reshape([]);
  assert.equal([scalar.rank, await scalar.item()], [0, 4]);
  y.dispose();
});

tensors("item() takes one element", async () => {
  const gpu = await sharedGpu();
  const one = tensor(gpu, [[7]]);
  assert.is(await one.item(), 7);
  const two = tensor(gpu, [1, 2]);
  await assertRejects(() => two.item(), ShapeError, /one element, got shape \[2\]/);
  for (const t of [one, two]) t.dispose();
});

tensors("write takes as many values as there are", async () => {
  const gpu = await sharedGpu();
  const t = zeros(gpu, [2, 2]);
  assert.is(
    t.write([
      [1, 2],
      [3, 4],
    ]),
    t,
  );
  assertExact(await t.data(), [1, 2, 3, 4]);
  await assertRejects(() => t.write([1, 2, 3]), ShapeError, /3 values, and shape \[2,2\] takes 4/);
  await assertRejects(() => t.write(new Float32Array(5)), ShapeError, /5 values/);
  await assertRejects(() => t.write([[1, 2], [3]]), ShapeError, /ragged/);
  assertExact(await t.data(), [1, 2, 3, 4]);
  t.dispose();
});

tensors("a disposed tensor throws on every use", async () => {
  const gpu = await sharedGpu();
  const t = tensor(gpu, counting(4));
  t[Symbol.dispose]();
  t.dispose();
  assert.ok(t.disposed);
  const uses: (() => unknown)[] = [
    () => t.data(),
    () => t.write(counting(4)),
    () => t.reshape([2, 2]),
    () => t.buffer,
    () => affine(t, 1, 1),
    () => copy(t),
  ];
  for (const use of uses.slice(0, 1).concat(uses.slice(2)))
    await assertRejects(use, DisposedError, /disposed/);
  const single = tensor(gpu, [1]);
  single.dispose();
  await assertRejects(() => single.item(), DisposedError, /disposed/);
});

tensors("copy makes another buffer, or writes into out", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(6));
  const y = copy(x);
  assert.is.not(y.buffer, x.buffer);
  x.write(counting(6, 9));
  assertExact(await y.data(), counting(6));
  const out = empty(gpu, [2, 3], { dtype: "u32" });
  assert.is(copy(x, { out }), out);
  assertExact(await out.data(), counting(6, 9));
  const other = await openGpu({ device: gpu.device });
  const wrong: [RegExp, ReturnType<typeof empty>][] = [
    [/out is u32 \[5\], and the source is u32 \[6\]/, empty(gpu, [5], { dtype: "u32" })],
    [/out is f32/, empty(gpu, [6])],
    [/the source itself/, x],
    [/the source itself/, x.reshape([3, 2])],
    [/another gpu/, empty(other, [6], { dtype: "u32" })],
  ];
  const start = gpu.memory().tensors;
  for (const [message, target] of wrong)
    await assertRejects(() => copy(x, { out: target }), ShapeError, message);
  assert.is(gpu.memory().tensors, start);
  other.dispose();
});

tensors("fromBuffer uses the caller's buffer and leaves it alone", async () => {
  const gpu = await sharedGpu();
  const { device } = gpu;
  const buffer = device.createBuffer({ size: 64, usage: STORAGE });
  const destroyed = spy(buffer, "destroy");
  const start = gpu.memory();
  device.queue.writeBuffer(buffer, 0, counting(16, 3));
  const t = fromBuffer(gpu, buffer, [2, 5], { dtype: "u32" });
  assert.is(t.buffer, buffer);
  assert.equal([gpu.memory().tensors - start.tensors, gpu.memory().bytesUsed], [1, start.bytesUsed]);
  affine(t, 2, 1, t);
  assertExact(await t.data(), affineOf(counting(10, 3), 2, 1));
  const all = fromBuffer(gpu, buffer, [16], { dtype: "u32" });
  t.dispose();
  assertExact((await all.data()).slice(10), counting(6, 3, 30), "what lies behind is untouched");
  all.dispose();
  assert.equal(gpu.memory(), start);
  assert.is(destroyed.calls.length, 0);
  const again = fromBuffer(gpu, buffer, [], { dtype: "u32" });
  assert.is(await again.item(), 1);
  again.dispose();
  buffer.destroy();
});

tensors("fromBuffer refuses what it cannot use", async () => {
  const gpu = await sharedGpu();
  const { device } = gpu;
  const start = gpu.memory().tensors;
  const small = device.createBuffer({ size: 60, usage: STORAGE });
  await assertRejects(
    () => fromBuffer(gpu, small, [16]),
    ShapeError,
    /has 60 bytes, and shape \[16\] takes 64/,
  );
  await assertRejects(() => fromBuffer(gpu, small, [-1]), ShapeError, /whole numbers/);
  await assertRejects(
    () => fromBuffer(gpu, small, [2], { dtype: "f64" as never }),
    ShapeError,
    /dtype is f64, and "f32", "u32" or "f16" is taken/,
  );
  await assertRejects(() => fromBuffer(gpu, {} as GPUBuffer, [2]), ShapeError, /undefined bytes/);
  for (const usage of [0x0080, 0x0080 | 0x0004, 0x0004 | 0x0008]) {
    const buffer = device.createBuffer({ size: 64, usage });
    await assertRejects(() => fromBuffer(gpu, buffer, [16]), ShapeError, /STORAGE \| COPY_SRC \| COPY_DST/);
    buffer.destroy();
  }
  const own = zeros(gpu, [16]);
  await assertRejects(() => fromBuffer(gpu, own.buffer, [16]), ShapeError, /belongs to a tensor.*reshape/);
  own.dispose();
  small.destroy();
  assert.is(gpu.memory().tensors, start);
  const { maxStorageBufferBindingSize: binding, maxBufferSize } = gpu.limits;
  if (binding < maxBufferSize) {
    const fake = { size: maxBufferSize, usage: STORAGE } as GPUBuffer;
    await assertRejects(() => fromBuffer(gpu, fake, [binding / 4 + 1]), LimitError, /can bind/);
  }
});

tensors.run();
