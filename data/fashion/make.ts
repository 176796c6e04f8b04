// Makes the sheets and labels of this folder from the four IDX files of Fashion-MNIST:
//
//   node build.mjs run data/fashion/make.ts DIRECTORY
//
// Afterwards it reads everything back and compares it with the IDX files byte by byte.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Dataset, loadFashion } from "../../src/data/index.js";
import { fashionSheet, fashionSheetCounts, fashionSheetName } from "../../src/data/fashion.js";
import { encodePng } from "../../src/io/index.js";

const parts = ["train", "test"] as const;
const { columns, rows, tileSize, images: imagesOfSheet } = fashionSheet;

async function main(idxDirectory: string | undefined, folder: string): Promise<void> {
  if (idxDirectory === undefined) {
    throw new Error("usage: node build.mjs run data/fashion/make.ts DIRECTORY (of the four idx files)");
  }
  const whole = await loadFashion({ idxDirectory });
  const labels: Record<string, string> = {};
  for (const part of parts) {
    const count = fashionSheetCounts[part] * imagesOfSheet;
    labels[part] = whole[part].labels.subarray(0, count).join("");
    for (let sheet = 0; sheet < fashionSheetCounts[part]; sheet++) {
      const png = await encodePng({
        width: columns * tileSize,
        height: rows * tileSize,
        channels: 1,
        data: tile(whole[part], sheet * imagesOfSheet),
      });
      await writeFile(join(folder, fashionSheetName(part, sheet)), png);
    }
  }
  await writeFile(join(folder, "labels.json"), `${JSON.stringify(labels, null, 2)}\n`);
  const subset = await loadFashion({ directory: folder });
  for (const part of parts) {
    check(subset[part], whole[part]);
    console.log(`${part}: ${subset[part].count} images, equal to the idx files byte by byte`);
  }
}

/** The images from `start` on, row by row of the sheet. */
function tile({ images }: Dataset, start: number): Uint8Array {
  const sheet = new Uint8Array(imagesOfSheet * tileSize ** 2);
  for (let i = 0; i < sheet.length; i++) {
    const x = i % (columns * tileSize);
    const y = Math.floor(i / (columns * tileSize));
    const image = start + Math.floor(y / tileSize) * columns + Math.floor(x / tileSize);
    sheet[i] = images[(image * tileSize + (y % tileSize)) * tileSize + (x % tileSize)];
  }
  return sheet;
}

function check(subset: Dataset, whole: Dataset): void {
  const imagesDiffer = subset.images.some((byte, i) => byte !== whole.images[i]);
  const labelsDiffer = subset.labels.some((label, i) => label !== whole.labels[i]);
  if (imagesDiffer || labelsDiffer) {
    throw new Error("the sheets do not give the idx files back");
  }
}

// The bundle lies elsewhere; the sheets go where this file is, seen from the top of the repository.
await main(process.argv[2], join("data", "fashion"));
