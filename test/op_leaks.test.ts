/**
 * Every op gives back what it makes for itself, also when it throws, and can be recorded in a program. Nothing is
 * compiled or run here: what an op allocates is decided when it is recorded.
 */
import * as handgrad from "handgrad";
import { empty, type Gpu, ShapeError, sparseWeights, Tensor } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { intercept, withGpu } from "./helpers/core.js";

const leaks = suite("what ops leave behind");

const {
  activate,
  activationGrad,
  relu,
  geluGrad,
  add,
  mul,
  pow,
  greater,
  addScaled,
  broadcastTo,
  where,
  clamp,
  exp,
  gaussianBlur,
  gaussianBlurGrad,
  resizeBilinear,
  resizeBilinearGrad,
  clipGradientNorm,
  clipGradientValue,
  concat,
  concatGrad,
  slice,
  sliceGrad,
  pad,
  padGrad,
  transpose,
  transposeGrad,
  gatherRows,
  gatherRowsGrad,
  conv2d,
  conv2dInputGrad,
  conv2dWeightGrad,
  conv2dBiasGrad,
  convTranspose2d,
  convTranspose2dInputGrad,
  convTranspose2dWeightGrad,
  maxPool2d,
  maxPool2dGrad,
  avgPool2d,
  avgPool2dGrad,
  globalAvgPool2d,
  globalAvgPool2dGrad,
  batchNorm,
  batchNormGrad,
  batchNormEvalGrad,
  batchNormEvalInputGrad,
  softmax,
  logSoftmax,
  softmaxGrad,
  logSoftmaxGrad,
  softmaxCrossEntropy,
  bceWithLogits,
  meanSquaredError,
  correctCount,
  sum,
  mean,
  max,
  min,
  argmax,
  argmin,
  norm,
  variance,
  reduceToShape,
  sort,
  argsort,
  topK,
  topKGrad,
  randomUniform,
  randomNormal,
  bernoulli,
  dropoutMask,
  randomPermutation,
  dropout,
  dropoutGrad,
  advance,
  matmul,
  toF16,
  toF32,
  sgd,
  adam,
  adamW,
  advanceSchedule,
  maskedMatmul,
  maskedMatmulInputGrad,
  maskedMatmulWeightGrad,
  full,
  fill,
  zeros,
  copy,
} = handgrad;

type Out = Tensor | undefined;
/** What an op returns: tensors, or what holds them. */
type Op = (out?: Out) => unknown;

