import {
  avgPool2d,
  avgPool2dGrad,
  empty,
  globalAvgPool2d,
  globalAvgPool2dGrad,
  maxPool2d,
  maxPool2dGrad,
  type PoolOptions,
  poolOutputShape,
  ShapeError,
  ValueError,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { type Random, seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { absolute, type Array64, array64 } from "./reference/array64.js";
import * as reference from "./reference/pooling.js";

const pool = suite("pooling");

interface Case {
  x: Array64;
  options: PoolOptions;
}

/** Windows that overlap, touch or leave gaps; paddings on each side below the kernel. */
function poolCase(random: Random): Case {
  const kernel = [random.integer(1, 4), random.integer(1, 4)];
  const [k0, k1] = kernel.map((k) => k - 1);
  const options: PoolOptions = {
    kernel,
    stride: random.uniform() < 0.3 ? undefined : [random.integer(1, 5), random.integer(1, 5)],
    padding: [random.integer(0, k0), random.integer(0, k1), random.integer(0, k0), random.integer(0, k1)],
  };
  const image = kernel.map((k) => k - 1 + random.dimension(17));
  return { x: random.distinct([random.integer(1, 3), random.integer(1, 5), ...image]), options };
}

/** Both kinds of pooling of one case, with their gradients, against the references. */
async function checkAll(random: Random, { x, options }: Case, what: string): Promise<void> {
  const gpu = await sharedGpu();
  const windows = { ...options, kernelSize: options.kernel };
  const inputShape = x.shape;
  const tx = upload(gpu, x);
  const max = maxPool2d(tx, options);
  const expected = reference.maxPool2d(x, windows);
  assertExact(await download(max.y), expected.y, `${what} max`);
  assertExact(await download(max.argmax), expected.argmax, `${what} argmax`);
  const dy = random.array(expected.y.shape);
  const tdy = upload(gpu, dy);
  const dx = {
    expected: reference.maxPool2dGrad(dy, expected.argmax, { inputShape }),
    absolute: reference.maxPool2dGrad(absolute(dy), expected.argmax, { inputShape }),
  };
  const gathered = maxPool2dGrad(tdy, max.argmax, { inputShape, ...options });
  const byPlane = maxPool2dGrad(tdy, max.argmax, { inputShape });
  assertClose(await download(gathered), dx.expected, { absolute: dx.absolute, what: `${what} max dx` });
  assertClose(await download(byPlane), dx.expected, {
    absolute: dx.absolute,
    what: `${what} max dx by plane`,
  });
  const mean = avgPool2d(tx, options);
  const meanDx = avgPool2dGrad(tdy, { inputShape, ...options });
  assertClose(await download(mean), reference.averagePool2d(x, windows), {
    absolute: reference.averagePool2d(absolute(x), windows),
    what: `${what} average`,
  });
  assertClose(await download(meanDx), reference.averagePool2dGrad(dy, { ...windows, inputShape }), {
    absolute: reference.averagePool2dGrad(absolute(dy), { ...windows, inputShape }),
    what: `${what} average dx`,
  });
  assert.equal(poolOutputShape(inputShape, options), mean.shape);
  for (const used of [tx, tdy, max.y, max.argmax, gathered, byPlane, mean, meanDx]) used.dispose();
}

pool("random windows agree with the references", async () => {
  for (let seed = 0; seed < 25; seed++) {
    const random = seededRandom(seed);
    await checkAll(random, poolCase(random), `seed ${seed}`);
  }
});

pool("golden vectors", async () => {
  const gpu = await sharedGpu();
  for (const { name, params, inputs, outputs } of goldenCases("pool2d")) {
    const [x, dy] = [upload(gpu, inputs.x), upload(gpu, inputs.dy)];
    const { kind, ...options } = params;
    const inputShape = x.shape;
    if (kind === "max") {
      const { y, argmax } = maxPool2d(x, options);
      assertClose(await download(y), outputs.y, { what: `${name} y` });
      const dx = maxPool2dGrad(dy, argmax, { inputShape, ...options });
      assertClose(await download(dx), outputs.dx, { what: `${name} dx` });
    } else {
      assertClose(await download(avgPool2d(x, options)), outputs.y, { what: `${name} y` });
      const dx = avgPool2dGrad(dy, { inputShape, ...options });
      assertClose(await download(dx), outputs.dx, { what: `${name} dx` });
    }
  }
});

pool("of equals the first is taken: golden vectors with ties", async () => {
  const gpu = await sharedGpu();
  for (const { name, params, inputs, outputs } of goldenCases("poolIndices")) {
    const [x, dy] = [upload(gpu, inputs.x), upload(gpu, inputs.dy)];
    const inputShape = x.shape;
    if (name === "globalAverage") {
      assertClose(await download(globalAvgPool2d(x)), outputs.y, { what: name });
      assertClose(await download(globalAvgPool2dGrad(dy, { inputShape })), outputs.dx, {
        what: `${name} dx`,
      });
      continue;
    }
    const { y, argmax } = maxPool2d(x, params);
    assertClose(await download(y), outputs.y, { what: `${name} y` });
    assertExact(await download(argmax), outputs.argmax, `${name} argmax`);
    for (const options of [{ inputShape }, { inputShape, ...params }]) {
      assertClose(await download(maxPool2dGrad(dy, argmax, options)), outputs.dx, { what: `${name} dx` });
    }
  }
});

pool("images of negative values keep their maxima beside the padding", async () => {
  const gpu = await sharedGpu();
  const x = upload(gpu, array64([1, 1, 2, 2], [-4, -3, -2, -1]));
  const { y } = maxPool2d(x, { kernel: 2, stride: 2, padding: 1 });
  assertExact(await y.data(), [-4, -3, -2, -1]);
});

pool("global average over more elements than one block", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(30);
  for (const shape of [
    [2, 3, 41, 37],
    [5, 67, 1, 1],
    [1, 1, 130, 101],
  ]) {
    const x = random.array(shape, { low: 0, high: 1 });
    const dy = random.array(shape.slice(0, 2));
    const what = `[${shape}]`;
    assertClose(await download(globalAvgPool2d(upload(gpu, x))), reference.globalAveragePool2d(x), { what });
    const dx = globalAvgPool2dGrad(upload(gpu, dy), { inputShape: shape });
    assertClose(await download(dx), reference.globalAveragePool2dGrad(dy, { inputShape: shape }), { what });
  }
});

pool("a batch of no images", async () => {
  const gpu = await sharedGpu();
  const x = empty(gpu, [0, 3, 4, 4]);
  const { y, argmax } = maxPool2d(x, { kernel: 2 });
  assert.equal([y.shape, argmax.shape, argmax.dtype], [[0, 3, 2, 2], [0, 3, 2, 2], "u32"]);
  assert.equal(maxPool2dGrad(y, argmax, { inputShape: x.shape }).shape, x.shape);
  assert.equal(avgPool2d(x, { kernel: 2 }).shape, [0, 3, 2, 2]);
  assert.equal(globalAvgPool2d(x).shape, [0, 3]);
});

pool("more elements than one row of a grid", async () => {
  const gpu = await sharedGpu();
  const shape = [1, 1, 2051, 2053];
  const values = new Float32Array(2051 * 2053);
  for (let i = 0; i < values.length; i++) values[i] = i % 8191;
  const x = upload(gpu, array64(shape, values));
  assertExact(await avgPool2d(x, { kernel: 1 }).data(), values);
});

pool("out is written, and refused where it is the input", async () => {
  const gpu = await sharedGpu();
  const x = upload(gpu, seededRandom(40).array([1, 2, 3, 3]));
  const out = { y: x.like(), argmax: empty(gpu, x.shape, { dtype: "u32" }) };
  const options = { kernel: 3, stride: 1, padding: 1 };
  const result = maxPool2d(x, { ...options, out });
  assert.is(result.y, out.y);
  assert.is(result.argmax, out.argmax);
  assertExact(await out.y.data(), await maxPool2d(x, options).y.data());
  assert.is(avgPool2d(x, { ...options, out: out.y }), out.y);
  assertExact(await out.y.data(), await avgPool2d(x, options).data());
  await assertRejects(
    () => maxPool2d(x, { ...options, out: { y: x } }),
    ShapeError,
    /shares its buffer with "x"/,
  );
  await assertRejects(() => avgPool2d(x, { ...options, out: x }), ShapeError, /shares its buffer with "x"/);
  await assertRejects(() => avgPool2d(x, { ...options, out: out.argmax }), ShapeError, /u32/);
});

pool("errors name the argument, what came and what is taken", async () => {
  const gpu = await sharedGpu();
  const x = empty(gpu, [2, 3, 5, 6]);
  const dy = empty(gpu, [2, 3, 2, 3]);
  const argmax = empty(gpu, [2, 3, 2, 3], { dtype: "u32" });
  const inputShape = x.shape;
  await assertRejects(
    () => maxPool2d(empty(gpu, [3, 5, 6]), { kernel: 2 }),
    ShapeError,
    /maxPool2d: x is \[3,5,6\]/,
  );
  await assertRejects(
    () => maxPool2d(x, { kernel: 6 }),
    ShapeError,
    /x \[2,3,5,6\] has height 5.*a kernel of 6/,
  );
  await assertRejects(() => avgPool2d(x, { kernel: [5, 7] }), ShapeError, /width 6.*a kernel of 7/);
  await assertRejects(() => maxPool2d(x, { kernel: 0 }), ValueError, /kernel is 0/);
  await assertRejects(() => maxPool2d(x, { kernel: 2, stride: 0 }), ValueError, /stride is 0/);
  await assertRejects(
    () => avgPool2d(x, { kernel: 2, padding: 2 }),
    ValueError,
    /padding 2 \+ 2 .* below the kernel's 2/,
  );
  await assertRejects(() => avgPool2d(x, { kernel: 2, padding: -1 }), ValueError, /padding is -1/);
  const call = (options: object) => () => maxPool2dGrad(dy, argmax, { inputShape, ...options });
  await assertRejects(call({ kernel: 3 }), ShapeError, /dy has shape \[2,3,2,3\].*\[2,3,1,2\]; check kernel/);
  await assertRejects(call({ inputShape: [2, 4, 5, 6] }), ShapeError, /dy has shape/);
  const short = empty(gpu, [2, 3, 2, 2], { dtype: "u32" });
  await assertRejects(
    () => maxPool2dGrad(dy, short, { inputShape }),
    ShapeError,
    /argmax has shape \[2,3,2,2\]/,
  );
  await assertRejects(() => maxPool2dGrad(dy, dy, { inputShape }), ShapeError, /"argmax" is f32, and u32/);
  await assertRejects(() => avgPool2dGrad(dy, { inputShape, kernel: 3 }), ShapeError, /dy has shape/);
  await assertRejects(() => globalAvgPool2d(empty(gpu, [2, 3])), ShapeError, /x is \[2,3\]/);
  await assertRejects(() => globalAvgPool2d(empty(gpu, [2, 3, 0, 4])), ShapeError, /no mean/);
  await assertRejects(
    () => globalAvgPool2dGrad(dy, { inputShape }),
    ShapeError,
    /dy has shape \[2,3,2,3\].*\[2,3\]/,
  );
});

pool.run();
