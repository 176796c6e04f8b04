/** What the rules are compared with: the chain rule, and feedback that does not know the weights. */
import { matmul } from "../ops/matmul.js";
import { randomNormal } from "../ops/random.js";
import { sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
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

function drawn(site: Site, { gpu, seed, stream }: Setup): Tensor {
  return randomNormal(gpu, site.weights.shape, { seed, stream, std: spread(site) });
}

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
  state: (site, { gpu, seed, stream, classes }) => {
    const shape = [classes, sizeOf(site.inputShape)];
    return { direct: randomNormal(gpu, shape, { seed, stream, std: spread(site) }) };
  },
  payments: ({ state, saved, outcome }) => matmul(outcome.error, state.direct).reshape(saved.inputShape),
};
