import activations from "../golden/activations.json";
import batchNorm from "../golden/batchNorm.json";
import conv2d from "../golden/conv2d.json";
import conv2dPadding from "../golden/conv2dPadding.json";
import convTranspose2d from "../golden/convTranspose2d.json";
import convTranspose2dGeneral from "../golden/convTranspose2dGeneral.json";
import gaussianBlur from "../golden/gaussianBlur.json";
import losses from "../golden/losses.json";
import matmul from "../golden/matmul.json";
import matmulBroadcast from "../golden/matmulBroadcast.json";
import neurons from "../golden/neurons.json";
import optimisers from "../golden/optimisers.json";
import optimizerVariants from "../golden/optimizerVariants.json";
import pgd from "../golden/pgd.json";
import pool2d from "../golden/pool2d.json";
import poolIndices from "../golden/poolIndices.json";
import reductions from "../golden/reductions.json";
import resize from "../golden/resize.json";
import sampleTargetedPruning from "../golden/sampleTargetedPruning.json";
import schedules from "../golden/schedules.json";
import softmaxAxes from "../golden/softmaxAxes.json";
import sorting from "../golden/sorting.json";
import { type Array64, array64 } from "../reference/array64.js";

export interface GoldenCase<Params, Input extends string, Output extends string> {
  name: string;
  params: Params;
  inputs: Record<Input, Array64>;
  outputs: Record<Output, Array64>;
}

interface Convolution {
  stride: [number, number];
  padding: number[];
  dilation: [number, number];
  groups: number;
}

interface Pool {
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
}

interface Optimizer {
  lr: number;
  momentum?: number;
  weightDecay?: number;
  betas?: [number, number];
  eps?: number;
  nesterov?: boolean;
}

/** Only the parameters of a case's own schedule are there. */
interface Schedule {
  lr: number;
  step_size: number;
  gamma: number;
  T_max: number;
  eta_min: number;
  start_factor: number;
  total_iters: number;
  max_lr: number;
  total_steps: number;
  pct_start?: number;
  div_factor?: number;
  final_div_factor?: number;
}

interface Pruning {
  kernel: [number, number];
  padding: [number, number];
  sparsity: number;
  dampRelative: number;
  blockSizeReference: number;
  selection: string;
  obc?: { perRow: number; dampRelative: number; grouped: boolean; note: string };
}

interface PruningCase
  extends GoldenCase<Pruning, "x" | "w", "hessian" | "wPrunedByBlock" | "wPrunedOneBlock"> {
  outputs: Record<"hessian" | "wPrunedByBlock" | "wPrunedOneBlock", Array64> & {
    /** Greedy pruning a row; only where the case has `params.obc`. */
    wObcPerRow?: Array64;
    /** The weights in the order in which they were pruned, a list a row. */
    obcOrder?: number[][];
  };
}

