/** Pruning of one layer in float64, on the CPU: block OBS, exact OBS, and least squares with a given mask. */
import { type Array64, array64 } from "./array64.js";

/** H with dead inputs (H_jj = 0) set to 1, and a share of the mean diagonal added to the diagonal. */
export function damped(h: Array64, share: number): Array64 {
  const d = h.shape[0];
  const data = Float64Array.from(h.data);
  let mean = 0;
  for (let j = 0; j < d; j++) {
    if (data[j * d + j] === 0) data[j * d + j] = 1;
    mean += data[j * d + j] / d;
  }
  for (let j = 0; j < d; j++) data[j * d + j] += share * mean;
  return array64([d, d], data);
}

/** Gauss-Jordan elimination with pivots. */
export function inverse({ shape, data }: Array64): Array64 {
  const n = shape[0];
  const a = Array.from({ length: n }, (_, i) => [
    ...Array.from({ length: n }, (_, j) => data[i * n + j]),
    ...Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)),
  ]);
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column; row < n; row++)
      if (Math.abs(a[row][column]) > Math.abs(a[pivot][column])) pivot = row;
    [a[column], a[pivot]] = [a[pivot], a[column]];
    const scale = a[column][column];
    a[column] = a[column].map((value) => value / scale);
    for (let row = 0; row < n; row++) {
      const factor = a[row][column];
      if (row === column || factor === 0) continue;
      a[row] = a[row].map((value, j) => value - factor * a[column][j]);
    }
  }
  return array64(
    [n, n],
    a.flatMap((row) => row.slice(n)),
  );
}

/**
 * The weights that minimize (w̃ - w) H (w̃ - w)ᵀ a row, with zeros where the mask is 0: with K the kept and P the
 * removed ones, w̃_K = w_K + H_KK⁻¹ H_KP w_P.
 */
export function constrainedLeastSquares(w: Array64, h: Array64, mask: ArrayLike<number>): Array64 {
  const [rows, d] = w.shape;
  const result = new Float64Array(rows * d);
  for (let row = 0; row < rows; row++) {
    const all = Array.from({ length: d }, (_, j) => j);
    const kept = all.filter((j) => mask[row * d + j] !== 0);
    const gone = all.filter((j) => mask[row * d + j] === 0);
    const part = array64(
      [kept.length, kept.length],
      kept.flatMap((i) => kept.map((j) => h.data[i * d + j])),
    );
    const solved = inverse(part).data;
    const right = kept.map((i) => gone.reduce((sum, j) => sum + h.data[i * d + j] * w.data[row * d + j], 0));
    kept.forEach((j, i) => {
      const change = right.reduce((sum, value, k) => sum + solved[i * kept.length + k] * value, 0);
      result[row * d + j] = w.data[row * d + j] + change;
    });
  }
  return array64([rows, d], result);
}

/** tr((w̃ - w) H (w̃ - w)ᵀ) */
export function pruningError(pruned: ArrayLike<number>, w: Array64, h: Array64): number {
  const [rows, d] = w.shape;
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < d; j++) {
        const [a, b] = [i, j].map((k) => pruned[row * d + k] - w.data[row * d + k]);
        sum += a * h.data[i * d + j] * b;
      }
    }
  }
  return sum;
}

/**
 * Greedy exact OBS of groups of neighboring weights, all rows: the costs of each row's whole trace are sorted together,
 * and each row loses as many groups as it has among the `groups` cheapest steps.
 */
export function exactObs(w: Array64, h: Array64, group: number, groups: number): Array64 {
  const [rows, d] = w.shape;
  const start = inverse(h).data;
  const traces = Array.from({ length: rows }, (_, row) =>
    greedyTrace(w.data.slice(row * d, (row + 1) * d), start, group),
  );
  const steps = traces.flatMap(({ costs }, row) => costs.map((cost, step) => ({ cost, row, step })));
  steps.sort((a, b) => a.cost - b.cost || a.row - b.row || a.step - b.step);
  const counts = new Array<number>(rows).fill(0);
  for (const { row } of steps.slice(0, groups)) counts[row]++;
  return array64(
    [rows, d],
    traces.flatMap(({ states }, row) => [...states[counts[row]]]),
  );
}

function greedyTrace(row: ArrayLike<number>, start: ArrayLike<number>, group: number) {
  const d = row.length;
  const w = Float64Array.from(row);
  const inv = Float64Array.from(start);
  const left = new Set(Array.from({ length: d / group }, (_, index) => index));
  const costs: number[] = [];
  const states = [Float64Array.from(w)];
  while (left.size > 0) {
    let best = { cost: Infinity, index: -1 };
    for (const index of left) {
      const places = Array.from({ length: group }, (_, i) => index * group + i);
      const block = inverse(
        array64(
          [group, group],
          places.flatMap((i) => places.map((j) => inv[i * d + j])),
        ),
      ).data;
      let cost = 0;
      places.forEach((i, a) => {
        places.forEach((j, b) => {
          cost += w[i] * block[a * group + b] * w[j];
        });
      });
      if (cost < best.cost) best = { cost, index };
    }
    left.delete(best.index);
    costs.push(best.cost);
    for (let p = best.index * group; p < (best.index + 1) * group; p++) {
      const column = Float64Array.from({ length: d }, (_, j) => inv[p * d + j]);
      const factor = w[p] / column[p];
      for (let j = 0; j < d; j++) w[j] -= factor * column[j];
      w[p] = 0;
      for (let i = 0; i < d; i++)
        for (let j = 0; j < d; j++) inv[i * d + j] -= (column[i] * column[j]) / column[p];
      for (let j = 0; j < d; j++) [inv[p * d + j], inv[j * d + p]] = [0, 0];
    }
    states.push(Float64Array.from(w));
  }
  return { costs, states };
}

export interface Windows {
  readonly kernel: number;
  readonly padding: number;
  readonly stride: number;
  readonly dilation: number;
  readonly groups: number;
}

/** Σ x xᵀ over all windows of images [n, c, h, w], a matrix a group of channels: [groups, d, d]. */
export function windowGram(x: Array64, { kernel, padding, stride, dilation, groups }: Windows): Array64 {
  const [images, channels, height, width] = x.shape;
  const d = (channels / groups) * kernel * kernel;
  const result = array64([groups, d, d]);
  const places = (length: number) =>
    Math.floor((length + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  for (let group = 0; group < groups; group++) {
    for (let image = 0; image < images; image++) {
      for (let place = 0; place < places(height) * places(width); place++) {
        const [top, left] = [Math.floor(place / places(width)), place % places(width)];
        const window = Array.from({ length: d }, (_, index) => {
          const tap = index % (kernel * kernel);
          const channel = group * (channels / groups) + Math.floor(index / (kernel * kernel));
          const row = top * stride + Math.floor(tap / kernel) * dilation - padding;
          const column = left * stride + (tap % kernel) * dilation - padding;
          if (row < 0 || column < 0 || row >= height || column >= width) return 0;
          return x.data[((image * channels + channel) * height + row) * width + column];
        });
        for (let i = 0; i < d; i++)
          for (let j = 0; j < d; j++) result.data[(group * d + i) * d + j] += window[i] * window[j];
      }
    }
  }
  return result;
}
