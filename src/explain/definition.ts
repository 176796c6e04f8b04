/** What attributions take and give: targets, signs, channels, progress. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import { broadcastTo, full } from "../ops/elementwise.js";
import { gaussianBlur } from "../ops/image.js";
import { mean } from "../ops/reduce.js";
import type { Shape, Tensor } from "../tensor.js";

/** Every attribution, by the name of its function. */
export const attributionNames = [
  "saliency",
  "inputXGradient",
  "integratedGradients",
  "smoothGrad",
  "gradientShap",
  "guidedBackprop",
  "deconvolution",
  "gradCam",
  "guidedGradCam",
  "deepLift",
  "lrp",
  "occlusion",
  "lime",
  "featureAblation",
] as const;

export type AttributionName = (typeof attributionNames)[number];

/**
 * Which part of a map is wanted: as it is, |a|, max(a, 0), or max(-a, 0) (so that the most negative is the
 * largest). Applied after the channels are joined.
 */
export type Sign = "signed" | "absolute" | "positive" | "negative";

/** How channels become one: their sum, the entry that is largest in size, or not at all. */
export type ChannelJoin = "sum" | "max" | "keep";

/** Told after each batch of passes. */
export interface ExplainProgress {
  readonly method: string;
  /** Passes (rows through the model) done, of `total`. */
  readonly done: number;
  readonly total: number;
}

/** What every attribution takes. */
export interface ExplainOptions {
  /** The class whose logit is explained: one for all images, or one an image. */
  readonly target: number | ArrayLike<number> | Tensor;
  /** Default "signed"; of `saliency` "absolute". */
  readonly sign?: Sign;
  /** Default "sum"; of `saliency` "max". */
  readonly channels?: ChannelJoin;
  /** Of what is drawn; default 0. Draws hang on an image's number alone, not on `batch`. */
  readonly seed?: number;
  /** The number of the first image, on which draws hang: of a part of a set its place there. Default 0. */
  readonly firstImage?: number;
  /** The largest number of images in a pass; default 64. Results do not depend on it but for rounding. */
  readonly batch?: number;
  readonly onProgress?: (progress: ExplainProgress) => void;
}

/**
 * What stands for "nothing there": a number, an image [c, h, w], images [1 or n, c, h, w], each image blurred
 * ("blur", by a tenth of its shorter side), or the mean of each image's channels ("mean").
 */
export type Baseline = number | Tensor | "blur" | "mean";

/** @throws ShapeError unless x is images [n, c, h, w] */
export function checkImages(name: string, { shape }: { readonly shape: Shape }): void {
  if (shape.length !== 4 || shape.includes(0))
    throw new ShapeError(
      `${name}: x has shape [${shape}], and images [n, channels, height, width] are taken`,
    );
}

/** @throws ValueError unless `value` is a whole number of at least `least` */
export function checkCount(name: string, option: string, value: number, least = 1): void {
  if (!(Number.isInteger(value) && value >= least))
    throw new ValueError(`${name}: ${option} is ${value}, and a whole number of at least ${least} is taken`);
}

/** @throws ValueError unless `value` is a finite number of at least `least` */
export function checkNumber(name: string, option: string, value: number, least = -Infinity): void {
  if (!(Number.isFinite(value) && value >= least)) {
    const range = least === -Infinity ? "" : ` of at least ${least}`;
    throw new ValueError(`${name}: ${option} is ${value}, and a finite number${range} is taken`);
  }
}

/** @throws ValueError unless `value` is one of `known` */
export function checkChoice(name: string, option: string, value: string, known: readonly string[]): void {
  if (!known.includes(value))
    throw new ValueError(`${name}: ${option} is "${value}", and one of ${known.join(", ")} is taken`);
}

/**
 * The target of each image.
 * @throws ValueError for what is no class; ShapeError unless there is one an image
 */
export async function targetsOf(
  name: string,
  target: ExplainOptions["target"],
  count: number,
  classes: number,
): Promise<Uint32Array> {
  const given =
    typeof target === "number"
      ? new Array<number>(count).fill(target)
      : Array.from("storage" in target ? await target.data() : target);
  if (given.length !== count)
    throw new ShapeError(
      `${name}: target has ${given.length} classes, and one for each of ${count} images is taken`,
    );
  const wrong = given.find((value) => !(Number.isInteger(value) && value >= 0 && value < classes));
  if (wrong !== undefined)
    throw new ValueError(`${name}: target is ${wrong}, and a class from 0 to ${classes - 1} is taken`);
  return Uint32Array.from(given);
}

/**
 * A baseline as images [1 or n, c, h, w], the caller's.
 * @param x [n, c, h, w]
 * @throws ShapeError for other shapes, ValueError for a number that is not finite or another word
 */
export function baselineOf(name: string, x: Tensor, baseline: Baseline): Tensor {
  const { gpu } = x;
  const [count, ...image] = x.shape;
  if (typeof baseline === "string") {
    checkChoice(name, "baseline", baseline, ["blur", "mean"]);
    if (baseline === "blur") {
      const sigma = Math.max(0.5, Math.min(image[1], image[2]) / 10);
      return gaussianBlur(x, { sigma, border: "replicate" });
    }
    return gpu.scope(() => broadcastTo(mean(x, { axes: [2, 3], keepDims: true }), x.shape));
  }
  if (typeof baseline === "number") {
    checkNumber(name, "baseline", baseline);
    return full(gpu, [1, ...image], baseline);
  }
  const given = baseline.shape.length === 3 ? [1, ...baseline.shape] : [...baseline.shape];
  const fits = given.length === 4 && given.slice(1).join() === image.join();
  if (!fits || (given[0] !== 1 && given[0] !== count)) {
    throw new ShapeError(
      `${name}: baseline has shape [${baseline.shape}], and [${image}] or [1 or ${count}, ${image}] is taken`,
    );
  }
  return baseline.reshape(given);
}
