import {
  type Conv2dOptions,
  conv2d,
  conv2dBiasGrad,
  conv2dInputGrad,
  conv2dOutputShape,
  conv2dWeightGrad,
  DisposedError,
  empty,
  ShapeError,
  tensor,
  ValueError,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { conv2dCase, type Random, seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { absolute, type Array64, array64, map } from "./reference/array64.js";
import * as reference from "./reference/convolution.js";

const conv = suite("conv2d");

/** A forward pass and its gradients; `options` as the library takes them, but for the bias. */
interface Case {
  x: Array64;
  w: Array64;
  bias?: Array64;
  dy?: Array64;
  options: reference.WindowOptions & Pick<Conv2dOptions, "activation" | "slope">;
}

/** The op and its three gradients against the references. */
async function checkAll(random: Random, { x, w, bias, dy, options }: Case, what: string): Promise<void> {
  const gpu = await sharedGpu();
  const y = reference.conv2d(x, w, { ...options, bias });
  const upstream = dy ?? random.array(y.shape);
  const [tx, tw, tdy] = [x, w, upstream].map((array) => upload(gpu, array));
  const tbias = bias && upload(gpu, bias);
  const { activation, slope, ...window } = options;
  const inputOptions = { ...window, inputShape: x.shape };
  const weightOptions = { ...window, weightShape: w.shape };
  const [ax, aw, ady] = [x, w, upstream].map(absolute);
  const positions = upstream.data.length / w.shape[0];
  const tolerance = positions > 10_000 ? 1e-4 : 1e-5;
  const results = {
    y: {
      actual: conv2d(tx, tw, { ...options, bias: tbias }),
      expected: y,
      absolute: activation
        ? undefined
        : reference.conv2d(ax, aw, { ...window, bias: bias && absolute(bias) }),
    },
    dx: {
      actual: conv2dInputGrad(tdy, tw, inputOptions),
      expected: reference.conv2dInputGrad(upstream, w, inputOptions),
      absolute: reference.conv2dInputGrad(ady, aw, inputOptions),
    },
    dw: {
      actual: conv2dWeightGrad(tx, tdy, weightOptions),
      expected: reference.conv2dWeightGrad(x, upstream, weightOptions),
      absolute: reference.conv2dWeightGrad(ax, ady, weightOptions),
      tolerance,
    },
    dbias: {
      actual: conv2dBiasGrad(tdy),
      expected: reference.conv2dBiasGrad(upstream),
      absolute: reference.conv2dBiasGrad(ady),
      tolerance,
    },
  };
  for (const [name, { actual, expected, ...rest }] of Object.entries(results)) {
    assertClose(await download(actual), expected, { ...rest, what: `${what} ${name}` });
    actual.dispose();
  }
  for (const input of [tx, tw, tdy, tbias]) input?.dispose();
}

/** Shapes written out: x, w, and the options. */
function drawn(random: Random, x: number[], w: number[], options: Case["options"] = {}): Case {
  return { x: random.array(x), w: random.array(w), bias: random.array([w[0]]), options };
}

conv("random shapes, strides, paddings, dilations and groups agree with the references", async () => {
  for (let seed = 0; seed < 12; seed++) {
    const random = seededRandom(seed);
    await checkAll(random, conv2dCase(random), `seed ${seed}`);
  }
});

conv("tiles that are full, cut off and larger than the shape", async () => {
  const random = seededRandom(100);
  const cases: [string, Case][] = [
    ["one element", drawn(random, [1, 1, 1, 1], [1, 1, 1, 1])],
    ["1 × 1 kernel", drawn(random, [2, 11, 7, 5], [13, 11, 1, 1])],
    ["1 × 1 kernel, stride 3", drawn(random, [1, 5, 8, 7], [3, 5, 1, 1], { stride: 3 })],
    ["kernel as large as the image", drawn(random, [3, 4, 5, 6], [17, 4, 5, 6])],
    ["17 and 33 channels", drawn(random, [2, 17, 9, 9], [33, 17, 3, 3], { padding: 1 })],
    ["32 channels", drawn(random, [2, 16, 8, 8], [32, 16, 3, 3], { padding: 1 })],
    ["groups of odd size", drawn(random, [2, 15, 6, 7], [27, 5, 3, 2], { groups: 3 })],
    ["many images of one element", drawn(random, [61, 3, 1, 1], [5, 3, 3, 3], { padding: 1 })],
  ];
  for (const [what, test] of cases) await checkAll(random, test, what);
});

conv("depthwise, with and without a channel multiplier", async () => {
  const random = seededRandom(200);
  const same = { padding: 1, groups: 7 };
  const cases: [string, Case][] = [
    ["depthwise", drawn(random, [3, 7, 9, 11], [7, 1, 3, 3], same)],
    ["depthwise, stride 2", drawn(random, [2, 7, 10, 9], [7, 1, 3, 3], { ...same, stride: 2 })],
    [
      "depthwise 5 × 4, asymmetric",
      drawn(random, [1, 3, 12, 23], [3, 1, 5, 4], { padding: [2, 1, 0, 3], groups: 3 }),
    ],
    [
      "depthwise, a tall image: strips",
      drawn(random, [1, 2, 67, 9], [2, 1, 3, 3], { padding: 1, groups: 2 }),
    ],
    [
      "depthwise, strides as long as the kernel, padding past it",
      drawn(random, [2, 3, 13, 17], [3, 1, 3, 2], { padding: 4, stride: [3, 2], groups: 3 }),
    ],
    [
      "depthwise, a stride past the kernel",
      drawn(random, [2, 3, 13, 17], [3, 1, 2, 2], { stride: [1, 3], groups: 3 }),
    ],
    ["depthwise 1 × 1", drawn(random, [2, 3, 5, 6], [3, 1, 1, 1], { groups: 3 })],
    ["depthwise 7 × 7", drawn(random, [2, 3, 12, 13], [3, 1, 7, 7], { padding: 3, groups: 3 })],
    ["depthwise, dilated", drawn(random, [1, 3, 12, 13], [3, 1, 3, 3], { dilation: [1, 2], groups: 3 })],
    ["two outputs an input", drawn(random, [2, 5, 8, 8], [10, 1, 3, 3], { padding: 1, groups: 5 })],
    ["one output a group of two", drawn(random, [2, 10, 8, 8], [5, 2, 3, 3], { padding: 1, groups: 5 })],
  ];
  for (const [what, test] of cases) await checkAll(random, test, what);
});

conv(
  "input gradients of strides and dilations with common factors, and of strides past the kernel",
  async () => {
    const random = seededRandom(300);
    const image = [2, 3, 19, 22];
    for (const [stride, dilation, kernel] of [
      [2, 2, 3],
      [4, 2, 3],
      [6, 4, 3],
      [3, 2, 4],
      [4, 1, 2],
      [7, 1, 1],
    ]) {
      const test = drawn(random, image, [4, 3, kernel, kernel], { stride, dilation, padding: [1, 3, 0, 2] });
      await checkAll(random, test, `stride ${stride}, dilation ${dilation}, kernel ${kernel}`);
    }
  },
);

conv("golden vectors", async () => {
  for (const file of ["conv2d", "conv2dPadding"] as const) {
    for (const { name, params, inputs, outputs } of goldenCases(file)) {
      const gpu = await sharedGpu();
      const [x, w, bias, dy] = [inputs.x, inputs.w, inputs.bias, inputs.dy].map((array) =>
        upload(gpu, array),
      );
      const results = {
        y: conv2d(x, w, { ...params, bias }),
        dx: conv2dInputGrad(dy, w, { ...params, inputShape: x.shape }),
        dw: conv2dWeightGrad(x, dy, { ...params, weightShape: w.shape }),
        dbias: conv2dBiasGrad(dy),
      };
      for (const key of ["y", "dx", "dw", "dbias"] as const) {
        assertClose(await download(results[key]), outputs[key], { what: `${name} ${key}` });
        results[key].dispose();
      }
      for (const input of [x, w, bias, dy]) input.dispose();
    }
  }
});

conv("activations in the epilogue, with and without a bias", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(400);
  const { x, w, bias, options } = drawn(random, [2, 3, 6, 5], [9, 3, 3, 3], { padding: 1 });
  const [tx, tw, tbias] = [x, w, bias!].map((array) => upload(gpu, array));
  for (const [activation, slope, withBias] of [
    ["relu", undefined, false],
    ["relu", undefined, true],
    ["leakyRelu", 0.3, true],
    ["tanh", undefined, true],
    ["sigmoid", undefined, true],
  ] as const) {
    const y = conv2d(tx, tw, { ...options, activation, slope, bias: withBias ? tbias : undefined });
    const expected = reference.conv2d(x, w, {
      ...options,
      activation,
      slope,
      bias: withBias ? bias : undefined,
    });
    assertClose(await download(y), expected, { what: activation });
    y.dispose();
  }
  for (const input of [tx, tw, tbias]) input.dispose();
});

conv("activations of depthwise convolutions, which have a kernel of their own", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(410);
  const { x, w, bias } = drawn(random, [2, 4, 6, 11], [4, 1, 3, 3]);
  const [tx, tw, tbias] = [x, w, bias!].map((array) => upload(gpu, array));
  for (const activation of ["relu", "leakyRelu", "tanh", "sigmoid"] as const) {
    // Dilated ones have another kernel.
    for (const dilation of [
      [1, 1],
      [2, 1],
    ] as const) {
      const options = { groups: 4, padding: 1, activation, dilation };
      const y = conv2d(tx, tw, { ...options, bias: tbias });
      const what = `${activation}, dilation ${dilation}`;
      assertClose(await download(y), reference.conv2d(x, w, { ...options, bias }), { what });
      y.dispose();
    }
  }
  for (const input of [tx, tw, tbias]) input.dispose();
});

