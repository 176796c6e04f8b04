/** Maps that know nothing of the network: what every method must be better than. */
import sobelWgsl from "../../shaders/sobel.wgsl";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { philoxUniform } from "../random.js";
import { type Tensor, tensor } from "../tensor.js";
import { checkCount, checkImages } from "./definition.js";

const sobelKernel = defineKernel({
  name: "sobel",
  wgsl: sobelWgsl,
  bindings: { x: "read", y: "write" },
  shape: ({ x }) => ({ y: [x[0], ...x.slice(2)] }),
  uniforms: ({ x, y }) => ({ count: sizeOf(y), channels: x[1], height: x[2], width: x[3] }),
  grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
  work: ({ x }) => 30 * sizeOf(x),
});

/**
 * Where an image has edges: the size of Sobel's gradient, of the channel where it is largest.
 * @param x images [n, c, h, w]
 * @returns [n, h, w]
 * @throws ShapeError for other shapes
 * @example
 * const floor = sobelMaps(images);
 */
export function sobelMaps(x: Tensor): Tensor {
  checkImages("sobelMaps", x);
  return sobelKernel.run({ x }).y;
}

/**
 * Uniform numbers from 0 to 1, those of an image by its number alone.
 * @param shape [n, h, w]
 * @param options `seed`, and `firstImage`, the first image's number (default 0)
 * @returns [n, h, w]
 * @example
 * const floor = randomMaps(gpu, [100, 28, 28], { seed: 1 });
 */
export function randomMaps(
  gpu: Gpu,
  [count, height, width]: readonly [number, number, number],
  { seed, firstImage = 0 }: { readonly seed: number; readonly firstImage?: number },
): Tensor {
  for (const [name, size] of Object.entries({ count, height, width })) checkCount("randomMaps", name, size);
  checkCount("randomMaps", "firstImage", firstImage, 0);
  const size = height * width;
  const values = new Float32Array(count * size);
  for (let image = 0; image < count; image++)
    values.set(philoxUniform(size, seed, firstImage + image), image * size);
  return tensor(gpu, values, [count, height, width]);
}
