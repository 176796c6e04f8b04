// Ratios that `npm run spade -- tune` has found, a file a network.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ValueError } from "handgrad";
import { WEIGHTS_FOLDER } from "./nets.js";
import type { TunedRatios } from "./plan.js";

export const tunedFile = (net: string, folder: string): string => join(folder, `${net}.ratios.json`);

/** @throws ValueError if they cannot be read */
export async function readTuned(net: string, folder: string = WEIGHTS_FOLDER): Promise<TunedRatios> {
  const file = tunedFile(net, folder);
  try {
    const { one, byMethod } = JSON.parse(await readFile(file, "utf8"));
    return { one, byMethod };
  } catch (cause) {
    throw new ValueError(`--tuned: ${file} cannot be read: ${(cause as Error).message}; tune first`, {
      cause,
    });
  }
}
