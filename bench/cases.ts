/** What the bench times: inputs from a seed, what handgrad runs, what peers are asked for, and the float64 check. */
import {
  adam,
  advance,
  batchNorm,
  compressWeights,
  conv2d,
  conv2dInputGrad,
  conv2dWeightGrad,
  type Gpu,
  maskedMatmul,
  maskedMatmulInputGrad,
  maskedMatmulWeightGrad,
  matmul,
  type SparseForm,
  type SparseWeights,
  softmaxCrossEntropy,
  sparseWeights,
  sum,
  type Tensor,
  tensor,
  toF16,
  zeros,
} from "handgrad";
import {
  type Check,
  checkBatchNorm,
  checkConv,
  checkCrossEntropy,
  checkMatmul,
  checkPgd,
  checkRowSums,
  checkSparse,
  checkStep,
  extractorSlopes,
} from "./reference.js";
import { checkPruning, pruneLayer, spadeFlops } from "./spade.js";
import { cnnStep, extractorAttack, mlpStep, pgdLoop } from "./steps.js";

/** An operand in handgrad's layout: NCHW images, OIHW weights, [in][out] dense weights. */
export interface Input {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
}

/** What a peer is told; see peers/tfjs.mjs. */
export interface Spec {
  readonly op: string;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly stride?: number;
  readonly padding?: number;
  readonly depthwise?: boolean;
  readonly inputShape?: readonly number[];
  readonly weightShape?: readonly number[];
  readonly axes?: readonly number[];
  readonly learningRate?: number;
  readonly epsilon?: number;
  readonly stepSize?: number;
  readonly steps?: number;
}

export interface Case {
  readonly name: string;
  readonly group: "matmul" | "conv" | "sparse" | "other" | "job";
  readonly shape: string;
  readonly spec: Spec;
  readonly flops?: number;
  readonly bytes?: number;
  inputs(): Input[];
  /** One run on the given tensors; the result is disposed of by the caller. */
  ours(gpu: Gpu, tensors: readonly Tensor[]): () => Tensor;
  /** Instead of `ours`, for what reads back in the middle and so fits in no program. */
  whole?(gpu: Gpu, tensors: readonly Tensor[]): () => Promise<Tensor>;
  /** Relative error against float64 of the first result; for a step, of the losses of the first two. */
  readonly check: Check;
  /** The check looks at two results in a row. */
  readonly stateful?: boolean;
  readonly tolerance: number;
}

/** A seeded generator (mulberry32), uniform in [0, 1). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

function uniform(shape: readonly number[], seed: number, scale = 1): Input {
  const random = generator(seed);
  return { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => scale * (2 * random() - 1)) };
}

function labels(count: number, classes: number, seed: number): Input {
  const random = generator(seed);
  return { shape: [count], data: Uint32Array.from({ length: count }, () => Math.floor(random() * classes)) };
}

function matmulCase(
  size: readonly [number, number, number],
  { transposeA = false, transposeB = false, batch = 0, halfB = false } = {},
): Case {
  const [m, k, n] = size;
  const lead = batch > 0 ? [batch] : [];
  const form = `${transposeA ? " aᵀ" : ""}${transposeB ? " bᵀ" : ""}${halfB ? " b f16" : ""}`;
  return {
    name: `matmul ${batch > 0 ? `${batch}×` : ""}${m}×${k}×${n}${form}`,
    group: "matmul",
    shape: `[${[...lead, m, k]}] · [${[...lead, k, n]}]`,
    // The peers have no f16 operand: they are not asked.
    spec: { op: halfB ? "matmulF16" : "matmul", transposeA, transposeB },
    flops: 2 * m * k * n * Math.max(batch, 1),
    inputs: () => [
      uniform([...lead, ...(transposeA ? [k, m] : [m, k])], 1),
      // Whole 128ths, which a float16 holds exactly: both forms have the same result to be checked against.
      ...[uniform([...lead, ...(transposeB ? [n, k] : [k, n])], 2)].map(halfB ? inSteps : (b) => b),
    ],
    ours: (_gpu, [a, b]) => {
      const weights = halfB ? toF16(b) : b;
      return () => matmul(a, weights, { transposeA, transposeB });
    },
    check: checkMatmul({ m, n, k, batch: Math.max(batch, 1), transposeA, transposeB }),
    tolerance: k > 10_000 ? 1e-4 : 1e-5,
  };
}

/** Rounded to whole 128ths. */
function inSteps({ shape, data }: Input): Input {
  return { shape, data: Float32Array.from(data, (value) => Math.round(128 * value) / 128) };
}

interface ConvSize {
  readonly name: string;
  readonly input: readonly [number, number, number, number];
  readonly output: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly depthwise?: boolean;
}