conv("sums over more positions than one part holds", async () => {
  const random = seededRandom(500);
  const cases: [string, Case][] = [
    ["15,360 positions", drawn(random, [4, 2, 64, 60], [3, 2, 3, 3], { padding: 1 })],
    ["depthwise, 15,360", drawn(random, [4, 2, 64, 60], [4, 1, 3, 3], { padding: 1, groups: 2 })],
    ["depthwise, one column of 3,001", drawn(random, [1, 2, 3001, 1], [2, 1, 3, 1], { groups: 2 })],
    ["one row of 3,001", drawn(random, [1, 1, 1, 3001], [2, 1, 1, 5])],
    ["one column of 3,001", drawn(random, [2, 1, 3001, 1], [2, 1, 5, 1], { stride: [2, 1] })],
  ];
  for (const [what, test] of cases) await checkAll(random, test, what);
});

conv("a batch of no images", async () => {
  const gpu = await sharedGpu();
  const x = empty(gpu, [0, 3, 5, 5]);
  const w = upload(gpu, seededRandom(1).array([4, 3, 3, 3]));
  const y = conv2d(x, w, { padding: 1 });
  assert.equal(y.shape, [0, 4, 5, 5]);
  assert.is((await y.data()).length, 0);
  assert.equal(conv2dInputGrad(y, w, { padding: 1, inputShape: x.shape }).shape, [0, 3, 5, 5]);
  const dw = conv2dWeightGrad(x, y, { padding: 1, weightShape: w.shape });
  assertExact(await download(dw), array64(w.shape));
  assertExact(await download(conv2dBiasGrad(y)), array64([4]));
});

