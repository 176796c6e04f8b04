import {
  checkSparseMatrix,
  chooseSparseForm,
  compressWeights,
  decompressWeights,
  DisposedError,
  empty,
  FormatError,
  type Gpu,
  maskedConv1x1,
  maskedConv1x1InputGrad,
  maskedConv1x1WeightGrad,
  maskedMatmul,
  maskedMatmulInputGrad,
  maskedMatmulWeightGrad,
  maskOf,
  ShapeError,
  type SparseForm,
  type SparseMatrix,
  type SparseWeights,
  sparseWeights,
  sparsityOf,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { blockProduct, blockWeightGrad } from "../src/ops/sparse_blocks.js";
import { unstructuredProduct } from "../src/ops/sparse_unstructured.js";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { type Random, seededRandom } from "./helpers/shapes.js";
import { upload } from "./helpers/tensors.js";
import {
  type ActivationName,
  type Array64,
  absolute,
  array64,
  matmul,
  map,
  reshape,
} from "./reference/index.js";

const sparse = suite("sparse");

const forms: { form: SparseForm; block?: [number, number] }[] = [
  { form: "masked" },
  { form: "blocks", block: [8, 8] },
  { form: "blocks", block: [4, 8] },
  { form: "unstructured" },
];

/** Random weights of which a share of `density` is kept, in whole rows or columns too. */
function sparseCase(random: Random, inputs: number, outputs: number, density: number) {
  const weights = random.array([inputs, outputs]);
  const mask = new Uint8Array(inputs * outputs);
  const emptyInput = random.integer(0, inputs - 1);
  const emptyOutput = random.integer(0, outputs - 1);
  for (let at = 0; at < mask.length; at++) {
    const inEmpty = Math.floor(at / outputs) === emptyInput || at % outputs === emptyOutput;
    mask[at] = random.uniform() < density && (density === 1 || !inEmpty) ? 1 : 0;
  }
  const kept = array64(
    [inputs, outputs],
    weights.data.map((w, at) => w * mask[at]),
  );
  return { weights, mask, kept };
}

/** The gradient of [inputs][outputs] weights put where `values` has them, to compare with what an op gives. */
async function placed(weights: SparseWeights, gradient: Float32Array): Promise<Float32Array> {
  const copy = sparseWeights(weights.values.gpu, await weights.toMatrix());
  copy.values.write(gradient);
  const dense = await copy.toDense();
  copy.dispose();
  return dense;
}

interface Call {
  readonly activation?: ActivationName & ("relu" | "leakyRelu" | "tanh" | "sigmoid");
  readonly slope?: number;
  readonly withBias?: boolean;
}

/** Forward and both gradients of one layer against dense float64 products with zeros in the weights. */
async function checkRows(
  gpu: Gpu,
  random: Random,
  layer: ReturnType<typeof sparseCase>,
  weights: SparseWeights,
  rows: number,
  { activation, slope, withBias }: Call,
  what: string,
): Promise<void> {
  const [inputs, outputs] = layer.kept.shape;
  const x = random.array([rows, inputs]);
  const dy = random.array([rows, outputs]);
  const bias = withBias ? random.array([outputs]) : undefined;
  const [tx, tdy, tbias] = [x, dy, bias].map((array) => array && upload(gpu, array));
  const y = maskedMatmul(tx!, weights, { bias: tbias, activation, slope });
  const dx = maskedMatmulInputGrad(tdy!, weights);
  const dw = maskedMatmulWeightGrad(tx!, tdy!, weights);
  const large = matmul(absolute(x), absolute(layer.kept), { bias: bias && absolute(bias) });
  assert.equal([...y.shape], [rows, outputs], what);
  assertClose(await y.data(), matmul(x, layer.kept, { bias, activation, slope }), {
    what: `${what}: y`,
    absolute: activation ? undefined : large,
  });
  assertClose(await dx.data(), matmul(dy, layer.kept, { transposeB: true }), {
    what: `${what}: dx`,
    absolute: matmul(absolute(dy), absolute(layer.kept), { transposeB: true }),
  });
  const whole = matmul(x, dy, { transposeA: true });
  const gradient = (await dw.data()) as Float32Array;
  assertClose(
    await placed(weights, gradient),
    whole.data.map((g, at) => g * layer.mask[at]),
    {
      what: `${what}: dW`,
      absolute: matmul(absolute(x), absolute(dy), { transposeA: true }),
    },
  );
  const matrix = await weights.toMatrix();
  const stored = weights.form === "unstructured" ? matrix.values.length : gradient.length;
  assert.ok(
    gradient.filter((g) => g !== 0).length <= Math.min(stored, sum(layer.mask)),
    `${what}: gradient only where weights are kept`,
  );
  for (const t of [tx, tdy, tbias, y, dx, dw]) t?.dispose();
}

const sum = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((total, value) => total + value, 0);

sparse("random layers in every form", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(31);
  const calls: Call[] = [{}, { withBias: true, activation: "leakyRelu", slope: 0.3 }];
  for (let i = 0; i < 8; i++) {
    const [inputs, outputs] = random.shape(2, 65);
    const rows = random.pick([1, 37, 61]);
    const density = random.pick([0.05, 0.1, 0.5, 0.9]);
    const layer = sparseCase(random, inputs, outputs, density);
    for (const { form, block } of forms) {
      const weights = sparseWeights(gpu, layer.weights.data, [inputs, outputs], {
        form,
        block,
        mask: layer.mask,
      });
      assert.is(weights.sparsity, 1 - sum(layer.mask) / layer.mask.length);
      const what = `${form} ${block ?? ""} ${rows} × ${inputs} → ${outputs}, density ${density}`;
      await checkRows(gpu, random, layer, weights, rows, calls[i % calls.length], what);
      weights.dispose();
    }
  }
});

