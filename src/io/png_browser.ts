import { FormatError, HandgradError } from "../gpu/errors.js";
import { checkPixels, fromRgba, type Pixels, toRgba } from "./pixels.js";
import { checkPng, type DecodePngOptions } from "./png.js";

/**
 * Decodes a PNG of any color type and bit depth to bytes, by the browser's canvas. A canvas stores color
 * multiplied by alpha: opaque pixels are exact, colors of translucent ones lose precision as alpha falls.
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
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "image/png" });
  const bitmap = await createImageBitmap(blob, {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  }).catch((cause) => {
    throw new FormatError(`${name} is a damaged png: the browser does not decode it`, { cause });
  });
  const context = openCanvas(width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return fromRgba(
    context.getImageData(0, 0, width, height).data,
    width,
    height,
    options.channels ?? channels,
  );
}

/**
 * Encodes an image as PNG with 8 bits a channel, by the browser's canvas. The browser chooses the color type,
 * often RGBA for every image; of translucent pixels it keeps the color as precisely as a canvas does.
 *
 * @throws ShapeError if sizes and data do not agree
 * @example
 * const png = await encodePng({ width: 2, height: 1, channels: 1, data: new Uint8Array([0, 255]) });
 */
export async function encodePng(pixels: Pixels): Promise<Uint8Array<ArrayBuffer>> {
  checkPixels(pixels);
  const context = openCanvas(pixels.width, pixels.height);
  context.putImageData(new ImageData(toRgba(pixels), pixels.width, pixels.height), 0, 0);
  const blob = await context.canvas.convertToBlob({ type: "image/png" });
  return new Uint8Array(await blob.arrayBuffer());
}

function openCanvas(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) {
    throw new HandgradError(`the browser gives no 2d canvas of ${width} × ${height}; use a smaller image`);
  }
  return context;
}
