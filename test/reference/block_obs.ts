/** Block OBS of one layer in float64, on the CPU, by elimination of H⁻¹ instead of a factor. */
import type { Array64 } from "./array64.js";
import { damped, inverse } from "./pruning.js";

/** The rows of one group and the Hessian of their inputs. */
export interface GroupProblem {
  /** [rows, d] */
  readonly w: Array64;
  readonly h: Array64;
}

export interface BlockObsOptions {
  readonly blockSize: number;
  readonly damping: number;
  readonly ratio: number;
  /** Whether the count is divided as the whole layer's costs have it before any update, or in equal shares. */
  readonly threshold: "layer" | "block";
  readonly pattern?: { readonly keep: number; readonly of: number };
}

interface Place {
  readonly group: number;
  readonly row: number;
  readonly column: number;
}

/** The pruned rows of each group, [rows, d], 0 where a weight is removed. */
export function blockObs(problems: readonly GroupProblem[], options: BlockObsOptions): Float64Array[] {
  const { blockSize, damping, ratio, threshold, pattern } = options;
  const [rows, d] = problems[0].w.shape;
  const lines = problems.map(({ h }) => eliminated(damped(h, damping)));
  const dead = problems.map(({ h }) => Array.from({ length: d }, (_, j) => h.data[j * d + j] === 0));
  const all = problems.map(({ w }) => Float64Array.from(w.data));
  const cost = ({ group, row, column }: Place): number =>
    dead[group][column] ? 0 : all[group][row * d + column] ** 2 / lines[group][column][column];
  const places = (first: number, end: number): Place[] =>
    problems.flatMap((_, group) =>
      Array.from({ length: rows * (end - first) }, (_, i) => ({
        group,
        row: Math.floor(i / (end - first)),
        column: first + (i % (end - first)),
      })),
    );
  // The sort is stable: of equal ones the first goes.
  const cheapest = (some: Place[], count: number): Place[] =>
    some.sort((a, b) => cost(a) - cost(b)).slice(0, count);
  const weights = rows * d * problems.length;
  const atFirst = cheapest(places(0, d), Math.floor(ratio * weights + 0.5));
  if (threshold === "block") {
    dead.forEach((gone, group) => {
      for (let i = 0; i < rows * d; i++) if (gone[i % d]) all[group][i] = 0;
    });
  }
  for (let first = 0; first < d; first += blockSize) {
    const end = Math.min(first + blockSize, d);
    const inside = ({ column }: Place): boolean => column >= first && column < end;
    let removed: Place[];
    if (pattern) {
      const runs: Place[][] = [];
      for (let run = first; run < end; run += pattern.of) {
        const all = places(run, Math.min(run + pattern.of, end));
        const length = all.length / (rows * problems.length);
        for (let at = 0; at < all.length; at += length) runs.push(all.slice(at, at + length));
      }
      removed = runs.flatMap((run) =>
        cheapest(run, run.length - Math.ceil((run.length * pattern.keep) / pattern.of)),
      );
    } else {
      const share = Math.floor(ratio * problems.length * rows * (end - first) + 0.5);
      removed = cheapest(places(first, end), threshold === "block" ? share : atFirst.filter(inside).length);
    }
    for (const { group, row, column } of removed.sort((a, b) => a.column - b.column)) {
      const line = lines[group][column];
      const error = all[group][row * d + column] / line[column];
      for (let k = column; k < d; k++) all[group][row * d + k] -= error * line[k];
      all[group][row * d + column] = 0;
    }
  }
  return all;
}

/** Row j of the inverse of what is left of H behind the columns before j. */
function eliminated(h: Array64): Float64Array[] {
  const d = h.shape[0];
  const left = Float64Array.from(inverse(h).data);
  return Array.from({ length: d }, (_, j) => {
    const line = left.slice(j * d, (j + 1) * d);
    for (let i = j + 1; i < d; i++) {
      const share = line[i] / line[j];
      for (let k = j + 1; k < d; k++) left[i * d + k] -= share * line[k];
    }
    return line;
  });
}
