/** Payments measured by differencing attention itself: what the theory is checked with. */
import convWgsl from "../../shaders/conv_attention_difference.wgsl";
import wgsl from "../../shaders/attention_difference.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { type ConvGeometry, type ConvWindowOptions, convGeometry } from "../ops/conv_geometry.js";
import type { Shape, Tensor } from "../tensor.js";

const difference = defineKernel({
  name: "attention_difference",
  wgsl,
  bindings: { w: "read", g: "read", q: "write" },
  shape: ({ w, g }) => {
    if (w.length !== 2 || g.length !== 2 || w[1] !== g[1]) {
      throw new ShapeError(
        `measurePayments: weights have shape [${w}] and payoffs [${g}]; [units, receivers] and [samples, receivers] are taken`,
      );
    }
    return { q: [g[0], w[0]] };
  },
  uniforms: ({ w, g }) => ({ samples: g[0], units: w[0], receivers: w[1] }),
  grid: ({ q }, limits) => gridFor(sizeOf(q), 64, limits),
  work: ({ q, w }) => 10 * sizeOf(q) * w[1],
});

/**
 * What each neuron is paid for each sample, measured by differencing attention itself (see the shader): the neuron needs
 * to see nothing but the change of its own attention. Slow and exact to float32's rounding; the rules use products.
 * @param weights [units, receivers]
 * @param payoffs [samples, receivers], the receivers' payoff gradients
 * @returns [samples, units]
 */
export function measurePayments(weights: Tensor, payoffs: Tensor): Tensor {
  return difference.run({ w: weights, g: payoffs }, undefined).q;
}

const convDifference = defineKernel<{ geometry: ConvGeometry; inputShape: Shape }>({
  name: "conv_attention_difference",
  wgsl: convWgsl,
  bindings: { w: "read", g: "read", q: "write" },
  shape: (_inputs, { inputShape }) => ({ q: inputShape }),
  uniforms: ({ w }, { geometry: { y, x }, inputShape }) => ({
    count: sizeOf(inputShape),
    receivers: w[0],
    channels: w[1],
    kernel_height: y.kernel,
    kernel_width: x.kernel,
    rows: y.narrow,
    columns: x.narrow,
    height: y.wide,
    width: x.wide,
    stride_y: y.stride,
    stride_x: x.stride,
    dilation_y: y.dilation,
    dilation_x: x.dilation,
    top: y.padding,
    left: x.padding,
  }),
  grid: ({ q }, limits) => gridFor(sizeOf(q), 64, limits),
  work: ({ q, w }) => (20 * sizeOf(q) * sizeOf(w)) / w[1],
});

/**
 * The same for a convolution: what each position of each channel is paid, by differences of the channel's attention.
 * @param weights [receivers, channels, kh, kw]
 * @param payoffs [samples, receivers, rows, columns]
 * @param options the convolution's window, and `inputShape`, [samples, channels, height, width]
 * @returns a tensor of `inputShape`
 * @throws ShapeError if the shapes do not fit
 */
export function measureConvPayments(
  weights: Tensor,
  payoffs: Tensor,
  { inputShape, ...window }: ConvWindowOptions & { readonly inputShape: Shape },
): Tensor {
  const geometry = convGeometry(
    {
      op: "measureConvPayments",
      wide: ["inputShape", inputShape],
      narrow: ["payoffs", payoffs.shape],
      weight: ["weights", weights.shape],
    },
    window,
  );
  return convDifference.run({ w: weights, g: payoffs }, { geometry, inputShape }).q;
}
