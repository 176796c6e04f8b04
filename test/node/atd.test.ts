import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runProgram } from "./program.js";

const atd = suite("npm run atd");
let out = "";

atd.before(async () => {
  out = await mkdtemp(join(tmpdir(), "handgrad-atd-"));
});

atd.after(() => rm(out, { recursive: true, force: true }));

const run = (...options: string[]) =>
  runProgram("build.mjs", { args: ["run", "examples/atd.ts", ...options] });

atd(
  "a quick experiment on the networks that ship goes on where it was, and gives the same file",
  async () => {
    const quick = () => run("experiment", "--quick", "--images", "6", "--out", out);
    const first = await quick();
    assert.is(first.code, 0, first.stderr);
    assert.match(first.stdout, /12 of 12 sets are to be attacked, 6 images each/);
    const text = await readFile(join(out, "quick.json"), "utf8");
    const { rows, ablations, verdicts } = JSON.parse(text);
    assert.is(rows.length, 3 * 3 * 4, "three detectors, three sets, four settings");
    assert.equal(ablations, []);
    for (const row of rows) {
      assert.ok(row.auroc >= 0 && row.auroc <= 1 && row.ci[0] <= row.ci[1]);
      assert.is(row.epsilon, row.setting === "clean" ? 0 : 16 / 255);
      assert.equal([row.seeds, row.n], [1, 6]);
      const clean = rows.find(
        (other: typeof row) =>
          other.detector === row.detector &&
          other.backbone === row.backbone &&
          other.testOut === row.testOut &&
          other.setting === "clean",
      );
      assert.ok(row.auroc <= clean.auroc, "an attack never helps");
    }
    assert.ok(verdicts.length >= 6);
    assert.match(
      await readFile(join(out, "quick.html"), "utf8"),
      /Out-of-distribution detectors under attack/,
    );
    const second = await quick();
    assert.is(second.code, 0, second.stderr);
    assert.match(second.stdout, /0 of 12 sets are to be attacked/);
    assert.is(await readFile(join(out, "quick.json"), "utf8"), text);
  },
);

atd("commands and options that are not there end with a sentence and code 1", async () => {
  for (const [options, message] of [
    [["conquer"], /"conquer" is no command; take one of train, evaluate, attack, experiment, merge/],
    [["train", "--only", "everything"], /--only got "everything", and one of standard, robust, atd/],
    [["evaluate", "--detector", "oracle"], /--detector got "oracle"/],
    [["attack", "--weights", out], /standard\.safetensors is not there; train it: npm run atd -- train/],
  ] as const) {
    const { code, stderr } = await run(...options);
    assert.is(code, 1);
    assert.match(stderr, message);
    assert.not.match(stderr, /\.ts:\d+/, "no stack");
  }
  const { code, stdout } = await run("experiment", "--help");
  assert.is(code, 0);
  for (const option of ["--seeds", "--quick", "--full", "--shard", "--adapter", "--out"])
    assert.ok(stdout.includes(option), option);
});

atd.run();
