import { FormatError } from "../gpu/errors.js";
import { inflatePieces } from "./inflate.js";

/**
 * What both hosts check of a PNG (W3C, "Portable Network Graphics, third edition") before a decoder sees it,
 * so that a truncated, padded or bomb-like file is refused in the same way everywhere: signature, chunk
 * lengths and checksums, the sizes in IHDR, and that the image data decompress to exactly what those need.
 */
const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** 8192 × 8192; decoded as RGBA that is 256 MiB. */
const defaultMaxPixels = 2 ** 26;

const samplesOfColorType: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const bitDepthsOfColorType: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};

/** First column and row and the steps of the seven passes of Adam7; one pass of all pixels without it. */
const adam7Passes = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;
const wholePass = [[0, 0, 1, 1]] as const;

export interface DecodePngOptions {
  /** What errors call the bytes, such as the file's name. */
  name?: string;
  /** The largest width × height that is taken. */
  maxPixels?: number;
  /**
   * 1 (gray), 3 (RGB) or 4 (RGBA). By default gray files give 1, color files 3, files with transparency 4.
   * Gray of a color file is its luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); 1 and 3 leave alpha out.
   */
  channels?: 1 | 3 | 4;
}

/** What IHDR says. */
export interface PngHeader {
  width: number;
  height: number;
  bitDepth: number;
  colorType: number;
  interlaced: boolean;
}

/** The channels of a file that passed every check. */
export interface CheckedPng extends PngHeader {
  channels: 1 | 3 | 4;
}

/**
 * Checks a PNG from end to end without decoding its pixels.
 *
 * @throws FormatError if it is not a PNG, is damaged, truncated, oversized or larger than `maxPixels`
 */
export async function checkPng(bytes: Uint8Array, options: DecodePngOptions = {}): Promise<CheckedPng> {
  const { name = "bytes", maxPixels = defaultMaxPixels } = options;
  const header = readPngHeader(bytes, name, maxPixels);
  const { imageData, hasPalette, hasTransparency } = walkChunks(bytes, name);
  if (hasPalette !== (header.colorType === 3) && header.colorType !== 2 && header.colorType !== 6) {
    throw new FormatError(
      `${name} is a damaged png: its color type ${header.colorType} and its palette do not agree`,
    );
  }
  const expected = scanlineBytes(header);
  let length = 0;
  for await (const piece of inflatePieces(imageData, "deflate", name)) {
    length += piece.length;
    if (length > expected) {
      break;
    }
  }
  if (length !== expected) {
    const came = length > expected ? "more" : `${length}`;
    throw new FormatError(
      `${name} is a damaged png: ${header.width} × ${header.height} pixels take ${expected} bytes, ` +
        `but ${came} decompress from it`,
    );
  }
  const isColor = header.colorType === 2 || header.colorType === 3;
  const hasAlpha = hasTransparency || header.colorType >= 4;
  return { ...header, channels: hasAlpha ? 4 : isColor ? 3 : 1 };
}

/**
 * Reads the header of a PNG and nothing else.
 *
 * @param bytes at least the first 33 bytes of the file
 * @throws FormatError if there is no valid header or it has more than `maxPixels` pixels
 * @example
 * const { width, height } = readPngHeader(bytes, "photo.png");
 */
export function readPngHeader(bytes: Uint8Array, name = "bytes", maxPixels = defaultMaxPixels): PngHeader {
  if (bytes.length < 33 || signature.some((byte, i) => bytes[i] !== byte)) {
    throw new FormatError(`${name} is not a png file, or too short for one`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(8) !== 13 || chunkType(bytes, 8) !== "IHDR") {
    throw new FormatError(`${name} is a damaged png: its first chunk is not a header (IHDR) of 13 bytes`);
  }
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const [bitDepth, colorType, compression, filter, interlace] = bytes.subarray(24, 29);
  const known = bitDepthsOfColorType[colorType]?.includes(bitDepth);
  if (!known || compression !== 0 || filter !== 0 || interlace > 1) {
    throw new FormatError(`${name} is a png of a kind that does not exist (IHDR ${bytes.subarray(24, 29)})`);
  }
  if (width === 0 || height === 0 || width * height > maxPixels) {
    throw new FormatError(
      `${name} has ${width} × ${height} pixels in its header, but 1 to ${maxPixels} are taken; ` +
        "if it is right, raise maxPixels",
    );
  }
  return { width, height, bitDepth, colorType, interlaced: interlace === 1 };
}

function chunkType(bytes: Uint8Array, start: number): string {
  return String.fromCharCode(...bytes.subarray(start + 4, start + 8));
}

interface Chunks {
  imageData: Uint8Array;
  hasPalette: boolean;
  hasTransparency: boolean;
}

/** Goes through all chunks (length, type, data, checksum) and joins those of the image. */
function walkChunks(bytes: Uint8Array, name: string): Chunks {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const imageData = new Uint8Array(bytes.length);
  let imageLength = 0;
  const types: string[] = [];
  let start = signature.length;
  while (types.at(-1) !== "IEND") {
    const length = start + 12 <= bytes.length ? view.getUint32(start) : 0;
    const end = start + 12 + length;
    if (end > bytes.length) {
      throw new FormatError(
        `${name} is a truncated png: a chunk at byte ${start} ends behind the file's ${bytes.length}`,
      );
    }
    const type = chunkType(bytes, start);
    if (view.getUint32(end - 4) !== crc32(bytes.subarray(start + 4, end - 4))) {
      throw new FormatError(`${name} is a damaged png: the checksum of its chunk at byte ${start} is wrong`);
    }
    if (type === "IDAT") {
      imageData.set(bytes.subarray(start + 8, end - 4), imageLength);
      imageLength += length;
    }
    const lastImage = types.lastIndexOf("IDAT");
    const isOutOfPlace =
      (type === "IHDR" && start > 8) || (type === "IDAT" && lastImage >= 0 && types.at(-1) !== type);
    const isUnknown = type[0] < "a" && !["IHDR", "PLTE", "IDAT", "IEND"].includes(type);
    if (isOutOfPlace || isUnknown) {
      throw new FormatError(
        `${name} is a damaged png: the chunk at byte ${start} is unknown or out of place`,
      );
    }
    types.push(type);
    start = end;
  }
  if (start !== bytes.length) {
    throw new FormatError(`${name} is oversized: its png ends at byte ${start}, but ${bytes.length} came`);
  }
  return {
    imageData: imageData.subarray(0, imageLength),
    hasPalette: types.includes("PLTE"),
    hasTransparency: types.includes("tRNS"),
  };
}

/** The bytes of all scan lines, each with its filter byte. */
function scanlineBytes({ width, height, bitDepth, colorType, interlaced }: PngHeader): number {
  const bitsPerPixel = bitDepth * samplesOfColorType[colorType];
  let total = 0;
  for (const [left, top, columnStep, rowStep] of interlaced ? adam7Passes : wholePass) {
    const columns = Math.ceil((width - left) / columnStep);
    const rows = Math.ceil((height - top) / rowStep);
    total += columns > 0 && rows > 0 ? rows * (1 + Math.ceil((columns * bitsPerPixel) / 8)) : 0;
  }
  return total;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  }
  return remainder;
});

/** CRC-32 as in ISO 3309, over a chunk's type and data. */
function crc32(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    remainder = (remainder >>> 8) ^ crcTable[(remainder ^ byte) & 0xff];
  }
  return ~remainder >>> 0;
}
