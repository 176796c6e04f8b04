/** The kernels of batch norm; norm.ts puts them together. */
import applyWgsl from "../../shaders/batch_norm_apply.wgsl";
import gradSumsWgsl from "../../shaders/batch_norm_grad_sums.wgsl";
import gradWgsl from "../../shaders/batch_norm_grad.wgsl";
import momentsWgsl from "../../shaders/batch_norm_moments.wgsl";
import runningWgsl from "../../shaders/batch_norm_running.wgsl";
import statisticsWgsl from "../../shaders/batch_norm_statistics.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Shape, type Shapes, sizeOf } from "../gpu/kernel.js";
import { activationCode, type ActivationOptions, DEFAULT_SLOPE } from "./activation_names.js";
import { channelLines, channelSegments } from "./channels.js";

const WORKGROUP_SIZE = 64;

export const momentsKernel = defineKernel({
  name: "batch_norm_moments",
  wgsl: momentsWgsl,
  bindings: { x: "read", means: "write", deviations: "write" },
  shape: ({ x }) => {
    const { segments, channels } = channelSegments(x);
    return { means: [segments, channels], deviations: [segments, channels] };
  },
  uniforms: ({ x }) => ({ ...channelSegments(x) }),
  grid: ({ means: [segments, channels] }, limits) => gridFor(segments * channels, WORKGROUP_SIZE, limits),
  work: ({ x }) => 20 * sizeOf(x),
});

export const statisticsKernel = defineKernel<{ x: Shape; eps: number }>({
  name: "batch_norm_statistics",
  wgsl: statisticsWgsl,
  bindings: { means: "read", deviations: "read", mean: "write", variance: "write", inv_std: "write" },
  shape: ({ means: [, channels] }) => ({ mean: [channels], variance: [channels], inv_std: [channels] }),
  uniforms: (_shapes, { x, eps }) => ({ ...channelSegments(x), eps }),
  grid: ({ mean: [channels] }, limits) => gridFor(channels, WORKGROUP_SIZE, limits),
  work: ({ means: [segments, channels] }) => 20 * segments * channels,
});

export const runningKernel = defineKernel<{ momentum: number; correction: number }>({
  name: "batch_norm_running",
  wgsl: runningWgsl,
  bindings: { mean: "read", variance: "read", running_mean: "readWrite", running_var: "readWrite" },
  shape: () => ({}),
  uniforms: ({ mean: [channels] }, options) => ({ channels, ...options }),
  grid: ({ mean: [channels] }, limits) => gridFor(channels, WORKGROUP_SIZE, limits),
});

/**
 * How a kernel takes the spread of a channel: as 1 / √(variance + eps), or as the variance. `op` is for
 * messages.
 */
export interface SpreadCall {
  readonly op: string;
  readonly fromVariance: boolean;
  readonly eps: number;
}

export const applyKernel = defineKernel<SpreadCall & ActivationOptions>({
  name: "batch_norm_apply",
  wgsl: applyWgsl,
  bindings: { x: "read", gamma: "read", spread: "read", mean: "optional", beta: "optional", y: "write" },
  inPlace: { y: "x" },
  constants: (_shapes, { fromVariance, activation }) => ({
    FROM_VARIANCE: fromVariance,
    ACTIVATION: activationCode(activation),
  }),
  shape: ({ x, gamma, spread, mean, beta }, { op }) => {
    checkChannels(op, x, { gamma, runningVar: spread, runningMean: mean, beta });
    return { y: x };
  },
  uniforms: ({ x }, { eps, slope = DEFAULT_SLOPE }) => ({ ...channelLines(x), eps, slope }),
  grid: ({ x }, limits) => gridFor(channelLines(x).lines * channelLines(x).chunks, WORKGROUP_SIZE, limits),
  work: ({ x }) => 12 * sizeOf(x),
});

export const gradSumsKernel = defineKernel<SpreadCall>({
  name: "batch_norm_grad_sums",
  wgsl: gradSumsWgsl,
  bindings: { dy: "read", x: "read", mean: "read", spread: "read", dgammas: "write", dbetas: "write" },
  constants: (_shapes, { fromVariance }) => ({ FROM_VARIANCE: fromVariance }),
  shape: ({ dy, x, mean, spread }, { op }) => {
    checkChannels(op, x, { mean, spread });
    if (dy.length !== x.length || dy.some((size, axis) => size !== x[axis])) {
      throw new ShapeError(`${op}: dy has shape [${dy}] and x has [${x}]; both must have the same`);
    }
    const { segments, channels } = channelSegments(x);
    return { dgammas: [segments, channels], dbetas: [segments, channels] };
  },
  uniforms: ({ x }, { eps }) => ({ ...channelSegments(x), eps }),
  grid: ({ dbetas: [segments, channels] }, limits) => gridFor(segments * channels, WORKGROUP_SIZE, limits),
  work: ({ x }) => 20 * sizeOf(x),
});

export const gradKernel = defineKernel<{ inverseCount: number }>({
  name: "batch_norm_grad",
  wgsl: gradWgsl,
  bindings: {
    dy: "read",
    x: "read",
    gamma: "read",
    mean: "read",
    inv_std: "read",
    dgamma: "read",
    dbeta: "read",
    dx: "write",
  },
  inPlace: { dx: "dy" },
  shape: ({ x, gamma }) => {
    checkChannels("batchNormGrad", x, { gamma });
    return { dx: x };
  },
  uniforms: ({ x }, { inverseCount }) => ({ ...channelLines(x), inverse_count: inverseCount }),
  grid: ({ x }, limits) => gridFor(channelLines(x).lines * channelLines(x).chunks, WORKGROUP_SIZE, limits),
  work: ({ x }) => 16 * sizeOf(x),
});

/** Checks that each tensor has one value a channel of x. @throws ShapeError */
export function checkChannels(op: string, x: Shape, tensors: Shapes): void {
  if (x.length < 2)
    throw new ShapeError(`${op}: x has shape [${x}], and [n, channels] or [n, channels, h, w] is taken`);
  for (const name in tensors) {
    const shape = tensors[name];
    if (shape && (shape.length !== 1 || shape[0] !== x[1])) {
      throw new ShapeError(
        `${op}: ${name} has shape [${shape}], and [${x[1]}], one a channel of x [${x}], is taken`,
      );
    }
  }
}
