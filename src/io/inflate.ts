import { FormatError } from "../gpu/errors.js";

/**
 * Decompresses piece by piece, so that a caller can stop as soon as more comes than a header promised: what
 * is in memory at any time is one piece and what the caller kept.
 *
 * @param bytes a gzip member ("gzip") or a zlib stream ("deflate")
 * @throws FormatError if the stream is damaged or ends early
 */
export async function* inflatePieces(
  bytes: Uint8Array,
  format: "gzip" | "deflate",
  name: string,
): AsyncGenerator<Uint8Array> {
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>]);
  const reader = blob.stream().pipeThrough(new DecompressionStream(format)).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw new FormatError(`${name} is damaged or truncated: its ${format} stream does not decompress`, {
          cause,
        });
      });
      if (done) {
        return;
      }
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Joins pieces into one array. */
export function concatBytes(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    joined.set(piece, offset);
    offset += piece.length;
  }
  return joined;
}
