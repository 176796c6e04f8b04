/** The classes that targeted attacks aim at. */
import targetsWgsl from "../../shaders/attack_targets.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { seedKey } from "../random.js";
import type { Tensor } from "../tensor.js";

/**
 * The class that samples are to be taken for: the `leastLikely` or `nextLikely` one but their label, or a
 * `random` other one. `eachInTurn` takes the most likely other class, at the next restart the one after it,
 * and so on; any wrong class then counts as success. For given targets pass `targets` with the labels.
 */
export type Target = "leastLikely" | "nextLikely" | "random" | "eachInTurn";

export const TARGETS: readonly Target[] = ["leastLikely", "nextLikely", "random", "eachInTurn"];

/** Which random numbers an attack draws; see `Batch`. */
export interface Draw {
  readonly seed: number;
  readonly samples?: Tensor;
  readonly draw?: Tensor;
}

/** Philox streams of the attacks, far from those that small numbers name. */
export const STREAMS = { start: 0x61740000, targets: 0x61740001, square: 0x61750000 } as const;

const WORKGROUP_SIZE = 64;

const targetsKernel = defineKernel<{ target: Target; seed: number }>({
  name: "attack_targets",
  wgsl: targetsWgsl,
  bindings: { logits: "read", labels: "read", samples: "optional", draw: "optional", targets: "write" },
  constants: (_shapes, { target }) => ({ CHOICE: target === "random" ? 1 : 0 }),
  shape: ({ logits, labels }) => {
    if (logits.length !== 2 || logits[1] < 2)
      throw new ShapeError(`targets: y has shape [${logits}], and logits of at least 2 classes are taken`);
    if (labels.length !== 1 || labels[0] !== logits[0])
      throw new ShapeError(`targets: labels has shape [${labels}], and [${logits[0]}] is taken`);
    return { targets: labels };
  },
  uniforms: ({ logits: [count, classes] }, { target, seed }) => {
    const [low, high] = seedKey(seed);
    const rank = target === "leastLikely" ? classes - 1 : target === "nextLikely" ? 1 : 0;
    return { count, classes, rank, stream: STREAMS.targets, key_low: low, key_high: high };
  },
  grid: ({ labels }, limits) => gridFor(labels[0], WORKGROUP_SIZE, limits),
  work: ({ logits: [count, classes] }) => 10 * count * classes * classes,
});

/**
 * The class that each sample is to be taken for.
 * @param logits [n, classes] of the clean images
 * @param labels u32 [n]
 * @returns u32 [n], never the label
 */
export function chooseTargets(target: Target, logits: Tensor, labels: Tensor, draw: Draw): Tensor {
  if (!TARGETS.includes(target))
    throw new ValueError(`target is ${target}, and one of ${TARGETS.join(", ")} is taken`);
  const { seed, samples, draw: round } = draw;
  return targetsKernel.run({ logits, labels, samples, draw: round }, { target, seed }).targets;
}
