// `npm run atd -- experiment`: every detector attacked on both backbones, several seeds, ablations, and verdicts.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Gpu } from "handgrad";
import type { DetectorName } from "handgrad/atd";
import { Checkpoint } from "../experiment/checkpoint.js";
import { checkpointFile, ofShard, runJobs, type Shard } from "../experiment/shard.js";
import { startProgress } from "../start/progress.js";
import { printTable } from "../start/table.js";
import { type AtdData, loadAtdData, TEST_OUTS } from "./data.js";
import { type OpenDetector, openDiscriminator, openScore } from "./detectors.js";
import { type Job, jobsOf, keyOf, type SetName } from "./jobs.js";
import { markdownOf } from "./markdown.js";
import { isTrained, type Place, trainClassifier, trainDiscriminator } from "./networks.js";
import type { BackboneName, RecipeName } from "./recipes.js";
import { ablationsOf, type AblationRow, type Found, isHeadline, type Row, rowsOf, titleOf } from "./rows.js";
import { type AttackedScores, attackSet, passesOf } from "./scores.js";
import { type Verdict, verdictsOf } from "./verdicts.js";

export interface ExperimentCommand {
  readonly seeds: readonly number[];
  /** Images of each set. */
  readonly n: number;
  readonly full: boolean;
  readonly shard: Shard;
  readonly fresh: boolean;
  /** Where networks are, or go when they are trained first. */
  readonly weights: string;
  readonly out: string;
  /** In place of the whole list of jobs. */
  readonly jobs?: readonly Job[];
  /** Of the checkpoint; default "experiment". */
  readonly name?: string;
}

/** What experiment.json holds. */
export interface ExperimentResult {
  readonly rows: readonly Row[];
  readonly ablations: readonly AblationRow[];
  readonly verdicts: readonly Verdict[];
}

/** Floating-point operations of one image forward and back to its pixels. */
const OPERATIONS = 2.6e6;

export async function runExperiment(gpu: Gpu, command: ExperimentCommand): Promise<ExperimentResult> {
  const { seeds, n, full, shard, fresh, weights, out, name = "experiment" } = command;
  const jobs = command.jobs ?? jobsOf({ seeds, full });
  const file = checkpointFile(out, name, shard);
  const { description, device, vendor } = gpu.info;
  const checkpoint = Checkpoint.open<AttackedScores>(file, {
    settings: { images: n, version: 1 },
    about: { adapter: description || device || vendor },
    fresh,
  });
  const bench = new Bench(gpu, weights, n);
  try {
    announce(ofShard(jobs, shard), checkpoint, n);
    const progress = startProgress("attacks");
    let [done, of] = [0, jobs.length];
    try {
      await runJobs(jobs, {
        shard,
        checkpoint,
        keyOf,
        run: (job) => bench.run(job, (share) => progress.update((done + share) / of, keyOf(job))),
        onProgress: (doneNow, all, job) => {
          [done, of] = [doneNow, all];
          if (job && !process.stderr.isTTY) {
            const seconds = checkpoint.get(keyOf(job))?.seconds.toFixed(0);
            console.log(`  ${done} of ${of}: ${keyOf(job)}, ${seconds} s`);
          }
        },
      });
    } finally {
      progress.stop();
    }
    return resultOf((key) => checkpoint.get(key), seeds);
  } finally {
    bench.dispose();
    checkpoint.close();
  }
}

/** Says how much there is to do before it is begun. */
function announce(jobs: readonly Job[], checkpoint: Checkpoint<AttackedScores>, n: number): void {
  const missing = jobs.filter((job) => !checkpoint.has(keyOf(job)));
  const work = missing.reduce((sum, { strength }) => sum + n * passesOf(strength) * OPERATIONS, 0);
  console.log(
    `${missing.length} of ${jobs.length} sets are to be attacked, ${n} images each: at most ` +
      `${(work / 1e12).toFixed(2)} TFLOP, ${(work / 1e10 / 60).toFixed(0)} min at 10 GFLOP/s`,
  );
}

export function resultOf(found: Found, seeds: readonly number[]): ExperimentResult {
  const rows = rowsOf(found, seeds);
  const ablations = ablationsOf(found, seeds);
  return { rows, ablations, verdicts: verdictsOf(rows, ablations) };
}

/** The data and the detector that the last job used: the next one most often uses them, too. */
class Bench {
  private data?: { seed: number; sets: AtdData };
  private open?: { key: string; detector: OpenDetector };

  constructor(
    private readonly gpu: Gpu,
    private readonly weights: string,
    private readonly n: number,
  ) {}

  async run(job: Job, onProgress: (share: number) => void): Promise<AttackedScores> {
    const { seed, set, epsilon, strength } = job;
    const place: Place = { gpu: this.gpu, seed, folder: this.weights };
    const data = await this.dataOf(seed);
    const { detector } = await this.detectorOf(job, place, data);
    const side = set === "in" ? "in" : "out";
    return attackSet(detector, setOf(data, set), { side, epsilon, strength }, place, onProgress);
  }

  dispose(): void {
    this.open?.detector.dispose();
  }

