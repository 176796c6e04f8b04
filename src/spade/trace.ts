/** The result: a sparse network that stands for the dense one on one sample. */
import { ValueError } from "../gpu/errors.js";
import type { MaskedDense } from "../layers/masked.js";
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import { prunableLayers } from "./sites.js";

/** Wall time by stage; what several samples or solves share is told in full to each. */
export interface StageSeconds {
  readonly augment: number;
  /** The dense network's pass and the Hessians of all layers. */
  readonly hessian: number;
  /** What was waited for the damped factors of the inverses, which are made beside the device's other work. */
  readonly factor: number;
  readonly solve: number;
  readonly total: number;
}

/** What became of one layer; its weights and mask are in the trace's `model` and `masks`. */
export interface LayerTrace {
  readonly name: string;
  /** Removed weights; exactly ⌊ratio · weights + 1/2⌋, or what the pattern says. */
  readonly removed: number;
  readonly weights: number;
  /** removed / weights */
  readonly sparsity: number;
  /** ‖(W̃ - W) X‖² / ‖W X‖² over the calibration copies; 0 where W X is 0. */
  readonly reconstructionError: number;
  /** The damping that the factor took, as a share of the mean diagonal; 0 for solvers without one. */
  readonly damping: number;
}

/** Made by `traceOf`, `tracesOf` and `solve`. */
export interface Trace {
  /** Runs as any network; owned by the trace. Layers that were not pruned share the dense network's tensors. */
  readonly model: Sequential;
  readonly layers: readonly LayerTrace[];
  /** By layer name, of the weight's shape: 1 kept, 0 removed. Owned by the model's layers. */
  readonly masks: Readonly<Record<string, Tensor>>;
  /** Removed share by layer name. */
  readonly sparsity: Readonly<Record<string, number>>;
  /** By layer name, see `LayerTrace`. */
  readonly reconstructionError: Readonly<Record<string, number>>;
  /** The classes with the largest logit on the sample. */
  readonly prediction: { readonly dense: number; readonly trace: number };
  /** 1 if both predict the same class, else 0. */
  readonly agreement: number;
  /** The trace's logit of the target class minus the dense network's, on the sample. */
  readonly targetLogitChange: number;
  readonly seconds: StageSeconds;
  /** Releases the network. Idempotent. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Numbers of one sample, as read back. */
export interface SampleFacts {
  /** Logits. */
  readonly dense: Float32Array;
  readonly trace: Float32Array;
  readonly layers: readonly (Omit<LayerTrace, "sparsity" | "reconstructionError"> & {
    readonly error: number;
    readonly energy: number;
  })[];
}

export class SparseTrace implements Trace {
  readonly layers: readonly LayerTrace[];
  readonly masks: Readonly<Record<string, Tensor>>;
  readonly sparsity: Readonly<Record<string, number>>;
  readonly reconstructionError: Readonly<Record<string, number>>;
  readonly prediction: Trace["prediction"];
  readonly agreement: number;
  readonly targetLogitChange: number;

  constructor(
    readonly model: Sequential,
    { dense, trace, layers }: SampleFacts,
    target: number | undefined,
    readonly seconds: StageSeconds,
  ) {
    this.layers = layers.map(({ name, removed, weights, error, energy, damping }) => {
      const reconstructionError = energy > 0 ? Math.max(error, 0) / energy : 0;
      return { name, removed, weights, sparsity: removed / weights, reconstructionError, damping };
    });
    const sites = prunableLayers(model).filter(({ layer }) => "mask" in layer);
    this.masks = Object.fromEntries(sites.map(({ name, layer }) => [name, (layer as MaskedDense).mask]));
    this.sparsity = Object.fromEntries(this.layers.map(({ name, sparsity }) => [name, sparsity]));
    this.reconstructionError = Object.fromEntries(
      this.layers.map(({ name, reconstructionError }) => [name, reconstructionError]),
    );
    this.prediction = { dense: largest(dense), trace: largest(trace) };
    this.agreement = this.prediction.dense === this.prediction.trace ? 1 : 0;
    const wanted = target ?? this.prediction.dense;
    if (!(wanted in dense)) {
      throw new ValueError(`solve: target is ${wanted}, and a class from 0 to ${dense.length - 1} is taken`);
    }
    this.targetLogitChange = trace[wanted] - dense[wanted];
  }

  dispose(): void {
    this.model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function largest(logits: Float32Array): number {
  return logits.reduce((best, value, index) => (value > logits[best] ? index : best), 0);
}
