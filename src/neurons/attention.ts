/**
 * Attention: what a neuron wants. After the idea of arXiv 2310.09952, whose own definition is not known to us; ours is
 * half the sum of squares of a neuron's outgoing weights, A_i = ½ Σ_j w_ij².
 */
import wgsl from "../../shaders/attention_difference.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { norm } from "../ops/reduce.js";
import { mul, square } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";

/**
 * The attention that each neuron of a layer holds.
 * @param weights [units, receivers], the dense weights that lead to the next layer
 * @returns [units], A_i = ½ Σ_j w_ij²
 */
export function attention(weights: Tensor): Tensor {
  const length = norm(weights, { ord: 2, axes: [1] });
  const squared = square(length, { out: length });
  return mul(squared, 0.5, { out: squared });
}

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