  private async dataOf(seed: number): Promise<AtdData> {
    if (this.data?.seed !== seed) this.data = { seed, sets: await loadAtdData({ seed, test: this.n }) };
    return this.data.sets;
  }

  private async detectorOf({ detector: name, backbone }: Job, place: Place, data: AtdData) {
    const key = `${place.seed} ${name} ${backbone}`;
    if (this.open?.key === key) return this.open.detector;
    this.open?.detector.dispose();
    this.open = undefined;
    const ablation = name.startsWith("ablation ") ? name.slice("ablation ".length) : undefined;
    await trainMissing(place, data, name, backbone, ablation);
    const detector = ablation
      ? await openDiscriminator(
          place,
          (ablation === "atd.clean" ? "atd" : ablation) as RecipeName,
          ablation === "atd.clean" ? "clean" : "attacked",
        )
      : await openScore(place, name as DetectorName, backbone, data);
    this.open = { key, detector };
    return detector;
  }
}

const setOf = (data: AtdData, set: SetName) => (set === "in" ? data.testIn : data.testOut[set]);

/** Trains what a detector needs and is not there. */
async function trainMissing(
  place: Place,
  data: AtdData,
  name: string,
  backbone: BackboneName,
  ablation: string | undefined,
): Promise<void> {
  const recipe = recipeOf(name, backbone, ablation);
  if (!isTrained(place, backbone)) await trainClassifier(place, backbone, data);
  if (recipe && !isTrained(place, recipe)) await trainDiscriminator(place, recipe, data);
}

function recipeOf(
  name: string,
  backbone: BackboneName,
  ablation: string | undefined,
): RecipeName | undefined {
  if (ablation) return (ablation === "atd.clean" ? "atd" : ablation) as RecipeName;
  if (name === "atd") return backbone === "robust" ? "atd" : "atd-standard";
  if (name === "openGan") return backbone === "robust" ? "openGan-robust" : "openGan-standard";
  return undefined;
}

/** The tables on the terminal. */
export function printResult({ rows, ablations, verdicts }: ExperimentResult): void {
  for (const testOut of TEST_OUTS) {
    const head = rows.filter((row) => row.testOut === testOut && isHeadline(row));
    const names = [...new Set(head.map(titleOf))];
    if (names.length === 0) continue;
    console.log(`\ntest-out ${testOut}`);
    printTable(
      ["detector", "clean", "in", "out", "both", "95 %", "seeds"],
      names.map((name) => {
        const own = head.filter((row) => titleOf(row) === name);
        const cell = (setting: string) => own.find((row) => row.setting === setting);
        const both = cell("both");
        return [
          name,
          ...["clean", "in", "out", "both"].map((setting) => cell(setting)?.auroc.toFixed(3) ?? ""),
          both ? `${both.ci[0].toFixed(3)}–${both.ci[1].toFixed(3)}` : "",
          String(both?.seeds ?? ""),
        ];
      }),
    );
  }
  const curves = rows.filter((row) => row.testOut === "easy" && row.setting === "both");
  const levels = [...new Set(curves.map(({ epsilon }) => epsilon))].sort((a, b) => a - b);
  const curved = [...new Set(curves.filter((row) => !isHeadline(row)).map(titleOf))];
  if (curved.length > 0) {
    console.log("\nboth sides attacked at ε/255, test-out easy");
    printTable(
      ["detector", ...levels.map((epsilon) => String(Math.round(255 * epsilon)))],
      curved.map((name) => [
        name,
        ...levels.map(
          (epsilon) =>
            curves.find((row) => row.epsilon === epsilon && titleOf(row) === name)?.auroc.toFixed(3) ?? "",
        ),
      ]),
    );
  }
  if (ablations.length > 0) {
    console.log("\nablations, test-out easy, PGD-20");
    const names = [...new Set(ablations.map(({ title }) => title))];
    printTable(
      ["what", "clean", "in", "out", "both", "95 %", "seeds"],
      names.map((title) => {
        const own = ablations.filter((row) => row.title === title && row.testOut === "easy");
        const both = own.find((row) => row.setting === "both");
        return [
          title,
          ...own.map(({ auroc }) => auroc.toFixed(3)),
          both ? `${both.ci[0].toFixed(3)}–${both.ci[1].toFixed(3)}` : "",
          String(both?.seeds ?? ""),
        ];
      }),
    );
  }
  console.log();
  for (const { claim, verdict, detail } of verdicts) console.log(`${claim}\n    ${verdict}: ${detail}`);
}

/** Six digits: 500 images of each side tell no more. */
const rounded = (key: string, value: unknown): unknown =>
  typeof value === "number" && key !== "epsilon" && !Number.isInteger(value)
    ? Number(value.toPrecision(6))
    : value;

/** Writes the JSON and, beside it, the tables as Markdown. */
export async function writeResult(
  folder: string,
  result: ExperimentResult,
  name = "experiment",
): Promise<string> {
  const file = join(folder, `${name}.json`);
  await writeFile(file, `${JSON.stringify(result, rounded, 1)}\n`);
  await writeFile(join(folder, `${name}.md`), markdownOf(result));
  return file;
}
