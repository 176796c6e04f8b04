/** DeepLift by its rescale rule (Shrikumar, Greenside and Kundaje, ICML 2017). */
import { ValueError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import { add, maximum, mul, sub } from "../ops/elementwise.js";
import { gatherRows } from "../ops/movement.js";
import { maxPool2dGrad, type MaxPool2dGradOptions } from "../ops/pool.js";
import { type Tensor, zeros } from "../tensor.js";
import { type Baseline, baselineOf, type ExplainOptions } from "./definition.js";
import { rescale } from "./kernels.js";
import { roleOf } from "./linear.js";
import { checkCommon, type Core, explainByPasses } from "./passes.js";
import { follow, goBack, type Leaf, nodesOf } from "./trail.js";

export interface DeepLiftOptions extends ExplainOptions {
  /** What differences are taken to; default 0, black. */
  readonly baseline?: Baseline;
}

/** Multipliers: what each change of a pixel from its baseline counts, [rows, c, h, w]. */
export function deepLiftCore(baselines: Tensor): Core {
  return ({ model, points, images, seeds }) => {
    const oneForAll = baselines.shape[0] === 1;
    const references = follow(model, oneForAll ? baselines : gatherRows(baselines, images));
    const leaves = new Map(nodesOf(references).map((node) => [node.path, node as Leaf]));
    return goBack(follow(model, points), seeds, {
      leaf: (leaf, dy) => {
        const reference = leaves.get(leaf.path) as Leaf;
        switch (roleOf("deepLift", leaf.layer)) {
          case "activation":
            return throughActivation(leaf, reference, dy);
          case "maxPool":
            return throughMaxPool(leaf, reference, dy);
          default:
            return undefined;
        }
      },
    });
  };
}

/** m · Δy / Δx */
function throughActivation({ layer, x, y, saved }: Leaf, reference: Leaf, dy: Tensor): Tensor {
  const flow = mul(dy, sub(y, reference.y));
  return rescale(flow, layer.inputGrad(dy, saved), x, reference.x);
}

/**
 * The change of each maximum goes to the element that was the larger of the two maxima: what the image's
 * maximum is above the reference's to the image's place, what it is below to the reference's.
 */
function throughMaxPool({ layer, x, y, saved }: Leaf, reference: Leaf, dy: Tensor): Tensor {
  const options = { ...layer.config, inputShape: x.shape } as unknown as MaxPool2dGradOptions;
  const { argmax } = saved.tensors;
  if (!argmax || !reference.saved.tensors.argmax)
    throw new ValueError("deepLift: a max pooling layer must save its argmax as Pool2d does");
  const place = repeated(reference.saved.tensors.argmax, y.shape[0]);
  const larger = maximum(y, reference.y);
  const above = maxPool2dGrad(mul(dy, sub(larger, reference.y)), argmax, options);
  const below = maxPool2dGrad(mul(dy, sub(y, larger)), place, options);
  return rescale(add(above, below), layer.inputGrad(dy, saved), x, reference.x);
}

/** One image's positions for all rows. */
function repeated(positions: Tensor, count: number): Tensor {
  if (positions.shape[0] === count) return positions;
  return gatherRows(positions, zeros(positions.gpu, [count], { dtype: "u32" }));
}

/**
 * Differences to a baseline, taken back through the network: each activation's multiplier is Δy / Δx (the
 * gradient where x hardly differs), each max pooling's as `captum` has it; all else is linear. Complete: the
 * map of all channels adds up to logit(x) - logit(x0).
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError; ValueError for layers that are neither the library's nor say what they are
 * @example
 * const maps = await deepLift(model, images, { target: 3 });
 */
export async function deepLift(
  model: Sequential,
  x: Tensor,
  { baseline = 0, ...options }: DeepLiftOptions,
): Promise<Tensor> {
  checkCommon("deepLift", x, options);
  const baselines = baselineOf("deepLift", x, baseline);
  try {
    const method = { core: deepLiftCore(baselines), draws: { baselines, change: true } };
    return await explainByPasses("deepLift", model, x, method, options);
  } finally {
    baselines.dispose();
  }
}