sparse("nothing kept, everything kept, and sizes of 1", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(32);
  for (const [rows, inputs, outputs] of [
    [1, 1, 1],
    [5, 1, 17],
    [3, 19, 1],
    [33, 24, 40],
  ]) {
    for (const density of [0, 1]) {
      const layer = sparseCase(random, inputs, outputs, density);
      for (const { form, block } of forms) {
        const weights = sparseWeights(gpu, layer.weights.data, [inputs, outputs], {
          form,
          block,
          mask: layer.mask,
        });
        const what = `${form} ${block ?? ""} ${rows} × ${inputs} → ${outputs}, density ${density}`;
        await checkRows(gpu, random, layer, weights, rows, { withBias: true, activation: "leakyRelu" }, what);
        weights.dispose();
      }
    }
  }
});

sparse("every kernel and tile, those of other adapters too", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(33);
  const lanes = gpu.device.features.has("subgroups") ? (gpu.device.adapterInfo?.subgroupMinSize ?? 0) : 0;
  const [rows, inputs, outputs] = [37, 44, 52];
  const layer = sparseCase(random, inputs, outputs, 0.2);
  const x = random.array([rows, inputs]);
  const dy = random.array([rows, outputs]);
  const [tx, tdy] = [upload(gpu, x), upload(gpu, dy)];
  const view = { channelsFirst: false, images: 1, plane: rows };
  const weights = sparseWeights(gpu, layer.weights.data, [inputs, outputs], {
    form: "blocks",
    block: [16, 16],
    mask: layer.mask,
  });
  const index = weights.blocks!;
  for (const [kernel, tile, width, group, activation] of [
    ["register_tile", 4, 4, 64, "relu"],
    ["register_tile", 8, 8, 8, "tanh"],
    ["subgroup", 8, 16, lanes, "sigmoid"],
    ["subgroup", 4, 4, lanes, "tanh"],
  ] as const) {
    if (kernel === "subgroup" && ![4, 8, 16].includes(lanes)) continue;
    const plan = { kernel, tile, width, group };
    const y = blockProduct(tx, weights.values, index, view, { shape: [rows, outputs], activation }, plan);
    assertClose(await y.data(), matmul(x, layer.kept, { activation }), {
      what: `${kernel} ${tile} × ${width}`,
    });
    const dx = blockProduct(
      tdy,
      weights.values,
      index,
      view,
      { shape: [rows, inputs], transpose: true },
      plan,
    );
    assertClose(await dx.data(), matmul(dy, layer.kept, { transposeB: true }), {
      what: `${kernel} ${tile} × ${width}, transposed`,
    });
  }
  const whole = matmul(x, dy, { transposeA: true });
  const gradient = whole.data.map((g, at) => g * layer.mask[at]);
  const { mask, values } = weights;
  for (const part of [
    [4, 4],
    [8, 8],
  ] as const) {
    const dw = blockWeightGrad(tx, tdy, index, view, { mask, shape: values.shape }, part);
    assertClose(await placed(weights, (await dw.data()) as Float32Array), gradient, { what: `part ${part}` });
  }
  const listed = sparseWeights(gpu, layer.weights.data, [inputs, outputs], {
    form: "unstructured",
    mask: layer.mask,
  });
  const small = { tile: 4, group: 32 };
  const y = unstructuredProduct(tx, listed.values, listed.lists!, view, { shape: [rows, outputs] }, small);
  assertClose(await y.data(), matmul(x, layer.kept), { what: "unstructured, small tiles" });
  listed.dispose();
  weights.dispose();
});

