import { FormatError } from "../gpu/errors.js";
import type { Pixels } from "../io/pixels.js";
import type { DecodePngOptions } from "../io/png.js";
import { Dataset } from "./dataset.js";
import { datasetFromIdx } from "./idx_dataset.js";

/** The classes of Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747). */
export const fashionClassNames: readonly string[] = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
];

/** The layout of data/fashion: gray sheets of 40 × 25 tiles, row by row, 28 × 28 pixels a tile. */
export const fashionSheet = { columns: 40, rows: 25, tileSize: 28, images: 1000 } as const;

/** Sheets of each part of data/fashion. */
export const fashionSheetCounts = { train: 12, test: 2 } as const;

/** Reads a file by its name, in whatever way a host has: from disk, by fetch, out of an archive. */
export type ReadFile = (fileName: string) => Promise<Uint8Array>;

/** The PNG decoder of `handgrad/io`, of either host. */
export type DecodePng = (bytes: Uint8Array, options?: DecodePngOptions) => Promise<Pixels>;

export interface TrainAndTest {
  train: Dataset;
  test: Dataset;
}

/**
 * The subset of Fashion-MNIST in data/fashion: its first 12,000 training and 2,000 test images, as bytes.
 *
 * @param readFile gives `labels.json`, `train-00.png` … `train-11.png`, `test-00.png` and `test-01.png`
 * @param decodePng the decoder of the host
 * @throws FormatError if a file is damaged or does not fit the others
 * @example
 * const readFile = async (name: string) => {
 *   const response = await fetch(`data/fashion/${name}`);
 *   return new Uint8Array(await response.arrayBuffer());
 * };
 * const { train, test } = await fashionFromSheets(readFile, decodePng);
 */
export async function fashionFromSheets(readFile: ReadFile, decodePng: DecodePng): Promise<TrainAndTest> {
  const labels = parseLabels(await readFile("labels.json"));
  const parts = (["train", "test"] as const).map(async (part) => {
    const sheetCount = fashionSheetCounts[part];
    const tileBytes = fashionSheet.tileSize ** 2;
    const images = new Uint8Array(sheetCount * fashionSheet.images * tileBytes);
    for (let sheet = 0; sheet < sheetCount; sheet++) {
      const name = fashionSheetName(part, sheet);
      const pixels = await readSheet(await readFile(name), decodePng, name);
      images.set(sheetToImages(pixels), sheet * fashionSheet.images * tileBytes);
    }
    return new Dataset({ images, labels: labels[part], shape: [1, 28, 28], classNames: fashionClassNames });
  });
  const [train, test] = await Promise.all(parts);
  return { train, test };
}

/**
 * The whole of Fashion-MNIST, or anything in its four IDX files.
 *
 * @param readFile gives the files by their usual names, such as `train-images-idx3-ubyte.gz`
 * @throws FormatError if a file is damaged or does not fit the others
 * @example
 * const { train } = await fashionFromIdx((name) => readFileBytes(`fashion-mnist/${name}`)); // 60,000 images
 */
export async function fashionFromIdx(readFile: ReadFile): Promise<TrainAndTest> {
  const load = async (prefix: string) => {
    const images = await readFile(`${prefix}-images-idx3-ubyte.gz`);
    const labels = await readFile(`${prefix}-labels-idx1-ubyte.gz`);
    return datasetFromIdx({ images, labels }, fashionClassNames, { name: prefix });
  };
  return { train: await load("train"), test: await load("t10k") };
}

/** The file name of a sheet, such as "train-03.png". */
export function fashionSheetName(part: "train" | "test", sheet: number): string {
  return `${part}-${String(sheet).padStart(2, "0")}.png`;
}

/** The tiles of a sheet as images one after the other. */
function sheetToImages({ data, width }: Pixels): Uint8Array {
  const { columns, images, tileSize } = fashionSheet;
  const tiles = new Uint8Array(data.length);
  for (let row = 0; row < images * tileSize; row++) {
    const image = Math.floor(row / tileSize);
    const top = Math.floor(image / columns) * tileSize + (row % tileSize);
    const start = top * width + (image % columns) * tileSize;
    tiles.set(data.subarray(start, start + tileSize), row * tileSize);
  }
  return tiles;
}

async function readSheet(bytes: Uint8Array, decodePng: DecodePng, name: string): Promise<Pixels> {
  const width = fashionSheet.columns * fashionSheet.tileSize;
  const height = fashionSheet.rows * fashionSheet.tileSize;
  const pixels = await decodePng(bytes, { name, channels: 1, maxPixels: width * height });
  if (pixels.width !== width || pixels.height !== height) {
    throw new FormatError(
      `${name} has ${pixels.width} × ${pixels.height} pixels, but ${width} × ${height} are taken`,
    );
  }
  return pixels;
}

/** `{ "train": "902…", "test": "921…" }`: a digit an image. */
function parseLabels(bytes: Uint8Array): Record<"train" | "test", Uint32Array> {
  let texts: Record<string, unknown>;
  try {
    texts = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new FormatError("labels.json is truncated or not json; fetch data/fashion again", { cause });
  }
  const read = (part: "train" | "test") => {
    const digits = texts?.[part];
    const count = fashionSheetCounts[part] * fashionSheet.images;
    if (typeof digits !== "string" || digits.length !== count || !/^[0-9]*$/.test(digits)) {
      throw new FormatError(
        `labels.json has no text of ${count} digits as "${part}"; fetch data/fashion again`,
      );
    }
    return Uint32Array.from(digits, Number);
  };
  return { train: read("train"), test: read("test") };
}
