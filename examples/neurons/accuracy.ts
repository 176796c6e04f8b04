// `npm run neurons -- accuracy`: every rule against backpropagation, on three data sets and two networks, over seeds.
import { type Gpu, ValueError } from "handgrad";
import type { Dataset } from "handgrad/data";
import { buildModel } from "handgrad/layers";
import { ruleNamed, trainClassifier } from "handgrad/neurons";
import { Checkpoint } from "../experiment/checkpoint.js";
import { spreadOf } from "../experiment/paired.js";
import { checkpointFile, ofShard, type Shard } from "../experiment/shard.js";
import { startProgress } from "../start/progress.js";
import { type AccuracyRow, BASELINE, mergeAccuracy, NAME, type Run } from "./accuracy_rows.js";
import { type DatasetName, loadTask, type NetName, netFor, type Task, workOf } from "./tasks.js";

/** What the numbers depend on. */
export interface AccuracySettings {
  readonly epochs: number;
  /** Training items; fewer where the data set has fewer. */
  readonly train: number;
  /** Test items, at most. */
  readonly test: number;
  readonly batchSize: number;
  /** Seeds of the runs are those that follow it. */
  readonly seed: number;
  /** A folder of IDX files, for the whole of Fashion-MNIST. */
  readonly fashionIdx?: string;
}

export interface AccuracyCommand extends AccuracySettings {
  readonly rules: readonly string[];
  readonly datasets: readonly DatasetName[];
  readonly nets: readonly NetName[];
  readonly seeds: number;
  readonly shard: Shard;
  readonly fresh: boolean;
  readonly out: string;
}

interface Cell {
  readonly dataset: DatasetName;
  readonly net: NetName;
  readonly rule: string;
}

/** Rates are 10^(k/2). These are tried first, then the next on the side of the best, until it is not on the edge. */
const FIRST_RATES = [-4, -3, -2];
const LEAST_RATE = -8;
const LARGEST_RATE = 2;
/** Of the pool, for choosing rates. */
const VALIDATION_SHARE = 0.2;
const MOST_VALIDATION = 1000;

const rateAt = (k: number): number => Number((10 ** (k / 2)).toPrecision(2));
const keyOf = ({ dataset, net, rule }: Cell, what: "rate" | "seed", value: number): string =>
  `${dataset} ${net} ${rule} ${what} ${value}`;

/** Runs the shard's part of what is missing, and joins all of it if the shard is a whole. */
export async function runAccuracy(gpu: Gpu, command: AccuracyCommand): Promise<AccuracyRow[] | undefined> {
  const { epochs, train, test, batchSize, seed, fashionIdx, shard, out, fresh } = command;
  const settings = { epochs, train, test, batchSize, seed, fashion: fashionIdx ? "whole" : "subset" };
  const file = checkpointFile(out, NAME, shard);
  const checkpoint = Checkpoint.open<Run>(file, { settings, about: gpu.info.description, fresh });
  const cells = ofShard(cellsOf(command), shard);
  const tasks = new Map<DatasetName, Task>();
  for (const { dataset } of cells) {
    if (!tasks.has(dataset)) tasks.set(dataset, limited(await loadTask(dataset, fashionIdx), command));
  }
  console.log(`${estimate(gpu, cells, command, tasks)}; what is done is kept in ${file}\n`);
  const progress = startProgress("accuracy");
  try {
    for (const [index, cell] of cells.entries()) {
      const task = tasks.get(cell.dataset) as Task;
      const note = (text: string): void => progress.update(index / cells.length, `${titleOf(cell)} ${text}`);
      const line = await runCell(gpu, cell, { command, task, checkpoint, note });
      if (!process.stderr.isTTY) console.log(line);
    }
  } finally {
    progress.stop();
    checkpoint.close();
  }
  return shard.count === 1 ? mergeAccuracy(out) : undefined;
}

/** Those of the headline first, so that an interrupted run says the most important. */
function cellsOf({ datasets, nets, rules }: AccuracyCommand): Cell[] {
  const first = [BASELINE, "attention", "measured"];
  const ordered = [...new Set([...first.filter((rule) => rules.includes(rule)), ...rules])];
  const part = (names: readonly string[]): Cell[] =>
    nets.flatMap((net) =>
      datasets.flatMap((dataset) => names.map((rule) => ({ dataset, net, rule: ruleNamed(rule).name }))),
    );
  return [
    ...part(ordered.filter((rule) => first.includes(rule))),
    ...part(ordered.filter((rule) => !first.includes(rule))),
  ];
}

const titleOf = ({ dataset, net, rule }: Cell): string => `${dataset}, ${net}, ${rule}`;

function limited({ pool, test }: Task, { test: most }: AccuracyCommand): Task {
  if (test.count <= most) return { pool, test };
  return { pool, test: test.split([most], { seed: 0, stratified: true })[0] };
}

const validationOf = (pool: Dataset): number =>
  Math.min(MOST_VALIDATION, Math.floor(VALIDATION_SHARE * pool.count));

