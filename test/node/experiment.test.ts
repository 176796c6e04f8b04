import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FormatError, ValueError } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Checkpoint, mergeCheckpoints } from "../../examples/experiment/checkpoint.js";
import { pairedDifference, spreadOf } from "../../examples/experiment/paired.js";
import { chooseRate } from "../../examples/neurons/accuracy.js";
import { checkpointFile, ofShard, parseShard, runJobs, shardFiles } from "../../examples/experiment/shard.js";
import { assertRejects } from "../helpers/errors.js";

const experiment = suite("experiments: shards and checkpoints");

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "handgrad-"));
  await use(folder).finally(() => rm(folder, { recursive: true }));
}

experiment("shards: together all jobs, each once, of nearly equal number", async () => {
  const jobs = Array.from({ length: 17 }, (_, job) => job);
  const parts = [0, 1, 2, 3].map((index) => ofShard(jobs, parseShard(`${index}/4`)));
  assert.equal(
    parts.flat().sort((a, b) => a - b),
    jobs,
  );
  assert.equal(
    parts.map(({ length }) => length),
    [5, 4, 4, 4],
  );
  assert.equal(ofShard(jobs, parseShard(undefined)), jobs);
  for (const wrong of ["4/4", "1", "a/b", "-1/2", "0/0", "1/2/3", "", "0.5/2"])
    await assertRejects(() => parseShard(wrong), ValueError, /--shard got ".*", and I\/N/);
});

experiment("a run goes on where it was interrupted, in the middle of a line too", () =>
  inFolder(async (folder) => {
    const file = join(folder, "x.jsonl");
    const settings = { epochs: 3, rules: ["a", "b"] };
    const ran: number[] = [];
    const go = async (fail?: number): Promise<void> => {
      const checkpoint = Checkpoint.open<{ square: number }>(file, { settings });
      const run = async (job: number) => {
        if (job === fail) throw new Error("interrupted");
        ran.push(job);
        return { square: job * job };
      };
      await runJobs([1, 2, 3, 4], { checkpoint, keyOf: String, run }).finally(() => checkpoint.close());
    };
    await assertRejects(() => go(3), Error, /interrupted/);
    await appendFile(file, '{"key":"3","val');
    await go();
    assert.equal(ran, [1, 2, 3, 4]);
    const { values } = mergeCheckpoints<{ square: number }>([file]);
    assert.equal(
      [...values.values()].map(({ square }) => square),
      [1, 4, 9, 16],
    );
    assert.is((await readFile(file, "utf8")).split("\n").length, 6);
    await assertRejects(
      () => Checkpoint.open(file, { settings: { epochs: 4 } }),
      ValueError,
      /other settings/,
    );
    const fresh = Checkpoint.open(file, { settings: { epochs: 4 }, fresh: true });
    assert.is(fresh.entries().length, 0);
    fresh.close();
  }),
);

experiment("merging: all shards, of the same settings, without contradictions", () =>
  inFolder(async (folder) => {
    const make = (index: number, settings: unknown, values: Record<string, unknown>): string => {
      const file = checkpointFile(folder, "x", { index, count: 2 });
      const checkpoint = Checkpoint.open(file, { settings, about: { index }, fresh: true });
      for (const key in values) checkpoint.add(key, values[key]);
      checkpoint.close();
      return file;
    };
    await assertRejects(() => shardFiles(folder, "x"), ValueError, /has no x.jsonl/);
    const first = make(0, { a: 1 }, { p: 1, q: 2 });
    await assertRejects(() => shardFiles(folder, "x"), ValueError, /missing: 1/);
    make(1, { a: 1 }, { r: 3, q: 2 });
    const { values, abouts, settings } = mergeCheckpoints(await shardFiles(folder, "x"));
    assert.equal(Object.fromEntries(values), { p: 1, q: 2, r: 3 });
    assert.equal(abouts, [{ index: 0 }, { index: 1 }]);
    assert.equal(settings, { a: 1 });
    const contradicting = [first, make(1, { a: 1 }, { q: 5 })];
    await assertRejects(() => mergeCheckpoints(contradicting), ValueError, /another value/);
    const differing = [first, make(1, { a: 2 }, {})];
    await assertRejects(() => mergeCheckpoints(differing), ValueError, /different settings/);
    await writeFile(join(folder, "x.shard-2-of-3.jsonl"), "");
    await assertRejects(() => shardFiles(folder, "x"), ValueError, /several divisions/);
  }),
);

