// Rows of accuracy.json: what the runs of all shards say together.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mergeCheckpoints } from "../experiment/checkpoint.js";
import { pairedDifference, spreadOf } from "../experiment/paired.js";
import { shardFiles } from "../experiment/shard.js";
import { printTable } from "../start/table.js";

/** A row of accuracy.json. */
export interface AccuracyRow {
  readonly dataset: string;
  readonly net: string;
  readonly rule: string;
  readonly seeds: readonly number[];
  /** The first learning rate, chosen on validation data. */
  readonly rate: number;
  /** On test data, 0–1. */
  readonly mean: number;
  readonly sd: number;
  /** Over pairs of the same seed; null without backpropagation's runs. */
  readonly diffToBackprop: number | null;
  /** Of that difference, 95 %; null for fewer than two pairs. */
  readonly ci: readonly [number, number] | null;
  /** By seed. */
  readonly accuracies: readonly number[];
  /** Runs whose loss stopped being finite; they count as guessing. */
  readonly diverged: number;
}

/** What the checkpoint holds for one run. */
export interface Run {
  readonly rate: number;
  readonly accuracy: number;
  readonly diverged: boolean;
}

/** Of the experiment's files. */
export const NAME = "accuracy";
export const BASELINE = "backpropagation";

/** Joins what all shards have done: writes accuracy.json and prints its table. */
export async function mergeAccuracy(out: string): Promise<AccuracyRow[]> {
  const { values } = mergeCheckpoints<Run>(await shardFiles(out, NAME));
  const runs = new Map<string, Map<number, Run>>();
  for (const [key, run] of values) {
    const [, cell, seed] = /^(.*) seed (\d+)$/.exec(key) ?? [];
    if (!cell) continue;
    if (!runs.has(cell)) runs.set(cell, new Map());
    runs.get(cell)?.set(Number(seed), run);
  }
  const rows = [...runs].map(([cell, own]) => {
    const [dataset, net, rule] = cell.split(" ");
    return rowOf({ dataset, net, rule }, own, runs.get(`${dataset} ${net} ${BASELINE}`));
  });
  rows.sort(
    (a, b) =>
      compareText(a.dataset, b.dataset) ||
      compareText(b.net, a.net) ||
      b.mean - a.mean ||
      compareText(a.rule, b.rule),
  );
  await writeFile(join(out, `${NAME}.json`), `${JSON.stringify(rows, null, 1)}\n`);
  printRows(rows);
  return rows;
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function rowOf(
  { dataset, net, rule }: { dataset: string; net: string; rule: string },
  runs: ReadonlyMap<number, Run>,
  baseline: ReadonlyMap<number, Run> | undefined,
): AccuracyRow {
  const seeds = [...runs.keys()].sort((a, b) => a - b);
  const accuracies = seeds.map((seed) => (runs.get(seed) as Run).accuracy);
  const pairs = seeds.filter((seed) => baseline?.has(seed));
  const of = (some: ReadonlyMap<number, Run>): number[] =>
    pairs.map((seed) => (some.get(seed) as Run).accuracy);
  const difference = baseline && pairs.length > 0 ? pairedDifference(of(runs), of(baseline)) : undefined;
  return {
    dataset,
    net,
    rule,
    seeds,
    rate: (runs.get(seeds[0]) as Run).rate,
    ...spreadOf(accuracies),
    diffToBackprop: difference?.mean ?? null,
    ci: difference?.ci ?? null,
    accuracies,
    diverged: seeds.filter((seed) => runs.get(seed)?.diverged).length,
  };
}

export const ACCURACY_HEAD = [
  "data set, network, rule",
  "seeds",
  "rate",
  "test accuracy",
  "to backpropagation, points",
  "95 %",
] as const;

const signed = (share: number): string => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(2)}`;

/** A row as text. */
export function cellsOfRow({
  dataset,
  net,
  rule,
  seeds,
  rate,
  mean,
  sd,
  diffToBackprop,
  ci,
}: AccuracyRow): string[] {
  return [
    `${dataset}, ${net}, ${rule}`,
    String(seeds.length),
    String(rate),
    `${(100 * mean).toFixed(2)} ± ${(100 * sd).toFixed(2)} %`,
    diffToBackprop === null || rule === BASELINE ? "" : signed(diffToBackprop),
    ci === null || rule === BASELINE ? "" : `${signed(ci[0])} … ${signed(ci[1])}`,
  ];
}

function printRows(rows: readonly AccuracyRow[]): void {
  console.log();
  printTable(ACCURACY_HEAD, rows.map(cellsOfRow));
}
