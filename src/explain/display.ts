/**
 * Maps as pictures. Everything here is on the host; `encodePng` of handgrad/io makes files of what comes
 * out.
 */
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { HostArray } from "../io/array.js";
import type { Pixels } from "../io/pixels.js";
import type { Tensor } from "../tensor.js";
import { type ColorMap, colorMaps, colorOf } from "./colors.js";
import { checkChoice, checkCount, type Sign } from "./definition.js";

export interface ScaleOptions {
  /** Which part of the map is shown; default "signed". */
  readonly sign?: Sign;
  /**
   * The largest sizes, those that make up this share of the sum of all in percent, are shown as the limit: 0
   * to 100, default 2. Without it a few pixels leave all others in the dark.
   */
  readonly outlierPercentile?: number;
}

export interface HeatMapOptions extends ScaleOptions {
  /** Default "redBlue" for signed maps (red speaks for the class, blue against it), else "inferno". */
  readonly colors?: ColorMap;
  /** The side of the square that shows one value; default 1. */
  readonly zoom?: number;
}

export interface BlendOptions extends HeatMapOptions {
  /** How much of the color lies over the gray image, 0 to 1; default 0.7. */
  readonly opacity?: number;
}

/**
 * The images or maps of a tensor as arrays on the host.
 * @param x [n, h, w] gives n arrays [h, w], [n, c, h, w] gives n arrays [c, h, w]
 * @throws ShapeError for other shapes
 * @example
 * const [map] = await hostMaps(await saliency(model, images, { target: 3 }));
 */
export async function hostMaps(x: Tensor): Promise<HostArray[]> {
  const [count, ...shape] = x.shape;
  if (shape.length !== 2 && shape.length !== 3)
    throw new ShapeError(`hostMaps: x has shape [${x.shape}], and [n, h, w] or [n, c, h, w] is taken`);
  const values = (await x.data()) as Float32Array<ArrayBuffer>;
  const size = values.length / count;
  return Array.from({ length: count }, (_, i) => ({
    shape: [...shape],
    data: values.slice(i * size, (i + 1) * size),
  }));
}

/**
 * A map for showing: its part of the sign wanted, over the limit that `outlierPercentile` sets, clipped.
 * @returns -1 to 1 with sign "signed", else 0 to 1; all 0 for a map of zeros
 * @throws ValueError for NaN, or options out of range
 */
export function normalizedMap(
  values: ArrayLike<number>,
  { sign = "signed", outlierPercentile = 2 }: ScaleOptions = {},
): Float32Array<ArrayBuffer> {
  checkChoice("normalizedMap", "sign", sign, ["signed", "absolute", "positive", "negative"]);
  if (!(outlierPercentile >= 0 && outlierPercentile < 100)) {
    throw new ValueError(
      `normalizedMap: outlierPercentile is ${outlierPercentile}, and at least 0 and less than 100 is taken`,
    );
  }
  const part = {
    signed: (v: number) => v,
    absolute: Math.abs,
    positive: (v: number) => Math.max(v, 0),
    negative: (v: number) => Math.max(-v, 0),
  }[sign];
  const wanted = Float32Array.from(values, part);
  const at = wanted.findIndex((value) => !Number.isFinite(value));
  if (at >= 0)
    throw new ValueError(
      `normalizedMap: the map holds ${wanted[at]} at index ${at}; find out where it comes from`,
    );
  const sizes = wanted.map(Math.abs).sort();
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let below = 0;
  const limit = sizes.find((size) => {
    below += size;
    return below >= total * (1 - outlierPercentile / 100) * (1 - 1e-7);
  });
  if (!limit) return wanted.fill(0);
  return wanted.map((value) => Math.min(1, Math.max(-1, value / limit)));
}

/**
 * A map in colors.
 * @param map [h, w]
 * @throws ShapeError, ValueError
 * @example
 * const png = await encodePng(heatMap(map, { zoom: 8 }));
 */
export function heatMap(map: HostArray, options: HeatMapOptions = {}): Pixels {
  const [height, width] = planeOf("heatMap", map);
  const colors = colorMapOf("heatMap", options);
  const isSigned = (options.sign ?? "signed") === "signed";
  const shares = normalizedMap(map.data, options).map((value) => (isSigned ? (value + 1) / 2 : value));
  const data = new Uint8Array(width * height * 3);
  shares.forEach((share, pixel) => {
    data.set(colorOf(colors, share), 3 * pixel);
  });
  return zoomed({ width, height, channels: 3, data }, options.zoom);
}

/** The map's colors over the image in gray. @param image [h, w] or [c, h, w], 0 to 1 @param map [h, w] */
export function blendedHeatMap(image: HostArray, map: HostArray, options: BlendOptions = {}): Pixels {
  const { opacity = 0.7, zoom, ...rest } = options;
  if (!(opacity >= 0 && opacity <= 1))
    throw new ValueError(`blendedHeatMap: opacity is ${opacity}, and 0 to 1 is taken`);
  const colored = heatMap(map, rest);
  const gray = grayOf("blendedHeatMap", image, map);
  const data = colored.data.map(
    (byte, i) => opacity * byte + (1 - opacity) * 255 * gray[Math.floor(i / 3)] + 0.5,
  );
  return zoomed({ ...colored, data }, zoom);
}

