/** Layers by the solver that is asked for. */
import { ValueError } from "../gpu/errors.js";
import { chooseOnly } from "./baselines.js";
import { exactSpade } from "./exact_spade.js";
import { disposeSolutions, fastSpade, type LayerJob } from "./fast_spade.js";
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
 * Solves layers of some samples, side by side where they can be, or finds what was solved before.
 * @param streamOf a layer's own stream of random draws
 * @returns in their order
 */
export async function solveLayers(
  problems: readonly LayerProblem[],
  options: SolveOptions,
  streamOf: (problem: LayerProblem) => number,
): Promise<Solved[]> {
  const { solver = "fastspade", threshold = "layer", seed = 0, blockSize, groupSize, pattern } = options;
  const keyOf = ({ name }: LayerProblem): string =>
    JSON.stringify([solver, ratioOf(options, name), threshold, seed, blockSize, groupSize, pattern]);
  // Asked again behind each wait: another solve with the same options may have been faster.
  const isMissing = (problem: LayerProblem): boolean => !problem.solved.has(keyOf(problem));
  const keep = (made: readonly (readonly [LayerProblem, Solution])[]): void => {
    try {
      for (const [problem, solution] of made)
        if (isMissing(problem)) problem.solved.set(keyOf(problem), problem.keep(solution));
    } finally {
      // What came too late, or behind an error.
      const isKept = ([problem, { weights }]: (typeof made)[number]): boolean =>
        problem.solved.get(keyOf(problem))?.weights === weights;
      disposeSolutions(made.filter((one) => !isKept(one)).map(([, solution]) => solution));
    }
  };
  const missing = problems.filter(isMissing);
  if (solver === "fastspade") {
    const all = await Promise.all(missing.map((problem) => jobOf(problem, options)));
    const jobs = all.filter(({ problem }) => isMissing(problem));
    const solutions = fastSpade(jobs, { threshold, pattern });
    keep(jobs.map(({ problem }, index) => [problem, solutions[index]]));
  } else {
    for (const problem of missing) {
      const choice = { removed: removedOf(problem, options), pattern, seed, stream: streamOf(problem) };
      const solution =
        solver === "spade"
          ? await exactly(problem, options, choice.removed)
          : chooseOnly(problem, { solver, ...choice });
      keep([[problem, solution]]);
    }
  }
  return problems.map((problem) => problem.solved.get(keyOf(problem)) as Solved);
}

async function jobOf(problem: LayerProblem, options: SolveOptions): Promise<LayerJob> {
  const { pattern } = options;
  const { name, size, area } = problem;
  const ratio = ratioOf(options, name);
  const wanted = Math.min(options.blockSize ?? (area > 1 ? area : DENSE_BLOCK), size);
  return {
    problem,
    factors: await problem.factors(),
    // A pattern's runs are not cut by blocks.
    blockSize: pattern ? pattern.of * Math.ceil(wanted / pattern.of) : wanted,
    removed: removedOf(problem, options),
    ratio,
  };
}

/** Weights of a sample. */
function removedOf({ name, weights, size }: LayerProblem, options: SolveOptions): number {
  const { pattern } = options;
  if (pattern) return (removedByPattern(size, pattern) * weights) / size;
  return Math.floor(ratioOf(options, name) * weights + 0.5);
}

async function exactly(problem: LayerProblem, options: SolveOptions, removed: number): Promise<Solution> {
  const { pattern } = options;
  const { name, weights, area } = problem;
  const groupSize = options.groupSize ?? (pattern ? 1 : area);
  const groups = Math.floor((ratioOf(options, name) * weights) / groupSize + 0.5);
  const factors = await problem.factors();
  return exactSpade(problem, factors, {
    groupSize,
    removed: pattern ? removed : groupSize * groups,
    pattern,
  });
}
