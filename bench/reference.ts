/** The float64 side of the bench: results are checked on a sample of elements (all of them where that is cheap). */
import { decompressWeights, type SparseMatrix } from "handgrad";
import * as reference from "../test/reference/index.js";
import { type Input, generator } from "./cases.js";
import { relativeError } from "../test/helpers/compare.js";

/** Error of the results of the first runs against float64; NaN never passes. */
export type Check = (results: readonly Float32Array[], inputs: readonly Input[]) => number;

const SAMPLES = 2000;

/** Seeded element numbers, the first and the last among them. */
function sample(count: number): number[] {
  if (count <= SAMPLES) return Array.from({ length: count }, (_, i) => i);
  const random = generator(99);
  return [0, count - 1, ...Array.from({ length: SAMPLES }, () => Math.floor(random() * count))];
}

/** Compares sampled elements with `element`, which gives the sum and the sum of its terms' absolute values. */
function compareSample(
  y: Float32Array,
  count: number,
  element: (index: number) => readonly [number, number],
): number {
  if (y.length !== count) return Infinity;
  const indices = sample(count);
  const expected = indices.map(element);
  return relativeError(
    indices.map((index) => y[index]),
    expected.map(([sum]) => sum),
    expected.map(([, absolute]) => absolute),
  );
}

