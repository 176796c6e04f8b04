/** What a layer, a channel or a class looks for: images that excite it, by optimization. */
import { HandgradError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import type { Shape, Tensor } from "../tensor.js";

export interface VisualizeOptions {
  /** The shape of one image, [c, h, w]. */
  readonly shape: Shape;
  /** A class, whose logit is raised. */
  readonly target?: number;
  /** A layer's output, as parameters name it ("4", "6.body.1"). */
  readonly layer?: string | number;
  /** A channel of it: its mean is raised; without one the squares of all. */
  readonly channel?: number;
  /** A place in the channel's plane, [y, x]; default all places. */
  readonly neuron?: readonly [number, number];
  /** Images at once, from different seeds; default 1. */
  readonly count?: number;
  /** Default 256. */
  readonly steps?: number;
  readonly learningRate?: number;
  /** "fourier" (default) or "pixels". */
  readonly parametrization?: "fourier" | "pixels";
  /** Decorrelated colors, if there are three channels; default true. */
  readonly decorrelate?: boolean;
  /** Jitter, rotation and scale at each step; default true. */
  readonly transforms?: boolean;
  readonly seed?: number;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/** @returns images [count, c, h, w] from 0 to 1, the caller's */
export async function visualize(_model: Sequential, _options: VisualizeOptions): Promise<Tensor> {
  throw new HandgradError("visualize: not built yet");
}
