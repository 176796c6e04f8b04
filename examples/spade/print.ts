// The experiment on the terminal.
import { printTable } from "../start/table.js";
import type { ExperimentJson } from "./experiment.js";
import type { LandscapeJson } from "./landscape.js";
import type { PartRow } from "./summary.js";

/** Means over all networks, a line a part and variant. */
export function printExperiment({ nets, pooled }: ExperimentJson): void {
  console.log();
  printTable(
    ["network", "clean accuracy", "attack success", "AUC of Sobel", "AUC of noise"],
    nets.map(({ name, cleanAccuracy, attackSuccess, floors }) => [
      name,
      percent(cleanAccuracy),
      percent(attackSuccess),
      floors.sobel.auc.toFixed(1),
      floors.random.auc.toFixed(1),
    ]),
  );
  console.log("\nmeans over the methods of the paper's table, points of 100:");
  printMeans(pooled.map((row) => ({ ...row, where: [row.part] })));
}

/** Means over all networks of a size, a line a part and setting. */
export function printLandscape({ nets, rows }: LandscapeJson): void {
  console.log();
  printTable(
    ["network", "clean accuracy", "attack success"],
    nets.map(({ name, cleanAccuracy, attackSuccess }) => [
      name,
      percent(cleanAccuracy),
      percent(attackSuccess),
    ]),
  );
  console.log("\nmeans over methods, points of 100:");
  printMeans(rows.map((row) => ({ ...row, where: [`width ${row.width}, depth ${row.depth}`, row.part] })));
}

function printMeans(rows: readonly (Omit<PartRow, "net"> & { where: readonly string[] })[]): void {
  printTable(
    ["part, setting, variant", "AUC", "to dense", "95 %", "agreement", "images"],
    rows
      .filter(({ method }) => method === "mean")
      .map(({ where, setting, variant, auc, diffToDense, diffCi, agreement, n }) => [
        [...where, setting, variant].filter((text) => text !== "").join(", "),
        auc.toFixed(1),
        signed(diffToDense),
        `[${signed(diffCi[0])}, ${signed(diffCi[1])}]`,
        agreement.toFixed(2),
        String(n),
      ]),
  );
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const signed = (points: number): string => `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(2)}`;
