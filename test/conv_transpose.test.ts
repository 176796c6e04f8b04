import {
  convTranspose2d,
  convTranspose2dInputGrad,
  convTranspose2dOutputShape,
  convTranspose2dWeightGrad,
  conv2dBiasGrad,
  empty,
  ShapeError,
  ValueError,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { convTranspose2dCase, type Random, seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { absolute, type Array64 } from "./reference/array64.js";
import * as reference from "./reference/convolution.js";

const transposed = suite("convTranspose2d");

interface Case {
  x: Array64;
  w: Array64;
  bias?: Array64;
  options: reference.WindowOptions & { outputPadding?: number | [number, number] };
}

async function checkAll(random: Random, { x, w, bias, options }: Case, what: string): Promise<void> {
  const gpu = await sharedGpu();
  const y = reference.convTranspose2d(x, w, { ...options, bias });
  const dy = random.array(y.shape);
  const [tx, tw, tdy] = [x, w, dy].map((array) => upload(gpu, array));
  const tbias = bias && upload(gpu, bias);
  const inputOptions = { ...options, inputShape: x.shape };
  const weightOptions = { ...options, weightShape: w.shape };
  const [ax, aw, ady] = [x, w, dy].map(absolute);
  const results = {
    y: {
      actual: convTranspose2d(tx, tw, { ...options, bias: tbias }),
      expected: y,
      absolute: reference.convTranspose2d(ax, aw, { ...options, bias: bias && absolute(bias) }),
    },
    dx: {
      actual: convTranspose2dInputGrad(tdy, tw, inputOptions),
      expected: reference.convTranspose2dInputGrad(dy, w, inputOptions),
      absolute: reference.convTranspose2dInputGrad(ady, aw, inputOptions),
    },
    dw: {
      actual: convTranspose2dWeightGrad(tx, tdy, weightOptions),
      expected: reference.convTranspose2dWeightGrad(x, dy, weightOptions),
      absolute: reference.convTranspose2dWeightGrad(ax, ady, weightOptions),
    },
  };
  for (const [name, { actual, expected, ...rest }] of Object.entries(results)) {
    assertClose(await download(actual), expected, { ...rest, what: `${what} ${name}` });
    actual.dispose();
  }
  for (const input of [tx, tw, tdy, tbias]) input?.dispose();
}

transposed("random shapes, strides, paddings, dilations and groups agree with the references", async () => {
  for (let seed = 0; seed < 12; seed++) {
    const random = seededRandom(seed);
    await checkAll(random, convTranspose2dCase(random), `seed ${seed}`);
  }
});

transposed("many channels, strides past the kernel, asymmetric padding, depthwise", async () => {
  const random = seededRandom(50);
  const drawn = (x: number[], w: number[], options: Case["options"] = {}): Case => ({
    x: random.array(x),
    w: random.array(w),
    bias: random.array([w[1] * (options.groups ?? 1)]),
    options,
  });
  const cases: [string, Case][] = [
    ["17 to 19 channels, stride 2", drawn([2, 17, 5, 7], [17, 19, 4, 4], { stride: 2, padding: 1 })],
    ["stride 3, kernel 2", drawn([1, 3, 4, 5], [3, 4, 2, 2], { stride: 3, outputPadding: 2 })],
    [
      "asymmetric",
      drawn([2, 2, 5, 6], [2, 3, 3, 4], { stride: 2, padding: [2, 0, 1, 1], outputPadding: [0, 1] }),
    ],
    ["depthwise", drawn([2, 5, 6, 7], [5, 1, 3, 3], { stride: 2, padding: 1, outputPadding: 1, groups: 5 })],
    ["depthwise, stride 1", drawn([2, 5, 6, 13], [5, 1, 3, 3], { padding: 1, groups: 5 })],
    ["padding past the kernel", drawn([1, 2, 9, 9], [2, 3, 3, 3], { padding: 3 })],
  ];
  for (const [what, test] of cases) await checkAll(random, test, what);
});

transposed("golden vectors", async () => {
  const gpu = await sharedGpu();
  const plain = goldenCases("convTranspose2d").map(({ name, params, inputs, outputs }) => {
    return {
      name,
      params,
      inputs: { ...inputs, bias: undefined },
      outputs: { ...outputs, dbias: undefined },
    };
  });
  for (const { name, params, inputs, outputs } of [...plain, ...goldenCases("convTranspose2dGeneral")]) {
    const [x, w, dy] = [inputs.x, inputs.w, inputs.dy].map((array) => upload(gpu, array));
    const bias = inputs.bias && upload(gpu, inputs.bias);
    const results = {
      y: convTranspose2d(x, w, { ...params, bias }),
      dx: convTranspose2dInputGrad(dy, w, { ...params, inputShape: x.shape }),
      dw: convTranspose2dWeightGrad(x, dy, { ...params, weightShape: w.shape }),
      dbias: conv2dBiasGrad(dy),
    };
    for (const key of ["y", "dx", "dw", "dbias"] as const) {
      const expected = outputs[key];
      if (expected) assertClose(await download(results[key]), expected, { what: `${name} ${key}` });
      results[key].dispose();
    }
    for (const input of [x, w, dy, bias]) input?.dispose();
  }
});

transposed("activation in the epilogue", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(60);
  const [x, w, bias] = [random.array([2, 3, 4, 5]), random.array([3, 6, 3, 3]), random.array([6])];
  const options = { stride: 2, activation: "leakyRelu", slope: 0.2 } as const;
  const y = convTranspose2d(upload(gpu, x), upload(gpu, w), { ...options, bias: upload(gpu, bias) });
  assertClose(await download(y), reference.convTranspose2d(x, w, { ...options, bias }));
});

transposed("a batch of no images, and out", async () => {
  const gpu = await sharedGpu();
  const w = upload(gpu, seededRandom(70).array([2, 3, 2, 2]));
  const none = convTranspose2d(empty(gpu, [0, 2, 3, 3]), w, { stride: 2 });
  assert.equal(none.shape, [0, 3, 6, 6]);
  const x = upload(gpu, seededRandom(71).array([1, 2, 3, 3]));
  const out = empty(gpu, [1, 3, 6, 6]);
  assert.is(convTranspose2d(x, w, { stride: 2, out }), out);
  assertExact(await out.data(), await convTranspose2d(x, w, { stride: 2 }).data());
  await assertRejects(() => convTranspose2d(x, w, { out }), ShapeError, /\[1,3,6,6\].*\[1,3,4,4\]/);
});

transposed("errors name the argument, what came and what is taken", async () => {
  const gpu = await sharedGpu();
  const x = empty(gpu, [2, 4, 3, 3]);
  const w = empty(gpu, [4, 3, 3, 3]);
  await assertRejects(
    () => convTranspose2d(x, empty(gpu, [5, 3, 3, 3])),
    ShapeError,
    /x \[2,4,3,3\] has 4 channels, and 5/,
  );
  await assertRejects(
    () => convTranspose2d(x, empty(gpu, [4, 3])),
    ShapeError,
    /w is \[4,3\].*in, out \/ groups/,
  );
  await assertRejects(
    () => convTranspose2d(x, w, { padding: 4 }),
    ShapeError,
    /the result would have height -3/,
  );
  await assertRejects(
    () => convTranspose2d(x, w, { outputPadding: 1 }),
    ShapeError,
    /outputPadding 1 .* stride 1/,
  );
  await assertRejects(
    () => convTranspose2d(x, w, { stride: 2, outputPadding: -1 }),
    ValueError,
    /outputPadding is -1/,
  );
  await assertRejects(() => convTranspose2d(x, w, { groups: 3 }), ShapeError, /4 filters, which groups = 3/);
  await assertRejects(
    () => convTranspose2d(x, w, { bias: empty(gpu, [4]) }),
    ShapeError,
    /bias has shape \[4\], and \[3\]/,
  );
  const dy = empty(gpu, [2, 3, 8, 7]);
  const options = { stride: 2, inputShape: x.shape };
  await assertRejects(
    () => convTranspose2dInputGrad(dy, w, { ...options, outputPadding: 0 }),
    ShapeError,
    /dy \[2,3,8,7\] and inputShape \[2,4,3,3\] do not belong to one transposed convolution.*outputPadding/,
  );
  assert.equal(convTranspose2dInputGrad(dy, w, options).shape, [2, 4, 3, 3]);
  await assertRejects(
    () => convTranspose2dWeightGrad(x, dy, { weightShape: [4, 3, 3, 3] }),
    ShapeError,
    /height 8 goes with 6, not 3/,
  );
  assert.equal(convTranspose2dOutputShape(x.shape, w.shape, { stride: 2, outputPadding: [1, 0] }), dy.shape);
});

transposed.run();
