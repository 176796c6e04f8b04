/**
 * Layer-wise relevance propagation (Bach et al., PLoS ONE 2015), by the rules of Montavon et al., "Layer-wise
 * relevance propagation: an overview" (2019).
 */
import type { Sequential } from "../layers/sequential.js";
import { add, full, maximum, minimum, mul } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";
import { checkChoice, checkNumber, type ExplainOptions } from "./definition.js";
import { stabilizedShare } from "./kernels.js";
import {
  applyLinear,
  applyTransposed,
  type LinearWeights,
  linearWeights,
  roleOf,
  withNorm,
} from "./linear.js";
import { checkCommon, type Core, explainByPasses } from "./passes.js";
import { type Fork, follow, goBack, type Leaf, nodesOf } from "./trail.js";

export type LrpRule = "zPlus" | "epsilon" | "gamma" | "epsilonPlus";

export interface LrpOptions extends ExplainOptions {
  /**
   * By which shares relevance goes to a layer's inputs. "zPlus" (default; α = 1, β = 0): of positive parts
   * only; "epsilon": of all; "gamma": of all, positive parts counting 1 + γ times; "epsilonPlus": epsilon in
   * dense layers, zPlus in convolutions.
   */
  readonly rule?: LrpRule;
  /** Added to denominators, away from 0; default 1e-6, of "epsilon" 0.01. */
  readonly epsilon?: number;
  /** Of "gamma"; default 0.25. */
  readonly gamma?: number;
  /**
   * In the first linear layer: the rule (default), or "flat", even shares for all inputs, which smooths the
   * map.
   */
  readonly firstLayer?: "rule" | "flat";
}

/** How much the parts x w count in a share: all of them, and once more the positive ones. */
interface Shares {
  readonly plain: 0 | 1;
  readonly positive: number;
  readonly epsilon: number;
}

function sharesOf(kind: string, rule: LrpRule, epsilon: number | undefined, gamma: number): Shares {
  const byEpsilon = rule === "epsilon" || (rule === "epsilonPlus" && kind === "dense");
  if (byEpsilon) return { plain: 1, positive: 0, epsilon: epsilon ?? 0.01 };
  if (rule === "gamma") return { plain: 1, positive: gamma, epsilon: epsilon ?? 1e-6 };
  return { plain: 0, positive: 1, epsilon: epsilon ?? 1e-6 };
}

/** Relevance of each pixel for the target's logit, [rows, c, h, w]. */
export function lrpCore({
  rule = "zPlus",
  epsilon,
  gamma = 0.25,
  firstLayer = "rule",
}: Partial<LrpOptions>): Core {
  return ({ model, points, seeds }) => {
    const trail = follow(model, points);
    const leaves = nodesOf(trail).filter((node): node is Leaf => node.kind === "leaf");
    const first = leaves.find(({ layer }) => roleOf("lrp", layer) === "linear");
    const shares = (kind: string): Shares => sharesOf(kind, rule, epsilon, gamma);
    return goBack(trail, mul(seeds, trail.y), {
      leaf: (leaf, relevance) => {
        switch (roleOf("lrp", leaf.layer)) {
          case "linear":
            if (leaf === first && firstLayer === "flat") return throughFlat(leaf, relevance);
            return throughLinear(leaf, relevance, shares(linearWeights(leaf.layer).record.kind));
          case "norm":
            return isMerged(leaf) ? relevance : throughOwn(leaf, relevance, shares("norm"));
          case "avgPool":
            return throughOwn(leaf, relevance, shares("pool"));
          case "activation":
            return relevance;
          default:
            return undefined;
        }
      },
      fork: (fork, relevance) => throughFork(fork, relevance, shares("fork")),
    });
  };
}

/** Batch norm right behind a linear layer is a part of it. */
function isMerged({ before }: Leaf): boolean {
  return before !== undefined && roleOf("lrp", before.layer) === "linear";
}

