/** One layer by the solver that is asked for. */
import { ValueError } from "../gpu/errors.js";
import { chooseOnly } from "./baselines.js";
import { exactSpade } from "./exact_spade.js";
import { fastSpade } from "./fast_spade.js";
import type { LayerProblem, Solution, Solved } from "./layer_problem.js";
import type { SolveOptions } from "./options.js";
import { removedByPattern } from "./selection.js";

/** Columns a block of dense layers, which have no filter that suggests it. */
const DENSE_BLOCK = 16;
const SOLVERS = ["fastspade", "spade", "magnitude", "random", "selection"];

/** A layer's ratio; 0 leaves it as it is. @throws ValueError outside 0 to 1 */
export function ratioOf({ ratios }: SolveOptions, name: string): number {
  const ratio = typeof ratios === "number" ? ratios : (ratios[name] ?? 0);
  if (ratio >= 0 && ratio <= 1) return ratio;
  throw new ValueError(`solve: the ratio of layer "${name}" is ${ratio}, and a share from 0 to 1 is taken`);
}

/** @throws ValueError for what no layer takes */
export function checkSolveOptions(options: SolveOptions, layers: readonly string[], samples: number): void {
  const { solver = "fastspade", ratios, blockSize = 1, groupSize = 1, pattern, target } = options;
  if (!SOLVERS.includes(solver))
    throw new ValueError(`solve: solver "${solver}" is not known; take one of ${SOLVERS.join(", ")}`);
  for (const [name, value] of Object.entries({ blockSize, groupSize })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new ValueError(`solve: ${name} is ${value}, and a whole number of at least 1 is taken`);
  }
  const { keep, of } = pattern ?? { keep: 1, of: 1 };
  if (!(Number.isInteger(of) && Number.isInteger(keep) && keep >= 0 && keep <= of && of >= 1)) {
    throw new ValueError(
      `solve: pattern is to keep ${keep} of ${of}, and whole numbers with 0 <= keep <= of are taken`,
    );
  }
  if (typeof target === "object" && target.length !== samples)
    throw new ValueError(
      `solve: target has ${target.length} classes, and one for each of ${samples} samples is taken`,
    );
  const known = new Set(layers);
  for (const name of layers) ratioOf(options, name);
  for (const name of typeof ratios === "number" ? [] : Object.keys(ratios)) {
    if (known.has(name) || ratioOf(options, name) === 0) continue;
    throw new ValueError(
      `solve: layer "${name}" was not calibrated; take some of ${layers.join(", ")}, or name it in calibrate's layers`,
    );
  }
}

/** Whether a solver looks at the inverse Hessian. */
export function needsFactors({ solver = "fastspade" }: SolveOptions): boolean {
  return solver === "fastspade" || solver === "spade";
}

/**
 * Solves a layer for all samples of its problem, or finds what was solved before.
 * @param stream of random draws, a layer's own
 */
export async function solveLayer(
  problem: LayerProblem,
  ratio: number,
  options: SolveOptions,
  stream: number,
): Promise<Solved> {
  const { solver = "fastspade", threshold = "layer", seed = 0, blockSize, groupSize, pattern } = options;
  const key = JSON.stringify([solver, ratio, threshold, seed, blockSize, groupSize, pattern]);
  const known = problem.solved.get(key);
  if (known) return known;
  const solved = problem.keep(await solution(problem, ratio, options, stream));
  problem.solved.set(key, solved);
  return solved;
}

async function solution(
  problem: LayerProblem,
  ratio: number,
  options: SolveOptions,
  stream: number,
): Promise<Solution> {
  const { solver = "fastspade", threshold = "layer", pattern, seed = 0 } = options;
  const { weights, size, area } = problem;
  const removed = pattern
    ? (removedByPattern(size, pattern) * weights) / size
    : Math.floor(ratio * weights + 0.5);
  if (solver === "fastspade") {
    const wanted = Math.min(options.blockSize ?? (area > 1 ? area : DENSE_BLOCK), size);
    // A pattern's runs are not cut by blocks.
    const blockSize = pattern ? pattern.of * Math.ceil(wanted / pattern.of) : wanted;
    return fastSpade(problem, await problem.factors(), { blockSize, removed, ratio, threshold, pattern });
  }
  if (solver === "spade") {
    const groupSize = options.groupSize ?? (pattern ? 1 : area);
    const whole = pattern ? removed : groupSize * Math.floor((ratio * weights) / groupSize + 0.5);
    return exactSpade(problem, await problem.factors(), { groupSize, removed: whole, pattern });
  }
  return chooseOnly(problem, { solver, removed, pattern, seed, stream });
}