/** Rows [images · plane, channels] of a tensor with the channels first. */
function toRows({ shape, data }: Array64): Array64 {
  const [images, channels] = shape;
  const plane = data.length / (images * channels);
  const rows = array64([images * plane, channels]);
  for (let at = 0; at < data.length; at++) {
    const [image, channel, pixel] = [
      Math.floor(at / (channels * plane)),
      Math.floor(at / plane) % channels,
      at % plane,
    ];
    rows.data[(image * plane + pixel) * channels + channel] = data[at];
  }
  return rows;
}

sparse("1 × 1 convolutions in every form", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(34);
  for (const [images, inputs, outputs, height, width] of [
    [2, 12, 20, 7, 7],
    [3, 9, 33, 5, 4],
  ]) {
    const layer = sparseCase(random, inputs, outputs, 0.3);
    const x = random.array([images, inputs, height, width]);
    const dy = random.array([images, outputs, height, width]);
    const bias = random.array([outputs]);
    const [tx, tdy, tbias] = [x, dy, bias].map((array) => upload(gpu, array));
    for (const { form, block } of forms) {
      const what = `${form} ${block ?? ""} [${x.shape}] → ${outputs}`;
      const weights = sparseWeights(gpu, layer.weights.data, [inputs, outputs], {
        form,
        block,
        mask: layer.mask,
      });
      const y = maskedConv1x1(tx, weights, { bias: tbias, activation: "leakyRelu", slope: 0.2 });
      assert.equal([...y.shape], [images, outputs, height, width], what);
      const expected = matmul(toRows(x), layer.kept, { bias, activation: "leakyRelu", slope: 0.2 });
      assertClose(toRows(array64(dy.shape, await y.data())), expected, { what: `${what}: y` });
      const dx = maskedConv1x1InputGrad(tdy, weights);
      const back = matmul(toRows(dy), layer.kept, { transposeB: true });
      assertClose(toRows(array64(x.shape, await dx.data())), back, { what: `${what}: dx` });
      const dw = maskedConv1x1WeightGrad(tx, tdy, weights);
      const whole = matmul(toRows(x), toRows(dy), { transposeA: true });
      assertClose(
        await placed(weights, (await dw.data()) as Float32Array),
        whole.data.map((g, at) => g * layer.mask[at]),
        { what: `${what}: dW` },
      );
      for (const t of [y, dx, dw]) t.dispose();
      weights.dispose();
    }
  }
});

