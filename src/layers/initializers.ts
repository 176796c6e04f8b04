/** Initial weights. Each draw takes its own counter stream, so one seed gives the same network on every adapter. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import { randomNormal, randomUniform } from "../ops/random.js";
import type { Shape, Tensor } from "../tensor.js";
import type { Init } from "./layer.js";

/**
 * - `he`: normal with variance 2 / fanIn (He et al. 2015, eq. 10), for ReLU-like activations
 * - `heUniform`: uniform with the same variance
 * - `xavier`: normal with variance 2 / (fanIn + fanOut) (Glorot and Bengio 2010, eq. 12), for tanh and sigmoid
 * - `xavierUniform`: uniform with the same variance (eq. 16)
 */
export type Initializer = "he" | "heUniform" | "xavier" | "xavierUniform";

/**
 * A tensor of initial weights.
 * @param fanIn inputs that one unit sums over
 * @param fanOut outputs that one input reaches
 * @throws ShapeError for a size that is not a whole number of at least 1; ValueError for an unknown name
 */
export function initialize(
  init: Init,
  name: Initializer,
  shape: Shape,
  fanIn: number,
  fanOut: number,
): Tensor {
  if (!shape.every((size) => Number.isInteger(size) && size > 0))
    throw new ShapeError(
      `init: weights of shape [${shape}] are wanted, and whole numbers of at least 1 are taken`,
    );
  const { gpu, seed } = init;
  const stream = init.stream++;
  const variances: Record<Initializer, number> = {
    he: 2 / fanIn,
    heUniform: 2 / fanIn,
    xavier: 2 / (fanIn + fanOut),
    xavierUniform: 2 / (fanIn + fanOut),
  };
  const variance = variances[name];
  if (variance === undefined) {
    throw new ValueError(`init: "${name}" is not known; take one of ${Object.keys(variances).join(", ")}`);
  }
  if (name === "he" || name === "xavier")
    return randomNormal(gpu, shape, { seed, stream, std: Math.sqrt(variance) });
  const limit = Math.sqrt(3 * variance);
  return randomUniform(gpu, shape, { seed, stream, low: -limit, high: limit });
}
