/** What the rules are compared with: the chain rule, and feedback that does not know the weights. */
import { EnsembleDense } from "../layers/ensemble_dense.js";
import { concat } from "../ops/concat.js";
import { matmul } from "../ops/matmul.js";
import { randomNormal } from "../ops/random.js";
import { sizeOf } from "../gpu/kernel.js";
import type { Shape, Tensor } from "../tensor.js";
import { incomingAxes, type Site } from "./sites.js";
import { feedbackRule } from "./attention_rules.js";
import type { Rule, Setup } from "./rule.js";

/** The chain rule, by the layers' own input gradients. */
export const backpropagationRule: Rule = { name: "backpropagation", title: "backpropagation" };

/** Standard deviation of the initial weights of a layer with rectifiers (He et al. 2015). */
function spread({ weights, ...site }: Site): number {
  const fanIn = sizeOf(incomingAxes(site).map((axis) => weights.shape[axis]));
  return Math.sqrt(2 / fanIn);
}

/** Numbers of a shape; of an ensemble each network's own, as if it were alone. */
function draw(site: Site, { gpu, seed, stream }: Setup, shape: Shape): Tensor {
  const std = spread(site);
  if (typeof seed === "number") return randomNormal(gpu, shape, { seed, stream, std });
  const own = seed.map((one) => randomNormal(gpu, [1, ...shape], { seed: one, stream, std }));
  const all = concat(own, 0);
  for (const one of own) one.dispose();
  return all;
}

const drawn = (site: Site, setup: Setup): Tensor =>
  draw(site, setup, site.layer instanceof EnsembleDense ? site.weights.shape.slice(1) : site.weights.shape);

/** Feedback through fixed random weights (Lillicrap et al. 2016). */
export const feedbackAlignmentRule: Rule = feedbackRule({
  name: "feedback-alignment",
  title: "feedback alignment",
  state: (site, setup) => ({ fixed: drawn(site, setup) }),
  feedback: ({ state }) => ({ weights: state.fixed }),
});

/** Feedback with the weights' signs and fixed random sizes (Liao et al. 2016, their "frSF"). */
export const signSymmetryRule: Rule = feedbackRule({
  name: "sign-symmetry",
  title: "sign-symmetry",
  state: (site, setup) => ({ fixed: drawn(site, setup) }),
  feedback: ({ site, state }) => ({
    weights: site.weights,
    transform: { kind: "borrowedSign" },
    other: state.fixed,
  }),
});

/** Each layer gets the output's error through fixed random weights of its own (Nøkland 2016). */
export const directFeedbackAlignmentRule: Rule = {
  name: "direct-feedback-alignment",
  title: "direct feedback alignment",
  state: (site, setup) => ({
    direct: draw(site, setup, [setup.classes, sizeOf(site.inputShape) / site.members]),
  }),
  payments: ({ state, saved, outcome }) => matmul(outcome.error, state.direct).reshape(saved.inputShape),
};
