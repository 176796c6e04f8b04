/**
 * Exact OBS of one row of weights (OBC, Frantar, Singh and Alistarh 2022) in float64 on the CPU: always the group of
 * weights goes next whose removal costs least, and the rest of the row makes up for it. With C = F Fᵀ what is left of
 * the inverse between a group G and itself, and v = F⁻¹ H⁻¹_G: what is left of its rows, removing G leaves H⁻¹ - Σ v vᵀ:
 * a Cholesky factorization of H⁻¹ whose pivots each row chooses for itself. Only the v are kept, and rows of the inverse
 * are computed when they are wanted, a group's all at once.
 *   cost of G = ‖z‖², z = F⁻¹ w_G;  for the chosen G: w -= zᵀ v, w_G = 0
 * Removed groups go to the end of the row, each changing places with the last that is left, so that the work gets less
 * from step to step: weights have places, and `order` says which group is where.
 */

export interface GreedyOptions {
  /** Neighboring weights that go together. */
  readonly group: number;
  readonly steps: number;
  /** Of every `of` neighboring weights at most `of - keep` go; groups of one. */
  readonly pattern?: { readonly keep: number; readonly of: number };
}

/** A pivot that rounding has made 0 or less. */
const SMALLEST = 1e-30;

/** A row and all that its steps left behind. */
export class GreedyRow {
  /** What each step added. */
  readonly costs: Float64Array;
  /** The group at each place: those that went are at the end, the first one last. */
  private readonly order: Uint32Array;
  private readonly w: Float64Array;
  /** v of every removed weight, [steps · group][d], by place. */
  private readonly vectors: Float64Array;
  /** z of every removed weight. */
  private readonly changes: Float64Array;
  /** [groups][group][group], C by place. */
  private readonly blocks: Float64Array;
  /** F of the group that was looked at last, 1 / F_ii in its diagonal. */
  private readonly factor: Float64Array;
  private readonly z: Float64Array;
  /** How many weights of each run have gone. */
  private readonly gone: Uint32Array;

  /**
   * Does all steps.
   * @param row d weights
   * @param inverse [d][d], H⁻¹
   */
  constructor(
    private readonly row: ArrayLike<number>,
    private readonly inverse: Float64Array,
    private readonly options: GreedyOptions,
  ) {
    const { group, steps, pattern } = options;
    const d = row.length;
    this.costs = new Float64Array(steps);
    this.order = Uint32Array.from({ length: d / group }, (_, at) => at);
    this.w = Float64Array.from(row);
    this.vectors = new Float64Array(steps * group * d);
    this.changes = new Float64Array(steps * group);
    this.blocks = new Float64Array(d * group);
    this.factor = new Float64Array(group * group);
    this.z = new Float64Array(group);
    this.gone = new Uint32Array(pattern ? Math.ceil(d / pattern.of) : 0);
    for (let j = 0; j < d; j++) {
      const first = j - (j % group);
      for (let q = 0; q < group; q++) this.blocks[j * group + q] = inverse[j * d + first + q];
    }
    for (let step = 0; step < steps; step++) this.step(step);
  }

  /** Writes the weights, and 1 or 0 for what is left of them, as they are after so many steps. */
  write(steps: number, weights: Float32Array, mask: Float32Array): void {
    const { order, vectors, changes, row, options } = this;
    const { group } = options;
    const d = row.length;
    const left = d - steps * group;
    const rest = new Float64Array(left);
    for (let k = 0; k < steps * group; k++) {
      const change = changes[k];
      for (let j = 0; j < left; j++) rest[j] += change * vectors[k * d + j];
    }
    for (let j = 0; j < d; j++) {
      const target = order[Math.floor(j / group)] * group + (j % group);
      weights[target] = j < left ? row[target] - rest[j] : 0;
      mask[target] = j < left ? 1 : 0;
    }
  }

  private step(step: number): void {
    const { order, changes, z, gone, row, options } = this;
    const { group, pattern } = options;
    const last = row.length / group - step - 1;
    const known = step * group;
    let [cost, chosen, place] = [Number.POSITIVE_INFINITY, order.length, 0];
    for (let at = 0; at <= last; at++) {
      const number = order[at];
      if (pattern && !this.isFree(number, pattern)) continue;
      const own = this.costOf(at);
      // Of equal costs the first group.
      if (own < cost || (own === cost && number < chosen)) [cost, chosen, place] = [own, number, at];
    }
    this.costs[step] = this.costOf(place);
    changes.set(z, known);
    if (pattern) gone[Math.floor(order[place] / pattern.of)]++;
    this.moveToEnd(place, last, known);
    this.computeVectors(last * group, known);
    this.applyVectors(last * group, known);
  }

  private isFree(weight: number, { keep, of }: { readonly keep: number; readonly of: number }): boolean {
    const run = Math.floor(weight / of);
    const length = Math.min(of, this.row.length - run * of);
    return this.gone[run] < length - Math.ceil((length * keep) / of);
  }

  /** Leaves `factor` and `z` of the group at a place. */
  private costOf(place: number): number {
    const { blocks, factor, z, w, options } = this;
    const { group } = options;
    const block = place * group * group;
    let cost = 0;
    for (let i = 0; i < group; i++) {
      const line = i * group;
      let weight = w[place * group + i];
      let pivot = blocks[block + line + i];
      for (let j = 0; j < i; j++) {
        let value = blocks[block + line + j];
        for (let k = 0; k < j; k++) value -= factor[line + k] * factor[j * group + k];
        value *= factor[j * group + j];
        factor[line + j] = value;
        pivot -= value * value;
        weight -= value * z[j];
      }
      factor[line + i] = 1 / Math.sqrt(Math.max(pivot, SMALLEST));
      z[i] = weight * factor[line + i];
      cost += z[i] * z[i];
    }
    return cost;
  }

