/**
 * Attention: what a neuron wants. After the idea of arXiv 2310.09952, whose own definition is not known to us; ours is
 * half the sum of squares of a neuron's outgoing weights, A_i = ½ Σ_j w_ij².
 */
import { ShapeError } from "../gpu/errors.js";
import { mul, square } from "../ops/elementwise.js";
import { norm, sum } from "../ops/reduce.js";
import type { Tensor } from "../tensor.js";
import type { Site } from "./sites.js";

/**
 * The attention that each neuron of a layer holds.
 * @param weights [units, receivers], the dense weights that lead to the next layer, [members, units, receivers]
 *   of an ensemble, or [receivers, channels, kh, kw] of a convolution
 * @param options agents: how many neurons the units of a dense layer are, if several units are one (the positions of a
 *   channel behind a flattening)
 * @returns [agents] (of an ensemble [members, agents]), A_i = ½ Σ w²
 * @throws ShapeError
 */
export function attention(weights: Tensor, { agents }: { agents?: number } = {}): Tensor {
  const [view, axes] = byAgent(weights, agents);
  const length = norm(view, { ord: 2, axes });
  const squared = square(length, { out: length });
  return mul(squared, 0.5, { out: squared });
}

/**
 * Sums over all that belongs to one agent.
 * @param values the shape of the site's weights
 * @returns [agents], or [members, agents]
 */
export function sumByAgent(values: Tensor, { agents }: Pick<Site, "agents">): Tensor {
  const [view, axes] = byAgent(values, agents);
  return sum(view, { axes });
}

/** Values at weights with the axes that are not agents. */
function byAgent(values: Tensor, agents?: number): [Tensor, number[]] {
  if (values.shape.length === 4) return [values, [0, 2, 3]];
  if (values.shape.length === 3) return [values, [2]];
  const [units, receivers] = values.shape;
  if (values.shape.length !== 2 || units % (agents ?? units) !== 0) {
    throw new ShapeError(
      `attention: weights have shape [${values.shape}], and [units, receivers] with ${agents ?? "any number of"} ` +
        `agents, [members, units, receivers] or [receivers, channels, kh, kw] is taken`,
    );
  }
  const count = agents ?? units;
  return [count === units ? values : values.reshape([count, (units / count) * receivers]), [1]];
}
