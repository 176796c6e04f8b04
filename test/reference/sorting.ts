import { type Array64, alongAxis } from "./array64.js";

export interface SortOptions {
  axis?: number;
  /** Largest first. */
  descending?: boolean;
}

/** The positions of a line's elements in sorted order; equal elements keep theirs (the lower index first). */
function orderOf(line: number[], descending: boolean): number[] {
  const sign = descending ? -1 : 1;
  return line.map((_, i) => i).sort((i, j) => sign * (line[i] - line[j]) || i - j);
}

/** Every line along an axis in order, and where each element came from. */
export function sort(
  x: Array64,
  { axis = -1, descending = false }: SortOptions = {},
): { values: Array64; indices: Array64 } {
  return {
    values: alongAxis([x], axis, (line) => orderOf(line, descending).map((i) => line[i])),
    indices: alongAxis([x], axis, (line) => orderOf(line, descending)),
  };
}

/** The k largest (or smallest) of every line along an axis, in order, the lower index first among equals. */
export function topK(
  x: Array64,
  k: number,
  { axis = -1, largest = true }: { axis?: number; largest?: boolean } = {},
): { values: Array64; indices: Array64 } {
  const first = (line: number[]) => orderOf(line, largest).slice(0, k);
  return {
    values: alongAxis([x], axis, (line) => first(line).map((i) => line[i])),
    indices: alongAxis([x], axis, first),
  };
}
