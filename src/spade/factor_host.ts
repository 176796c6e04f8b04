/**
 * U, upper triangular with UᵀU = H⁻¹, in float64 on the CPU: with H = R Rᵀ, R upper triangular, U = R⁻¹. One
 * factorization and one triangular inverse, d³ / 3 multiply-adds in all, where the common way (factor, invert,
 * factor again) takes three times as many.
 */
import { ValueError } from "../gpu/errors.js";

export interface Factor {
  /** [d][d], the lower triangle 0. */
  readonly u: Float32Array;
  /** 1 for inputs that are always 0. */
  readonly dead: Uint8Array;
  /** What was added to the diagonal, as a share of its mean. */
  readonly damping: number;
}

let scratch: WeakRef<Float64Array> | undefined;

/** Two [d][d] to work in, with what is left of the last call: new ones for each would keep the garbage collector busy. */
function workspaceOf(d: number): [Float64Array, Float64Array] {
  let all = scratch?.deref();
  if (!all || all.length < 2 * d * d) {
    all = new Float64Array(2 * d * d);
    scratch = new WeakRef(all);
  }
  return [all.subarray(0, d * d), all.subarray(d * d, 2 * d * d)];
}

/** A Hessian that is not finite, or that no damping makes positive definite, is an error. */
const MOST_DAMPING = 1e6;

/**
 * @param h [d][d], symmetric
 * @param damping share of the mean diagonal that is added to the diagonal; ×10 as long as a pivot is not positive
 * @param u zeros, that the factor is written to
 * @throws ValueError if h is not finite
 */
export function upperFactor(
  h: ArrayLike<number>,
  d: number,
  damping: number,
  u = new Float32Array(d * d),
): Factor {
  const dead = new Uint8Array(d);
  let mean = 0;
  for (let j = 0; j < d; j++) {
    if (h[j * d + j] === 0) dead[j] = 1;
    mean += (dead[j] === 1 ? 1 : h[j * d + j]) / d;
  }
  if (!Number.isFinite(mean)) {
    throw new ValueError(
      `spade: the Hessian's mean diagonal is ${mean}; look for infinities in the network's activations`,
    );
  }
  const [l, inverse] = workspaceOf(d);
  for (let share = damping; share <= MOST_DAMPING; share = share === 0 ? 1e-6 : share * 10) {
    reverse(h, d, dead, share * mean, l);
    if (!cholesky(l, d)) continue;
    inverse.fill(0);
    invertReversed(l, d, inverse, u);
    return { u, dead, damping: share };
  }
  throw new ValueError("spade: the Hessian is not positive definite with any damping; look for NaN in it");
}

/** The damped matrix's lower triangle with rows and columns in reverse, so that an ordinary factor of it is R, reversed. */
function reverse(
  h: ArrayLike<number>,
  d: number,
  dead: Uint8Array,
  added: number,
  matrix: Float64Array,
): void {
  for (let i = 0; i < d; i++) {
    const source = (d - 1 - i) * d;
    for (let j = 0; j <= i; j++) matrix[i * d + j] = h[source + d - 1 - j];
    matrix[i * d + i] = (dead[d - 1 - i] === 1 ? 1 : matrix[i * d + i]) + added;
  }
}

/** A = L Lᵀ in place, lower triangle only, four rows at a time. @returns whether all pivots are positive */
function cholesky(a: Float64Array, d: number): boolean {
  for (let first = 0; first < d; first += 4) {
    const end = Math.min(first + 4, d);
    const done = end - first === 4 ? first : 0;
    if (done > 0) {
      fourRows(a, d, first);
      fourCorners(a, d, first);
    }
    for (let i = first; i < end; i++) {
      const row = i * d;
      for (let j = done; j < i; j++) a[row + j] = (a[row + j] - dot(a, row, j * d, done, j)) / a[j * d + j];
      const pivot = a[row + i] - dot(a, row, row, done, i);
      if (!(pivot > 0)) return false;
      a[row + i] = Math.sqrt(pivot);
    }
  }
  return true;
}

/**
 * Four rows of L up to their first one's diagonal, two columns at a time: every value is loaded once for two or four
 * products.
 */
function fourRows(a: Float64Array, d: number, first: number): void {
  const r0 = first * d;
  const r1 = r0 + d;
  const r2 = r1 + d;
  const r3 = r2 + d;
  for (let j = 0; j < first; j += 2) {
    const p = j * d;
    const q = p + d;
    let s0 = a[r0 + j];
    let s1 = a[r1 + j];
    let s2 = a[r2 + j];
    let s3 = a[r3 + j];
    let t0 = a[r0 + j + 1];
    let t1 = a[r1 + j + 1];
    let t2 = a[r2 + j + 1];
    let t3 = a[r3 + j + 1];
    for (let k = 0; k < j; k++) {
      const x = a[p + k];
      const y = a[q + k];
      const v0 = a[r0 + k];
      const v1 = a[r1 + k];
      const v2 = a[r2 + k];
      const v3 = a[r3 + k];
      s0 -= v0 * x;
      t0 -= v0 * y;
      s1 -= v1 * x;
      t1 -= v1 * y;
      s2 -= v2 * x;
      t2 -= v2 * y;
      s3 -= v3 * x;
      t3 -= v3 * y;
    }
    const pivot = 1 / a[p + j];
    const across = a[q + j];
    const next = 1 / a[q + j + 1];
    a[r0 + j] = s0 * pivot;
    a[r1 + j] = s1 * pivot;
    a[r2 + j] = s2 * pivot;
    a[r3 + j] = s3 * pivot;
    a[r0 + j + 1] = (t0 - a[r0 + j] * across) * next;
    a[r1 + j + 1] = (t1 - a[r1 + j] * across) * next;
    a[r2 + j + 1] = (t2 - a[r2 + j] * across) * next;
    a[r3 + j + 1] = (t3 - a[r3 + j] * across) * next;
  }
}