conv("more workgroups than one row of a grid", async () => {
  const gpu = await sharedGpu();
  const channels = 70_000;
  const random = seededRandom(600);
  const [x, w] = [random.array([1, channels, 1, 1]), random.array([channels, 1, 1, 1])];
  // With a stride each channel is a workgroup of its own.
  const y = conv2d(upload(gpu, x), upload(gpu, w), { groups: channels, stride: 2 });
  assertExact(
    await y.data(),
    Float32Array.from(x.data, (value, i) => value * w.data[i]),
  );
});

conv("the same call gives the same bits, recorded or not, and a program follows its inputs", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(700);
  const [x, dy] = [random.array([4, 5, 17, 13]), random.array([4, 9, 9, 7])];
  const options = { padding: 1, stride: 2, weightShape: [9, 5, 3, 3] };
  const [tx, tdy] = [upload(gpu, x), upload(gpu, dy)];
  const first = await conv2dWeightGrad(tx, tdy, options).data();
  const program = gpu.program(() => conv2dWeightGrad(tx, tdy, options));
  assertExact(await program.result.data(), first);
  assertExact(await program.run().data(), first);
  const twice = map(x, (value) => 2 * value);
  tx.write(Float32Array.from(twice.data));
  assertExact(
    await program.run().data(),
    first.map((value: number) => 2 * value),
  );
  program.dispose();
});

