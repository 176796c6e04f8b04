// How close what the device computed is to what float64 says.
import type { Array64 } from "../../test/reference/array64.js";
import { dot } from "../../test/reference/array64.js";
import { zip } from "../../test/reference/elementwise.js";
import type { State } from "../../test/reference/network.js";

export const cosineOf = (a: Array64, b: Array64): number => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

export function relativeErrorOf(actual: Array64, expected: Array64): number {
  const apart = zip(actual, expected, (p, q) => p - q);
  return Math.sqrt(dot(apart, apart) / dot(expected, expected));
}

/** The names of weight matrices and filters, from the lowest layer up. */
export const weightNames = (grads: State): string[] =>
  Object.entries(grads)
    .filter(([name, { shape }]) => name.endsWith("weight") && shape.length > 1)
    .map(([name]) => name)
    .sort();

/** The largest relative error of all weights. NaN stays. */
export function worstError(actual: State, expected: State): number {
  return weightNames(expected)
    .map((name) => relativeErrorOf(actual[name], expected[name]))
    .reduce((worst, error) => (error <= worst ? worst : error), 0);
}
