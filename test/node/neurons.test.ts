import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runProgram } from "./program.js";

const neurons = suite("npm run neurons");
let out = "";

neurons.before(async () => {
  out = await mkdtemp(join(tmpdir(), "handgrad-neurons-"));
});

neurons.after(() => rm(out, { recursive: true, force: true }));

const run = (...options: string[]) =>
  runProgram("build.mjs", { args: ["run", "examples/neurons.ts", ...options] });

neurons("verify --quick: equality, departures and identities, all as the theory says", async () => {
  const { code, stdout, stderr } = await run("verify", "--quick", "--out", out);
  assert.is(code, 0, stderr);
  assert.match(stdout, /Each condition broken singly/);
  const { equality, departures, identities } = JSON.parse(await readFile(join(out, "verify.json"), "utf8"));
  assert.is(equality.length, 2 * 2 * (3 + 4));
  for (const { net, activation, layer, relativeError, cosine } of equality) {
    assert.type(layer, "string");
    assert.ok(relativeError <= 1e-5 && 1 - cosine <= 1e-6, `${net}, ${activation}, ${layer}`);
  }
  for (const { form, holds } of departures) assert.is(holds, true, form);
  for (const { statement, holds } of identities) assert.is(holds, true, statement);
  const [beside, control] = departures.filter(({ quantity }: { quantity: string }) =>
    /training/.test(quantity),
  );
  assert.ok(beside.measured > 0.8 && control.measured < 0.2, "the control does not learn");
});

neurons("train: curves, cosines, attention and ledgers of a small run", async () => {
  const options = ["--rules", "attention,share", "--epochs", "1", "--train", "300", "--hidden", "12"];
  const { code, stdout, stderr } = await run("train", ...options, "--seed", "2", "--out", out);
  assert.is(code, 0, stderr);
  assert.match(stdout, /share of attention/);
  const { runs, seed } = JSON.parse(await readFile(join(out, "train.json"), "utf8"));
  assert.is(seed, 2);
  assert.equal(
    runs.map(({ rule }: { rule: string }) => rule),
    ["attention", "share"],
  );
  const [{ observations, ledger, curve }] = runs;
  assert.is(curve.length, 2);
  assert.equal(
    observations.map(({ epoch }: { epoch: number }) => epoch),
    [0, 1],
  );
  for (const { layers } of observations) {
    assert.is(layers.length, 3);
    for (const { cosine } of layers) assert.ok(1 - cosine <= 1e-6, `${cosine}`);
  }
  assert.is(ledger[1].paid.length, 12 * 12);
  const html = await readFile(join(out, "train.html"), "utf8");
  assert.is([...html.matchAll(/aria-label="attention flow"/g)].length, 2);
  assert.not.match(html, /NaN|undefined/);
});

neurons("accuracy: parts joined are the whole, and a second run has nothing to do", async () => {
  const options = [
    "--datasets",
    "dna",
    "--nets",
    "mlp",
    "--rules",
    "attention,measured,backpropagation,movement",
  ];
  const small = [...options, "--seeds", "2", "--epochs", "1", "--train", "150", "--test", "60"];
  const [whole, parts] = [join(out, "whole"), join(out, "parts")];
  const read = (folder: string) => readFile(join(folder, "accuracy.json"), "utf8");
  const { code, stdout, stderr } = await run("accuracy", ...small, "--out", whole);
  assert.is(code, 0, stderr);
  assert.match(stdout, /4 cells .* about \d+ GFLOP/);
  const rows = JSON.parse(await read(whole));
  assert.equal(rows.map(({ rule }: { rule: string }) => rule).sort(), options[5].split(",").sort());
  for (const { dataset, net, rule, seeds, mean, sd, diffToBackprop, ci } of rows) {
    assert.equal([dataset, net, seeds], ["dna", "mlp", [2, 3]]);
    assert.ok(mean >= 0 && mean <= 1 && sd >= 0, rule);
    if (rule === "attention") assert.ok(Math.abs(diffToBackprop) <= 0.003 && ci[0] <= 0 && ci[1] >= 0);
  }
  const done = await readFile(join(whole, "accuracy.jsonl"), "utf8");
  assert.is((await run("accuracy", ...small, "--out", whole)).code, 0);
  assert.is(await readFile(join(whole, "accuracy.jsonl"), "utf8"), done);
  for (const shard of ["0/2", "1/2"])
    assert.is((await run("accuracy", ...small, "--shard", shard, "--out", parts)).code, 0);
  assert.is((await run("merge", "accuracy", "--out", parts)).code, 0);
  assert.is(await read(parts), await read(whole));
  const other = await run("accuracy", ...small, "--epochs", "2", "--out", whole);
  assert.is(other.code, 1);
  assert.match(other.stderr, /other settings/);
});

neurons("--help lists commands, options and rules; wrong ones end with a sentence and code 1", async () => {
  const help = await Promise.all([run("--help"), run("train", "--help"), run("verify", "--help")]);
  for (const { code } of help) assert.is(code, 0);
  assert.match(help[0].stdout, /train .*\n[\s\S]*verify /);
  assert.match(help[1].stdout, /--rules[\s\S]*direct-feedback-alignment[\s\S]*--quick/);
  assert.match(help[2].stdout, /--quick/);
  const wrong: [string[], RegExp][] = [
    [["fly"], /"fly" is no command/],
    [["train", "--rules", "hebb"], /rule: "hebb" is not known/],
    [["train", "--net", "graph"], /--net got "graph"/],
    [["train", "--rate", "none"], /--rate got "none"/],
    [["accuracy", "--datasets", "cifar"], /--datasets got "cifar"/],
    [["accuracy", "--nets", "mlp", "--rules", "hebb"], /rule: "hebb" is not known/],
    [["accuracy", "--shard", "2/2"], /--shard got "2\/2"/],
    [["verify", "--net", "dense"], /Unknown option '--net'/],
  ];
  for (const [options, message] of wrong) {
    const { code, stderr } = await run(...options);
    assert.is(code, 1, options.join(" "));
    assert.match(stderr, message);
    assert.not.match(stderr, /\n {4}at .*\.(ts|mjs|js):/, "a sentence, not a stack");
  }
});

neurons.run();
