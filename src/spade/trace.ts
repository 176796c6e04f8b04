/** The result: a sparse network that stands for the dense one on one sample. */
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";

/** Wall time by stage; what several samples or solves share is told in full to each. */
export interface StageSeconds {
  readonly augment: number;
  /** The dense network's pass and the Hessians of all layers. */
  readonly hessian: number;
  /** Damping and the factors of the inverses. */
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
}
