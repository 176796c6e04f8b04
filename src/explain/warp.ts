/** Small shifts, turns and scales of images, one an image, and their gradient. */
import warpWgsl from "../../shaders/explain_warp.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Shapes, sizeOf } from "../gpu/kernel.js";
import { memoize } from "../ops/memoize.js";
import type { Tensor } from "../tensor.js";

const warpKernel = memoize((gradient: boolean) =>
  defineKernel<{ fill: number }>({
    name: gradient ? "explain_warp(gradient)" : "explain_warp",
    wgsl: warpWgsl,
    bindings: { x: "read", transforms: "read", y: "write" },
    constants: { GRADIENT: gradient },
    shape: checked,
    uniforms: ({ x }, { fill }) => ({ count: sizeOf(x), channels: x[1], height: x[2], width: x[3], fill }),
    grid: ({ x }, limits) => gridFor(sizeOf(x), 64, limits),
    work: ({ x }) => (gradient ? 200 : 60) * sizeOf(x),
  }),
);

function checked({ x, transforms }: Shapes): Shapes {
  if (x.length !== 4 || transforms.join() !== [x[0], 6].join())
    throw new ShapeError(
      `warp: x has shape [${x}] and transforms [${transforms}]; [n, c, h, w] and [n, 6] are taken`,
    );
  return { y: x };
}

/**
 * y[n, c, q] = x[n, c, A_n (q - middle) + middle + t_n], bilinear; `fill` where that is outside.
 * @param transforms [n, 6]: a, b, t_x, c, d, t_y of each image, in pixels; A can be inverted
 */
export function warp(x: Tensor, transforms: Tensor, fill: number): Tensor {
  return warpKernel(false).run({ x, transforms }, { fill }).y;
}

/** dx of `warp`. */
export function warpGrad(dy: Tensor, transforms: Tensor): Tensor {
  return warpKernel(true).run({ x: dy, transforms }, { fill: 0 }).y;
}
