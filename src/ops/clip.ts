/** Gradient clipping, in place: over the norm of all gradients together, or element by element. */
import clipFactorWgsl from "../../shaders/clip_factor.wgsl";
import clipInPlaceWgsl from "../../shaders/clip_in_place.wgsl";
import gradientSquaresWgsl from "../../shaders/gradient_squares.wgsl";
import scaleInPlaceWgsl from "../../shaders/scale_in_place.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, sizeOf } from "../gpu/kernel.js";
import { empty, type Tensor } from "../tensor.js";
import { ItemKernel } from "./item_kernel.js";

/** Elements that one invocation squares and adds, until there are MOST_LANES invocations. */
const ELEMENTS_A_LANE = 64;
const MOST_LANES = 1024;

/** Where the partial sums of a tensor stand, in items of `width` elements. */
interface Lanes {
  readonly first: number;
  readonly lanes: number;
}

const gradientSquares = new ItemKernel<Lanes>({
  name: "gradient_squares",
  wgsl: gradientSquaresWgsl,
  over: "x",
  bindings: { x: "read", partials: "readWrite" },
  shape: () => ({}),
  uniforms: (_shapes, { first, lanes }) => ({ first, lanes }),
  grid: (_shapes, _limits, { lanes }) => [Math.ceil(lanes / 64)],
  work: ({ x }) => 4 * sizeOf(x),
});

const clipFactor = defineKernel<{ maxNorm: number }>({
  name: "clip_factor",
  wgsl: clipFactorWgsl,
  bindings: { partials: "read", norm: "write", factor: "write" },
  shape: () => ({ norm: [1], factor: [1] }),
  uniforms: ({ partials }, { maxNorm }) => ({ count: sizeOf(partials), max_norm: maxNorm }),
  grid: () => [1],
});

const scaleInPlace = new ItemKernel({
  name: "scale_in_place",
  wgsl: scaleInPlaceWgsl,
  over: "x",
  bindings: { factor: "read", x: "readWrite" },
  shape: () => ({}),
});

const clipInPlace = new ItemKernel<{ limit: number }>({
  name: "clip_in_place",
  wgsl: clipInPlaceWgsl,
  over: "x",
  bindings: { x: "readWrite" },
  shape: () => ({}),
  uniforms: (_shapes, { limit }) => ({ limit }),
});

function checkLimit(op: string, name: string, limit: number): void {
  if (!(limit > 0 && Number.isFinite(Math.fround(limit)))) {
    throw new ValueError(`${op}: ${name} is ${limit}, and a finite number above 0 is taken`);
  }
}

/**
 * Scales all gradients, in place, by min(1, maxNorm / (norm + 1e-6)), norm being the L2 norm over all their
 * elements together. The sum has the same order in every run. Squares that pass the float32 range make the
 * norm infinite.
 * @param gradients tensors of any shapes, each only once
 * @param maxNorm above 0
 * @param options `out`: [1], for the norm
 * @returns the norm before clipping, [1]
 * @throws ValueError for a maxNorm out of range; ShapeError for an empty list, a wrong dtype or `out`
 * @example
 * const norm = clipGradientNorm([dweights, dbias], 1);
 */
export function clipGradientNorm(
  gradients: readonly Tensor[],
  maxNorm: number,
  { out }: { readonly out?: Tensor } = {},
): Tensor {
  checkLimit("clipGradientNorm", "maxNorm", maxNorm);
  if (gradients.length === 0)
    throw new ShapeError("clipGradientNorm: gradients is empty, and at least one tensor is taken");
  const { gpu } = gradients[0];
  return gpu.scope(() => {
    let total = 0;
    const places = gradients.map(({ size }) => {
      const width = size % 4 === 0 ? 4 : 1;
      const wanted = Math.min(Math.ceil(size / ELEMENTS_A_LANE), MOST_LANES);
      // A multiple of 4 lanes, so that the next tensor's sums may be vec4.
      const lanes = width === 4 ? wanted : 4 * Math.ceil(wanted / 4);
      const first = total / width;
      total += lanes * width;
      return { first, lanes };
    });
    const partials = empty(gpu, [total]);
    gradients.forEach((x, i) => {
      gradientSquares.of(x.size).run({ x, partials }, places[i]);
    });
    const { norm, factor } = clipFactor.run({ partials }, { maxNorm }, { out: { norm: out } });
    for (const x of gradients) scaleInPlace.of(x.size).run({ factor, x }, undefined);
    return norm;
  });
}

/**
 * Holds every element of all gradients within ±limit, in place.
 * @param gradients tensors of any shapes
 * @param limit above 0
 * @throws ValueError for a limit out of range; ShapeError for a wrong dtype
 * @example
 * clipGradientValue([dweights, dbias], 0.5);
 */
export function clipGradientValue(gradients: readonly Tensor[], limit: number): void {
  checkLimit("clipGradientValue", "limit", limit);
  for (const x of gradients) clipInPlace.of(x.size).run({ x }, { limit });
}