/** Training and validation items of a seed. */
function partsOf({ pool }: Task, train: number, seed: number): [Dataset, Dataset] {
  const validation = validationOf(pool);
  const sizes = [Math.min(train, pool.count - validation), validation];
  const [first, second] = pool.split(sizes, { seed, stratified: true });
  return [first, second];
}

function estimate(
  gpu: Gpu,
  cells: readonly Cell[],
  { train, epochs, seeds }: AccuracyCommand,
  tasks: ReadonlyMap<DatasetName, Task>,
): string {
  let work = 0;
  for (const { dataset, net } of cells) {
    const { pool } = tasks.get(dataset) as Task;
    const items = epochs * Math.min(train, pool.count - validationOf(pool));
    work += (seeds + FIRST_RATES.length) * items * workOf(gpu, netFor(net, pool), pool);
  }
  return `${cells.length} cells of a data set, a network and a rule, about ${(work / 1e9).toFixed(0)} GFLOP`;
}

interface CellContext {
  readonly command: AccuracyCommand;
  readonly task: Task;
  readonly checkpoint: Checkpoint<Run>;
  readonly note: (text: string) => void;
}

/** Chooses a rate on validation data, then trains with each seed and tests. @returns a line that says how it went */
async function runCell(gpu: Gpu, cell: Cell, context: CellContext): Promise<string> {
  const { command, task, checkpoint, note } = context;
  const once = async (key: string, run: () => Promise<Run>): Promise<Run> => {
    const known = checkpoint.get(key);
    if (known) return known;
    const value = await run();
    checkpoint.add(key, value);
    return value;
  };
  const rate = await chooseRate(async (candidate) => {
    note(`rate ${candidate}`);
    const [train, validation] = partsOf(task, command.train, command.seed);
    const run = () =>
      trainOnce(gpu, cell, { command, train, test: validation, rate: candidate, seed: command.seed });
    const { accuracy, diverged } = await once(keyOf(cell, "rate", candidate), run);
    return diverged ? 0 : accuracy;
  });
  const accuracies: number[] = [];
  for (const seed of seedsOf(command)) {
    note(`seed ${seed}`);
    const run = () => {
      const [train] = partsOf(task, command.train, seed);
      return trainOnce(gpu, cell, { command, train, test: task.test, rate, seed });
    };
    accuracies.push((await once(keyOf(cell, "seed", seed), run)).accuracy);
  }
  const { mean, sd } = spreadOf(accuracies);
  return `${titleOf(cell)}: ${(100 * mean).toFixed(2)} ± ${(100 * sd).toFixed(2)} %, rate ${rate}`;
}

/** Apart from the seed of the run that chooses rates. */
const seedsOf = ({ seed, seeds }: AccuracyCommand): number[] =>
  Array.from({ length: seeds }, (_, index) => seed + 1 + index);

/**
 * The rate with the best score, of equal ones the smallest. A best one on the edge of what was tried, better than its
 * neighbor, calls for the next; so does a score of 0, which means that nothing but divergence was seen.
 */
export async function chooseRate(score: (rate: number) => Promise<number>): Promise<number> {
  const scores = new Map<number, number>();
  for (const k of FIRST_RATES) scores.set(k, await score(rateAt(k)));
  for (;;) {
    const tried = [...scores.keys()].sort((a, b) => a - b);
    const at = (k: number): number => scores.get(k) as number;
    const best = tried.reduce((a, b) => (at(b) > at(a) ? b : a));
    const [lowest, highest] = [tried[0], tried[tried.length - 1]];
    const calls = at(best) > at(best + 1) || at(best) === 0;
    if (best === lowest && calls && best > LEAST_RATE) {
      scores.set(best - 1, await score(rateAt(best - 1)));
    } else if (best === highest && at(best) > at(best - 1) && best < LARGEST_RATE) {
      scores.set(best + 1, await score(rateAt(best + 1)));
    } else return rateAt(best);
  }
}

interface TrainOnce {
  readonly command: AccuracySettings;
  readonly train: Dataset;
  readonly test: Dataset;
  readonly rate: number;
  readonly seed: number;
}

async function trainOnce(
  gpu: Gpu,
  { net, rule }: Cell,
  { command, train, test, rate, seed }: TrainOnce,
): Promise<Run> {
  const model = buildModel(gpu, netFor(net, train), { seed });
  const { epochs, batchSize } = command;
  const options = {
    rule: ruleNamed(rule),
    epochs,
    batchSize,
    learningRate: rate,
    seed,
    evaluate: "end",
  } as const;
  try {
    const { testAccuracy } = await trainClassifier(model, train, test, options);
    return { rate, accuracy: testAccuracy, diverged: false };
  } catch (error) {
    if (!(error instanceof ValueError && /the loss is/.test(error.message))) throw error;
    return { rate, accuracy: 1 / train.classNames.length, diverged: true };
  } finally {
    model.dispose();
  }
}
