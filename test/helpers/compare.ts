/** Results come as flat lists (what `tensor.data()` gives), references with their shape. */
export type Numbers = ArrayLike<number> | { shape: readonly number[]; data: ArrayLike<number> };

function valuesOf(numbers: Numbers): ArrayLike<number> {
  return "data" in numbers ? numbers.data : numbers;
}

function shapeOf(numbers: Numbers): readonly number[] | undefined {
  return "data" in numbers ? numbers.shape : undefined;
}

function checkSameShape(actual: Numbers, expected: Numbers, what: string): void {
  const [a, e] = [shapeOf(actual), shapeOf(expected)];
  if (a && e && `${a}` !== `${e}`) throw new Error(`${what}: shape [${a}], expected [${e}]`);
  const [count, expectedCount] = [valuesOf(actual).length, valuesOf(expected).length];
  if (count !== expectedCount) throw new Error(`${what}: ${count} elements, expected ${expectedCount}`);
}

/** 0 for equal numbers, equal infinities among them; NaN whenever one of the two is NaN. */
function differenceOf(actual: number, expected: number): number {
  return actual === expected ? 0 : Math.abs(actual - expected);
}

/** L2 norm; what is infinite is left out, since it must match exactly and would hide everything else. */
function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]) !== Infinity) sum += values[i] * values[i];
  }
  return Math.sqrt(sum);
}

/**
 * ‖actual - expected‖ / max(‖expected‖, 0.01 · ‖absolute‖), all L2 norms.
 *
 * `absolute` is the same op on the absolute values of its inputs. Where terms cancel, the result is far
 * smaller than what was summed, and rounding error scales with the latter: without this floor a correct
 * kernel would fail by chance. NaN anywhere gives NaN; a difference from an expected all-zero result gives
 * Infinity.
 */
export function relativeError(actual: Numbers, expected: Numbers, absolute?: Numbers): number {
  checkSameShape(actual, expected, "relativeError");
  const [a, e] = [valuesOf(actual), valuesOf(expected)];
  const differences = new Float64Array(e.length);
  for (let i = 0; i < e.length; i++) differences[i] = differenceOf(a[i], e[i]);
  if (differences.includes(Infinity)) return Infinity;
  const error = norm(differences);
  if (error === 0) return 0;
  return error / Math.max(norm(e), absolute ? 0.01 * norm(valuesOf(absolute)) : 0);
}

export interface CloseOptions {
  /** Largest relative error that passes; 1e-5, to be raised to 1e-4 for sums of more than 10,000 terms. */
  tolerance?: number;
  /** The same op on absolute values: see `relativeError`. */
  absolute?: Numbers;
  /** Names the comparison in the message. */
  what?: string;
}

/** Throws unless `relativeError` is at most the tolerance; NaN fails. */
export function assertClose(
  actual: Numbers,
  expected: Numbers,
  { tolerance = 1e-5, absolute, what = "result" }: CloseOptions = {},
): void {
  checkSameShape(actual, expected, what);
  const error = relativeError(actual, expected, absolute);
  if (!(error <= tolerance)) {
    const worst = describeWorst(actual, expected);
    throw new Error(`${what}: relative error ${error.toExponential(2)} is not <= ${tolerance}; ${worst}`);
  }
}

/** Throws unless every element is the same number: for indices, permutations and repeated runs. */
export function assertExact(actual: Numbers, expected: Numbers, what = "result"): void {
  checkSameShape(actual, expected, what);
  const [a, e] = [valuesOf(actual), valuesOf(expected)];
  for (let i = 0; i < e.length; i++) {
    if (!(a[i] === e[i])) throw new Error(`${what}: not equal; ${describeWorst(actual, expected)}`);
  }
}

/** The element that is furthest off (NaN counts as further than anything), and how many are off at all. */
function describeWorst(actual: Numbers, expected: Numbers): string {
  const [a, e] = [valuesOf(actual), valuesOf(expected)];
  let worst = 0;
  let largest = -1;
  let count = 0;
  for (let i = 0; i < e.length; i++) {
    const difference = differenceOf(a[i], e[i]);
    if (difference !== 0) count++;
    const distance = Number.isNaN(difference) ? Infinity : difference;
    if (distance > largest) [worst, largest] = [i, distance];
  }
  const at = positionOf(worst, shapeOf(expected) ?? shapeOf(actual) ?? [e.length]);
  return `worst at [${at.join(", ")}]: ${a[worst]}, expected ${e[worst]} (${count} of ${e.length} differ)`;
}

function positionOf(offset: number, shape: readonly number[]): number[] {
  const position: number[] = [];
  for (const dimension of [...shape].reverse()) {
    position.unshift(offset % dimension);
    offset = Math.floor(offset / dimension);
  }
  return position;
}
