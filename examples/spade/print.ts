// The experiment on the terminal.
import { printTable } from "../start/table.js";
import type { ExperimentJson } from "./experiment.js";

/** Means over all networks, a line a part and variant. */
export function printExperiment({ nets, pooled }: ExperimentJson): void {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
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
  const means = pooled.filter(({ method }) => method === "mean");
  console.log("\nmeans over the methods of the paper's table, points of 100:");
  printTable(
    ["part, setting, variant", "AUC", "to dense", "95 %", "agreement", "images"],
    means.map(({ part, setting, variant, auc, diffToDense, diffCi, agreement, n }) => [
      [part, setting, variant].filter((text) => text !== "").join(", "),
      auc.toFixed(1),
      signed(diffToDense),
      `[${signed(diffCi[0])}, ${signed(diffCi[1])}]`,
      agreement.toFixed(2),
      String(n),
    ]),
  );
}

const signed = (points: number): string => `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(2)}`;
