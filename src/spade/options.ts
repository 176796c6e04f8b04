/** What a caller chooses, and its defaults. */
import type { Tensor } from "../tensor.js";
import type { Augmentation } from "./augmentations.js";

/**
 * - `fastspade`: block OBS (SparseGPT): columns from left to right, the error of each passed on to those after it
 * - `spade`: exact OBS (OBC): a row's weights one by one, always the one whose loss costs least
 * - `magnitude`: the smallest |w|, no update
 * - `random`: any weights, no update
 * - `selection`: the smallest w² H_jj, what a weight's loss costs if nothing else changes; no update
 */
export type SolverName = "fastspade" | "spade" | "magnitude" | "random" | "selection";

/** The share of weights to remove, from 0 to 1: one for all layers, or by layer name (missing: 0). */
export type Ratios = number | Readonly<Record<string, number>>;

export interface CalibrationOptions {
  /** Augmented copies of each sample, N; default 256. */
  readonly samples?: number;
  /** In order of application; default Gaussian noise of 0.1. An empty list calibrates on the sample itself. */
  readonly augment?: readonly Augmentation[];
  /** Of the augmentations; default 0. All samples of a batch get the same draws. */
  readonly seed?: number;
  /** Names of the layers to be prepared (see `prunableLayers`); default all but the first convolution and depthwise. */
  readonly layers?: readonly string[];
  /** Whether batch norm behind a convolution or dense layer stays, or is multiplied into it; default "keep". */
  readonly batchNorm?: "keep" | "fold";
  /** Added to the Hessian's diagonal, as a share of its mean; ×10 whenever a pivot fails. Default 0.01. */
  readonly damping?: number;
  /** Another sample [1, …] whose copies calibrate in the sample's place: the control. */
  readonly calibration?: Tensor;
}

export interface SolveOptions {
  /** Default "fastspade". */
  readonly solver?: SolverName;
  readonly ratios: Ratios;
  /** Columns a block of `fastspade`; default the filter's area for convolutions, 16 for dense layers. */
  readonly blockSize?: number;
  /**
   * How `fastspade` divides a layer's count among its blocks: `layer` (default) as the scores of the whole layer have
   * it before any update, `block` the same share to each, as the reference does.
   */
  readonly threshold?: "layer" | "block";
  /**
   * Weights that `spade` removes together: default the filter's area for convolutions (runs of input channels of one
   * tap, as in the reference), 1 for dense layers.
   */
  readonly groupSize?: number;
  /** Keep `keep` of every `of` consecutive inputs of an output; replaces the ratio wherever that is above 0. */
  readonly pattern?: { readonly keep: number; readonly of: number };
  /** Of the `random` solver; default 0. */
  readonly seed?: number;
  /** The class whose logit is compared; default the dense network's own prediction. */
  readonly target?: number | readonly number[];
}

export interface TraceOptions extends CalibrationOptions, SolveOptions {}
