/** SPADE on one layer: the Hessian of its inputs, the factor, and FastSPADE. */
import { copy, type Gpu, type Tensor } from "handgrad";
import { buildModel, dense, type Sequential } from "handgrad/layers";
import { convGeometry } from "../src/ops/conv_geometry.js";
import { addGram } from "../src/spade/gram.js";
import { gramShape } from "../src/spade/gram_items.js";
import { LayerProblem } from "../src/spade/layer_problem.js";
import { prunableLayers } from "../src/spade/sites.js";
import { solveLayers } from "../src/spade/solve_layers.js";
import type { Check } from "./reference.js";

const DAMPING = 0.01;

export interface SpadeSize {
  readonly samples: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly ratio: number;
}

/** Half of the product x xᵀ, the factor and its inverse, and the updates: multiply-adds as two. */
export function spadeFlops({ samples, inputs: d, outputs }: SpadeSize): number {
  return samples * d * d + (2 * d * d * d) / 3 + outputs * d * d;
}

/** The whole, with the factor on the CPU between two waits. @param tensors x [samples, inputs], w [inputs, outputs] */
export function pruneLayer(gpu: Gpu, [x, w]: readonly Tensor[], size: SpadeSize): () => Promise<Tensor> {
  const model = layerOf(gpu, w, size);
  const { layer } = prunableLayers(model)[0];
  const columns = x.reshape([...x.shape, 1, 1]);
  return async () => {
    const problem = new LayerProblem("0", layer, 1, DAMPING);
    addHessian(columns, problem.h, size);
    const [{ weights }] = await solveLayers([problem], { ratios: size.ratio }, () => 0);
    const result = weights.reshape(w.shape);
    problem.dispose();
    return result;
  };
}

function layerOf(gpu: Gpu, w: Tensor, { inputs, outputs }: SpadeSize): Sequential {
  const model = buildModel(gpu, [dense(inputs, outputs)]);
  const target = model.parameters["0.weight"];
  copy(w, { out: target });
  return model;
}

function addHessian(x: Tensor, h: Tensor, { samples, inputs }: SpadeSize): void {
  const geometry = convGeometry({ op: "bench", wide: ["x", x.shape], weight: ["w", [1, inputs, 1, 1]] }, {});
  addGram(x, h, gramShape(geometry), { samples: 1, scale: 2 / samples, accumulate: false });
}

/** The same elimination in float64 with the mask that came, and whether it removes as many weights as it should. */
export function checkPruning({ samples, inputs: d, outputs, ratio }: SpadeSize): Check {
  return ([y], [x, w]) => {
    const removed = y.reduce((count, value) => count + (value === 0 ? 1 : 0), 0);
    if (removed !== Math.floor(ratio * d * outputs + 0.5)) return Infinity;
    const h = new Float64Array(d * d);
    for (let n = 0; n < samples; n++)
      for (let i = 0; i < d; i++)
        for (let j = 0; j < d; j++) h[i * d + j] += (2 / samples) * x.data[n * d + i] * x.data[n * d + j];
    let mean = 0;
    for (let j = 0; j < d; j++) mean += h[j * d + j] / d;
    for (let j = 0; j < d; j++) h[j * d + j] += DAMPING * mean;
    const inverse = invert(h, d);
    const expected = Float64Array.from(w.data);
    for (let j = 0; j < d; j++) {
      // What the columns up to j leave of the inverse is that of the rest's Hessian.
      const pivot = inverse[j * d + j];
      for (let r = 0; r < outputs; r++) {
        if (y[j * outputs + r] !== 0) continue;
        const error = expected[j * outputs + r] / pivot;
        for (let k = j; k < d; k++) expected[k * outputs + r] -= error * inverse[j * d + k];
        expected[j * outputs + r] = 0;
      }
      for (let i = j + 1; i < d; i++) {
        const share = inverse[i * d + j] / pivot;
        for (let k = j + 1; k < d; k++) inverse[i * d + k] -= share * inverse[j * d + k];
      }
    }
    let [difference, size] = [0, 0];
    expected.forEach((value, i) => {
      difference += (y[i] - value) ** 2;
      size += value ** 2;
    });
    return Math.sqrt(difference / size);
  };
}

/** Gauss-Jordan without pivoting, which a positive definite matrix does not need. */
function invert(h: Float64Array, d: number): Float64Array {
  const a = Float64Array.from(h);
  for (let p = 0; p < d; p++) {
    const pivot = a[p * d + p];
    a[p * d + p] = 1;
    for (let j = 0; j < d; j++) a[p * d + j] /= pivot;
    for (let i = 0; i < d; i++) {
      if (i === p) continue;
      const share = a[i * d + p];
      a[i * d + p] = 0;
      for (let j = 0; j < d; j++) a[i * d + j] -= share * a[p * d + j];
    }
  }
  return a;
}
