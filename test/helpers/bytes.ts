/** The bytes of a base64 text. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Parts joined: bytes, or texts of one byte a character. */
export function joinBytes(...parts: (Uint8Array | number[] | string)[]): Uint8Array<ArrayBuffer> {
  const lists = parts.map((part) =>
    typeof part === "string" ? Array.from(part, (character) => character.charCodeAt(0)) : Array.from(part),
  );
  return Uint8Array.from(lists.flat());
}

/** An unsigned 32-bit number, most significant byte first. */
export function bigEndian32(value: number): number[] {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff);
}

/** Compresses as a gzip member ("gzip") or a zlib stream ("deflate"). */
export async function compress(
  bytes: Uint8Array<ArrayBuffer>,
  format: "gzip" | "deflate",
): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