/** Calls of all ops on a device, on shapes that take their several ways; with `out` where an op has one output. */
function calls(gpu: Gpu): Record<string, Op> {
  const inputs = new Map<string, Tensor>();
  /** The input of this shape, the same one at every call. */
  const input = (dtype: "f32" | "u32" | "f16", shape: number[], which = ""): Tensor => {
    const key = `${dtype} ${shape} ${which}`;
    const known = inputs.get(key) ?? empty(gpu, shape, { dtype });
    inputs.set(key, known);
    return known;
  };
  const t = (...shape: number[]) => input("f32", shape);
  const u = (...shape: number[]) => input("u32", shape);
  const [x, row, odd, scalar] = [t(6, 8), t(8), t(5, 7), t(1)];
  const [y, first, second] = ["y", "first", "second"].map((which) => input("f32", [6, 8], which));
  const [images, filters, dy] = [t(2, 4, 9, 10), t(6, 4, 3, 3), t(2, 6, 7, 8)];
  const [wide, narrow, long, many] = [t(2, 16, 12, 12), t(16, 16, 1, 1), t(3, 5000), t(70_000)];
  const [labels, indices, counter] = [u(6), u(6, 3), u(1)];
  const [gamma, beta, average, spread] = ["a", "b", "c", "d"].map((which) => input("f32", [4], which));
  const pool = { kernel: 2 };
  const maxed = { y: t(2, 4, 4, 5), argmax: u(2, 4, 4, 5) };
  const values = new Float32Array(48).map((_, i) => (i % 3 ? 0 : i + 1));
  const sparse = (["masked", "blocks", "unstructured"] as const).map((form) =>
    sparseWeights(gpu, values, [8, 6], { form, sparsity: 0.5 }),
  );
  const table: Record<string, Op> = {
    add: (out) => add(x, y, { out }),
    "add, broadcast": (out) => add(x, row, { out }),
    "mul by a number": (out) => mul(x, 3, { out }),
    pow: (out) => pow(x, 2, { out }),
    greater: (out) => greater(x, y, { out }),
    addScaled: (out) => addScaled(x, y, 0.5, { out }),
    broadcastTo: () => broadcastTo(row, [6, 8]),
    where: (out) => where(first, x, y, { out }),
    clamp: (out) => clamp(x, 0, 1, { out }),
    exp: (out) => exp(odd, { out }),
    relu: (out) => relu(x, { out }),
    activate: (out) => activate(x, "gelu", { out }),
    geluGrad: (out) => geluGrad(y, x, { out }),
    activationGrad: () => activationGrad(y, x, "tanh"),
    transpose: (out) => transpose(x, undefined, { out }),
    "transpose, four axes": (out) => transpose(images, [3, 0, 2, 1], { out }),
    transposeGrad: () => transposeGrad(images, [3, 0, 2, 1]),
    concat: (out) => concat([x, y], 1, { out }),
    concatGrad: () => concatGrad(x, 1, [3, 5]),
    slice: (out) => slice(x, [1, 2], [4, 8], { out }),
    sliceGrad: (out) => sliceGrad(t(3, 6), [1, 2], { inputShape: [6, 8], out }),
    pad: (out) => pad(x, [1, 2], [0, 3], { out }),
    padGrad: (out) => padGrad(t(7, 13), [1, 2], { inputShape: [6, 8], out }),
    gatherRows: (out) => gatherRows(x, labels, { out }),
    gatherRowsGrad: (out) => gatherRowsGrad(x, labels, { inputShape: [10, 8], out }),
    "gatherRowsGrad, many rows": () => gatherRowsGrad(t(40, 8), u(40), { inputShape: [10, 8] }),
    matmul: (out) => matmul(x, t(8, 12), { bias: t(12), activation: "relu", out }),
    "matmul, b f16": (out) => matmul(x, input("f16", [8, 12]), { out }),
    toF16: (out) => toF16(odd, { out }),
    toF32: (out) => toF32(input("f16", [5, 7]), { out }),
    "matmul, odd": (out) => matmul(odd, t(7, 3), { out }),
    "matmul, deep": () => matmul(t(4, 20_000), t(20_000, 4)),
    "matmul, transposed": () => matmul(x, y, { transposeA: true }),
    "matmul, batched": () => matmul(t(3, 5, 7), t(3, 7, 9)),
    conv2d: (out) => conv2d(images, filters, { bias: t(6), activation: "relu", out }),
    "conv2d, 1 × 1": (out) => conv2d(wide, narrow, { out }),
    "conv2d, large": () => conv2d(wide, t(32, 16, 3, 3), { padding: 1 }),
    "conv2d, groups": () =>
      conv2d(images, t(8, 2, 3, 3), { groups: 2, stride: 2, dilation: 2, padding: [1, 0, 2, 1] }),
    conv2dInputGrad: (out) => conv2dInputGrad(dy, filters, { inputShape: images.shape, out }),
    "conv2dInputGrad, large": () =>
      conv2dInputGrad(t(2, 32, 12, 12), t(32, 16, 3, 3), { padding: 1, inputShape: wide.shape }),
    conv2dWeightGrad: (out) => conv2dWeightGrad(images, dy, { weightShape: filters.shape, out }),
    "conv2dWeightGrad, large": () =>
      conv2dWeightGrad(wide, t(2, 32, 12, 12), { padding: 1, weightShape: [32, 16, 3, 3] }),
    conv2dBiasGrad: (out) => conv2dBiasGrad(dy, { out }),
    convTranspose2d: (out) => convTranspose2d(dy, filters, { bias: t(4), out }),
    convTranspose2dInputGrad: () => convTranspose2dInputGrad(images, filters, { inputShape: dy.shape }),
    convTranspose2dWeightGrad: () => convTranspose2dWeightGrad(dy, images, { weightShape: filters.shape }),
    maxPool2d: () => maxPool2d(images, pool),
    maxPool2dGrad: (out) => maxPool2dGrad(maxed.y, maxed.argmax, { ...pool, inputShape: images.shape, out }),
    avgPool2d: (out) => avgPool2d(images, { ...pool, out }),
    avgPool2dGrad: (out) => avgPool2dGrad(maxed.y, { ...pool, inputShape: images.shape, out }),
    globalAvgPool2d: (out) => globalAvgPool2d(images, { out }),
    globalAvgPool2dGrad: (out) => globalAvgPool2dGrad(t(2, 4), { inputShape: images.shape, out }),
    batchNorm: () =>
      batchNorm(images, gamma, beta, { training: true, runningMean: average, runningVar: spread }),
    "batchNorm, eval": () =>
      batchNorm(images, gamma, beta, { training: false, runningMean: average, runningVar: spread }),
    batchNormGrad: () => batchNormGrad(images, images, gamma, { mean: average, invStd: spread }),
    batchNormEvalGrad: () =>
      batchNormEvalGrad(images, images, gamma, { runningMean: average, runningVar: spread }),
    batchNormEvalInputGrad: (out) => batchNormEvalInputGrad(images, gamma, { runningVar: spread }, { out }),
    softmax: (out) => softmax(x, { out }),
    "softmax, long rows": (out) => softmax(long, { out }),
    "softmax, first axis": () => softmax(x, { axis: 0 }),
    logSoftmax: (out) => logSoftmax(long, { out }),
    softmaxGrad: (out) => softmaxGrad(long, long, { out }),
    logSoftmaxGrad: (out) => logSoftmaxGrad(x, y, { out }),
    softmaxCrossEntropy: () => softmaxCrossEntropy(x, labels),
    "softmaxCrossEntropy, long rows": () => softmaxCrossEntropy(long, u(3)),
    bceWithLogits: () => bceWithLogits(x, y),
    meanSquaredError: () => meanSquaredError(x, y),
    correctCount: (out) => correctCount(x, labels, { out }),
    sum: (out) => sum(x, { out }),
    "sum, many": (out) => sum(many, { out }),
    mean: (out) => mean(images, { axes: [0, 2], out }),
    max: (out) => max(many, { out }),
    min: () => min(x, { axes: [0], keepDims: true }),
    argmax: (out) => argmax(long, { axes: [1], out }),
    argmin: () => argmin(many),
    norm: (out) => norm(many, { out }),
    variance: (out) => variance(many, { out }),
    reduceToShape: (out) => reduceToShape(x, [8], { out }),
    sort: () => sort(x),
    "sort, long rows": () => sort(long, { descending: true }),
    argsort: (out) => argsort(many, { out }),
    topK: () => topK(long, 5),
    topKGrad: (out) => topKGrad(t(6, 3), indices, { inputShape: [6, 8], out }),
    randomUniform: (out) => randomUniform(gpu, [6, 8], { seed: 1, out }),
    randomNormal: (out) => randomNormal(gpu, [5, 7], { seed: 1, out }),
    bernoulli: (out) => bernoulli(gpu, [5], { probability: 0.5, seed: 1, out }),
    dropoutMask: (out) => dropoutMask(gpu, [5], { rate: 0.5, seed: 1, out }),
    randomPermutation: (out) => randomPermutation(gpu, 1000, { seed: 1, out }),
    dropout: () => dropout(x, { rate: 0.5, seed: 1, counter }),
    dropoutGrad: (out) => dropoutGrad(x, y, { out }),
    advance: () => void advance(counter),
    gaussianBlur: (out) => gaussianBlur(images, { sigma: 1, out }),
    gaussianBlurGrad: (out) => gaussianBlurGrad(images, { sigma: 1, out }),
    resizeBilinear: (out) => resizeBilinear(images, [5, 6], { out }),
    resizeBilinearGrad: (out) => resizeBilinearGrad(t(2, 4, 5, 6), { inputShape: images.shape, out }),
    clipGradientNorm: () => clipGradientNorm([x, y], 1),
    clipGradientValue: () => void clipGradientValue([x, y], 1),
    sgd: () => void sgd(x, y, { learningRate: 0.1 }),
    adam: () => void adam(x, y, { learningRate: 0.1, first, second, step: counter }),
    adamW: () => void adamW(x, y, { learningRate: scalar, first, second, step: counter }),
    advanceSchedule: () =>
      void advanceSchedule(counter, scalar, { kind: "cosine", learningRate: 0.1, steps: 9 }),
    full: () => full(gpu, [3, 4], 2),
    fill: () => void fill(x, 2),
    zeros: () => zeros(gpu, [3, 4]),
    copy: (out) => copy(x, { out }),
  };
  for (const weights of sparse) {
    table[`maskedMatmul, ${weights.form}`] = (out) => maskedMatmul(x, weights, { out });
    table[`maskedMatmulInputGrad, ${weights.form}`] = (out) =>
      maskedMatmulInputGrad(t(6, 6), weights, { out });
    table[`maskedMatmulWeightGrad, ${weights.form}`] = () => maskedMatmulWeightGrad(x, t(6, 6), weights);
  }
  return table;
}

