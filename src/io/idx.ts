import { FormatError } from "../gpu/errors.js";
import { elementCount, type HostArray, type NumberArray } from "./array.js";
import { elementBytes, type ElementType, readElements } from "./elements.js";
import { concatBytes, inflatePieces } from "./inflate.js";

/**
 * IDX, the format of MNIST and its relatives (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of
 * handwritten digits"): bytes 0, 0, type, rank; `rank` big-endian 32-bit sizes; the numbers, big-endian,
 * row-major.
 */
const typeOfCode: Readonly<Record<number, ElementType>> = {
  8: "u8",
  9: "i8",
  11: "i16",
  12: "i32",
  13: "f32",
  14: "f64",
};

/** MNIST has rank 3; a few more are room for color and channels. */
const maxRank = 8;

const defaultMaxBytes = 2 ** 30;

export interface DecodeOptions {
  /** What errors call the bytes, such as the file's name. */
  name?: string;
  /** The largest size, decompressed, in bytes, that is taken. */
  maxBytes?: number;
}

interface IdxHeader {
  type: ElementType;
  shape: number[];
  headerBytes: number;
  totalBytes: number;
}

/**
 * Reads an IDX file, compressed with gzip (one member) or not.
 *
 * @param bytes the whole file
 * @param options `name` for messages; `maxBytes` decompressed, 1 GiB by default
 * @returns the array with its file's number type: `Uint8Array` for images and labels
 * @throws FormatError if the bytes are not IDX, are fewer or more than the header says, or exceed `maxBytes`;
 *   nothing of the size that a header claims is allocated before that many bytes are there
 * @example
 * const images = await decodeIdx(bytes, { name: "train-images-idx3-ubyte.gz" }); // shape [60000, 28, 28]
 */
export async function decodeIdx(
  bytes: Uint8Array,
  options: DecodeOptions = {},
): Promise<HostArray<NumberArray>> {
  const { name = "bytes", maxBytes = defaultMaxBytes } = options;
  const plain = bytes[0] === 0x1f && bytes[1] === 0x8b ? await gunzipIdx(bytes, name, maxBytes) : bytes;
  const header = readHeader(plain, name, maxBytes);
  if (!header || plain.length < header.totalBytes) {
    const needed = header ? `${header.totalBytes} bytes` : "more bytes for its header";
    throw new FormatError(
      `${name} is truncated: it needs ${needed}, but ${plain.length} came; fetch it again`,
    );
  }
  if (plain.length > header.totalBytes) {
    throw new FormatError(
      `${name} is oversized: shape [${header.shape}] takes ${header.totalBytes} bytes, ` +
        `but ${plain.length} came`,
    );
  }
  return {
    shape: header.shape,
    data: readElements(plain.subarray(header.headerBytes), header.type, true, name),
  };
}

/** The header, or undefined while there are too few bytes for one. */
function readHeader(bytes: Uint8Array, name: string, maxBytes: number): IdxHeader | undefined {
  if (bytes.length < 4) {
    return undefined;
  }
  const type = typeOfCode[bytes[2]];
  const rank = bytes[3];
  if (bytes[0] !== 0 || bytes[1] !== 0 || !type || rank < 1 || rank > maxRank) {
    const came = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    throw new FormatError(
      `${name} is not an idx file: it starts with ${came}, but 00 00, a type from 08 to 0e and a rank from ` +
        "01 to 08 are taken",
    );
  }
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) {
    return undefined;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const totalBytes = headerBytes + (elementCount(shape) ?? Number.POSITIVE_INFINITY) * elementBytes[type];
  if (!(totalBytes <= maxBytes)) {
    throw new FormatError(
      `${name} has shape [${shape}] in its header, more than ${maxBytes} bytes; ` +
        "if it is right, raise maxBytes",
    );
  }
  return { type, shape, headerBytes, totalBytes };
}

/**
 * Decompresses until there is more than the IDX header inside says, not further. Bytes behind the member are
 * refused on every host through the length that ends it (RFC 1952: the last four bytes, modulo 2^32).
 */
async function gunzipIdx(bytes: Uint8Array, name: string, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let header: IdxHeader | undefined;
  let length = 0;
  for await (const piece of inflatePieces(bytes, "gzip", name)) {
    pieces.push(piece);
    length += piece.length;
    header ??= readHeader(concatBytes(pieces), name, maxBytes);
    if (header && length > header.totalBytes) {
      throw new FormatError(
        `${name} is oversized: shape [${header.shape}] takes ${header.totalBytes} bytes, ` +
          "but more decompress from it",
      );
    }
  }
  const tail = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4, 4);
  if (tail.getUint32(0, true) !== length) {
    throw new FormatError(
      `${name} does not end with its gzip length: there are other bytes behind it; remove them`,
    );
  }
  return concatBytes(pieces);
}