function convCases({ name, input, output, kernel, stride, padding, depthwise = false }: ConvSize): Case[] {
  const [images, channels, height, width] = input;
  const weightShape = [output, depthwise ? 1 : channels, kernel, kernel];
  const rows = Math.floor((height + 2 * padding - kernel) / stride) + 1;
  const columns = Math.floor((width + 2 * padding - kernel) / stride) + 1;
  const outputShape = [images, output, rows, columns];
  const groups = depthwise ? channels : 1;
  const options = { stride, padding, groups };
  const sizes = { inputShape: input, weightShape, outputShape, stride, padding, groups };
  const shared = {
    group: "conv" as const,
    shape: `[${input}] ⊛ [${weightShape}] → [${outputShape}]`,
    flops: 2 * sizeOf(outputShape) * sizeOf(weightShape.slice(1)),
    tolerance: 2e-5,
  };
  const base = { stride, padding, depthwise };
  return [
    {
      ...shared,
      name: `${name} forward`,
      spec: { op: "conv2d", ...base },
      inputs: () => [uniform(input, 1), uniform(weightShape, 2)],
      ours:
        (_gpu, [x, w]) =>
        () =>
          conv2d(x, w, options),
      check: checkConv("forward", sizes),
    },
    {
      ...shared,
      name: `${name} input gradient`,
      spec: { op: "conv2dInputGrad", ...base, inputShape: input },
      inputs: () => [uniform(outputShape, 1), uniform(weightShape, 2)],
      ours:
        (_gpu, [dy, w]) =>
        () =>
          conv2dInputGrad(dy, w, { ...options, inputShape: input }),
      check: checkConv("inputGrad", sizes),
    },
    {
      ...shared,
      name: `${name} weight gradient`,
      spec: { op: "conv2dWeightGrad", ...base, weightShape },
      inputs: () => [uniform(input, 1), uniform(outputShape, 2)],
      ours:
        (_gpu, [x, dy]) =>
        () =>
          conv2dWeightGrad(x, dy, { ...options, weightShape }),
      check: checkConv("weightGrad", sizes),
    },
  ];
}

const SPARSE = { samples: 256, inputs: 512, outputs: 512 };

function sparseWeightsOf(gpu: Gpu, form: SparseForm, sparsity: number): SparseWeights {
  const { inputs, outputs } = SPARSE;
  return sparseWeights(gpu, uniform([inputs, outputs], 2).data, [inputs, outputs], { form, sparsity });
}

/** A masked layer as its form computes it; the rate counts the weights that are kept. */
function sparseCase(
  form: SparseForm,
  percent: number,
  direction: "forward" | "input gradient" | "weight gradient",
): Case {
  const { samples, inputs, outputs } = SPARSE;
  const sparsity = percent / 100;
  const shapes = {
    forward: [[samples, inputs]],
    "input gradient": [[samples, outputs]],
    "weight gradient": [
      [samples, inputs],
      [samples, outputs],
    ],
  }[direction];
  return {
    name: `sparse ${percent} % ${form} ${direction}`,
    group: "sparse",
    shape: `[${samples}, ${inputs}] · [${inputs}, ${outputs}]`,
    spec: { op: "sparse" },
    flops: 2 * samples * inputs * outputs * (1 - sparsity),
    inputs: () => shapes.map((shape, i) => uniform(shape, 5 + i)),
    ours: (gpu, [first, second]) => {
      const weights = sparseWeightsOf(gpu, form, sparsity);
      if (direction === "forward") return () => maskedMatmul(first, weights);
      if (direction === "input gradient") return () => maskedMatmulInputGrad(first, weights);
      return () => maskedMatmulWeightGrad(first, second, weights);
    },
    check: checkSparse(direction, () => {
      const dense = uniform([inputs, outputs], 2).data;
      return compressWeights(dense, [inputs, outputs], { form, sparsity });
    }),
    tolerance: 1e-5,
  };
}

const sparseCases: Case[] = [
  {
    ...matmulCase([SPARSE.samples, SPARSE.inputs, SPARSE.outputs]),
    name: "sparse: the dense layer",
    group: "sparse",
  },
  ...[50, 80, 90, 95, 99].flatMap((percent) =>
    (["masked", "blocks", "unstructured"] as const).map((form) => sparseCase(form, percent, "forward")),
  ),
  ...[90, 95].flatMap((percent) =>
    (["input gradient", "weight gradient"] as const).map((direction) =>
      sparseCase("blocks", percent, direction),
    ),
  ),
];

