const blockSize = 512;

/**
 * The regular files of an uncompressed tar archive by name (POSIX ustar, names up to 100 bytes).
 * @throws Error when a header is damaged or a file runs past the end.
 */
export function readTar(archive: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (let at = 0; at + blockSize <= archive.length && archive[at] !== 0; ) {
    const header = archive.subarray(at, at + blockSize);
    const name = textField(header, 0, 100);
    const size = Number.parseInt(textField(header, 124, 12), 8);
    const start = at + blockSize;
    if (!(size >= 0 && start + size <= archive.length)) throw new Error(`damaged archive at "${name}"`);
    const type = header[156];
    if (type === 0 || type === "0".charCodeAt(0)) files.set(name, archive.subarray(start, start + size));
    at = start + Math.ceil(size / blockSize) * blockSize;
  }
  return files;
}

function textField(header: Uint8Array, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return new TextDecoder("latin1").decode(end < 0 ? field : field.subarray(0, end)).trim();
}
