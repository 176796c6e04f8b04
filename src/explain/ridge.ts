/** Weighted linear least squares with a ridge, in float64 on the host. */

export interface Observation {
  readonly values: Float64Array;
  readonly result: number;
  readonly weight: number;
}

/**
 * The w that, with the best intercept b, makes Σ weight (result - b - w · values)² + penalty Σ w² least: the
 * normal equations of what is centered by its weighted means, solved by Cholesky's factors.
 * @param penalty above 0, so that the equations can be solved
 */
export function ridge(rows: readonly Observation[], penalty: number): Float64Array {
  const size = rows[0].values.length;
  const total = rows.reduce((sum, { weight }) => sum + weight, 0);
  const means = new Float64Array(size);
  let mean = 0;
  for (const { values, result, weight } of rows) {
    mean += (weight / total) * result;
    for (let i = 0; i < size; i++) means[i] += (weight / total) * values[i];
  }
  const gram = new Float64Array(size * size);
  const right = new Float64Array(size);
  const centered = new Float64Array(size);
  for (const { values, result, weight } of rows) {
    for (let i = 0; i < size; i++) centered[i] = values[i] - means[i];
    for (let i = 0; i < size; i++) {
      const scaled = weight * centered[i];
      right[i] += scaled * (result - mean);
      for (let j = 0; j <= i; j++) gram[i * size + j] += scaled * centered[j];
    }
  }
  for (let i = 0; i < size; i++) gram[i * size + i] += penalty;
  return solve(gram, right, size);
}

/** Solves A w = b by A = L Lᵀ; a is changed (its lower half is read), and so is b. */
function solve(a: Float64Array, b: Float64Array, size: number): Float64Array {
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * size + j];
      for (let k = 0; k < j; k++) sum -= a[i * size + k] * a[j * size + k];
      a[i * size + j] = i === j ? Math.sqrt(sum) : sum / a[j * size + j];
    }
  }
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) b[i] -= a[i * size + k] * b[k];
    b[i] /= a[i * size + i];
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) b[i] -= a[k * size + i] * b[k];
    b[i] /= a[i * size + i];
  }
  return b;
}
