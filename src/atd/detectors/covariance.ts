/** Means and covariances in float64 on the host, and what whitens by them. */
import { ValueError } from "../../gpu/errors.js";

/**
 * How a covariance S is shrunk: (1 - λ) S + λ (tr S / width) I with λ from 0 to 1, or "ledoitWolf": the λ
 * that these estimate to be best (O. Ledoit and M. Wolf, J. Multivariate Analysis 88, 2004).
 */
export type Shrinkage = number | "ledoitWolf";

/** @throws ValueError */
export function checkShrinkage(name: string, shrinkage: Shrinkage): void {
  if (shrinkage === "ledoitWolf" || (shrinkage >= 0 && shrinkage <= 1)) return;
  throw new ValueError(
    `${name}: shrinkage is ${shrinkage}, and a number from 0 to 1 or "ledoitWolf" is taken`,
  );
}

/** The mean of each column of rows [count, width]. */
export function meanOf(rows: ArrayLike<number>, width: number): Float64Array {
  const mean = new Float64Array(width);
  const count = rows.length / width;
  for (let i = 0; i < rows.length; i++) mean[i % width] += rows[i];
  return mean.map((sum) => sum / count);
}

/** Rows less their centers: `centerOf(row)` names the center of each. */
export function centered(
  rows: ArrayLike<number>,
  width: number,
  centerOf: (row: number) => Float64Array,
): Float64Array {
  const result = new Float64Array(rows.length);
  for (let row = 0; row * width < rows.length; row++) {
    const center = centerOf(row);
    for (let j = 0; j < width; j++) result[row * width + j] = rows[row * width + j] - center[j];
  }
  return result;
}

/** Rᵀ R / count of centered rows [count, width], shrunk; [width, width]. */
export function shrunkCovariance(rows: Float64Array, width: number, shrinkage: Shrinkage): Float64Array {
  const count = rows.length / width;
  const covariance = new Float64Array(width * width);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < width; i++) {
      const value = rows[row * width + i];
      if (value === 0) continue;
      for (let j = 0; j <= i; j++) covariance[i * width + j] += value * rows[row * width + j];
    }
  }
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      covariance[i * width + j] /= count;
      covariance[j * width + i] = covariance[i * width + j];
    }
  }
  let trace = 0;
  for (let i = 0; i < width; i++) trace += covariance[i * width + i];
  const scale = trace / width;
  const share = shrinkage === "ledoitWolf" ? ledoitWolfShare(rows, covariance, width, scale) : shrinkage;
  for (let at = 0; at < covariance.length; at++) {
    covariance[at] = (1 - share) * covariance[at] + (at % (width + 1) === 0 ? share * scale : 0);
  }
  return covariance;
}

/** λ = min(1, b̄² / d²): d² = ‖S - m I‖², b̄² = (1 / n²) Σ ‖x xᵀ - S‖², both in Frobenius norms. */
function ledoitWolfShare(rows: Float64Array, covariance: Float64Array, width: number, scale: number): number {
  const count = rows.length / width;
  let fourth = 0;
  for (let row = 0; row < count; row++) {
    let square = 0;
    for (let j = 0; j < width; j++) square += rows[row * width + j] ** 2;
    fourth += square ** 2;
  }
  const size = covariance.reduce((sum, value) => sum + value ** 2, 0);
  const spread = size - width * scale ** 2;
  if (!(spread > 0)) return 1;
  return Math.min(1, (fourth / count - size) / count / spread);
}

/**
 * L⁻¹ for L Lᵀ = the matrix, so that ‖L⁻¹ v‖² = vᵀ matrix⁻¹ v.
 * @throws ValueError if the matrix is not positive definite
 */
export function whitener(name: string, matrix: Float64Array, width: number): Float64Array {
  const lower = new Float64Array(matrix.length);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * width + j];
      for (let k = 0; k < j; k++) sum -= lower[i * width + k] * lower[j * width + k];
      if (i !== j) lower[i * width + j] = sum / lower[j * width + j];
      else if (sum > 0) lower[i * width + i] = Math.sqrt(sum);
      else {
        throw new ValueError(
          `${name}: the covariance of the features is singular at feature ${i}; give more images, or a ` +
            `larger shrinkage`,
        );
      }
    }
  }
  const inverse = new Float64Array(matrix.length);
  for (let column = 0; column < width; column++) {
    for (let i = column; i < width; i++) {
      let sum = i === column ? 1 : 0;
      for (let k = column; k < i; k++) sum -= lower[i * width + k] * inverse[k * width + column];
      inverse[i * width + column] = sum / lower[i * width + i];
    }
  }
  return inverse;
}

/** matrix [width, width] times vector. */
export function apply(matrix: Float64Array, vector: Float64Array): Float64Array {
  const width = vector.length;
  return vector.map((_, i) => {
    let sum = 0;
    for (let j = 0; j < width; j++) sum += matrix[i * width + j] * vector[j];
    return sum;
  });
}

/** The rows of each class, by class; classes without rows are left out. */
export function rowsByClass(labels: ArrayLike<number>): Map<number, number[]> {
  const classes = new Map<number, number[]>();
  for (let row = 0; row < labels.length; row++) {
    const rows = classes.get(labels[row]);
    if (rows) rows.push(row);
    else classes.set(labels[row], [row]);
  }
  return new Map([...classes].sort(([a], [b]) => a - b));
}