  private moveToEnd(place: number, last: number, known: number): void {
    const { order, vectors, w, blocks, row, options } = this;
    const { group } = options;
    [order[place], order[last]] = [order[last], order[place]];
    // What is left of the removed group's own block and weights is not needed any more.
    w.copyWithin(place * group, last * group, (last + 1) * group);
    blocks.copyWithin(place * group * group, last * group * group, (last + 1) * group * group);
    for (let k = 0; k < known; k++) {
      const first = k * row.length;
      for (let q = 0; q < group; q++) {
        const [from, to] = [first + place * group + q, first + last * group + q];
        const value = vectors[from];
        vectors[from] = vectors[to];
        vectors[to] = value;
      }
    }
  }

  /** Of the group at `own` and behind, for all places before it. */
  private computeVectors(own: number, known: number): void {
    const { order, vectors, inverse, factor, row, options } = this;
    const { group } = options;
    const d = row.length;
    for (let i = 0; i < group; i++) {
      const source = (order[own / group] * group + i) * d;
      const target = (known + i) * d;
      for (let at = 0; at < own / group; at++) {
        for (let q = 0; q < group; q++)
          vectors[target + at * group + q] = inverse[source + order[at] * group + q];
      }
    }
    let i = 0;
    for (; i + 1 < group; i += 2) subtractFromTwo(vectors, d, known + i, own + i, own, known);
    if (i < group) subtractFromOne(vectors, d, known + i, own + i, own, known);
    for (i = 0; i < group; i++) {
      const target = (known + i) * d;
      for (let k = 0; k < i; k++) {
        const share = factor[i * group + k];
        const other = (known + k) * d;
        for (let j = 0; j < own; j++) vectors[target + j] -= share * vectors[other + j];
      }
      const scale = factor[i * group + i];
      for (let j = 0; j < own; j++) vectors[target + j] *= scale;
    }
  }

  /** To the weights and blocks before `own`. */
  private applyVectors(own: number, known: number): void {
    const { vectors, changes, w, blocks, row, options } = this;
    const { group } = options;
    for (let k = known; k < known + group; k++) {
      const change = changes[k];
      const line = k * row.length;
      for (let j = 0; j < own; j++) w[j] -= change * vectors[line + j];
      for (let first = 0; first < own; first += group) {
        for (let p = 0; p < group; p++) {
          const value = vectors[line + first + p];
          const block = (first + p) * group;
          for (let q = 0; q <= p; q++) blocks[block + q] -= value * vectors[line + first + q];
        }
      }
    }
  }
}

/** Line `target` of v -= Σ_k v[k][column] v[k], the first `length` values, k from 0 to `count`. */
function subtractFromOne(
  v: Float64Array,
  d: number,
  target: number,
  column: number,
  length: number,
  count: number,
) {
  const to = target * d;
  let k = 0;
  for (; k + 3 < count; k += 4) {
    const k0 = k * d;
    const [k1, k2, k3] = [k0 + d, k0 + 2 * d, k0 + 3 * d];
    const [f0, f1, f2, f3] = [v[k0 + column], v[k1 + column], v[k2 + column], v[k3 + column]];
    for (let j = 0; j < length; j++)
      v[to + j] -= f0 * v[k0 + j] + f1 * v[k1 + j] + (f2 * v[k2 + j] + f3 * v[k3 + j]);
  }
  for (; k < count; k++) {
    const factor = v[k * d + column];
    for (let j = 0; j < length; j++) v[to + j] -= factor * v[k * d + j];
  }
}

/** The same for this line and the next, with the next column: every value is loaded once for both. */
function subtractFromTwo(
  v: Float64Array,
  d: number,
  target: number,
  column: number,
  length: number,
  count: number,
) {
  const to = target * d;
  const next = to + d;
  let k = 0;
  for (; k + 3 < count; k += 4) {
    const k0 = k * d;
    const k1 = k0 + d;
    const k2 = k1 + d;
    const k3 = k2 + d;
    const f0 = v[k0 + column];
    const f1 = v[k1 + column];
    const f2 = v[k2 + column];
    const f3 = v[k3 + column];
    const g0 = v[k0 + column + 1];
    const g1 = v[k1 + column + 1];
    const g2 = v[k2 + column + 1];
    const g3 = v[k3 + column + 1];
    for (let j = 0; j < length; j++) {
      const x0 = v[k0 + j];
      const x1 = v[k1 + j];
      const x2 = v[k2 + j];
      const x3 = v[k3 + j];
      v[to + j] -= f0 * x0 + f1 * x1 + (f2 * x2 + f3 * x3);
      v[next + j] -= g0 * x0 + g1 * x1 + (g2 * x2 + g3 * x3);
    }
  }
  for (; k < count; k++) {
    const [f, g] = [v[k * d + column], v[k * d + column + 1]];
    for (let j = 0; j < length; j++) {
      v[to + j] -= f * v[k * d + j];
      v[next + j] -= g * v[k * d + j];
    }
  }
}
