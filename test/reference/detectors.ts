/** Scores of detectors for single rows, in float64 and by the textbook: probabilities, inverses, sorted lists. */

/** Rows of one width. */
export type Matrix = readonly ArrayLike<number>[];

function softmaxOf(z: ArrayLike<number>): number[] {
  const list = Array.from(z);
  const largest = Math.max(...list);
  const powers = list.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** T ln mean_j e^(z_j / T) over the classes but the largest, subtracted from it. */
export function odds(z: ArrayLike<number>, temperature = 1): number {
  const sorted = Array.from(z).sort((a, b) => b - a);
  const [largest, ...others] = sorted;
  const mean = others.reduce((sum, v) => sum + Math.exp((v - others[0]) / temperature), 0) / others.length;
  return largest - others[0] - temperature * Math.log(mean);
}

export function maximum(z: ArrayLike<number>): number {
  return Math.max(...Array.from(z));
}

export function energy(z: ArrayLike<number>, temperature = 1): number {
  const largest = maximum(z);
  const sum = Array.from(z).reduce((total, v) => total + Math.exp((v - largest) / temperature), 0);
  return largest + temperature * Math.log(sum);
}

/** -ln H; where H underflows, its leading term e^(r - m) (1 + m - r) for each class beside the largest, m. */
export function entropy(z: ArrayLike<number>): number {
  const p = softmaxOf(z);
  const h = -p.reduce((sum, share) => sum + (share > 0 ? share * Math.log(share) : 0), 0);
  if (1 - Math.max(...p) > 1e-6) return -Math.log(h);
  const [largest, ...others] = Array.from(z).sort((a, b) => b - a);
  const terms = others.map((v) => Math.exp(v - others[0]) * (1 + largest - v));
  return largest - others[0] - Math.log(terms.reduce((sum, term) => sum + term, 0));
}

function meanRow(rows: Matrix): number[] {
  return Array.from(rows[0], (_, j) => rows.reduce((sum, row) => sum + row[j], 0) / rows.length);
}

const difference = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a, (v, j) => v - b[j]);
const squaredNorm = (a: ArrayLike<number>) => Array.from(a).reduce((sum, v) => sum + v * v, 0);

/** Rᵀ R / n of centered rows, shrunk toward its mean variance; Ledoit and Wolf's share by their definition. */
export function covariance(rows: Matrix, shrinkage: number | "ledoitWolf"): number[][] {
  const width = rows[0].length;
  const s = Array.from({ length: width }, (_, i) =>
    Array.from({ length: width }, (_, j) => rows.reduce((sum, r) => sum + r[i] * r[j], 0) / rows.length),
  );
  const scale = s.reduce((sum, row, i) => sum + row[i], 0) / width;
  const size = (entry: (i: number, j: number) => number) =>
    s.reduce((sum, row, i) => sum + row.reduce((part, _, j) => part + entry(i, j) ** 2, 0), 0);
  let share = shrinkage;
  if (share === "ledoitWolf") {
    const distance = size((i, j) => s[i][j] - (i === j ? scale : 0));
    const noise = rows.reduce((sum, r) => sum + size((i, j) => r[i] * r[j] - s[i][j]), 0) / rows.length ** 2;
    share = Math.min(noise, distance) / distance;
  }
  const kept = share;
  return s.map((row, i) => row.map((v, j) => (1 - kept) * v + (i === j ? kept * scale : 0)));
}

/** Gauss-Jordan with the largest pivots. */
export function inverse(matrix: readonly (readonly number[])[]): number[][] {
  const size = matrix.length;
  const work = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column; i < size; i++)
      if (Math.abs(work[i][column]) > Math.abs(work[pivot][column])) pivot = i;
    [work[column], work[pivot]] = [work[pivot], work[column]];
    const lead = work[column][column];
    work[column] = work[column].map((v) => v / lead);
    for (let i = 0; i < size; i++) {
      const factor = work[i][column];
      if (i !== column) work[i] = work[i].map((v, j) => v - factor * work[column][j]);
    }
  }
  return work.map((row) => row.slice(size));
}

/** The Mahalanobis score, and the relative one. */
export function mahalanobis(
  rows: Matrix,
  labels: ArrayLike<number>,
  { shrinkage, relative }: { shrinkage: number | "ledoitWolf"; relative: boolean },
): (f: ArrayLike<number>) => number {
  const classes = [...new Set(Array.from(labels))];
  const means = new Map(classes.map((c) => [c, meanRow(rows.filter((_, i) => labels[i] === c))]));
  const center = meanRow(rows);
  const own = (i: number) => means.get(labels[i]) as number[];
  const within = inverse(
    covariance(
      rows.map((row, i) => difference(row, own(i))),
      shrinkage,
    ),
  );
  const whole = inverse(
    covariance(
      rows.map((row) => difference(row, center)),
      shrinkage,
    ),
  );
  const distance = (f: ArrayLike<number>, mean: number[], precision: number[][]) => {
    const rest = difference(f, mean);
    return rest.reduce(
      (sum, a, i) => sum + rest.reduce((part, b, j) => part + a * precision[i][j] * b, 0),
      0,
    );
  };
  return (f) =>
    -Math.min(...[...means.values()].map((mean) => distance(f, mean, within))) +
    (relative ? distance(f, center, whole) : 0);
}

/** Minus the k-th smallest squared distance between unit rows. */
export function neighbor(rows: Matrix, k: number): (f: ArrayLike<number>) => number {
  const unit = (row: ArrayLike<number>) => {
    const size = Math.max(Math.sqrt(squaredNorm(row)), 1e-12);
    return Array.from(row, (v) => v / size);
  };
  const bank = rows.map(unit);
  return (f) => {
    const u = unit(f);
    return -bank.map((row) => squaredNorm(difference(u, row))).sort((a, b) => a - b)[k - 1];
  };
}

/** OpenMax with the tails of given Weibull distributions: ln((1 - P) / P), P the probability of the unknown. */
export function openMax(
  z: ArrayLike<number>,
  means: Matrix,
  tails: readonly { shape: number; scale: number }[],
  alpha: number,
): number {
  const list = Array.from(z);
  const order = list.map((_, c) => c).sort((a, b) => list[b] - list[a] || a - b);
  const known = [...list];
  let unknown = 0;
  for (const [rank, c] of order.slice(0, alpha).entries()) {
    const distance = Math.sqrt(squaredNorm(difference(list, means[c])));
    const far = 1 - Math.exp(-((distance / tails[c].scale) ** tails[c].shape));
    const kept = list[c] * (1 - ((alpha - rank) / alpha) * far);
    unknown += list[c] - kept;
    known[c] = kept;
  }
  const p = softmaxOf([...known, unknown])[list.length];
  return Math.log((1 - p) / p);
}