experiment("differences of pairs: mean, spread and the interval of Student's t", async () => {
  assert.equal(spreadOf([1, 2, 3, 4]), { mean: 2.5, sd: Math.sqrt(5 / 3) });
  assert.equal(spreadOf([7]), { mean: 7, sd: 0 });
  // R: t.test(c(5, 7, 6, 9, 8), c(4, 7, 4, 6, 8), paired = TRUE)
  const { mean, ci } = pairedDifference([5, 7, 6, 9, 8], [4, 7, 4, 6, 8]);
  assert.is(mean, 1.2);
  const half = (2.776445 * Math.sqrt(1.7)) / Math.sqrt(5);
  assert.ok(Math.abs((ci?.[0] ?? 0) - (1.2 - half)) < 1e-3 && Math.abs((ci?.[1] ?? 0) - (1.2 + half)) < 1e-3);
  // With many pairs the normal's bounds: t with 99 degrees of freedom is 1.984217.
  const many = Array.from({ length: 100 }, (_, index) => index % 2);
  const wide = pairedDifference(
    many,
    many.map(() => 0),
  ).ci as [number, number];
  assert.ok(Math.abs((wide[1] - 0.5) / (spreadOf(many).sd / 10) - 1.984217) < 1e-3);
  assert.is(pairedDifference([1], [0]).ci, undefined);
  await assertRejects(() => pairedDifference([1], [1, 2]), ValueError, /1 and 2 values/);
  await assertRejects(() => spreadOf([]), ValueError, /empty/);
});

experiment(
  "a rate is the best of those tried, and not on their edge unless nothing gets better",
  async () => {
    const search = async (score: (rate: number) => number): Promise<[number, number[]]> => {
      const tried: number[] = [];
      const best = await chooseRate(async (rate) => {
        tried.push(rate);
        return score(rate);
      });
      return [best, tried];
    };
    const peakAt = (peak: number) => (rate: number) => -Math.abs(Math.log(rate / peak));
    assert.equal(await search(peakAt(0.032)), [0.032, [0.01, 0.032, 0.1]]);
    assert.equal(await search(peakAt(1)), [1, [0.01, 0.032, 0.1, 0.32, 1, 3.2]]);
    assert.equal(await search(peakAt(0.003)), [0.0032, [0.01, 0.032, 0.1, 0.0032, 0.001]]);
    assert.equal(await search(() => 0.1), [0.01, [0.01, 0.032, 0.1]]);
    assert.is((await search((rate) => rate))[0], 10);
    // All that was tried first diverged.
    assert.equal(await search((rate) => (rate < 0.002 ? rate : 0)), [
      0.001,
      [0.01, 0.032, 0.1, 0.0032, 0.001, 0.00032],
    ]);
  },
);

experiment("what is no checkpoint, or no number, is named", () =>
  inFolder(async (folder) => {
    const file = join(folder, "x.jsonl");
    for (const [text, message] of [
      ["no", /holds no settings/],
      ["{}\n", /holds no settings/],
      ['{"settings":1}\nno\n', /line 2 is no JSON/],
      ['{"settings":1}\n{"key":1}\n', /line 2 holds no key/],
    ] as const) {
      await writeFile(file, text);
      await assertRejects(() => Checkpoint.open(file, { settings: 1 }), FormatError, message);
    }
    await writeFile(file, "");
    const checkpoint = Checkpoint.open(file, { settings: 1 });
    await assertRejects(() => checkpoint.add("a", { b: [Number.NaN] }), ValueError, /0 of "a" is NaN/);
    checkpoint.add("a", 1);
    await assertRejects(() => checkpoint.add("a", 1), ValueError, /already/);
    checkpoint.close();
  }),
);

experiment.run();
