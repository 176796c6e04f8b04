import { type Array64, array64, sizeOf } from "../reference/array64.js";

/** Sizes on both sides of what tiles and vectors are made of, and 1. */
const dimensions = [1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 23, 31, 32, 33, 47, 61, 64, 65, 97, 127, 129, 251];

/** Shapes and data drawn from a seed: the same seed gives the same test on every machine. */
export interface Random {
  /** In [0, 1). */
  uniform(): number;
  /** Whole numbers from low to high, both included. */
  integer(low: number, high: number): number;
  pick<T>(choices: readonly T[]): T;
  /** A size up to `largest`, more often than not odd, prime, 1, or beside a power of two. */
  dimension(largest?: number): number;
  shape(rank: number, largest?: number): number[];
  /** Uniform values, float32 exactly, so that an upload does not round them. */
  array(shape: readonly number[], range?: { low?: number; high?: number }): Array64;
  /** Whole numbers from low to high, both included: labels, rows, ties. */
  integers(shape: readonly number[], low: number, high: number): Array64;
  /** No two values nearer than 1/64 (float32 exactly): for maxima, sorts and finite differences over them. */
  distinct(shape: readonly number[]): Array64;
  permutation(count: number): number[];
}

/** Mulberry32: 32 bits of state, all draws from whole-number arithmetic. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function seededRandom(seed: number): Random {
  const uniform = mulberry32(seed);
  const integer = (low: number, high: number) => low + Math.floor(uniform() * (high - low + 1));
  const pick = <T>(choices: readonly T[]) => choices[integer(0, choices.length - 1)];
  const dimension = (largest = 65) => pick(dimensions.filter((d) => d <= largest));
  const permutation = (count: number) => {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = integer(0, i);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };
  return {
    uniform,
    integer,
    pick,
    dimension,
    permutation,
    shape: (rank, largest) => Array.from({ length: rank }, () => dimension(largest)),
    array: (shape, { low = -1, high = 1 } = {}) => {
      const draw = () => Math.fround(low + uniform() * (high - low));
      return array64(shape, Array.from({ length: sizeOf(shape) }, draw));
    },
    integers: (shape, low, high) =>
      array64(
        shape,
        Array.from({ length: sizeOf(shape) }, () => integer(low, high)),
      ),
    distinct: (shape) => {
      const count = sizeOf(shape);
      return array64(
        shape,
        permutation(count).map((rank) => (rank - Math.floor(count / 2)) / 64),
      );
    },
  };
}

/** Two arrays whose shapes broadcast to one of `rank` axes: some axes are 1 on either side, some are missing. */
export function broadcastCase(random: Random, rank = random.integer(1, 4), largest = 17): [Array64, Array64] {
  const full = random.shape(rank, largest);
  const narrowed = full.map((d) => (random.uniform() < 0.4 ? 1 : d));
  const cut = narrowed.slice(random.integer(0, rank - 1));
  const widened = full.map((d, axis) => {
    const inCut = axis - (rank - cut.length);
    return inCut >= 0 && cut[inCut] === d && random.uniform() < 0.3 ? 1 : d;
  });
  const pair: [Array64, Array64] = [random.array(widened), random.array(cut)];
  return random.uniform() < 0.5 ? pair : [pair[1], pair[0]];
}

/** Matrices for one product: either side transposed or not, with up to two batch axes that broadcast. */
export function matmulCase(random: Random, largest = 65) {
  const [m, n, k] = random.shape(3, largest);
  const transposeA = random.uniform() < 0.5;
  const transposeB = random.uniform() < 0.5;
  const batch = random.shape(random.integer(0, 2), 3);
  const aBatch = batch.map((d) => (random.uniform() < 0.3 ? 1 : d));
  const bBatch = batch.map((d, axis) => (aBatch[axis] === d && random.uniform() < 0.3 ? 1 : d));
  return {
    a: random.array([...aBatch, ...(transposeA ? [k, m] : [m, k])]),
    b: random.array([...(random.uniform() < 0.2 ? [] : bBatch), ...(transposeB ? [n, k] : [k, n])]),
    bias: random.array([n]),
    options: { transposeA, transposeB },
  };
}

/** The four sides of a padding are [top, left, bottom, right]. */
export interface WindowCase {
  stride: [number, number];
  padding: [number, number, number, number];
  dilation: [number, number];
  groups: number;
}

/** An image batch and weights for one convolution, everything that a convolution has drawn at random. */
export function conv2dCase(random: Random, largest = 17) {
  const options: WindowCase = {
    stride: [random.integer(1, 3), random.integer(1, 3)],
    padding: [random.integer(0, 3), random.integer(0, 3), random.integer(0, 3), random.integer(0, 3)],
    dilation: [random.integer(1, 2), random.integer(1, 2)],
    groups: random.pick([1, 1, 2, 3]),
  };
  const { dilation, groups } = options;
  const kernel = [random.integer(1, 4), random.integer(1, 4)];
  const inputsAGroup = random.integer(1, 7);
  const outputs = groups * random.integer(1, 7);
  const image = kernel.map((k, axis) => dilation[axis] * (k - 1) + random.dimension(largest));
  return {
    x: random.array([random.integer(1, 3), groups * inputsAGroup, ...image]),
    w: random.array([outputs, inputsAGroup, ...kernel]),
    bias: random.array([outputs]),
    options,
  };
}

/** The same for one transposed convolution: weights are [inputs, outputs / groups, height, width]. */
export function convTranspose2dCase(random: Random, largest = 13) {
  const stride: [number, number] = [random.integer(1, 3), random.integer(1, 3)];
  const dilation: [number, number] = [random.integer(1, 2), random.integer(1, 2)];
  const groups = random.pick([1, 1, 2, 3]);
  const kernel = [random.integer(1, 4), random.integer(1, 4)];
  const inputs = groups * random.integer(1, 5);
  const outputsAGroup = random.integer(1, 5);
  // Enough is left after the padding for the output to have at least one row and column.
  const [spanY, spanX] = kernel.map((k, axis) => dilation[axis] * (k - 1));
  const side = (span: number) => random.integer(0, Math.floor(span / 2));
  const options: WindowCase & { outputPadding: [number, number] } = {
    stride,
    padding: [side(spanY), side(spanX), side(spanY), side(spanX)],
    dilation,
    groups,
    outputPadding: [random.integer(0, stride[0] - 1), random.integer(0, stride[1] - 1)],
  };
  return {
    x: random.array([random.integer(1, 3), inputs, random.dimension(largest), random.dimension(largest)]),
    w: random.array([inputs, outputsAGroup, ...kernel]),
    bias: random.array([outputsAGroup * groups]),
    options,
  };
}