/** The cases of each file of `test/golden`. */
export interface GoldenFiles {
  activations: GoldenCase<{ slope?: number }, "x" | "dy", "y" | "dx">;
  batchNorm: GoldenCase<
    { momentum: number; eps: number },
    "x" | "gamma" | "beta" | "runningMean" | "runningVar" | "dy",
    | "yEval"
    | "dxEval"
    | "yTrain"
    | "dxTrain"
    | "dgammaTrain"
    | "dbetaTrain"
    | "newRunningMean"
    | "newRunningVar"
  >;
  conv2d: GoldenCase<Convolution, "x" | "w" | "bias" | "dy", "y" | "dx" | "dw" | "dbias">;
  conv2dPadding: GoldenCase<Convolution, "x" | "w" | "bias" | "dy", "y" | "dx" | "dw" | "dbias">;
  convTranspose2d: GoldenCase<Pick<Convolution, "stride" | "padding">, "x" | "w" | "dy", "y" | "dx" | "dw">;
  convTranspose2dGeneral: GoldenCase<
    Convolution & { outputPadding: [number, number] },
    "x" | "w" | "bias" | "dy",
    "y" | "dx" | "dw" | "dbias"
  >;
  gaussianBlur: GoldenCase<
    { sigma: number; kernelSize: number; border: "reflect" | "replicate" | "zero" },
    "x",
    "y"
  >;
  /** Which inputs and outputs are there depends on the loss that the name begins with. */
  losses: GoldenCase<
    { reduction: "mean" },
    "logits" | "labels" | "targets",
    "loss" | "dlogits" | "softmax" | "logSoftmax"
  >;
  matmul: GoldenCase<
    { transposeA: boolean; transposeB: boolean },
    "a" | "b" | "bias",
    "y" | "yBias" | "yBiasRelu"
  >;
  matmulBroadcast: GoldenCase<object, "a" | "b", "y">;
  neurons: GoldenCase<
    { activation: "relu" | "tanh"; note: string },
    "x" | "labels" | "W0" | "W1" | "W2" | "b0" | "b1" | "b2",
    | "payment1"
    | "payment2"
    | "dW0"
    | "db0"
    | "dW1"
    | "db1"
    | "dW2"
    | "db2"
    | "attention1"
    | "attention2"
    | "paymentP1_2"
    | "paymentP1.5_2"
    | "paymentP3_2"
    | "paymentShare_2"
  >;
  /** `grads` has a row a step. */
  optimisers: GoldenCase<Optimizer, "p" | "grads", "p">;
  /** Optimizers as above; clipping (names that begin with "clip") has gradients a and b instead. */
  optimizerVariants: GoldenCase<
    Optimizer & { limit: number },
    "p" | "grads" | "a" | "b",
    "p" | "a" | "b" | "norm"
  >;
  pgd: GoldenCase<
    {
      eps: number;
      stepSize: number;
      steps: number;
      norm: "linf" | "l2";
      targeted: boolean;
      clip: [number, number];
      note: string;
    },
    "x" | "labels" | "delta0" | "w1" | "b1" | "w2" | "b2",
    "delta" | "loss"
  >;
  pool2d: GoldenCase<Pool & { kind: "max" | "avg" }, "x" | "dy", "y" | "dx">;
  /** Max pooling of data with many ties; the last case, `globalAverage`, has no argmax and no params. */
  poolIndices: GoldenCase<Pool, "x" | "dy", "y" | "argmax" | "dx">;
  reductions: GoldenCase<
    { axes: number[] },
    "x",
    "sum" | "mean" | "max" | "min" | "argmax" | "l1Norm" | "l2Norm"
  >;
  resize: GoldenCase<{ size: [number, number] }, "x" | "dy", "y" | "dx">;
  sampleTargetedPruning: PruningCase;
  /** `rates`: the learning rate of updates 0 to 19. */
  schedules: GoldenCase<Schedule, never, "rates">;
  softmaxAxes: GoldenCase<
    { axis: number },
    "x" | "dy",
    "softmax" | "softmaxGrad" | "logSoftmax" | "logSoftmaxGrad"
  >;
  /** Data with many ties in a stable order; `topK` has the k largest values. */
  sorting: GoldenCase<
    { k: number; axis: number },
    "x",
    "values" | "indices" | "valuesDown" | "indicesDown" | "topK"
  >;
}

const files: Record<keyof GoldenFiles, { cases: object[] }> = {
  activations,
  batchNorm,
  conv2d,
  conv2dPadding,
  convTranspose2d,
  convTranspose2dGeneral,
  gaussianBlur,
  losses,
  matmul,
  matmulBroadcast,
  neurons,
  optimisers,
  optimizerVariants,
  pgd,
  pool2d,
  poolIndices,
  reductions,
  resize,
  sampleTargetedPruning,
  schedules,
  softmaxAxes,
  sorting,
};

/** Tensors become `Array64`; everything else stays as the file has it. */
function decode(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  if ("shape" in value && "data" in value) return array64(value.shape as number[], value.data as number[]);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, decode(inner)]));
}

/** The cases of a golden file. Each call decodes them anew, so that a test may change what it gets. */
export function goldenCases<Name extends keyof GoldenFiles>(name: Name): GoldenFiles[Name][] {
  return files[name].cases.map((goldenCase) => decode(goldenCase) as GoldenFiles[Name]);
}
