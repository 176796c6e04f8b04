import { ShapeError, ValueError } from "../gpu/errors.js";
import type { HostArray } from "./array.js";

/** An image of bytes: rows from the top, pixels from the left, the channels of a pixel side by side. */
export interface Pixels {
  width: number;
  height: number;
  /** 1 is gray, 3 RGB, 4 RGBA with straight alpha. */
  channels: 1 | 3 | 4;
  data: Uint8Array;
}

/**
 * Checks an image before it is written.
 *
 * @throws ShapeError if sizes and data do not agree
 */
export function checkPixels({ width, height, channels, data }: Pixels, name = "pixels"): void {
  const isWhole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (!isWhole || ![1, 3, 4].includes(channels) || data.length !== width * height * channels) {
    throw new ShapeError(
      `${name} has width ${width}, height ${height}, ${channels} channels and ${data.length} bytes, but ` +
        "positive sizes, 1, 3 or 4 channels and width × height × channels bytes are taken",
    );
  }
}

/** Gray, RGB or RGBA bytes as RGBA. */
export function toRgba({ channels, data }: Pixels): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray((data.length / channels) * 4).fill(255);
  for (let from = 0, to = 0; from < data.length; from += channels, to += 4) {
    rgba[to] = data[from];
    rgba[to + 1] = data[channels === 1 ? from : from + 1];
    rgba[to + 2] = data[channels === 1 ? from : from + 2];
    if (channels === 4) {
      rgba[to + 3] = data[from + 3];
    }
  }
  return rgba;
}

/** RGBA bytes as gray (luma of ITU-R BT.601; exact where R = G = B), RGB or RGBA. */
export function fromRgba(
  rgba: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  channels: 1 | 3 | 4,
): Pixels {
  const data = new Uint8Array(width * height * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += channels) {
    if (channels === 1) {
      data[to] = Math.round((299 * rgba[from] + 587 * rgba[from + 1] + 114 * rgba[from + 2]) / 1000);
    } else {
      for (let channel = 0; channel < channels; channel++) {
        data[to + channel] = rgba[from + channel];
      }
    }
  }
  return { width, height, channels, data };
}

/**
 * An image as numbers in [0, 1], byte / 255, channel by channel.
 *
 * @param pixels gray, RGB or RGBA bytes
 * @returns an array of shape [channels, height, width]
 * @throws ShapeError if sizes and data do not agree
 * @example
 * const array = pixelsToArray(await decodePng(bytes, { channels: 3 })); // shape [3, height, width]
 */
export function pixelsToArray(pixels: Pixels): HostArray {
  checkPixels(pixels);
  const { width, height, channels, data } = pixels;
  const planes = new Float32Array(data.length);
  for (let channel = 0; channel < channels; channel++) {
    for (let pixel = 0; pixel < width * height; pixel++) {
      planes[channel * width * height + pixel] = data[pixel * channels + channel] / 255;
    }
  }
  return { shape: [channels, height, width], data: planes };
}

/**
 * Numbers in [0, 1] as an image; each becomes the nearest byte.
 *
 * @param array shape [1, 3 or 4, height, width], or [height, width] for gray
 * @throws ShapeError if the array has another shape
 * @throws ValueError if a number does not round to a byte of 0 to 255; scale or clip it first
 * @example
 * const png = await encodePng(arrayToPixels({ shape: [28, 28], data: digit }));
 */
export function arrayToPixels(array: HostArray): Pixels {
  const [channels, height, width] = array.shape.length === 2 ? [1, ...array.shape] : array.shape;
  if (array.shape.length > 3 || (channels !== 1 && channels !== 3 && channels !== 4)) {
    throw new ShapeError(
      `array has shape [${array.shape}], but [height, width] or [1, 3 or 4, height, width] is taken`,
    );
  }
  const pixels: Pixels = { width, height, channels, data: new Uint8Array(array.data.length) };
  checkPixels(pixels, "array");
  for (let i = 0; i < array.data.length; i++) {
    const byte = Math.round(array.data[i] * 255);
    if (!(byte >= 0 && byte <= 255)) {
      throw new ValueError(
        `array holds ${array.data[i]} at index ${i}, but 0 to 1 is taken; scale or clip it first`,
      );
    }
    const channel = Math.floor(i / (width * height));
    pixels.data[(i - channel * width * height) * channels + channel] = byte;
  }
  return pixels;
}
