import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { continualMetrics } from "handgrad/continual";
import { compare, type ForgettingRow, rowOf } from "../../examples/neurons/forget_rows.js";
import { ENTRANTS, gridOf, rateOf } from "../../examples/neurons/entrants.js";
import { runProgram } from "./program.js";

const forget = suite("npm run neurons: sweep, forget, merge");
let out = "";

forget.before(async () => {
  out = await mkdtemp(join(tmpdir(), "handgrad-forget-"));
});

forget.after(() => rm(out, { recursive: true, force: true }));

const run = (...options: string[]) =>
  runProgram("build.mjs", { args: ["run", "examples/neurons.ts", ...options] });
const json = async (...path: string[]) => JSON.parse(await readFile(join(out, ...path), "utf8"));
const TINY = ["--quick", "--per-task", "64", "--hidden", "8", "--evaluate", "40"];

forget("shards of a sweep join to what the whole chooses", async () => {
  const sweep = ["sweep", ...TINY, "--stream", "split-domain", "--rules", "backpropagation,ln", "--full"];
  const whole = await run(...sweep, "--out", join(out, "whole"));
  assert.is(whole.code, 0, whole.stderr);
  assert.match(whole.stdout, /2 rules on split-domain \(mnist\): about [\d.e-]+ TFLOP/);
  for (const shard of ["0/2", "1/2"]) {
    const part = await run(...sweep, "--shard", shard, "--out", join(out, "parts"));
    assert.is(part.code, 0, part.stderr);
  }
  const merged = await run("merge", "sweep", "--out", join(out, "parts"));
  assert.is(merged.code, 0, merged.stderr);
  const [one, other] = [
    await json("whole", "sweep-split-domain.json"),
    await json("parts", "sweep-split-domain.json"),
  ];
  assert.equal(one.choices, other.choices);
  assert.equal(one.choices.map(({ rule }: { rule: string }) => rule).sort(), ["backpropagation", "ln"]);
  for (const { constant } of one.choices) assert.is(constant.schedule, "constant");
});

forget("strategies are searched as rules are, with their strengths", async () => {
  const options = [
    ...TINY,
    "--stream",
    "split-domain",
    "--rules",
    "joint,si",
    "--configs",
    "4",
    "--seeds",
    "1",
  ];
  const { code, stderr } = await run("sweep", ...options, "--out", join(out, "strategies"));
  assert.is(code, 0, stderr);
  const { choices } = await json("strategies", "sweep-split-domain.json");
  const of = (name: string) => choices.find(({ rule }: { rule: string }) => rule === name);
  assert.is(of("joint").constant.strength, undefined);
  assert.ok(of("si").constant.strength > 0 && of("si").scheduled.strength > 0);
  // All at once leave one row: its mean counts.
  assert.ok(of("joint").scheduledAcc > 0 && of("joint").scheduledAcc <= 1);
});

forget("forget: rows with all of R, the same again without doing anything twice", async () => {
  const options = [...TINY, "--streams", "split-domain", "--strategies", "naive,joint,ewc", "--seeds", "2"];
  const rules = ["--rules", "backpropagation,square-1"];
  const first = await run("forget", ...options, ...rules, "--out", out);
  assert.is(first.code, 0, first.stderr);
  const rows: ForgettingRow[] = await json("forgetting.json");
  for (const row of rows) {
    assert.is(row.seeds, 2);
    assert.is(row.scenario, "domain-IL");
    assert.ok(row.acc >= 0 && row.acc <= 1);
    assert.is(row.R.length, row.strategy === "joint" ? 1 : 5);
    if (row.strategy !== "joint") assert.ok(Math.abs(row.accs[0] - continualMetrics(row.allR[0]).acc) < 1e-4);
  }
  assert.ok(rows.some(({ strategy }) => strategy === "joint"));
  const ewc = rows.filter(({ strategy }) => strategy === "ewc");
  assert.equal(ewc.map(({ choosing }) => choosing).sort(), ["constant", "scheduled"]);
  for (const { rule, config } of ewc) assert.ok(rule === "ewc" && Number(config.strength) > 0);
  const again = await run("forget", ...options, ...rules, "--out", out);
  assert.is(again.code, 0, again.stderr);
  assert.equal(await json("forgetting.json"), rows);
  assert.match(await readFile(join(out, "forgetting.html"), "utf8"), /split-domain, mnist/);
});

forget("bad options are said in a sentence", async () => {
  const wrong = await run("sweep", "--stream", "nothing");
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, /--stream got "nothing"/);
});

forget("comparisons are of pairs, and matched on the ladder", () => {
  const record = (
    rule: string,
    choosing: "constant" | "scheduled" | "ladder",
    accs: number[],
    learnt: number[],
  ) =>
    rowOf({
      protocol: {
        data: "mnist",
        side: 14,
        stream: "permuted",
        perTask: 1,
        epochs: 1,
        batchSize: 32,
        hidden: 1,
        part: "test",
        evaluate: 1,
      },
      rule,
      choosing,
      strategy: "naive",
      config: { schedule: "constant", rate: 1 },
      seeds: [1, 2],
      // Two tasks: ACC is the mean of the last row, learning accuracy that of the diagonal.
      R: accs.map((acc, seed) => [
        [2 * learnt[seed] - acc, 0],
        [acc, acc],
      ]),
      untrained: [
        [0, 0],
        [0, 0],
      ],
      diverged: 0,
    });
  const rows = [
    record("backpropagation", "constant", [0.5, 0.6], [0.9, 0.9]),
    record("backpropagation", "scheduled", [0.6, 0.6], [0.8, 0.8]),
    record("backpropagation", "ladder", [0.7, 0.8], [0.7, 0.7]),
    record("adagrad", "constant", [0.7, 0.6], [0.8, 0.8]),
    record("square-1", "constant", [0.8, 0.9], [0.8, 0.8]),
  ];
  const own = compare(rows).filter(({ rule }) => rule === "square-1");
  const difference = (against: string) => own.find((one) => one.against === against)!.difference;
  // The ladder's rate came out best.
  assert.ok(Math.abs(difference("plain") - 0.1) < 1e-6);
  assert.ok(Math.abs(difference("scheduled") - 0.1) < 1e-6);
  assert.ok(Math.abs(difference("adagrad") - 0.2) < 1e-6);
  // Half way between the rates that learn 0.7 and 0.9: 0.6 and 0.7.
  assert.ok(Math.abs(difference("matched") - 0.2) < 1e-6);
  assert.is(own.find(({ against }) => against === "matched")!.beyond, 0);
});

forget("every entrant has the same schedules, and rates of a ledger are in its unit", () => {
  for (const entrant of ENTRANTS) {
    const grid = gridOf(entrant);
    assert.is(new Set(grid.map(({ schedule }) => schedule)).size, 4);
    assert.is(new Set(grid.map((config) => JSON.stringify(config))).size, grid.length);
    const constant = rateOf({ entrant, config: grid[0] }, 0.5, 5);
    assert.ok(constant > 0 && Number.isFinite(constant), entrant.name);
  }
  const adagrad = ENTRANTS.find(({ name }) => name === "adagrad")!;
  const config = { schedule: "inverse-1", rate: 1, endowment: 1e-8 } as const;
  assert.ok(Math.abs(rateOf({ entrant: adagrad, config }, 0.4, 5) - Math.sqrt(3e-4 + 1e-8) / 3) < 1e-9);
});

forget.run();