/** The tensors of a result, as an op's caller sees them. */
function tensorsOf(result: unknown): Tensor[] {
  if (result instanceof Tensor) return [result];
  return typeof result === "object" && result !== null ? Object.values(result).flatMap(tensorsOf) : [];
}

/** A Gpu on which nothing is ever compiled, so that nothing is ever run. */
function withoutRunning(body: (gpu: Gpu, table: Record<string, Op>) => void): Promise<void> {
  return withGpu((gpu) => {
    const restore = intercept(gpu.device, "createComputePipelineAsync", () => () => new Promise(() => {}));
    try {
      body(gpu, calls(gpu));
    } finally {
      restore();
    }
  });
}

const held = (gpu: Gpu) => [gpu.memory().tensors, gpu.memory().bytesUsed];

/** Tries every op and tells which ones `check` throws for, and what. */
async function failuresOf(check: (gpu: Gpu, op: Op) => void, wanted: (op: Op) => boolean): Promise<string[]> {
  const failures: string[] = [];
  await withoutRunning((gpu, table) => {
    for (const [name, op] of Object.entries(table).filter(([, op]) => wanted(op))) {
      for (const result of tensorsOf(op())) result.dispose(); // makes the inputs
      const before = held(gpu);
      try {
        check(gpu, op);
        assert.equal(held(gpu), before);
      } catch (error) {
        failures.push(`${name}: ${(error as Error).message}`);
      }
    }
  });
  return failures;
}

