/** What a class, a layer, a channel or a neuron looks for: images that excite it, by optimization. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import { Adam } from "../optimizer.js";
import { mul } from "../ops/elementwise.js";
import { randomNormal } from "../ops/random.js";
import { philoxUniform } from "../random.js";
import { type Shape, type Tensor, tensor } from "../tensor.js";
import { checkChoice, checkCount, checkNumber } from "./definition.js";
import { Parametrization } from "./parametrization.js";
import { upTo } from "./trail.js";
import { warp, warpGrad } from "./warp.js";

export interface TransformOptions {
  /** Shifts by up to so many pixels down and across; default an eighth of the shorter side. */
  readonly jitter?: number;
  /** Scales by 1 - scale to 1 + scale; default 0.1. */
  readonly scale?: number;
  /** Turns by up to so many degrees; default 10. */
  readonly rotate?: number;
}

export interface VisualizeOptions {
  /** The shape of one image, [c, h, w]. */
  readonly shape: Shape;
  /** A class, whose logit is raised; or name a layer. */
  readonly target?: number;
  /** A layer's output, by its index or as parameters name it ("6.body.1"). */
  readonly layer?: string | number;
  /** Of the layer's output: the mean of its plane is raised. Without it the mean of all squares. */
  readonly channel?: number;
  /** One place of the channel's plane, [y, x], in place of its mean. */
  readonly neuron?: readonly [number, number];
  /** Images at once, each from a start of its own; default 1. */
  readonly count?: number;
  /** Default 256. */
  readonly steps?: number;
  /** Adam's; default 0.05. */
  readonly learningRate?: number;
  /** Coefficients of waves (default), or the pixels themselves, which gives high frequencies. */
  readonly parametrization?: "fourier" | "pixels";
  /** Of images of three channels, whether colors are independent as in natural images; default true. */
  readonly decorrelate?: boolean;
  /**
   * Random shifts, scales and turns at each step, without which the image is noise that only the network
   * sees.
   */
  readonly transforms?: boolean | TransformOptions;
  /** What the darkest and the brightest pixel are to the network; default [0, 1]. */
  readonly range?: readonly [number, number];
  /** Default 0. */
  readonly seed?: number;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/** Steps between two reports. */
const REPORT = 16;
const START_DEVIATION = 0.01;
const TRANSFORM_STREAM = 0x74726673;

/**
 * Images that raise a class's logit, a layer's squares, a channel's mean or one neuron, by Adam on the
 * coefficients of waves.
 * @returns images [count, c, h, w] within `range`, the caller's
 * @throws ValueError for options out of range, or a layer, channel, neuron or class that does not exist;
 *   ShapeError
 * @example
 * const images = await visualize(model, { shape: [1, 28, 28], target: 3, steps: 256 });
 * const channel = await visualize(model, { shape: [3, 64, 64], layer: 4, channel: 7, count: 4 });
 */
export async function visualize(model: Sequential, options: VisualizeOptions): Promise<Tensor> {
  const name = "visualize";
  const {
    shape,
    count = 1,
    steps = 256,
    learningRate = 0.05,
    seed = 0,
    range = [0, 1],
    onProgress,
  } = options;
  const { parametrization: kind = "fourier", decorrelate = true } = options;
  checkCount(name, "count", count);
  checkCount(name, "steps", steps);
  checkNumber(name, "learningRate", learningRate, 0);
  checkChoice(name, "parametrization", kind, ["fourier", "pixels"]);
  if (shape.length !== 3 || shape.includes(0))
    throw new ShapeError(`visualize: shape is [${shape}], and [channels, height, width] is taken`);
  if (!(range.length === 2 && range[0] < range[1]))
    throw new ValueError(`visualize: range is [${range}], and a lower and a higher number are taken`);
  const images = [count, ...shape];
  const part = options.layer === undefined ? model : upTo(model, options.layer);
  const gradient = gradientOf(options, part.outputShape(images));
  const draw = transformsOf(name, options, shape);
  const gpu = gpuOf(model);
  const held: { dispose(): void }[] = [];
  const keep = <T extends { dispose(): void }>(item: T): T => {
    held.push(item);
    return item;
  };
  try {
    const made = keep(new Parametrization(gpu, images, { kind, decorrelate, range }));
    const coefficients = keep(randomNormal(gpu, images, { seed, std: START_DEVIATION }));
    const transforms = keep(tensor(gpu, draw(0), [count, 6]));
    const direction = gradient && keep(tensor(gpu, gradient.values, gradient.shape));
    const optimizer = keep(new Adam({ coefficients }, { learningRate }));
    const step = keep(
      gpu.program(() => {
        const { image, share } = made.forward(coefficients);
        const seen = warp(image, transforms, (range[0] + range[1]) / 2);
        const { y, saved } = part.forward(seen);
        // Adam goes down: what is to rise has a gradient of less than 0.
        const dy = direction ?? mul(y, -2 / (y.size / count));
        const dimage = warpGrad(part.inputGrad(dy, saved), transforms);
        optimizer.step({ coefficients: made.backward(dimage, share) });
      }),
    );
    for (let done = 1; done < steps; done++) {
      transforms.write(draw(done));
      step.run();
      if (done % REPORT !== 0) continue;
      await (onProgress ? gpu.finish() : gpu.flush());
      onProgress?.({ done, total: steps });
    }
    const result = gpu.scope(() => made.forward(coefficients).image);
    await gpu.flush();
    onProgress?.({ done: steps, total: steps });
    return result;
  } finally {
    for (const item of held.reverse()) item.dispose();
  }
}

function gpuOf(model: Sequential) {
  const [first] = Object.values(model.parameters);
  if (first) return first.gpu;
  throw new ValueError("visualize: the model has no parameters, so nothing says on which gpu it lives");
}

/** Minus the gradient of what is raised with respect to a layer's output, or undefined for its squares. */
function gradientOf(
  { target, layer, channel, neuron }: VisualizeOptions,
  shape: Shape,
): { readonly values: Float32Array; readonly shape: Shape } | undefined {
  if ((target === undefined) === (layer === undefined))
    throw new ValueError(
      "visualize: target and layer are both given or both missing; name a class, or a layer",
    );
  const index = target ?? channel;
  if (index === undefined) {
    if (neuron) throw new ValueError("visualize: neuron takes a channel as well");
    return undefined;
  }
  if (target !== undefined && shape.length !== 2)
    throw new ShapeError(`visualize: the model gives [${shape}], and logits [n, classes] are taken`);
  const what = target === undefined ? "channel" : "target";
  if (!(Number.isInteger(index) && index >= 0 && index < shape[1]))
    throw new ValueError(
      `visualize: ${what} is ${index}, and a whole number from 0 to ${shape[1] - 1} is taken`,
    );
  const [height, width] = [shape[2] ?? 1, shape[3] ?? 1];
  const plane = height * width;
  if (neuron && !(isPlace(neuron[0], height) && isPlace(neuron[1], width)))
    throw new ValueError(`visualize: neuron is [${neuron}], and a place in [${height}, ${width}] is taken`);
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  for (let image = 0; image < shape[0]; image++) {
    const first = (image * shape[1] + index) * plane;
    if (neuron) values[first + neuron[0] * width + neuron[1]] = -1;
    else values.fill(-1 / plane, first, first + plane);
  }
  return { values, shape };
}

function isPlace(at: number, size: number): boolean {
  return Number.isInteger(at) && at >= 0 && at < size;
}

/** The transforms [count, 6] of each step. */
function transformsOf(
  name: string,
  { transforms = true, count = 1, seed = 0 }: VisualizeOptions,
  [, height, width]: Shape,
): (step: number) => Float32Array {
  const given: TransformOptions = typeof transforms === "object" ? transforms : {};
  const still = transforms === false;
  const { jitter = Math.max(1, Math.min(height, width) / 8), scale = 0.1, rotate = 10 } = given;
  for (const [option, value] of Object.entries({ jitter, scale, rotate }))
    checkNumber(name, option, value, 0);
  if (scale >= 0.9) throw new ValueError(`visualize: scale is ${scale}, and less than 0.9 is taken`);
  return (step) => {
    const draws = philoxUniform(4 * count, seed, (TRANSFORM_STREAM + step) >>> 0).map((u) =>
      still ? 0 : 2 * u - 1,
    );
    return Float32Array.from({ length: 6 * count }, (_, i) => {
      const [a, b, c, d] = draws.subarray(4 * Math.floor(i / 6));
      const angle = (rotate * a * Math.PI) / 180;
      const size = 1 / (1 + scale * b);
      const [cosine, sine] = [size * Math.cos(angle), size * Math.sin(angle)];
      return [cosine, -sine, jitter * c, sine, cosine, jitter * d][i % 6];
    });
  };
}
