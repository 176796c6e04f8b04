import { PNG } from "pngjs";
import { FormatError } from "../gpu/errors.js";
import { checkPixels, fromRgba, type Pixels } from "./pixels.js";
import { checkPng, type DecodePngOptions } from "./png.js";

/** The color types of PNG by channels: gray, RGB, RGBA. */
const colorTypeOfChannels = { 1: 0, 3: 2, 4: 6 } as const;

/**
 * Decodes a PNG of any color type and bit depth to bytes.
 *
 * @param bytes the whole file
 * @param options `name` for messages, `maxPixels` (2^26 by default), `channels` of the result
 * @throws FormatError if the file is not a PNG, damaged, truncated, oversized or larger than `maxPixels`,
 *   which is checked before anything is decoded
 * @example
 * const { width, height, data } = await decodePng(bytes, { name: "photo.png", channels: 3 });
 */
export async function decodePng(bytes: Uint8Array, options: DecodePngOptions = {}): Promise<Pixels> {
  const { name = "bytes" } = options;
  const { width, height, channels } = await checkPng(bytes, options);
  try {
    const { data } = PNG.sync.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return fromRgba(data, width, height, options.channels ?? channels);
  } catch (cause) {
    throw new FormatError(`${name} is a damaged png: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Encodes an image as PNG with 8 bits a channel, in its own color type.
 *
 * @throws ShapeError if sizes and data do not agree
 * @example
 * const png = await encodePng({ width: 2, height: 1, channels: 1, data: new Uint8Array([0, 255]) });
 */
export async function encodePng(pixels: Pixels): Promise<Uint8Array<ArrayBuffer>> {
  checkPixels(pixels);
  const { width, height, channels } = pixels;
  const colorType = colorTypeOfChannels[channels];
  const png = new PNG({ width, height });
  png.data = Buffer.from(pixels.data);
  return new Uint8Array(
    PNG.sync.write(png, { colorType, inputColorType: colorType, inputHasAlpha: channels === 4 }),
  );
}
