// `npm run neurons -- forget`: what sweeps chose, on test images, with paired seeds.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Gpu } from "handgrad";
import { Checkpoint, mergeCheckpoints } from "../experiment/checkpoint.js";
import { checkpointFile, ofShard, runJobs, type Shard, shardFiles } from "../experiment/shard.js";
import { startProgress } from "../start/progress.js";
import { printTable } from "../start/table.js";
import { entrantNamed, groupOf, type Strategy } from "./entrants.js";
import { FINALISTS, type Finalist } from "./finalists.js";
import {
  type Choosing,
  compare,
  type Comparison,
  type ForgettingRow,
  type JobRecord,
  rowOf,
} from "./forget_rows.js";
import { AT_ONCE, sweepName } from "./sweep.js";
import { type Protocol, runGroup, type StreamName, trialWork } from "./trials.js";

export interface ForgetOptions {
  /** For each stream. */
  readonly protocols: readonly Protocol[];
  /** Of the finalists; all of them without it. */
  readonly rules?: readonly string[];
  /** Whose finalists take part. */
  readonly strategies: readonly Strategy[];
  readonly seeds: number;
  readonly seed: number;
  readonly shard: Shard;
  readonly fresh: boolean;
  readonly out: string;
}

/** One row of the table. */
interface Cell {
  readonly protocol: Protocol;
  readonly finalist: Finalist;
  readonly choosing: Choosing;
  readonly config: Finalist["constant"];
}

export const FORGET_NAME = "forgetting";

/** Parts of backpropagation's best constant rate, for comparisons at matched learning accuracy. */
const LADDER = [1 / 8, 1 / 4, 1 / 2, 2];

/** Streams without a sweep of their own take the settings of a like one. */
const LIKE: Readonly<Record<StreamName, StreamName>> = {
  permuted: "permuted",
  "permuted-10": "permuted",
  rotated: "permuted",
  "split-task": "split-domain",
  "split-domain": "split-domain",
  "split-class": "split-domain",
};

/** Runs what is missing, and (of the whole) writes forgetting.json. */
export async function runForget(gpu: Gpu, options: ForgetOptions): Promise<ForgettingResults | undefined> {
  const { shard, out, seeds, seed, fresh, protocols } = options;
  const tuned = new Map<Protocol, { finalists: readonly Finalist[]; on: string }>();
  for (const protocol of protocols) tuned.set(protocol, await finalistsOf(out, protocol));
  const cells = protocols.flatMap((protocol) => cellsFor(protocol, tuned.get(protocol)!.finalists, options));
  const jobs = together(cells, seeds);
  let work = 0;
  for (const { protocol, finalist } of ofShard(jobs, shard).flat())
    work += seeds * (await trialWork(protocol, entrantNamed(finalist.rule)));
  console.log(
    `${cells.length} cells of a stream, a rule and a strategy with ${seeds} seeds each; this run has about ` +
      `${(work / 1e12).toPrecision(2)} TFLOP\n`,
  );
  const checkpoint = Checkpoint.open<readonly JobRecord[]>(checkpointFile(out, FORGET_NAME, shard), {
    settings: { seeds, seed },
    about: { adapter: gpu.info.description, tunedOn: [...tuned.values()].map(({ on }) => on) },
    fresh,
  });
  const progress = startProgress(FORGET_NAME);
  const own = ofShard(jobs, shard).length;
  let at = 0;
  try {
    await runJobs(jobs, {
      shard,
      checkpoint,
      keyOf,
      run: (job) =>
        runTogether(gpu, job, options, (share) => progress.update((at + share) / own, keyOf(job))),
      onProgress: (done, _of, job) => {
        at = done;
        progress.update(done / own, job ? keyOf(job) : "");
        if (job && !process.stderr.isTTY)
          console.log(`${new Date().toISOString().slice(11, 19)} ${done}/${own} ${keyOf(job)}`);
      },
    });
  } finally {
    progress.stop();
    checkpoint.close();
  }
  return shard.count === 1 ? mergeForget(out) : undefined;
}