/** The products of the four rows with each other, as far as `fourRows` has them, off their block on the diagonal. */
function fourCorners(a: Float64Array, d: number, first: number): void {
  const r0 = first * d;
  const r1 = r0 + d;
  const r2 = r1 + d;
  const r3 = r2 + d;
  let s00 = a[r0 + first];
  let s10 = a[r1 + first];
  let s11 = a[r1 + first + 1];
  let s20 = a[r2 + first];
  let s21 = a[r2 + first + 1];
  let s22 = a[r2 + first + 2];
  let s30 = a[r3 + first];
  let s31 = a[r3 + first + 1];
  let s32 = a[r3 + first + 2];
  let s33 = a[r3 + first + 3];
  for (let k = 0; k < first; k++) {
    const v0 = a[r0 + k];
    const v1 = a[r1 + k];
    const v2 = a[r2 + k];
    const v3 = a[r3 + k];
    s00 -= v0 * v0;
    s10 -= v1 * v0;
    s11 -= v1 * v1;
    s20 -= v2 * v0;
    s21 -= v2 * v1;
    s22 -= v2 * v2;
    s30 -= v3 * v0;
    s31 -= v3 * v1;
    s32 -= v3 * v2;
    s33 -= v3 * v3;
  }
  a[r0 + first] = s00;
  a[r1 + first] = s10;
  a[r1 + first + 1] = s11;
  a[r2 + first] = s20;
  a[r2 + first + 1] = s21;
  a[r2 + first + 2] = s22;
  a[r3 + first] = s30;
  a[r3 + first + 1] = s31;
  a[r3 + first + 2] = s32;
  a[r3 + first + 3] = s33;
}

/** Of two rows from column `from` on. */
function dot(a: Float64Array, first: number, second: number, from: number, end: number): number {
  let sum = 0;
  for (let k = from; k < end; k++) sum += a[first + k] * a[second + k];
  return sum;
}

/** L⁻¹, two rows at a time, and with rows and columns in reverse, upper triangular, u; both hold zeros before. */
function invertReversed(l: Float64Array, d: number, inverse: Float64Array, u: Float32Array): void {
  for (let i = 0; i < d; i += 2) {
    // Rows before this one, in whole fours.
    const both = i + 1 < d ? i - (i % 4) : 0;
    for (let k = 0; k < both; k += 4) subtractFourRows(inverse, l, d, i, k);
    for (let own = i; own < Math.min(i + 2, d); own++) {
      const row = own * d;
      for (let k = both; k < own; k++) {
        const factor = l[row + k];
        for (let j = 0; j <= k; j++) inverse[row + j] -= factor * inverse[k * d + j];
      }
      const pivot = 1 / l[row + own];
      for (let j = 0; j < own; j++) inverse[row + j] *= pivot;
      inverse[row + own] = pivot;
      const target = (d - 1 - own) * d;
      for (let j = 0; j <= own; j++) u[target + d - 1 - j] = inverse[row + j];
    }
  }
}

/** Rows k to k + 3 of L⁻¹, times L's factors, from rows i and i + 1. */
function subtractFourRows(inverse: Float64Array, l: Float64Array, d: number, i: number, k: number): void {
  const row = i * d;
  const next = row + d;
  const f0 = l[row + k];
  const f1 = l[row + k + 1];
  const f2 = l[row + k + 2];
  const f3 = l[row + k + 3];
  const g0 = l[next + k];
  const g1 = l[next + k + 1];
  const g2 = l[next + k + 2];
  const g3 = l[next + k + 3];
  const o0 = k * d;
  const o1 = o0 + d;
  const o2 = o1 + d;
  const o3 = o2 + d;
  // Row k ends at k; the others' last values are added where row k has zeros.
  for (let j = 0; j < k + 4; j++) {
    const x0 = inverse[o0 + j];
    const x1 = inverse[o1 + j];
    const x2 = inverse[o2 + j];
    const x3 = inverse[o3 + j];
    inverse[row + j] -= f0 * x0 + f1 * x1 + (f2 * x2 + f3 * x3);
    inverse[next + j] -= g0 * x0 + g1 * x1 + (g2 * x2 + g3 * x3);
  }
}