sparse("leading dimensions, out, and the same bits at every call", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(35);
  const layer = sparseCase(random, 18, 23, 0.3);
  const x = random.array([2, 3, 5, 18]);
  const tx = upload(gpu, x);
  const dy = upload(gpu, random.array([2, 3, 5, 23]));
  for (const { form, block } of forms) {
    const weights = sparseWeights(gpu, layer.weights.data, [18, 23], { form, block, mask: layer.mask });
    const out = empty(gpu, [2, 3, 5, 23]);
    assert.is(maskedMatmul(tx, weights, { out }), out);
    assertClose(await out.data(), matmul(reshape(x, [30, 18]), layer.kept).data);
    assertExact(await maskedMatmul(tx, weights).data(), await out.data(), `${form}: y`);
    const first = await maskedMatmulWeightGrad(tx, dy, weights).data();
    assertExact(await maskedMatmulWeightGrad(tx, dy, weights).data(), first, `${form}: dW`);
    const dx = await maskedMatmulInputGrad(dy, weights).data();
    assertExact(
      await maskedMatmulInputGrad(dy, weights, { out: empty(gpu, x.shape) }).data(),
      dx,
      `${form}: dx`,
    );
    weights.dispose();
  }
});

sparse("every activation of the unstructured form", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(41);
  const layer = sparseCase(random, 9, 6, 0.5);
  const [x, bias] = [random.array([5, 9]), random.array([6])];
  const [tx, tbias] = [upload(gpu, x), upload(gpu, bias)];
  const weights = sparseWeights(gpu, layer.weights.data, [9, 6], { form: "unstructured", mask: layer.mask });
  for (const activation of ["relu", "leakyRelu", "tanh", "sigmoid"] as const) {
    const y = maskedMatmul(tx, weights, { bias: tbias, activation });
    assertClose(await y.data(), matmul(x, layer.kept, { bias, activation }), { what: activation });
  }
  weights.dispose();
});

sparse("in a program, leaving nothing behind", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(36);
  const layer = sparseCase(random, 22, 30, 0.3);
  for (const { form, block } of forms) {
    const before = gpu.memory().tensors;
    const weights = sparseWeights(gpu, layer.weights.data, [22, 30], { form, block, mask: layer.mask });
    const x = zeros(gpu, [6, 22]);
    const step = gpu.program(() => {
      const y = maskedMatmul(x, weights);
      return { y, dx: maskedMatmulInputGrad(y, weights), dw: maskedMatmulWeightGrad(x, y, weights) };
    });
    const values = random.array([6, 22]);
    x.write(Float32Array.from(values.data));
    step.run();
    const y = matmul(values, layer.kept);
    assertClose(await step.result.y.data(), y, { what: form });
    assertClose(await step.result.dx.data(), matmul(y, layer.kept, { transposeB: true }), { what: form });
    step.dispose();
    for (const t of [x, weights, ...Object.values(step.result)]) t.dispose();
    assert.is(gpu.memory().tensors, before, form);
  }
});

sparse("more rows than one dimension of workgroups takes", async () => {
  const gpu = await sharedGpu();
  const rows = 70_000;
  const x = zeros(gpu, [rows, 8]);
  const data = new Float32Array(rows * 8);
  data.fill(1, 8 * (rows - 1));
  x.write(data);
  const outputs = 64;
  const weights = Float32Array.from({ length: 8 * outputs }, (_, at) => at % outputs);
  for (const { form, block } of forms.slice(1)) {
    const w = sparseWeights(gpu, weights, [8, outputs], { form, block });
    const y = maskedMatmul(x, w);
    const result = await y.data();
    assertExact(
      result.slice((rows - 1) * outputs),
      Float32Array.from({ length: outputs }, (_, at) => 8 * at),
      form,
    );
    assert.is(
      result.subarray(0, (rows - 1) * outputs).every((value) => value === 0),
      true,
    );
    y.dispose();
    w.dispose();
  }
  x.dispose();
});