const cellKey = ({ protocol, finalist, choosing, config }: Cell): string =>
  [...Object.values(protocol), finalist.rule, choosing, ...Object.values(config)].join(" ");
const keyOf = (cells: readonly Cell[]): string => cells.map(cellKey).join(" + ");

/** Cells that one ensemble can have: of the same stream and group. */
function together(cells: readonly Cell[], seeds: number): Cell[][] {
  const groups = new Map<string, Cell[]>();
  for (const cell of cells) {
    const { protocol, finalist, config } = cell;
    const name = `${JSON.stringify(protocol)} ${groupOf(entrantNamed(finalist.rule), config)}`;
    groups.set(name, [...(groups.get(name) ?? []), cell]);
  }
  const most = Math.max(1, Math.floor(AT_ONCE / seeds));
  return [...groups.values()].flatMap((own) => {
    const parts = Math.ceil(own.length / most);
    const size = Math.ceil(own.length / parts);
    return Array.from({ length: parts }, (_, part) => own.slice(part * size, (part + 1) * size));
  });
}

function cellsFor(
  protocol: Protocol,
  finalists: readonly Finalist[],
  { rules, strategies }: ForgetOptions,
): Cell[] {
  const chosen = finalists.filter(({ rule }) => {
    const { strategy } = entrantNamed(rule);
    return strategies.includes(strategy) && (strategy !== "naive" || !rules || rules.includes(rule));
  });
  const cells = chosen.flatMap((finalist): Cell[] => {
    const both = JSON.stringify(finalist.constant) === JSON.stringify(finalist.scheduled);
    return [
      { protocol, finalist, choosing: "constant", config: finalist.constant },
      ...(both ? [] : [{ protocol, finalist, choosing: "scheduled", config: finalist.scheduled } as const]),
    ];
  });
  const plain = finalists.find(({ rule }) => rule === "backpropagation");
  if (!plain || chosen.length < 2) return cells;
  const ladder = LADDER.map((part): Cell => {
    const config = { ...plain.constant, rate: plain.constant.rate * part };
    return { protocol, finalist: plain, choosing: "ladder", config };
  });
  return [...cells, ...ladder];
}

async function runTogether(
  gpu: Gpu,
  cells: readonly Cell[],
  { seeds: count, seed }: ForgetOptions,
  onProgress: (share: number) => void,
): Promise<readonly JobRecord[]> {
  const seeds = Array.from({ length: count }, (_, index) => seed + index);
  const [{ protocol }] = cells;
  const { R, untrained, diverged } = await runGroup(gpu, {
    protocol,
    members: cells.flatMap(({ finalist, config }) => {
      const entrant = entrantNamed(finalist.rule);
      return seeds.map((one) => ({ entrant, config, seed: one }));
    }),
    onProgress,
  });
  return cells.map(({ finalist: { rule }, choosing, config }, index) => {
    const [first, end] = [index * count, (index + 1) * count];
    return {
      protocol,
      rule,
      choosing,
      strategy: entrantNamed(rule).strategy,
      config,
      seeds,
      R: R.slice(first, end),
      untrained: untrained.slice(first, end),
      diverged: diverged.filter((member) => member >= first && member < end).length,
    };
  });
}

/** What this folder's sweep chose, else what ours did. */
async function finalistsOf(
  out: string,
  protocol: Protocol,
): Promise<{ finalists: readonly Finalist[]; on: string }> {
  const names = [...new Set([protocol.stream, LIKE[protocol.stream]])].flatMap((stream) => [
    sweepName({ ...protocol, stream }),
    sweepName({ ...protocol, stream, data: "mnist" }),
  ]);
  for (const name of names) {
    const text = await readFile(join(out, `${name}.json`), "utf8").catch(() => undefined);
    if (text !== undefined) return { finalists: JSON.parse(text).choices, on: `${name}.json` };
  }
  const name = names.find((one) => FINALISTS[one]);
  return { finalists: name ? FINALISTS[name] : [], on: name ?? "nothing" };
}

