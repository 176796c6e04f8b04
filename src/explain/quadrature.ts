/** Points and weights for integrals from 0 to 1. */

export interface Quadrature {
  readonly points: readonly number[];
  readonly weights: readonly number[];
}

/** The middles of equal pieces. */
export function midpoints(count: number): Quadrature {
  return {
    points: Array.from({ length: count }, (_, i) => (i + 0.5) / count),
    weights: new Array<number>(count).fill(1 / count),
  };
}

/** The Gauss–Legendre rule, exact for polynomials up to degree 2 count - 1: Newton's method on P_count. */
export function gaussLegendre(count: number): Quadrature {
  const points: number[] = [];
  const weights: number[] = [];
  for (let i = 0; i < count; i++) {
    let x = -Math.cos((Math.PI * (i + 0.75)) / (count + 0.5));
    let derivative = 1;
    for (let step = 0; step < 100; step++) {
      let [before, value] = [1, x];
      for (let n = 2; n <= count; n++) {
        [before, value] = [value, ((2 * n - 1) * x * value - (n - 1) * before) / n];
      }
      derivative = (count * (x * value - before)) / (x * x - 1);
      const change = value / derivative;
      x -= change;
      if (!(Math.abs(change) > 1e-15)) break;
    }
    points.push((x + 1) / 2);
    weights.push(1 / ((1 - x * x) * derivative * derivative));
  }
  return { points, weights };
}
