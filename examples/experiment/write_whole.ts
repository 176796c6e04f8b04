// Files that are whole or not there.
import { rename, writeFile } from "node:fs/promises";

/** Writes beside the file and renames, so that an interrupt leaves the old one. */
export async function writeWhole(file: string, content: Uint8Array | string): Promise<void> {
  await writeFile(`${file}.part`, content);
  await rename(`${file}.part`, file);
}
