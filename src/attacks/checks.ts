/** What `attack` checks before it starts. */
import unitRangeWgsl from "../../shaders/unit_range_scan.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, sizeOf } from "../gpu/kernel.js";
import { strideGrid } from "../ops/stride_grid.js";
import { withWords } from "../ops/words.js";
import { type Tensor, tensor, zeros } from "../tensor.js";
import type { Attack } from "./definition.js";
import { type AttackLoss, marginLoss } from "./losses.js";

const rangeKernel = defineKernel({
  name: "unit_range_scan",
  wgsl: unitRangeWgsl,
  bindings: { x: "read", found: "readWrite" },
  shape: () => ({}),
  uniforms: ({ x }) => ({ count: sizeOf(x) }),
  grid: ({ x }, limits) => strideGrid(sizeOf(x), limits),
});

/** @throws ValueError for an empty chain or one of several norms */
export function checkChain(stages: readonly Attack[]): void {
  if (stages.length === 0)
    throw new ValueError("attack: the list of attacks is empty, and at least one is taken");
  const norms = new Set(stages.map(({ norm }) => norm));
  if (norms.size > 1) {
    const list = [...norms].join(", ");
    throw new ValueError(`attack: the attacks of a chain have norms ${list}, and one for all is taken`);
  }
}

/** By what the results of all stages are compared. */
export function judgeOf(stages: readonly Attack[], given?: AttackLoss): AttackLoss {
  if (given) return given;
  const [{ loss }] = stages;
  if (stages.every((stage) => stage.loss === loss && stage.target !== "eachInTurn")) return loss;
  if (stages.every((stage) => stage.loss.ofClasses)) return marginLoss;
  throw new ValueError(
    "attack: the attacks have different losses; say with judge by which loss results compare",
  );
}

/** The target that the attacks share and the model is to choose, if any. */
export function goalOf(stages: readonly Attack[], given: boolean): Attack["target"] {
  const targets = new Set(stages.map((stage) => stage.target));
  if (given && targets.has("eachInTurn"))
    throw new ValueError(
      "attack: targets are given, and an attack with target eachInTurn goes for any wrong class",
    );
  if (given || (targets.size === 1 && targets.has("eachInTurn"))) return undefined;
  const goals = [...targets].filter((target) => target !== undefined && target !== "eachInTurn");
  if (goals.length === 0) return undefined;
  if (targets.size === 1) return goals[0];
  throw new ValueError(
    `attack: the attacks of a chain have different targets (${[...targets].join(", ")}); take one`,
  );
}

/** Classes as the caller gave them, as a tensor; one that is made here goes to `owned`. @throws ShapeError */
export function classesOf(
  name: string,
  x: Tensor,
  values: Tensor | ArrayLike<number>,
  owned: { dispose(): void }[],
): Tensor {
  const count = x.shape[0];
  const isTensor = "storage" in values;
  const length = isTensor ? (values.rank === 1 ? values.size : -1) : values.length;
  if (length !== count) {
    const got = isTensor ? `shape [${values.shape}]` : `${length} values`;
    throw new ShapeError(
      `attack: ${name} has ${got}, and one for each of the ${count} samples of x is taken`,
    );
  }
  if (isTensor) return values;
  const classes = tensor(x.gpu, Array.from(values), { dtype: "u32" });
  owned.push(classes);
  return classes;
}

/** @throws ValueError if a pixel is not from 0 to 1 */
export async function checkRange(x: Tensor): Promise<void> {
  const found = zeros(x.gpu, [1], { dtype: "u32" });
  try {
    withWords({ x }, (words) => rangeKernel.run({ ...words, found }, undefined));
    if ((await found.item()) === 0) return;
  } finally {
    found.dispose();
  }
  throw new ValueError(
    "attack: x has values outside 0 to 1, and images from 0 to 1 are taken; put the normalization inside " +
      "the model with normalized()",
  );
}