/**
 * The image where the map is large, black elsewhere: image · |map|.
 * @param image [h, w] or [c, h, w], 0 to 1
 */
export function maskedImage(
  image: HostArray,
  map: HostArray,
  { zoom, sign = "absolute", outlierPercentile }: HeatMapOptions = {},
): Pixels {
  const shares = normalizedMap(map.data, { sign, outlierPercentile }).map(Math.abs);
  const pixels = pixelsOf("maskedImage", image, map);
  return zoomed(
    { ...pixels, data: pixels.data.map((byte, i) => byte * shares[Math.floor(i / 3)] + 0.5) },
    zoom,
  );
}

/** The image, as opaque as the map is large. @param image [h, w] or [c, h, w], 0 to 1 @returns RGBA */
export function alphaScaled(
  image: HostArray,
  map: HostArray,
  { zoom, sign = "absolute", outlierPercentile }: HeatMapOptions = {},
): Pixels {
  const shares = normalizedMap(map.data, { sign, outlierPercentile }).map(Math.abs);
  const { width, height, data } = pixelsOf("alphaScaled", image, map);
  const rgba = new Uint8Array(width * height * 4);
  shares.forEach((share, pixel) => {
    rgba.set(data.subarray(3 * pixel, 3 * pixel + 3), 4 * pixel);
    rgba[4 * pixel + 3] = Math.round(255 * share);
  });
  return zoomed({ width, height, channels: 4, data: rgba }, zoom);
}

/** An image as RGB. @param image [h, w] or [1 or 3, h, w], 0 to 1; what is beyond is clipped */
export function plainImage(image: HostArray, { zoom }: Pick<HeatMapOptions, "zoom"> = {}): Pixels {
  return zoomed(pixelsOf("plainImage", image), zoom);
}

/** Every pixel as a square. */
export function zoomed(pixels: Pixels, zoom = 1): Pixels {
  checkCount("display", "zoom", zoom);
  const { width, height, channels, data } = pixels;
  const large = new Uint8Array(data.length * zoom * zoom);
  for (let y = 0; y < height * zoom; y++) {
    for (let x = 0; x < width * zoom; x++) {
      const from = (Math.floor(y / zoom) * width + Math.floor(x / zoom)) * channels;
      large.set(data.subarray(from, from + channels), (y * width * zoom + x) * channels);
    }
  }
  return { width: width * zoom, height: height * zoom, channels, data: large };
}

function colorMapOf(name: string, { colors, sign = "signed" }: HeatMapOptions): ColorMap {
  if (colors === undefined) return sign === "signed" ? "redBlue" : "inferno";
  checkChoice(name, "colors", colors, colorMaps);
  return colors;
}

/** Height and width of a map. @throws ShapeError */
function planeOf(name: string, { shape, data }: HostArray): readonly number[] {
  if (shape.length === 2 && data.length === shape[0] * shape[1] && data.length > 0) return shape;
  throw new ShapeError(`${name}: the map has shape [${shape}] and ${data.length} values; [h, w] is taken`);
}

/** RGB bytes of an image, which must be of the map's size. @throws ShapeError */
function pixelsOf(name: string, { shape, data }: HostArray, map?: HostArray): Pixels {
  const [channels, height, width] = shape.length === 2 ? [1, ...shape] : shape;
  const size = height * width;
  const fits = shape.length <= 3 && (channels === 1 || channels === 3) && data.length === channels * size;
  if (!fits || !(size > 0)) {
    throw new ShapeError(`${name}: image has shape [${shape}], and [h, w] or [1 or 3, h, w] is taken`);
  }
  if (map && planeOf(name, map).join() !== [height, width].join())
    throw new ShapeError(
      `${name}: image is [${height}, ${width}] and the map [${map.shape}]; take equal sizes`,
    );
  const bytes = new Uint8Array(3 * size);
  for (let i = 0; i < 3 * size; i++) {
    const value = data[channels === 3 ? (i % 3) * size + Math.floor(i / 3) : Math.floor(i / 3)];
    bytes[i] = Math.round(255 * Math.min(1, Math.max(0, value)));
  }
  return { width, height, channels: 3, data: bytes };
}

/** Luma from 0 to 1. */
function grayOf(name: string, image: HostArray, map: HostArray): Float32Array {
  const { data } = pixelsOf(name, image, map);
  return Float32Array.from(
    { length: data.length / 3 },
    (_, i) => (0.299 * data[3 * i] + 0.587 * data[3 * i + 1] + 0.114 * data[3 * i + 2]) / 255,
  );
}
