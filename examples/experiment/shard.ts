// A part of an experiment: `--shard i/n` takes every n-th job, so that n machines share the work and nobody coordinates.
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { ValueError } from "handgrad";
import type { Checkpoint } from "./checkpoint.js";

/** Which of `count` shards; `index` counts from 0, as schedulers' array indices do. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** All the work. */
export const WHOLE: Shard = { index: 0, count: 1 };

/** For `--help`, two columns as the others. */
export const SHARD_HELP = `  --shard I/N    the I-th of N equal parts of the work, I from 0 to N - 1; \`merge\` joins the parts
  --fresh        start anew instead of going on from an earlier run with the same settings`;

/**
 * Reads `--shard`; without it, all the work.
 * @throws ValueError unless it is I/N with I from 0 to N - 1
 */
export function parseShard(text: string | undefined): Shard {
  if (text === undefined) return WHOLE;
  const [, index, count] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number);
  if (index < count) return { index, count };
  throw new ValueError(
    `--shard got "${text}", and I/N with I from 0 to N - 1 is taken: 0/4, 1/4, 2/4 and 3/4 are a whole`,
  );
}

/** The shard's part: every n-th, since neighbors in a list of jobs often cost alike. */
export function ofShard<Job>(jobs: readonly Job[], { index, count }: Shard): Job[] {
  return jobs.filter((_job, at) => at % count === index);
}

/** Where a shard of an experiment keeps what is done: accuracy.jsonl, or accuracy.shard-0-of-4.jsonl. */
export function checkpointFile(folder: string, name: string, { index, count }: Shard): string {
  return join(folder, count === 1 ? `${name}.jsonl` : `${name}.shard-${index}-of-${count}.jsonl`);
}

/**
 * The checkpoints of an experiment in a folder: those of all its shards, else the one of a whole run.
 * @throws ValueError if there is none, or shards are missing, or of several divisions
 */
export async function shardFiles(folder: string, name: string): Promise<string[]> {
  const files = await readdir(folder).catch(() => [] as string[]);
  const shards = files.flatMap((file) => {
    const [, stem, index, count] = /^(.*)\.shard-(\d+)-of-(\d+)\.jsonl$/.exec(file) ?? [];
    return stem === name ? [{ index: Number(index), count: Number(count) }] : [];
  });
  if (shards.length === 0) {
    if (files.includes(`${name}.jsonl`)) return [join(folder, `${name}.jsonl`)];
    throw new ValueError(`merge: ${folder} has no ${name}.jsonl and no ${name}.shard-0-of-N.jsonl`);
  }
  const { count } = shards[0];
  if (shards.some((shard) => shard.count !== count))
    throw new ValueError(`merge: ${folder} has shards of ${name} of several divisions; remove the others`);
  const there = new Set(shards.map(({ index }) => index));
  const all = Array.from({ length: count }, (_, index) => index);
  const missing = all.filter((index) => !there.has(index));
  if (missing.length > 0)
    throw new ValueError(`merge: of ${count} shards of ${name} these are missing: ${missing.join(", ")}`);
  return all.map((index) => checkpointFile(folder, name, { index, count }));
}

export interface JobsOptions<Job, Value> {
  readonly shard?: Shard;
  readonly checkpoint: Checkpoint<Value>;
  /** Different for every job. */
  keyOf(job: Job): string;
  run(job: Job): Promise<Value>;
  /** Called before the first job and after every job. */
  onProgress?(done: number, of: number, job?: Job): void;
}

/**
 * Runs the shard's jobs that the checkpoint does not have yet, one after the other, each saved as it ends.
 * @example
 * const checkpoint = await Checkpoint.open(checkpointFile(out, "accuracy", shard), { settings });
 * await runJobs(jobs, { shard, checkpoint, keyOf: ({ rule, seed }) => `${rule} ${seed}`, run });
 */
export async function runJobs<Job, Value>(
  jobs: readonly Job[],
  { shard = WHOLE, checkpoint, keyOf, run, onProgress }: JobsOptions<Job, Value>,
): Promise<void> {
  const own = ofShard(jobs, shard);
  const missing = own.filter((job) => !checkpoint.has(keyOf(job)));
  let done = own.length - missing.length;
  onProgress?.(done, own.length);
  for (const job of missing) {
    checkpoint.add(keyOf(job), await run(job));
    onProgress?.(++done, own.length, job);
  }
}

/** Makes the folder of `--out`. @throws ValueError if it cannot be made */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause) => {
    throw new ValueError(`--out got "${folder}", which cannot be made: ${cause.message}`, { cause });
  });
}