sparse("what is kept: by mask, threshold, share, or what is not zero", () => {
  const random = seededRandom(37);
  const weights = random.array([20, 30]).data;
  for (const form of ["masked", "unstructured"] as const) {
    const half = compressWeights(weights, [20, 30], { form, sparsity: 0.9 });
    assert.is(sum(maskOf(half)), 60);
    assert.is(sparsityOf(half), 1 - 60 / 600);
    const limit = Math.min(
      ...decompressWeights(half)
        .filter((w) => w !== 0)
        .map(Math.abs),
    );
    assert.ok(weights.every((w, at) => Math.abs(w) >= limit === (maskOf(half)[at] === 1)));
    const above = compressWeights(weights, [20, 30], { form, threshold: 0.5 });
    assert.equal([...maskOf(above)], [...weights.map((w) => (Math.abs(w) >= 0.5 ? 1 : 0))]);
  }
  const ties = compressWeights(new Float32Array(12).fill(2), [3, 4], { form: "masked", sparsity: 0.5 });
  assert.equal([...maskOf(ties)], [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
  const zeroed = weights.map((w, at) => (at % 7 ? 0 : w));
  for (const { form, block } of forms) {
    const matrix = compressWeights(zeroed, [20, 30], { form, block });
    assertExact(decompressWeights(matrix), Float32Array.from(zeroed), form);
    assert.is(sparsityOf(matrix), 1 - Math.ceil(600 / 7) / 600);
    const booleans = Array.from(zeroed, (w) => w !== 0);
    assert.equal(compressWeights(weights, [20, 30], { form, block, mask: booleans }), matrix);
  }
});

sparse("blocks are dropped as a whole, those at the edge by their own weights", () => {
  const weights = new Float32Array(10 * 9).fill(0.1);
  weights[9 * 9 + 8] = 3;
  weights[0] = 2;
  const matrix = compressWeights(weights, [10, 9], { form: "blocks", block: [4, 4], sparsity: 7 / 9 });
  assert.equal([...matrix.rows], [0, 2]);
  assert.equal([...matrix.starts], [0, 1, 1, 2]);
  assert.is(sum(maskOf(matrix)), 16 + 2);
  assert.is(sparsityOf(matrix), 1 - 18 / 90);
  const dense = decompressWeights(matrix);
  assert.is(dense[89], 3);
  assert.is(dense[80], Math.fround(0.1));
  assert.is(dense[4], 0);
});

sparse("stored and read again", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(38);
  const layer = sparseCase(random, 13, 21, 0.4);
  for (const { form, block } of forms) {
    const weights = sparseWeights(gpu, layer.weights.data, [13, 21], { form, block, mask: layer.mask });
    const matrix = await weights.toMatrix();
    const text = JSON.stringify(matrix, (_, value) =>
      ArrayBuffer.isView(value) ? [...(value as Uint8Array)] : value,
    );
    const read = JSON.parse(text);
    const again = sparseWeights(gpu, {
      ...read,
      values: Float32Array.from(read.values),
      rows: Uint32Array.from(read.rows),
      starts: Uint32Array.from(read.starts),
      ...(read.mask ? { mask: Uint8Array.from(read.mask) } : {}),
    });
    assertExact(await again.toDense(), Float32Array.from(layer.kept.data), form);
    assert.equal(await again.toMatrix(), matrix);
    weights.values.write(map(array64([weights.values.size], await weights.values.data()), (w) => 2 * w).data);
    assertExact(
      await weights.toDense(),
      Float32Array.from(layer.kept.data, (w) => 2 * w),
      `${form}, trained`,
    );
    weights.dispose();
    again.dispose();
  }
});

sparse("the form is chosen by what it costs", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(39);
  const shape = [64, 64] as const;
  const weights = random.array([64, 64]).data;
  const costs = { blocks: { "8×8": 2 }, unstructured: 5 };
  const chosen = (mask: ArrayLike<number>): SparseMatrix =>
    chooseSparseForm(gpu, weights, shape, { mask }, costs);
  const blocky = weights.map((_, at) => ((at >> 9) % 4 === 0 && ((at >> 3) & 7) % 2 === 0 ? 1 : 0));
  assert.is(chosen(blocky).form, "blocks");
  assert.is(chosen(weights.map((_, at) => (at % 17 === 0 ? 1 : 0))).form, "unstructured");
  assert.is(chosen(weights.map((_, at) => (at % 3 === 0 ? 1 : 0))).form, "masked");
  const own = sparseWeights(gpu, weights, shape, { mask: new Uint8Array(64 * 64) });
  assert.is(own.sparsity, 1);
  assert.is.not(own.form, "masked");
  own.dispose();
});

