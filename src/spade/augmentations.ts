/** What may be done to the copies of a sample, as plain records: they compose in a list and go into JSON. */
import { ValueError } from "../gpu/errors.js";

/** A crop of random area and aspect, resized bilinearly to the whole image (torchvision's RandomResizedCrop). */
export interface ResizedCrop {
  readonly kind: "resizedCrop";
  /** Of the crop, as a share of the image's; default [0.2, 1]. */
  readonly area: readonly [low: number, high: number];
  /** Width / height, drawn uniformly in its logarithm; default [3/4, 4/3]. */
  readonly aspect: readonly [low: number, high: number];
}

/** A shift by whole pixels, uniform from -pixels to pixels in both directions; the border's pixels repeat. */
export interface Shift {
  readonly kind: "shift";
  readonly pixels: number;
}

/** A mirror image with the probability given. */
export interface Flip {
  readonly kind: "flip";
  readonly axis: "horizontal" | "vertical";
  readonly probability: number;
}

/** x · f, f uniform in [1 - strength, 1 + strength], cut off to the range. */
export interface Brightness {
  readonly kind: "brightness";
  readonly strength: number;
  readonly range: readonly [low: number, high: number];
}

/** m + (x - m) · f, m the mean of the copy's gray image, f as in brightness. */
export interface Contrast {
  readonly kind: "contrast";
  readonly strength: number;
  readonly range: readonly [low: number, high: number];
}

/** The hue turned by a share of the circle, uniform in [-strength, strength]; images of 3 channels. */
export interface Hue {
  readonly kind: "hue";
  readonly strength: number;
  readonly range: readonly [low: number, high: number];
}

/** x + std · n, n normal and independent a pixel and channel. */
export interface GaussianNoise {
  readonly kind: "gaussianNoise";
  readonly std: number;
}

/** Squares of `size` pixels at random places, all channels set to `fill`. */
export interface Removal {
  readonly kind: "removal";
  readonly size: number;
  readonly count: number;
  readonly fill: number;
}

export type Augmentation = ResizedCrop | Shift | Flip | Brightness | Contrast | Hue | GaussianNoise | Removal;

type Range = readonly [low: number, high: number];
type RangeOption = { readonly range?: Range };

const UNIT: Range = [0, 1];

/** A random resized crop. @throws ValueError for an area outside ]0, 1] or an aspect not above 0 */
export function resizedCrop({
  area = [0.2, 1],
  aspect = [3 / 4, 4 / 3],
}: {
  area?: Range;
  aspect?: Range;
} = {}): ResizedCrop {
  checkRange("resizedCrop: area", area, (low, high) => low > 0 && high <= 1);
  checkRange("resizedCrop: aspect", aspect, (low) => low > 0);
  return { kind: "resizedCrop", area, aspect };
}

/** A shift by up to `pixels`. @throws ValueError unless it is a whole number of at least 0 */
export function shift(pixels: number): Shift {
  check("shift: pixels", pixels, Number.isInteger(pixels) && pixels >= 0, "a whole number of at least 0");
  return { kind: "shift", pixels };
}

/** A mirror image, by default a horizontal one half of the times. @throws ValueError for no probability */
export function flip({ axis = "horizontal", probability = 0.5 }: Partial<Omit<Flip, "kind">> = {}): Flip {
  check("flip: probability", probability, probability >= 0 && probability <= 1, "a number from 0 to 1");
  return { kind: "flip", axis, probability };
}

/** Brightness jitter. @param range of the pixels, [0, 1] if not given @throws ValueError for a strength below 0 */
export function brightness(strength: number, { range = UNIT }: RangeOption = {}): Brightness {
  return { kind: "brightness", ...jitter("brightness", strength, range) };
}

/** Contrast jitter. @param range of the pixels, [0, 1] if not given @throws ValueError for a strength below 0 */
export function contrast(strength: number, { range = UNIT }: RangeOption = {}): Contrast {
  return { kind: "contrast", ...jitter("contrast", strength, range) };
}

/** Hue jitter. @param strength up to 0.5, half the circle @throws ValueError for another strength */
export function hue(strength: number, { range = UNIT }: RangeOption = {}): Hue {
  check("hue: strength", strength, strength >= 0 && strength <= 0.5, "a number from 0 to 0.5");
  return { kind: "hue", ...jitter("hue", strength, range) };
}

/** Additive normal noise. @throws ValueError for a standard deviation below 0 */
export function gaussianNoise(std: number): GaussianNoise {
  check("gaussianNoise: std", std, std >= 0 && std < Infinity, "a finite number of at least 0");
  return { kind: "gaussianNoise", std };
}

/** Squares that are taken out. @throws ValueError unless size and count are whole numbers of at least 1 */
export function removal(
  size: number,
  { count = 1, fill = 0 }: Partial<Pick<Removal, "count" | "fill">> = {},
): Removal {
  check("removal: size", size, Number.isInteger(size) && size >= 1, "a whole number of at least 1");
  check("removal: count", count, Number.isInteger(count) && count >= 1, "a whole number of at least 1");
  check("removal: fill", fill, Number.isFinite(fill), "a finite number");
  return { kind: "removal", size, count, fill };
}

function jitter(name: string, strength: number, range: Range): { strength: number; range: Range } {
  check(`${name}: strength`, strength, strength >= 0 && strength < Infinity, "a finite number of at least 0");
  checkRange(`${name}: range`, range, (low, high) => low < high);
  return { strength, range };
}

function check(what: string, value: number, fits: boolean, taken: string): void {
  if (!fits) throw new ValueError(`${what} is ${value}, and ${taken} is taken`);
}

function checkRange(what: string, [low, high]: Range, fits: (low: number, high: number) => boolean): void {
  if (low <= high && Number.isFinite(high - low) && fits(low, high)) return;
  throw new ValueError(`${what} is [${low}, ${high}], and a range in order and within bounds is taken`);
}
