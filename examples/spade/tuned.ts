// Ratios that `npm run spade -- tune` has found, a file a network and solver.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ValueError } from "handgrad";
import { WEIGHTS_FOLDER } from "./nets.js";
import type { TunedRatios } from "./plan.js";

/** The solvers that ratios are tuned for. */
export type TunedSolver = "fastspade" | "spade";

export const tunedFile = (net: string, folder: string, solver: TunedSolver): string =>
  join(folder, `${net}${solver === "spade" ? ".spade" : ""}.ratios.json`);

/** @throws ValueError if they cannot be read */
export async function readTuned(
  net: string,
  folder: string = WEIGHTS_FOLDER,
  solver: TunedSolver = "fastspade",
): Promise<TunedRatios> {
  const file = tunedFile(net, folder, solver);
  try {
    const { one, byMethod } = JSON.parse(await readFile(file, "utf8"));
    return { one, byMethod };
  } catch (cause) {
    throw new ValueError(
      `--tuned: ${file} cannot be read: ${(cause as Error).message}; tune first with --solver ${solver}`,
      {
        cause,
      },
    );
  }
}
