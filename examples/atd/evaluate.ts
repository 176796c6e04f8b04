// `npm run atd -- evaluate`: one detector under attack, all metrics.
import type { Gpu } from "handgrad";
import {
  adaptiveAttacks,
  attackSides,
  type Detector,
  type DetectorName,
  type EvaluationRow,
  evaluationRows,
  type SideScores,
} from "handgrad/atd";
import { startProgress } from "../start/progress.js";
import { printTable } from "../start/table.js";
import { type AtdData, loadAtdData, TEST_OUTS, type TestOut } from "./data.js";
import { imagesOf, openScore } from "./detectors.js";
import type { BackboneName } from "./recipes.js";

export interface EvaluateCommand {
  readonly detector: DetectorName;
  readonly backbone: BackboneName;
  /** In pixel units. */
  readonly epsilons: readonly number[];
  readonly steps: number;
  readonly images: number;
  readonly seed: number;
  readonly weights: string;
}

/** Prints the table and returns what evaluate.json holds. */
export async function runEvaluate(gpu: Gpu, command: EvaluateCommand): Promise<unknown> {
  const { detector: name, backbone, epsilons, steps, images, seed, weights } = command;
  const data = await loadAtdData({ seed, test: images });
  const open = await openScore({ gpu, seed, folder: weights }, name, backbone, data);
  try {
    const rows = await attackAll(gpu, open.detector, data, { epsilons, steps, seed });
    printTable(
      ["test-out", "ε/255", "attacked", "AUROC", "95 %", "AUPR in", "AUPR out", "FPR at 95 % TPR (in +)"],
      rows.map((row) => [
        row.testOut,
        String(Math.round(255 * row.epsilon)),
        row.setting,
        row.auroc.toFixed(3),
        row.ci.map((value) => value.toFixed(3)).join("–"),
        row.auprIn.toFixed(3),
        row.auprOut.toFixed(3),
        row.fpr95InPositive.toFixed(3),
      ]),
    );
    return { ...command, tuned: open.tuned, rows };
  } finally {
    open.dispose();
  }
}

/** What is in is attacked once for all test sets. */
async function attackAll(
  gpu: Gpu,
  detector: Detector,
  data: AtdData,
  { epsilons, steps, seed }: { epsilons: readonly number[]; steps: number; seed: number },
): Promise<(EvaluationRow & { readonly testOut: TestOut })[]> {
  const inside = imagesOf(data.testIn, gpu);
  const progress = startProgress("attacks");
  let done: SideScores[] = [];
  const rows: (EvaluationRow & { readonly testOut: TestOut })[] = [];
  try {
    for (const [index, testOut] of TEST_OUTS.entries()) {
      const outside = imagesOf(data.testOut[testOut], gpu);
      try {
        const sides = await attackSides(detector, inside, outside, {
          epsilons,
          attacks: adaptiveAttacks({ steps, seed }),
          batch: 250,
          done,
          onProgress: (share) => progress.update((index + share) / TEST_OUTS.length, testOut),
        });
        done = sides.filter(({ side }) => side === "in");
        rows.push(...evaluationRows(sides, { seed }).map((row) => ({ testOut, ...row })));
      } finally {
        outside.dispose();
      }
    }
  } finally {
    progress.stop();
    inside.dispose();
  }
  return rows;
}