export interface MatmulSize {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

export function checkMatmul({ m, n, k, batch, transposeA, transposeB }: MatmulSize): Check {
  return ([y], [a, b]) =>
    compareSample(y, batch * m * n, (index) => {
      const [j, i, s] = [index % n, Math.floor(index / n) % m, Math.floor(index / (m * n))];
      let sum = 0;
      let absolute = 0;
      for (let p = 0; p < k; p++) {
        const left = a.data[s * m * k + (transposeA ? p * m + i : i * k + p)];
        const term = left * b.data[s * k * n + (transposeB ? j * k + p : p * n + j)];
        sum += term;
        absolute += Math.abs(term);
      }
      return [sum, absolute];
    });
}

export interface ConvSizes {
  readonly inputShape: readonly number[];
  readonly weightShape: readonly number[];
  readonly outputShape: readonly number[];
  readonly stride: number;
  readonly padding: number;
  readonly groups: number;
}

/** Each sampled element sums over the connections of input, weight and output that it takes part in. */
export function checkConv(direction: "forward" | "inputGrad" | "weightGrad", sizes: ConvSizes): Check {
  const { inputShape, weightShape, outputShape, stride, padding, groups } = sizes;
  const [images, channels, height, width] = inputShape;
  const [outputs, inputs, kernelHeight, kernelWidth] = weightShape;
  const [, , rows, columns] = outputShape;
  const outputsOfGroup = outputs / groups;
  const at = (n: number, c: number, y: number, x: number, shape: readonly number[]): number =>
    ((n * shape[1] + c) * shape[2] + y) * shape[3] + x;
  const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  const [allRows, allColumns] = [range(rows), range(columns)];

  return ([result], [left, right]) => {
    const shape = { forward: outputShape, inputGrad: inputShape, weightGrad: weightShape }[direction];
    const count = shape.reduce((product, size) => product * size, 1);
    return compareSample(result, count, (index) => {
      const d = Math.floor(index / (shape[2] * shape[3]));
      const [first, second] = [Math.floor(d / shape[1]), d % shape[1]];
      const [third, fourth] = [Math.floor(index / shape[3]) % shape[2], index % shape[3]];
      let sum = 0;
      let absolute = 0;
      const add = (term: number): void => {
        sum += term;
        absolute += Math.abs(term);
      };
      const wanted = (given: number, own: boolean, all: readonly number[]): readonly number[] =>
        own ? [given] : all;
      const forward = direction === "forward";
      const inputGrad = direction === "inputGrad";
      const weightGrad = direction === "weightGrad";
      for (const n of wanted(first, !weightGrad, range(images))) {
        const outputList = forward ? [second] : weightGrad ? [first] : range(outputs);
        for (const o of outputList) {
          const group = Math.floor(o / outputsOfGroup);
          const inputList = forward ? range(inputs) : weightGrad ? [second] : [second - group * inputs];
          for (const i of inputList) {
            if (i < 0 || i >= inputs) continue;
            const c = group * inputs + i;
            for (const ky of wanted(third, weightGrad, range(kernelHeight))) {
              for (const kx of wanted(fourth, weightGrad, range(kernelWidth))) {
                for (const row of forward ? [third] : allRows) {
                  const y = row * stride + ky - padding;
                  if (y < 0 || y >= height || (inputGrad && y !== third)) continue;
                  for (const column of forward ? [fourth] : allColumns) {
                    const x = column * stride + kx - padding;
                    if (x < 0 || x >= width || (inputGrad && x !== fourth)) continue;
                    const xAt = at(n, c, y, x, [images, channels, height, width]);
                    const wAt = at(o, i, ky, kx, weightShape);
                    const yAt = at(n, o, row, column, outputShape);
                    if (forward) add(left.data[xAt] * right.data[wAt]);
                    else if (inputGrad) add(left.data[yAt] * right.data[wAt]);
                    else add(left.data[xAt] * right.data[yAt]);
                  }
                }
              }
            }
          }
        }
      }
      return [sum, absolute];
    });
  };
}

/** Sparse layers against the dense product with the weights that are kept. */
export function checkSparse(
  direction: "forward" | "input gradient" | "weight gradient",
  compress: () => SparseMatrix,
): Check {
  return ([y], [first, second]) => {
    const matrix = compress();
    const { inputs, outputs } = matrix;
    const samples = first.shape[0];
    if (direction !== "weight gradient") {
      const back = direction === "input gradient";
      const [k, n] = back ? [outputs, inputs] : [inputs, outputs];
      const weights = {
        shape: [inputs, outputs],
        data: decompressWeights(matrix) as Float32Array<ArrayBuffer>,
      };
      const check = checkMatmul({ m: samples, n, k, batch: 1, transposeA: false, transposeB: back });
      return check([y], [first, weights]);
    }
    // In blocks, gradients stand as the values do: [blocks, in, out].
    const [height, width] = matrix.block;
    const stored = matrix.rows.length * height * width;
    const columnOf: number[] = [];
    for (let c = 0; c + 1 < matrix.starts.length; c++) {
      for (let i = matrix.starts[c]; i < matrix.starts[c + 1]; i++) columnOf.push(c);
    }
    return compareSample(y, stored, (index) => {
      const block = Math.floor(index / (height * width));
      const i = matrix.rows[block] * height + (Math.floor(index / width) % height);
      const j = columnOf[block] * width + (index % width);
      let [sum, absolute] = [0, 0];
      for (let s = 0; s < samples; s++) {
        const term = first.data[s * inputs + i] * second.data[s * outputs + j];
        sum += term;
        absolute += Math.abs(term);
      }
      return [sum, absolute];
    });
  };
}

const toArray64 = ({ shape, data }: Input) => reference.array64(shape, data);

export const checkCrossEntropy: Check = ([y], [logits, labels]) =>
  relativeError(y, reference.softmaxCrossEntropy(toArray64(logits), toArray64(labels)).dlogits.data);

export const checkBatchNorm: Check = ([y], [x, gamma, beta]) => {
  const [images, channels, height, width] = x.shape;
  const plane = height * width;
  const expected = new Float64Array(x.data.length);
  for (let c = 0; c < channels; c++) {
    let [sum, square] = [0, 0];
    const each = (visit: (index: number) => void): void => {
      for (let n = 0; n < images; n++) for (let i = 0; i < plane; i++) visit((n * channels + c) * plane + i);
    };
    each((index) => {
      sum += x.data[index];
    });
    const mean = sum / (images * plane);
    each((index) => {
      square += (x.data[index] - mean) ** 2;
    });
    const scale = gamma.data[c] / Math.sqrt(square / (images * plane) + 1e-5);
    each((index) => {
      expected[index] = (x.data[index] - mean) * scale + beta.data[c];
    });
  }
  return relativeError(y, expected);
};

export const checkRowSums: Check = ([y], [x]) => {
  const [rows, columns] = x.shape;
  return compareSample(y, rows, (row) => {
    let [sum, absolute] = [0, 0];
    for (let j = 0; j < columns; j++) {
      sum += x.data[row * columns + j];
      absolute += Math.abs(x.data[row * columns + j]);
    }
    return [sum, absolute];
  });
};

/** Losses of two steps in a row: the second depends on every gradient of the first and on Adam. */
export function checkStep(network: "mlp" | "cnn"): Check {
  return (results, inputs) => {
    const expected = referenceLosses(network, inputs);
    return Math.max(
      ...expected.map((loss, i) => {
        const error = Math.abs(results[i][0] - loss) / loss;
        return Number.isNaN(error) ? Infinity : error;
      }),
    );
  };
}

function referenceLosses(network: "mlp" | "cnn", [xInput, labelInput, ...rest]: readonly Input[]): number[] {
  const [x, labels] = [toArray64(xInput), toArray64(labelInput)];
  let parameters = rest.map(toArray64);
  let states = parameters.map(({ shape }) => reference.adamState(shape));
  const losses: number[] = [];
  for (let step = 0; step < 2; step++) {
    const { loss, gradients } = (network === "mlp" ? mlp : cnn)(x, labels, parameters);
    losses.push(loss);
    const next = parameters.map((p, i) =>
      reference.adamStep(p, gradients[i], states[i], { learningRate: 1e-3 }),
    );
    parameters = next.map(({ parameter }) => parameter);
    states = next.map(({ state }) => state);
  }
  return losses;
}

const PGD_SAMPLES = 4;

/** Projected gradient ascent on the first samples; the error is the share of pixels that came out otherwise. */
export function checkPgd(
  { epsilon, stepSize, steps }: { epsilon: number; stepSize: number; steps: number },
  slopes: typeof extractorSlopes = (x, labels, parameters) => cnn(x, labels, parameters).dx(),
): Check {
  return ([y], [images, labels, ...rest]) => {
    const size = images.data.length / images.shape[0];
    const x0 = reference.array64(
      [PGD_SAMPLES, ...images.shape.slice(1)],
      images.data.slice(0, PGD_SAMPLES * size),
    );
    const classes = reference.array64([PGD_SAMPLES], labels.data.slice(0, PGD_SAMPLES));
    const parameters = rest.map(toArray64);
    let x = x0;
    for (let step = 0; step < steps; step++) {
      const dx = slopes(x, classes, parameters);
      x = reference.map(x, (v, i) => {
        const near = Math.min(
          Math.max(v + stepSize * Math.sign(dx.data[i]), x0.data[i] - epsilon),
          x0.data[i] + epsilon,
        );
        return Math.min(Math.max(near, 0), 1);
      });
    }
    let off = y.length === images.data.length ? 0 : Infinity;
    for (let i = 0; i < x.data.length; i++) if (!(Math.abs(y[i] - x.data[i]) <= 1e-4)) off++;
    return off / x.data.length;
  };
}

type Array64 = ReturnType<typeof reference.array64>;
interface Pass {
  readonly loss: number;
  readonly gradients: Array64[];
}
type Network = (x: Array64, labels: Array64, parameters: readonly Array64[]) => Pass;

const masked = (dy: Array64, y: Array64): Array64 => reference.map(dy, (v, i) => (y.data[i] > 0 ? v : 0));

function columnSums(dy: Array64): Array64 {
  const [rows, columns] = dy.shape;
  const result = reference.array64([columns]);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result.data[j] += dy.data[i * columns + j];
  return result;
}

const mlp: Network = (x, labels, [w1, b1, w2, b2, w3, b3]) => {
  const h1 = reference.matmul(x, w1, { bias: b1, activation: "relu" });
  const h2 = reference.matmul(h1, w2, { bias: b2, activation: "relu" });
  const { loss, dlogits } = reference.softmaxCrossEntropy(reference.matmul(h2, w3, { bias: b3 }), labels);
  const dh2 = masked(reference.matmul(dlogits, w3, { transposeB: true }), h2);
  const dh1 = masked(reference.matmul(dh2, w2, { transposeB: true }), h1);
  const dw = (input: Array64, dy: Array64): Array64 => reference.matmul(input, dy, { transposeA: true });
  const gradients = [
    dw(x, dh1),
    columnSums(dh1),
    dw(h1, dh2),
    columnSums(dh2),
    dw(h2, dlogits),
    columnSums(dlogits),
  ];
  return { loss: loss.data[0], gradients };
};

const cnn = (
  x: Array64,
  labels: Array64,
  [w1, b1, w2, b2, w3, b3]: readonly Array64[],
): Pass & { dx(): Array64 } => {
  const window = { stride: 2, padding: 1 };
  const h1 = reference.conv2d(x, w1, { ...window, bias: b1, activation: "relu" });
  const h2 = reference.conv2d(h1, w2, { ...window, bias: b2, activation: "relu" });
  const flat = reference.reshape(h2, [h2.shape[0], h2.data.length / h2.shape[0]]);
  const { loss, dlogits } = reference.softmaxCrossEntropy(reference.matmul(flat, w3, { bias: b3 }), labels);
  const dflat = reference.matmul(dlogits, w3, { transposeB: true });
  const dh2 = masked(reference.reshape(dflat, h2.shape), h2);
  const dh1 = masked(reference.conv2dInputGrad(dh2, w2, { ...window, inputShape: h1.shape }), h1);
  const gradients = [
    reference.conv2dWeightGrad(x, dh1, { ...window, weightShape: w1.shape }),
    reference.conv2dBiasGrad(dh1),
    reference.conv2dWeightGrad(h1, dh2, { ...window, weightShape: w2.shape }),
    reference.conv2dBiasGrad(dh2),
    reference.matmul(flat, dlogits, { transposeA: true }),
    columnSums(dlogits),
  ];
  let input: Array64 | undefined;
  const dx = (): Array64 => {
    input ??= reference.conv2dInputGrad(dh1, w1, { ...window, inputShape: x.shape });
    return input;
  };
  return { loss: loss.data[0], gradients, dx };
};

/** dx of the extractor with its classifier: two convolutions, two dense layers. */
export function extractorSlopes(
  x: Array64,
  labels: Array64,
  [w1, b1, w2, b2, w3, b3, w4, b4]: readonly Array64[],
): Array64 {
  const window = { stride: 2, padding: 1 };
  const h1 = reference.conv2d(x, w1, { ...window, bias: b1, activation: "relu" });
  const h2 = reference.conv2d(h1, w2, { ...window, bias: b2, activation: "relu" });
  const flat = reference.reshape(h2, [h2.shape[0], h2.data.length / h2.shape[0]]);
  const h3 = reference.matmul(flat, w3, { bias: b3, activation: "relu" });
  const { dlogits } = reference.softmaxCrossEntropy(reference.matmul(h3, w4, { bias: b4 }), labels);
  const dh3 = masked(reference.matmul(dlogits, w4, { transposeB: true }), h3);
  const dflat = reference.matmul(dh3, w3, { transposeB: true });
  const dh2 = masked(reference.reshape(dflat, h2.shape), h2);
  const dh1 = masked(reference.conv2dInputGrad(dh2, w2, { ...window, inputShape: h1.shape }), h1);
  return reference.conv2dInputGrad(dh1, w1, { ...window, inputShape: x.shape });
}
