import { open } from "node:fs/promises";
import { FormatError } from "../gpu/errors.js";

const defaultMaxBytes = 2 ** 30;

/**
 * Reads a whole file on Node, its size checked before memory is taken for it.
 *
 * @param path where it is
 * @param options `maxBytes`, 1 GiB by default
 * @throws FormatError if it cannot be opened, is not a regular file or is larger than `maxBytes`
 * @example
 * const images = await decodeIdx(await readFileBytes("train-images-idx3-ubyte.gz"));
 */
export async function readFileBytes(
  path: string | URL,
  options: { maxBytes?: number } = {},
): Promise<Uint8Array> {
  const { maxBytes = defaultMaxBytes } = options;
  const file = await open(path).catch((cause) => {
    throw new FormatError(`${path} cannot be opened: ${cause.message}`, { cause });
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > maxBytes) {
      throw new FormatError(
        `${path} is not a file of at most ${maxBytes} bytes; if it is right, raise maxBytes`,
      );
    }
    return new Uint8Array(await file.readFile());
  } finally {
    await file.close();
  }
}