const otherCases: Case[] = [
  {
    name: "softmax-cross-entropy gradient",
    group: "other",
    shape: "[4096, 100]",
    spec: { op: "softmaxCrossEntropy" },
    bytes: 8 * 4096 * 100,
    inputs: () => [uniform([4096, 100], 1, 4), labels(4096, 100, 2)],
    ours:
      (_gpu, [logits, classes]) =>
      () => {
        const { loss, dlogits } = softmaxCrossEntropy(logits, classes);
        loss.dispose();
        return dlogits;
      },
    check: checkCrossEntropy,
    tolerance: 1e-5,
  },
  {
    name: "batch norm (training)",
    group: "other",
    shape: "[32, 64, 28, 28]",
    spec: { op: "batchNorm" },
    bytes: 3 * 4 * 32 * 64 * 784,
    inputs: () => [uniform([32, 64, 28, 28], 1), uniform([64], 2), uniform([64], 3)],
    ours:
      (_gpu, [x, gamma, beta]) =>
      () => {
        const { y, mean, invStd } = batchNorm(x, gamma, beta, { training: true });
        mean.dispose();
        invStd.dispose();
        return y;
      },
    check: checkBatchNorm,
    tolerance: 1e-5,
  },
  {
    name: "sum over rows",
    group: "other",
    shape: "[2048, 2048] → [2048]",
    spec: { op: "sum", axes: [1] },
    bytes: 4 * 2048 * 2048,
    inputs: () => [uniform([2048, 2048], 1)],
    ours:
      (_gpu, [x]) =>
      () =>
        sum(x, { axes: [1] }),
    check: checkRowSums,
    tolerance: 1e-5,
  },
  {
    name: "adam",
    group: "other",
    shape: "[1048576]",
    spec: { op: "adam", learningRate: 1e-3 },
    bytes: 7 * 4 * 2 ** 20,
    inputs: () => [uniform([2 ** 20], 1), uniform([2 ** 20], 2)],
    ours: (gpu, [parameter, gradient]) => {
      const [first, second] = [zeros(gpu, parameter.shape), zeros(gpu, parameter.shape)];
      const step = zeros(gpu, [1], { dtype: "u32" });
      return () => {
        advance(step);
        return adam(parameter, gradient, { first, second, step, learningRate: 1e-3 }).reshape(
          parameter.shape,
        );
      };
    },
    // The first step moves every parameter by the learning rate against the gradient's sign.
    check: ([y], [parameter, gradient]) => {
      let worst = 0;
      for (let i = 0; i < y.length; i++) {
        const g = gradient.data[i];
        const expected = parameter.data[i] - (1e-3 * g) / (Math.abs(g) + 1e-8);
        const error = Math.abs(y[i] - expected);
        if (!(error <= worst)) worst = error;
      }
      return worst;
    },
    tolerance: 1e-6,
  },
];

const he = (shape: readonly number[], inputs: number, seed: number): Input =>
  uniform(shape, seed, Math.sqrt(6 / inputs));

const mlpParameters = (): Input[] => [
  he([784, 256], 784, 3),
  uniform([256], 4, 0.1),
  he([256, 256], 256, 5),
  uniform([256], 6, 0.1),
  he([256, 10], 256, 7),
  uniform([10], 8, 0.1),
];

const cnnParameters = (): Input[] => [
  he([16, 1, 3, 3], 9, 3),
  uniform([16], 4, 0.1),
  he([32, 16, 3, 3], 144, 5),
  uniform([32], 6, 0.1),
  he([1568, 10], 1568, 7),
  uniform([10], 8, 0.1),
];

/** Multiply-adds of the forward pass, times 2, times 3: both gradients cost as much each. */
const mlpFlops = 6 * 128 * (784 * 256 + 256 * 256 + 256 * 10);
const cnnFlops = 6 * 128 * (196 * 16 * 9 + 49 * 32 * 144 + 1568 * 10);

const jobCases: Case[] = [
  {
    name: "training step 784-256-256-10, batch 128",
    group: "job",
    shape: "[128, 784]",
    spec: { op: "mlpStep", learningRate: 1e-3 },
    flops: mlpFlops,
    inputs: () => [uniform([128, 784], 1), labels(128, 10, 2), ...mlpParameters()],
    ours: mlpStep,
    check: checkStep("mlp"),
    stateful: true,
    tolerance: 1e-4,
  },
  {
    name: "training step of a CNN, batch 128",
    group: "job",
    shape: "[128, 1, 28, 28]",
    spec: { op: "cnnStep", learningRate: 1e-3 },
    flops: cnnFlops,
    inputs: () => [uniform([128, 1, 28, 28], 1), labels(128, 10, 2), ...cnnParameters()],
    ours: cnnStep,
    check: checkStep("cnn"),
    stateful: true,
    tolerance: 1e-4,
  },
];

const pgdOptions = { epsilon: 0.1, stepSize: 0.02, steps: 10 };