conv("out is written, and refused where it is an input or has another shape", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(800);
  const square = () => upload(gpu, random.array([2, 2, 2, 2]));
  const [x, w, out] = [square(), square(), empty(gpu, [2, 2, 2, 2])];
  const options = { padding: [1, 1, 0, 0] };
  assert.is(conv2d(x, w, { ...options, out }), out);
  assertExact(await out.data(), await conv2d(x, w, options).data());
  const inputOptions = { ...options, inputShape: x.shape };
  const weightOptions = { ...options, weightShape: w.shape };
  assert.is(conv2dInputGrad(x, w, { ...inputOptions, out }), out);
  assertExact(await out.data(), await conv2dInputGrad(x, w, inputOptions).data());
  assert.is(conv2dWeightGrad(x, w, { ...weightOptions, out }), out);
  assertExact(await out.data(), await conv2dWeightGrad(x, w, weightOptions).data());
  const sums = empty(gpu, [2]);
  assert.is(conv2dBiasGrad(x, { out: sums }), sums);
  for (const shared of [x, w, x.reshape([2, 2, 2, 2])]) {
    await assertRejects(() => conv2d(x, w, { ...options, out: shared }), ShapeError, /shares its buffer/);
    await assertRejects(() => conv2dInputGrad(x, w, { ...inputOptions, out: shared }), ShapeError, /shares/);
    await assertRejects(
      () => conv2dWeightGrad(x, w, { ...weightOptions, out: shared }),
      ShapeError,
      /shares/,
    );
  }
  const wrong = empty(gpu, [2, 2, 2, 3]);
  await assertRejects(() => conv2d(x, w, { ...options, out: wrong }), ShapeError, /\[2,2,2,3\].*\[2,2,2,2\]/);
  await assertRejects(
    () => conv2dWeightGrad(x, w, { ...weightOptions, out: wrong }),
    ShapeError,
    /out has shape/,
  );
  await assertRejects(() => conv2dBiasGrad(x, { out: x }), ShapeError, /out has shape \[2,2,2,2\].*\[2\]/);
});

