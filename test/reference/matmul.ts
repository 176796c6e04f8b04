import { type ActivationName, type ActivationOptions, activate } from "./activations.js";
import { type Array64, array64, sizeOf } from "./array64.js";
import { broadcastShape, broadcastTo } from "./elementwise.js";

export interface MatmulOptions extends ActivationOptions {
  /** a is [..., k, m] instead of [..., m, k]. */
  transposeA?: boolean;
  /** b is [..., n, k] instead of [..., k, n]. */
  transposeB?: boolean;
  /** [n], added to every row. */
  bias?: Array64;
  activation?: ActivationName;
}

/** y[..., i, j] = activation(Σ_p a[..., i, p] · b[..., p, j] + bias[j]); the axes before the last two broadcast. */
export function matmul(a: Array64, b: Array64, options: MatmulOptions = {}): Array64 {
  const { transposeA = false, transposeB = false, bias, activation } = options;
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const [aRows, aColumns] = a.shape.slice(-2);
  const [bRows, bColumns] = b.shape.slice(-2);
  const [m, k] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
  const [kOfB, n] = transposeB ? [bColumns, bRows] : [bRows, bColumns];
  if (k !== kOfB) throw new Error(`matmul: inner sizes ${k} and ${kOfB}`);

  const aData = broadcastTo(a, [...batch, aRows, aColumns]).data;
  const bData = broadcastTo(b, [...batch, bRows, bColumns]).data;
  const y = array64([...batch, m, n]);
  for (let s = 0; s < sizeOf(batch); s++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = bias ? bias.data[j] : 0;
        for (let p = 0; p < k; p++) {
          const aOffset = transposeA ? p * m + i : i * k + p;
          const bOffset = transposeB ? j * k + p : p * n + j;
          sum += aData[s * m * k + aOffset] * bData[s * k * n + bOffset];
        }
        y.data[(s * m + i) * n + j] = sum;
      }
    }
  }
  return activation ? activate(y, activation, options) : y;
}
