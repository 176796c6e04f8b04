/** Augmented copies of samples, on the device: a kernel an augmentation, one after the other. */
import cropWgsl from "../../shaders/augment_crop.wgsl";
import flipWgsl from "../../shaders/augment_flip.wgsl";
import hueWgsl from "../../shaders/augment_hue.wgsl";
import jitterWgsl from "../../shaders/augment_jitter.wgsl";
import removalWgsl from "../../shaders/augment_removal.wgsl";
import shiftWgsl from "../../shaders/augment_shift.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Kernel, sizeOf, type UniformValue } from "../gpu/kernel.js";
import { add, broadcastTo } from "../ops/elementwise.js";
import { randomNormal, randomUniform } from "../ops/random.js";
import { mean } from "../ops/reduce.js";
import type { Shape, Tensor } from "../tensor.js";
import type { Augmentation } from "./augmentations.js";

export interface AugmentOptions {
  /** Default 0. All samples of a batch get the same draws, so that a sample's copies do not depend on its batch. */
  readonly seed?: number;
  /** Of the first augmentation; the others draw from those after it. Default 0. */
  readonly stream?: number;
}

type Uniforms = Readonly<Record<string, UniformValue>>;

function augmentation(name: string, wgsl: string, center = false): Kernel<Uniforms> {
  return defineKernel<Uniforms>({
    name,
    wgsl,
    bindings: { x: "read", draws: "read", ...(center ? { center: "optional" as const } : {}), y: "write" },
    shape: ({ x }) => ({ y: x }),
    uniforms: ({ x }, own) => ({
      count: sizeOf(x),
      channels: x[1],
      height: x[2],
      width: x[3],
      ...own,
    }),
    grid: ({ x }, limits) => gridFor(sizeOf(x), 64, limits),
    work: ({ x }) => 30 * sizeOf(x),
  });
}

const crop = augmentation("augment_crop", cropWgsl);
const flip = augmentation("augment_flip", flipWgsl);
const hue = augmentation("augment_hue", hueWgsl);
const jitter = augmentation("augment_jitter", jitterWgsl, true);
const removal = augmentation("augment_removal", removalWgsl);
const shift = augmentation("augment_shift", shiftWgsl);

/**
 * Copies of each sample, each augmented anew, in order of the list; each draws from a stream of its own.
 * @param samples [b, channels, height, width], or [b, inputs] for noise alone
 * @param copies of each sample
 * @returns [b · copies, …], the copies of a sample side by side
 * @throws ShapeError for hue without 3 channels, or a move of what is no image; ValueError for copies below 1
 * @example
 * const x = augment(image, 64, [shift(2), gaussianNoise(0.1)], { seed: 1 });
 */
export function augment(
  samples: Tensor,
  copies: number,
  augmentations: readonly Augmentation[],
  { seed = 0, stream = 0 }: AugmentOptions = {},
): Tensor {
  if (!(Number.isInteger(copies) && copies >= 1))
    throw new ValueError(`augment: copies is ${copies}, and a whole number of at least 1 is taken`);
  const [count, ...rest] = samples.shape;
  for (const { kind } of augmentations) {
    if (kind === "gaussianNoise" || (rest.length === 3 && (kind !== "hue" || rest[0] === 3))) continue;
    const taken = kind === "hue" ? "[b, 3, height, width]" : "[b, channels, height, width]";
    throw new ShapeError(
      `augment: ${kind} takes samples of shape ${taken}, and these have [${samples.shape}]`,
    );
  }
  return samples.gpu.scope(() => {
    const all = [count, copies, ...rest];
    let x = samples.reshape([count, 1, ...rest]);
    augmentations.forEach((one, index) => {
      x = apply(x, one, all, { seed, stream: stream + index });
    });
    return (augmentations.length > 0 ? x : broadcastTo(x, all)).reshape([count * copies, ...rest]);
  });
}

/** @param x [b, copies, …], or as long as nothing tells a sample's copies apart [b, 1, …] @param all [b, copies, …] */
function apply(
  x: Tensor,
  one: Augmentation,
  all: Shape,
  draw: { readonly seed: number; readonly stream: number },
): Tensor {
  const { gpu } = x;
  const [count, copies, ...rest] = all;
  if (one.kind === "gaussianNoise")
    return add(x, randomNormal(gpu, [copies, ...rest], { ...draw, std: one.std }));
  const images = (x.shape[1] === copies ? x : broadcastTo(x, all)).reshape([count * copies, ...rest]);
  const rows = one.kind === "removal" ? Math.ceil(one.count / 2) * copies : copies;
  const draws = randomUniform(gpu, [rows, 4], draw);
  const [kernel, uniforms] = callOf(one);
  const center = one.kind === "contrast" ? mean(images, { axes: [1, 2, 3] }) : undefined;
  const bindings = { x: images, draws, ...(kernel === jitter ? { center } : {}) };
  return kernel.run(bindings, { copies, ...uniforms }).y.reshape(all);
}

function callOf(one: Exclude<Augmentation, { kind: "gaussianNoise" }>): [Kernel<Uniforms>, Uniforms] {
  switch (one.kind) {
    case "resizedCrop": {
      const [low, high] = one.area;
      const [aspect_low, aspect_high] = one.aspect.map(Math.log);
      return [crop, { low, high, aspect_low, aspect_high }];
    }
    case "shift":
      return [shift, { pixels: one.pixels }];
    case "flip":
      return [flip, { probability: one.probability, vertical: one.axis === "vertical" ? 1 : 0 }];
    case "removal":
      return [removal, { squares: one.count, size: one.size, fill: one.fill }];
    case "hue":
      return [hue, { strength: one.strength, low: one.range[0], high: one.range[1] }];
    case "brightness":
    case "contrast":
      return [jitter, { strength: one.strength, low: one.range[0], high: one.range[1] }];
    default:
      throw new ValueError(
        `augment: kind "${(one as Augmentation).kind}" is not known; take one of resizedCrop, shift, flip, ` +
          `brightness, contrast, hue, gaussianNoise, removal`,
      );
  }
}