/** Through a linear layer, with the batch norm behind it. */
function throughLinear({ layer, x, y, behind }: Leaf, relevance: Tensor, shares: Shares): Tensor {
  const norm = behind && roleOf("lrp", behind.layer) === "norm" ? behind : undefined;
  const own = linearWeights(layer);
  const linear = norm ? withNorm(own, norm.layer) : own;
  const { plain, positive, epsilon } = shares;
  const output = norm ? norm.y : y;
  if (positive === 0) {
    const shared = stabilizedShare(relevance, output, epsilon);
    return mul(x, applyTransposed(linear, shared, x.shape));
  }
  const parts = positiveParts(linear, x);
  const plus = parts.map(({ weights, input }) => applyLinear(weights, input)).reduce((a, b) => add(a, b));
  const scaled = positive === 1 ? plus : mul(plus, positive);
  const shared = stabilizedShare(relevance, plain ? add(output, scaled) : scaled, epsilon);
  const received = parts
    .map(({ weights, input }) => mul(input, applyTransposed(weights, shared, x.shape)))
    .reduce((a, b) => add(a, b));
  const fromPositive = positive === 1 ? received : mul(received, positive);
  return plain ? add(mul(x, applyTransposed(linear, shared, x.shape)), fromPositive) : fromPositive;
}

/** max(x w, 0) as x⁺ w⁺ + x⁻ w⁻, the bias with the first. */
function positiveParts({ record, weight, bias }: LinearWeights, x: Tensor) {
  return [
    {
      weights: { record, weight: maximum(weight, 0), bias: bias && maximum(bias, 0) },
      input: maximum(x, 0),
    },
    { weights: { record, weight: minimum(weight, 0) }, input: minimum(x, 0) },
  ];
}

/** Even shares for all inputs that an output sees. */
function throughFlat({ layer, x }: Leaf, relevance: Tensor): Tensor {
  const { record, weight } = linearWeights(layer);
  const ones = { record, weight: full(x.gpu, weight.shape, 1) };
  const seen = applyLinear(ones, full(x.gpu, [1, ...x.shape.slice(1)], 1));
  return applyTransposed(ones, mul(relevance, stabilizedShare(full(x.gpu, seen.shape, 1), seen, 0)), x.shape);
}

/** Through a layer without weights of its own that is linear: x times its gradient of the share. */
function throughOwn({ layer, x, y, saved }: Leaf, relevance: Tensor, { epsilon }: Shares): Tensor {
  return mul(x, layer.inputGrad(stabilizedShare(relevance, y, epsilon), saved));
}

/** To the body and the skip connection by what they gave: with zPlus by what is positive of it. */
function throughFork(
  { body, shortcut, x, y }: Fork,
  relevance: Tensor,
  { plain, positive, epsilon }: Shares,
): [Tensor, Tensor] {
  const skip = shortcut?.y ?? x;
  const part = (given: Tensor): Tensor => {
    if (positive === 0) return given;
    const plus = mul(maximum(given, 0), positive);
    return plain ? add(given, plus) : plus;
  };
  const [fromBody, fromSkip] = [part(body.y), part(skip)];
  const shared = stabilizedShare(relevance, positive === 0 ? y : add(fromBody, fromSkip), epsilon);
  return [mul(fromBody, shared), mul(fromSkip, shared)];
}

/**
 * The target's logit, shared out from layer to layer down to the pixels: R_i = Σ_j (share of x_i in z_j) R_j,
 * starting from the logit itself. Max pooling gives all to the maximum, activations pass relevance on, batch
 * norm right behind a linear layer is merged with it, residual blocks share by what body and skip connection
 * gave. Relevance adds up to the logit but for what biases and ε keep.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError; ValueError for options out of range, or layers that are neither the library's nor
 *   `LinearLayer`s
 * @example
 * const maps = await lrp(model, images, { target: 3, rule: "gamma", gamma: 0.25 });
 */
export async function lrp(
  model: Sequential,
  x: Tensor,
  { rule = "zPlus", epsilon, gamma, firstLayer = "rule", ...options }: LrpOptions,
): Promise<Tensor> {
  checkCommon("lrp", x, options);
  checkChoice("lrp", "rule", rule, ["zPlus", "epsilon", "gamma", "epsilonPlus"]);
  checkChoice("lrp", "firstLayer", firstLayer, ["rule", "flat"]);
  if (epsilon !== undefined) checkNumber("lrp", "epsilon", epsilon, 0);
  if (gamma !== undefined) checkNumber("lrp", "gamma", gamma, 0);
  const core = lrpCore({ rule, epsilon, gamma, firstLayer });
  return explainByPasses("lrp", model, x, { core }, options);
}
