import { bigEndian32, compress, joinBytes } from "./bytes.js";

const signature = [0x89, ..."PNG\r\n\x1a\n".split("").map((character) => character.charCodeAt(0))];

/** CRC-32 bit by bit. */
function checksum(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = ((remainder ^ (byte >> bit)) & 1) === 1;
      remainder = isOdd ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
    }
  }
  return ~remainder >>> 0;
}

export function pngChunk(type: string, data: Uint8Array | number[] = []): Uint8Array<ArrayBuffer> {
  const body = joinBytes(type, data);
  return joinBytes(bigEndian32(body.length - 4), body, bigEndian32(checksum(body)));
}

export interface PngParts {
  width: number;
  height: number;
  bitDepth?: number;
  colorType: number;
  interlace?: number;
  /** Chunks between the header and the image. */
  extra?: Uint8Array[];
  /** Scan lines with their filter bytes, not compressed. */
  lines: number[] | Uint8Array;
}

/** A PNG put together by hand, so that tests do not depend on an encoder. */
export async function makePng(parts: PngParts): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height, bitDepth = 8, colorType, interlace = 0, extra = [], lines } = parts;
  const header = joinBytes(bigEndian32(width), bigEndian32(height), [bitDepth, colorType, 0, 0, interlace]);
  const image = await compress(Uint8Array.from(lines), "deflate");
  return joinBytes(signature, pngChunk("IHDR", header), ...extra, pngChunk("IDAT", image), pngChunk("IEND"));
}

/** The same file with the checksum of every whole chunk put right. */
export function repairPng(bytes: Uint8Array): Uint8Array {
  const repaired = bytes.slice();
  const view = new DataView(repaired.buffer);
  let start = signature.length;
  while (start + 12 <= repaired.length) {
    const end = start + 12 + view.getUint32(start);
    if (end > repaired.length) break;
    view.setUint32(end - 4, checksum(repaired.subarray(start + 4, end - 4)));
    start = end;
  }
  return repaired;
}
