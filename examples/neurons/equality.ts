// First-order attention against backpropagation: the local signal is measured by differencing attention itself on the
// device, the gradient is computed in float64 by code that shares nothing with it.
import type { Gpu } from "handgrad";
import {
  activation,
  batchNorm,
  conv2d,
  dense,
  flatten,
  type LayerRecord,
  maxPool2d,
  residual,
} from "handgrad/layers";
import { ruleNamed } from "handgrad/neurons";
import { type BenchOptions, makeBench, paymentsOf } from "../../test/helpers/neurons.js";
import { learn64 } from "../../test/reference/neurons.js";
import { cosineOf, relativeErrorOf, weightNames } from "./compare64.js";

export type Smooth = "relu" | "tanh";

/** A network to check, with the batch it is checked on. */
export interface Net {
  readonly title: string;
  readonly activation: Smooth;
  readonly records: readonly LayerRecord[];
  readonly options: BenchOptions;
}

export interface EqualityRow {
  readonly net: string;
  readonly activation: Smooth;
  /** "measured" by differences, or "attention", the product that training uses. */
  readonly signal: string;
  readonly layer: string;
  readonly relativeError: number;
  readonly cosine: number;
}

export const denseRecords = (
  inputs: number,
  hidden: number,
  classes: number,
  name: Smooth,
): LayerRecord[] => [
  dense(inputs, hidden),
  activation(name),
  dense(hidden, hidden),
  activation(name),
  dense(hidden, classes),
];

/** Convolutions with batch norm, pooling and a skip connection. `size` is the side of the images. */
export const convRecords = (size: number, channels: number, classes: number, name: Smooth): LayerRecord[] => [
  conv2d(1, channels, 3, { padding: 1 }),
  batchNorm(channels),
  activation(name),
  maxPool2d(2),
  residual([conv2d(channels, channels, 3, { padding: 1 }), activation(name)]),
  conv2d(channels, 2 * channels, 3, { stride: 2, padding: 1 }),
  activation(name),
  flatten(),
  dense(2 * channels * Math.ceil(size / 4) ** 2, classes),
];

/** A row for each layer of each net, measured and by product. */
export async function equality(gpu: Gpu, nets: readonly Net[], onNet?: () => void): Promise<EqualityRow[]> {
  const rows: EqualityRow[] = [];
  for (const { title, activation, records, options } of nets) {
    const bench = await makeBench(gpu, records, options);
    const { grads } = learn64(records, bench.state, bench.x, bench.labels);
    for (const signal of ["measured", "attention"]) {
      const paid = await paymentsOf(bench, ruleNamed(signal));
      for (const layer of weightNames(grads)) {
        const relativeError = relativeErrorOf(paid[layer], grads[layer]);
        rows.push({
          net: title,
          activation,
          signal,
          layer,
          relativeError,
          cosine: cosineOf(paid[layer], grads[layer]),
        });
      }
    }
    bench.model.dispose();
    onNet?.();
  }
  return rows;
}

/** Whether a row is as the theory says: 1e-5 relative, 1e-6 from a cosine of 1. */
export const isEqual = ({ relativeError, cosine }: EqualityRow): boolean =>
  relativeError <= 1e-5 && 1 - cosine <= 1e-6;