export interface ForgettingResults {
  readonly rows: readonly ForgettingRow[];
  readonly comparisons: readonly Comparison[];
}

/** Joins the checkpoints in a folder to forgetting.json, and prints it. */
export async function mergeForget(out: string): Promise<ForgettingResults> {
  const { values, abouts } = mergeCheckpoints<readonly JobRecord[]>(await shardFiles(out, FORGET_NAME));
  // Runs with other rules may have trained a cell again.
  const records = [...new Map([...values.values()].flat().map((one) => [identityOf(one), one])).values()];
  const rows = records.map(rowOf);
  rows.sort((a, b) => a.stream.localeCompare(b.stream) || a.data.localeCompare(b.data) || b.acc - a.acc);
  const comparisons = compare(rows);
  const protocols = [
    ...new Map(records.map(({ protocol }) => [JSON.stringify(protocol), protocol])).values(),
  ];
  await writeFile(join(out, "forgetting.json"), `${JSON.stringify(rows)}\n`);
  const about = { protocols, abouts, comparisons };
  await writeFile(join(out, "forgetting-comparisons.json"), `${JSON.stringify(about)}\n`);
  printRows(rows, comparisons);
  return { rows, comparisons };
}

const identityOf = ({ protocol, rule, choosing, config }: JobRecord): string =>
  JSON.stringify([protocol, rule, choosing, config]);

export const FORGET_HEAD = [
  "rule",
  "ACC",
  "learning",
  "forgetting",
  "− plain",
  "− best schedule",
  "− Adagrad",
  "− matched",
];

const signed = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`;

/** Percent; differences with half of their 95 % interval. */
export function cellsOf(row: ForgettingRow, comparisons: readonly Comparison[]): string[] {
  const percent = (value: number | null): string => (value === null ? "" : (100 * value).toFixed(1));
  const against = (name: Comparison["against"]): string => {
    const found = comparisons.find(
      (one) =>
        row.strategy === "naive" &&
        one.stream === row.stream &&
        one.data === row.data &&
        one.rule === row.rule &&
        one.choosing === row.choosing &&
        one.against === name,
    );
    if (!found) return "";
    const half = found.ci ? ` ± ${(50 * (found.ci[1] - found.ci[0])).toFixed(1)}` : "";
    return `${signed(found.difference)}${half}${found.beyond ? "*" : ""}`;
  };
  return [
    titleOf(row),
    `${percent(row.acc)} ± ${percent(row.sd)}`,
    percent(row.learning),
    percent(row.forgetting),
    against("plain"),
    against("scheduled"),
    against("adagrad"),
    against("matched"),
  ];
}

export function titleOf({ rule, strategy, choosing, config }: ForgettingRow): string {
  const { strength } = config;
  const searched = strategy === "ewc" || strategy === "si";
  const name = searched && strength !== undefined ? `${rule} ${strength}` : rule;
  const schedule =
    choosing === "constant"
      ? ""
      : `, ${config.schedule === "constant" ? `rate ${config.rate}` : config.schedule}`;
  return `${name}${schedule}`;
}

function printRows(rows: readonly ForgettingRow[], comparisons: readonly Comparison[]): void {
  for (const name of new Set(rows.map(({ stream, data }) => `${stream}, ${data}`))) {
    const own = rows.filter(({ stream, data }) => `${stream}, ${data}` === name);
    console.log(`\n${name} (${own[0].scenario}, ${own[0].seeds} seeds)`);
    printTable(
      FORGET_HEAD,
      own.map((row) => cellsOf(row, comparisons)),
    );
  }
  console.log("\n* some seeds learn better or worse than backpropagation at any rate of the ladder");
}
