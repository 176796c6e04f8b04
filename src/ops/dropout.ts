/** Dropout, after Srivastava et al. (2014), with the kept elements scaled, so that evaluation does nothing. */
import dropoutWgsl from "../../shaders/dropout.wgsl";
import dropoutGradWgsl from "../../shaders/dropout_grad.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";
import {
  checkCounter,
  checkShare,
  type DrawOptions,
  drawUniforms,
  keepScale,
  thresholdOf,
  givenOptions,
} from "./draw.js";
import { strideGrid } from "./stride_grid.js";

export interface DropoutOptions extends DrawOptions {
  /** The share of elements that are zeroed, from 0 to 1; taken to a multiple of 2^-24. */
  readonly rate: number;
  /** `y` may be x itself. */
  readonly out?: { readonly y?: Tensor; readonly mask?: Tensor };
}

const dropoutKernel = defineKernel<DropoutOptions>({
  name: "dropout",
  wgsl: dropoutWgsl,
  bindings: { x: "read", counter: "optional", y: "write", mask: "write" },
  inPlace: { y: "x" },
  shape: (inputs, options) => {
    checkCounter("dropout", inputs);
    checkShare("dropout", "rate", options.rate);
    drawUniforms(inputs, options);
    return { y: inputs.x, mask: inputs.x };
  },
  uniforms: (shapes, options) => ({
    count: sizeOf(shapes.x),
    ...drawUniforms(shapes, options),
    threshold: thresholdOf(options.rate),
    scale: keepScale(options.rate),
  }),
  grid: ({ x }, limits) => gridFor(Math.ceil(sizeOf(x) / 4), 64, limits),
  work: ({ x }) => 100 * sizeOf(x),
});

const dropoutGradKernel = defineKernel({
  name: "dropout_grad",
  wgsl: dropoutGradWgsl,
  bindings: { dy: "read", mask: "read", dx: "write" },
  inPlace: { dx: "dy" },
  shape: ({ dy, mask }) => {
    if (dy.join() !== mask.join()) {
      throw new ShapeError(
        `dropoutGrad: dy [${dy}] and mask [${mask}] must have one shape; take the mask of dropout`,
      );
    }
    return { dx: dy };
  },
  uniforms: ({ dy }) => ({ count: sizeOf(dy) }),
  grid: ({ dy }, limits) => strideGrid(sizeOf(dy), limits),
});

/**
 * Zeroes elements of x at random and scales the others by 1 / (1 - rate).
 * @param x any shape
 * @param options which numbers are drawn, as in `dropoutMask`: give a `counter` where a program replays
 * @returns `y` and the `mask` that y is x times, for the gradient
 * @throws ValueError for a rate outside 0 to 1, or a seed or stream out of range
 * @example
 * const { y, mask } = dropout(x, { rate: 0.5, seed: 7, counter });
 * advance(counter);
 */
export function dropout(x: Tensor, options: DropoutOptions): { y: Tensor; mask: Tensor } {
  const { counter, out } = givenOptions("dropout", options);
  const { y, mask } = dropoutKernel.run({ x, counter }, options, { out });
  return { y, mask };
}

/**
 * dx of `dropout`: dy times the mask.
 * @param dy the shape of x
 * @param mask from the forward op
 * @param options `out` may be dy itself
 * @throws ShapeError if the shapes differ
 * @example
 * const dx = dropoutGrad(dy, mask);
 */
export function dropoutGrad(dy: Tensor, mask: Tensor, { out }: { readonly out?: Tensor } = {}): Tensor {
  return dropoutGradKernel.run({ dy, mask }, undefined, { out: { dx: out } }).dx;
}