conv("errors name the argument, what came and what is taken", async () => {
  const gpu = await sharedGpu();
  const x = empty(gpu, [2, 4, 5, 6]);
  const w = empty(gpu, [6, 4, 3, 3]);
  const dy = empty(gpu, [2, 6, 3, 4]);
  const call = (options: Conv2dOptions) => () => conv2d(x, w, options);
  await assertRejects(
    () => conv2d(empty(gpu, [4, 5, 6]), w),
    ShapeError,
    /conv2d: x is \[4,5,6\].*batch, channels/,
  );
  await assertRejects(() => conv2d(x, empty(gpu, [6, 4])), ShapeError, /w is \[6,4\].*out, in \/ groups/);
  await assertRejects(
    () => conv2d(x, empty(gpu, [6, 3, 3, 3])),
    ShapeError,
    /x \[2,4,5,6\] has 4 channels, and 3/,
  );
  await assertRejects(() => conv2d(x, empty(gpu, [6, 4, 0, 3])), ShapeError, /kernel without elements/);
  await assertRejects(
    () => conv2d(x, empty(gpu, [6, 4, 7, 3])),
    ShapeError,
    /height 5.* less than the 7 of a kernel of 7/,
  );
  await assertRejects(
    call({ padding: 1, dilation: [1, 4] }),
    ShapeError,
    /width 6, with padding 8.* the 9 of/,
  );
  await assertRejects(call({ groups: 4 }), ShapeError, /6 filters, which groups = 4 does not divide/);
  await assertRejects(call({ groups: 2 }), ShapeError, /has 4 channels, and 8/);
  await assertRejects(call({ bias: empty(gpu, [4]) }), ShapeError, /bias has shape \[4\], and \[6\]/);
  await assertRejects(call({ stride: 0 }), ValueError, /stride is 0, and a whole number of at least 1/);
  await assertRejects(call({ stride: [1, 2, 3] }), ValueError, /stride is \[1,2,3\]/);
  await assertRejects(call({ dilation: 1.5 }), ValueError, /dilation is 1.5/);
  await assertRejects(call({ padding: -1 }), ValueError, /padding is -1/);
  await assertRejects(
    call({ padding: [1, 2, 3] }),
    ValueError,
    /padding is \[1,2,3\].*top, left, bottom, right/,
  );
  await assertRejects(call({ groups: 0 }), ValueError, /groups is 0/);
  await assertRejects(
    call({ activation: "swish" as "relu" }),
    ValueError,
    /activation is "swish", and one of relu/,
  );
  await assertRejects(call({ activation: "leakyRelu", slope: NaN }), ValueError, /slope/);
  const gradOptions = { inputShape: [2, 4, 5, 7] };
  await assertRejects(
    () => conv2dInputGrad(dy, w, gradOptions),
    ShapeError,
    /inputShape \[2,4,5,7\] and dy \[2,6,3,4\]/,
  );
  await assertRejects(
    () => conv2dInputGrad(dy, w, { inputShape: [3, 4, 5, 6] }),
    ShapeError,
    /same batch size/,
  );
  await assertRejects(
    () => conv2dInputGrad(dy, w, { inputShape: [2, 4, 30] }),
    ShapeError,
    /inputShape is \[2,4,30\]/,
  );
  await assertRejects(
    () => conv2dWeightGrad(x, dy, { weightShape: [6, 4, 3, 2] }),
    ShapeError,
    /width 6 goes with 5, not 4/,
  );
  await assertRejects(
    () => conv2dWeightGrad(x, dy, { weightShape: [5, 4, 3, 3] }),
    ShapeError,
    /dy .* 6 channels, and 5/,
  );
  await assertRejects(() => conv2dBiasGrad(empty(gpu, [2, 6])), ShapeError, /dy is \[2,6\]/);
  const counts = empty(gpu, [2, 6, 3, 4], { dtype: "u32" });
  await assertRejects(
    () => conv2dInputGrad(counts, w, { inputShape: x.shape }),
    ShapeError,
    /dy is u32, and f32/,
  );
  const gone = tensor(gpu, [[[[1]]]]);
  gone.dispose();
  await assertRejects(
    () => conv2dWeightGrad(x, gone, { weightShape: w.shape }),
    DisposedError,
    /conv2dWeightGrad: dy was/,
  );
  assert.equal(conv2dOutputShape([2, 4, 5, 6], [6, 4, 3, 3], { stride: 2, padding: [1, 0] }), [2, 6, 3, 2]);
});

conv("nothing is left behind by gradients made of parts", async () => {
  const gpu = await sharedGpu();
  const [x, dy] = [empty(gpu, [4, 2, 64, 64]), empty(gpu, [4, 3, 64, 64])];
  const before = gpu.memory();
  const dw = conv2dWeightGrad(x, dy, { weightShape: [3, 2, 3, 3], padding: 1 });
  const dbias = conv2dBiasGrad(dy);
  assert.is(gpu.memory().tensors, before.tensors + 2);
  dw.dispose();
  dbias.dispose();
  await gpu.finish();
  assert.is(gpu.memory().tensors, before.tensors);
  assert.is(gpu.memory().bytesUsed, before.bytesUsed);
});

conv.run();
