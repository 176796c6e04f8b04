/** Deep nearest neighbors (Sun et al., ICML 2022): how far the k-th nearest training feature is. */
import neighborScoreWgsl from "../../../shaders/neighbor_score.wgsl";
import unitRowsWgsl from "../../../shaders/unit_rows.wgsl";
import { lanesASample } from "../../attacks/start.js";
import { ValueError } from "../../gpu/errors.js";
import type { Gpu } from "../../gpu/gpu.js";
import { defineKernel, gridFor, sizeOf } from "../../gpu/kernel.js";
import { matmul } from "../../ops/matmul.js";
import { type Tensor, tensor } from "../../tensor.js";
import type { Backbone, Detector } from "../detector.js";
import { type HeadData, HeadDetector, type ScoreHead, scaleRows } from "./head_detector.js";

export interface KnnOptions {
  /** Which neighbor, from 1; default 50. */
  readonly k?: number;
}

const unitKernel = defineKernel({
  name: "unit_rows",
  wgsl: unitRowsWgsl,
  bindings: { x: "read", units: "write", norms: "write" },
  shape: ({ x }) => ({ units: x, norms: [x[0]] }),
  uniforms: ({ x }) => ({ count: x[0], width: x[1] }),
  grid: ({ x }, limits) => gridFor(x[0], 64, limits),
  work: ({ x }) => 8 * sizeOf(x),
});

const neighborKernel = defineKernel<{ k: number }>({
  name: "neighbor_score",
  wgsl: neighborScoreWgsl,
  bindings: {
    similarity: "read",
    units: "read",
    norms: "read",
    bank: "read",
    score: "write",
    slopes: "write",
  },
  constants: (_shapes, _options, gpu) => ({ WORKGROUP_SIZE: lanesASample(gpu) }),
  shape: ({ units }) => ({ score: [units[0]], slopes: units }),
  uniforms: ({ units, bank }, { k }) => ({ count: units[0], width: units[1], rows: bank[0], k }),
  grid: ({ units }, limits) => gridFor(units[0], 1, limits),
  work: ({ similarity }) => 32 * 6 * sizeOf(similarity),
});

class NeighborHead implements ScoreHead {
  readonly name = "knn";
  readonly reads = "features";
  private bank?: Tensor;

  constructor(private readonly k: number) {
    if (!(Number.isInteger(k) && k >= 1))
      throw new ValueError(`knn: k is ${k}, and a whole number of at least 1 is taken`);
  }

  get fitted(): boolean {
    return this.bank !== undefined;
  }

  fit({ values, count, width }: HeadData, gpu: Gpu): void {
    if (count < this.k) {
      throw new ValueError(
        `knn: k is ${this.k} and there are ${count} images; give more, or take a smaller k`,
      );
    }
    const units = new Float32Array(values.length);
    for (let row = 0; row < count; row++) {
      const own = values.subarray(row * width, (row + 1) * width);
      const norm = Math.max(Math.sqrt(own.reduce((sum, value) => sum + value * value, 0)), 1e-12);
      for (let j = 0; j < width; j++) units[row * width + j] = own[j] / norm;
    }
    const bank = tensor(gpu, units, [count, width]);
    this.dispose();
    this.bank = bank;
  }

  forward(features: Tensor): { score: Tensor; saved: Tensor } {
    const bank = this.bank as Tensor;
    return features.gpu.scope(() => {
      const { units, norms } = unitKernel.run({ x: features }, undefined);
      const similarity = matmul(units, bank, { transposeB: true });
      const { score, slopes } = neighborKernel.run({ similarity, units, norms, bank }, { k: this.k });
      return { score, saved: slopes };
    });
  }

  inputGrad(dscore: Tensor, slopes: Tensor): Tensor {
    return scaleRows(slopes, dscore);
  }

  dispose(): void {
    this.bank?.dispose();
    this.bank = undefined;
  }
}

/**
 * Minus the squared distance to the k-th nearest training feature, all features divided by their norm. The
 * gradient goes through that neighbor; which one it is changes only where two are equally far. The bank is
 * all that `fit` was given: a forward pass compares with each.
 * @throws ValueError for k below 1, or at `fit` above the number of images
 */
export function knn(backbone: Backbone, { k = 50 }: KnnOptions = {}): Detector {
  return new HeadDetector(backbone, new NeighborHead(k));
}