jobCases.push({
  name: "PGD-10 on the CNN, batch 64",
  group: "job",
  shape: "[64, 1, 28, 28]",
  spec: { op: "pgd", ...pgdOptions },
  flops: (10 * 64 * 4 * cnnFlops) / (6 * 128),
  inputs: () => {
    const images = uniform([64, 1, 28, 28], 1);
    return [
      { ...images, data: images.data.map((v) => (v + 1) / 2) },
      labels(64, 10, 2),
      ...cnnParameters(),
    ] as Input[];
  },
  ours: (gpu, tensors) => pgdLoop(gpu, tensors, pgdOptions),
  // Where a gradient is nearly 0 its sign is left to rounding: the share of such pixels.
  check: checkPgd(pgdOptions),
  tolerance: 0.01,
});

const extractorParameters = (): Input[] => [
  he([16, 1, 4, 4], 16, 3),
  uniform([16], 4, 0.1),
  he([32, 16, 4, 4], 256, 5),
  uniform([32], 6, 0.1),
  he([1568, 128], 1568, 7),
  uniform([128], 8, 0.1),
  he([128, 10], 128, 9),
  uniform([10], 10, 0.1),
];

/** Multiply-adds of the forward pass, times 2, times 2 for the input gradient; no weight gradient is made. */
const extractorFlops = 4 * 128 * (196 * 16 * 16 + 49 * 32 * 256 + 1568 * 128 + 1280);

jobCases.push({
  name: "PGD-10 on the extractor, batch 128",
  group: "job",
  shape: "[128, 1, 28, 28]",
  spec: { op: "pgd", ...pgdOptions },
  flops: 10 * extractorFlops,
  inputs: () => {
    const images = uniform([128, 1, 28, 28], 1);
    return [
      { ...images, data: images.data.map((v) => (v + 1) / 2) },
      labels(128, 10, 2),
      ...extractorParameters(),
    ] as Input[];
  },
  ours: (gpu, tensors) => extractorAttack(gpu, tensors, pgdOptions),
  check: checkPgd(pgdOptions, extractorSlopes),
  tolerance: 0.01,
});

export const cases: readonly Case[] = [
  matmulCase([128, 128, 128]),
  matmulCase([256, 256, 256]),
  matmulCase([512, 512, 512]),
  matmulCase([512, 512, 512], { transposeA: true }),
  matmulCase([512, 512, 512], { transposeB: true }),
  matmulCase([1024, 1024, 1024]),
  matmulCase([128, 784, 256]),
  matmulCase([784, 128, 256], { transposeA: true }),
  matmulCase([128, 256, 784], { transposeB: true }),
  matmulCase([1000, 37, 513]),
  matmulCase([1, 4096, 4096]),
  matmulCase([1, 4096, 4096], { halfB: true }),
  matmulCase([128, 256, 10]),
  matmulCase([64, 64, 64], { batch: 16 }),
  ...convCases({ name: "conv 3×3", input: [8, 32, 32, 32], output: 64, kernel: 3, stride: 1, padding: 1 }),
  ...convCases({
    name: "conv 5×5 stride 2",
    input: [32, 1, 28, 28],
    output: 32,
    kernel: 5,
    stride: 2,
    padding: 2,
  }),
  ...convCases({
    name: "conv 3×3 stride 2",
    input: [16, 64, 14, 14],
    output: 128,
    kernel: 3,
    stride: 2,
    padding: 1,
  }),
  ...convCases({ name: "conv 1×1", input: [8, 64, 28, 28], output: 128, kernel: 1, stride: 1, padding: 0 }),
  ...convCases({
    name: "depthwise 3×3",
    input: [8, 64, 28, 28],
    output: 64,
    kernel: 3,
    stride: 1,
    padding: 1,
    depthwise: true,
  }),
  ...sparseCases,
  ...otherCases,
  ...jobCases,
];

const spadeSize = { samples: 128, inputs: 288, outputs: 64, ratio: 0.9 };

/** Cases that wait for a result in the middle. */
export const waitingCases: readonly Case[] = [
  {
    name: "SPADE's Hessian + solve of one layer",
    group: "job",
    shape: "288 inputs, 64 outputs, 128 samples",
    spec: { op: "pruneLayer" },
    flops: spadeFlops(spadeSize),
    inputs: () => [uniform([128, 288], 1), uniform([288, 64], 2)],
    ours: () => {
      throw new Error("SPADE reads the Hessian back for its factor, and so fits in no program");
    },
    whole: (gpu, tensors) => pruneLayer(gpu, tensors, spadeSize),
    check: checkPruning(spadeSize),
    tolerance: 1e-3,
  },
];

/** The operands on the device. */
export function uploadInputs(gpu: Gpu, inputs: readonly Input[]): Tensor[] {
  return inputs.map(({ shape, data }) => tensor(gpu, data, shape));
}