sparse("errors name what is wrong", async () => {
  const gpu = await sharedGpu();
  const w = new Float32Array(48).fill(1);
  const form = "unstructured";
  const rejects = (run: () => unknown, kind: typeof ShapeError, message: RegExp) =>
    assertRejects(run, kind, message);
  await rejects(() => compressWeights(w, [8, 8], { form }), ShapeError, /48 weights.*takes 64/);
  await rejects(() => compressWeights(w, [0, 8], { form }), ShapeError, /at least 1/);
  await rejects(() => compressWeights([...w.slice(1), NaN], [6, 8], { form }), ValueError, /NaN at index 47/);
  await rejects(() => compressWeights(w, [6, 8], { form, sparsity: 1.2 }), ValueError, /sparsity 1.2/);
  await rejects(() => compressWeights(w, [6, 8], { form, sparsity: NaN }), ValueError, /sparsity NaN/);
  await rejects(() => compressWeights(w, [6, 8], { form, threshold: -1 }), ValueError, /threshold -1/);
  await rejects(
    () => compressWeights(w, [6, 8], { form, threshold: 1, sparsity: 0 }),
    ValueError,
    /give one of/,
  );
  await rejects(() => compressWeights(w, [6, 8], { form, mask: [1] }), ShapeError, /mask has 1 entries/);
  await rejects(
    () => compressWeights(w, [6, 8], { form: "blocks", block: [6, 8] }),
    ValueError,
    /block \[6,8\]/,
  );
  await rejects(
    () => compressWeights(w, [6, 8], { form: "csr" as SparseForm }),
    ValueError,
    /"csr" is not known/,
  );

  const matrix = compressWeights(w, [6, 8], { form: "blocks", block: [4, 8] });
  assert.is(checkSparseMatrix(matrix), matrix);
  for (const [change, message] of [
    [{ values: matrix.values.slice(1) }, /63 values, and 64/],
    [{ rows: Uint32Array.of(0, 2) }, /row 2 at 1/],
    [{ rows: Uint32Array.of(1, 1) }, /rows do not rise/],
    [{ starts: Uint32Array.of(0, 1) }, /starts must lead/],
    [{ mask: undefined }, /past the edge/],
    [{ form: "masked" }, /\[4,8\] is taken by/],
    [{ values: matrix.values.map(() => NaN) }, /not finite/],
    [{ mask: new Uint8Array(64) }, /is not 0 where the mask is/],
  ] as [Partial<SparseMatrix>, RegExp][]) {
    await assertRejects(() => sparseWeights(gpu, { ...matrix, ...change }), FormatError, message);
  }

  const weights = sparseWeights(gpu, w, [6, 8], { form: "blocks" });
  const [x, dy] = [zeros(gpu, [3, 6]), zeros(gpu, [3, 8])];
  await rejects(() => maskedMatmul(dy, weights), ShapeError, /x has shape \[3,8\], and \[..., 6\]/);
  await rejects(() => maskedMatmulInputGrad(x, weights), ShapeError, /dy has shape \[3,6\]/);
  await rejects(() => maskedMatmulWeightGrad(zeros(gpu, [2, 6]), dy, weights), ShapeError, /2 rows.*dy 3/);
  await rejects(
    () => maskedMatmul(x, weights, { bias: zeros(gpu, [6]) }),
    ShapeError,
    /bias has shape \[6\]/,
  );
  await rejects(
    () => maskedMatmul(x, weights, { out: zeros(gpu, [3, 6]) }),
    ShapeError,
    /out has shape \[3,6\]/,
  );
  await rejects(() => maskedConv1x1(x, weights), ShapeError, /\[images, 6, height, width\]/);
  await rejects(() => maskedMatmul(zeros(gpu, [3, 6], { dtype: "u32" }), weights), ShapeError, /u32/);
  const square = sparseWeights(gpu, new Float32Array(36).fill(1), [6, 6], { form: "unstructured" });
  await rejects(() => maskedMatmul(x, square, { out: x }), ShapeError, /out shares its buffer with x/);
  square.dispose();
  square.dispose();
  await rejects(() => maskedMatmul(x, square), DisposedError, /disposed/);
  weights.dispose();
});

sparse.run();