const takesOut = (op: Op) => op.length > 0;

leaks("an op leaves its results and nothing else", async () => {
  const check = (gpu: Gpu, op: Op) => {
    const { tensors } = gpu.memory();
    const results = tensorsOf(op());
    const made = gpu.memory().tensors - tensors;
    for (const result of results) result.dispose();
    assert.is(made, results.length);
  };
  assert.equal(await failuresOf(check, () => true), []);
});

leaks("an op that is given a wrong out throws and leaves nothing", async () => {
  const check = (gpu: Gpu, op: Op) => {
    for (const dtype of ["f32", "u32", "f16"] as const) {
      const out = empty(gpu, [1, 1, 3, 1, 1, 11], { dtype });
      const before = held(gpu);
      assert.throws(
        () => op(out),
        (error: Error) => error instanceof ShapeError,
      );
      assert.equal(held(gpu), before);
      out.dispose();
    }
  };
  assert.equal(await failuresOf(check, takesOut), []);
});

leaks("an op that is given a right out returns it", async () => {
  const check = (gpu: Gpu, op: Op) => {
    const [out] = tensorsOf(op());
    const before = held(gpu);
    assert.is(op(out), out);
    assert.equal(held(gpu), before);
    out.dispose();
  };
  assert.equal(await failuresOf(check, takesOut), []);
});

leaks("an op can be recorded in a program, which gives everything back", async () => {
  const check = (gpu: Gpu, op: Op) => gpu.program(() => op()).dispose();
  assert.equal(await failuresOf(check, () => true), []);
});

leaks.run();
