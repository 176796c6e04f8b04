import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runProgram } from "./program.js";

const start = suite("npm start");
let out = "";

start.before(async () => {
  out = await mkdtemp(join(tmpdir(), "handgrad-start-"));
});

start.after(() => rm(out, { recursive: true, force: true }));

const run = (...options: string[]) =>
  runProgram("build.mjs", { args: ["run", "examples/start.ts", ...options] });

start("the main job on real digits: at least 93 %, report.json and report.html", async () => {
  const { code, stdout, stderr } = await run("--seed", "3", "--out", out);
  assert.is(code, 0, stderr);
  assert.match(stdout, /attention-seeking neurons +\d\d\.\d\d %/);
  const report = JSON.parse(await readFile(join(out, "report.json"), "utf8"));
  assert.is(report.seed, 3);
  assert.ok(report.seconds > 0);
  assert.ok(report.adapter.kind === "software" || report.adapter.kind === "hardware");
  const [attention, backpropagation] = report.neurons.rules;
  assert.is(attention.rule, "attention");
  assert.is(backpropagation.rule, "backpropagation");
  assert.ok(attention.testAccuracy >= 0.93 && attention.testAccuracy <= 1, `${attention.testAccuracy}`);
  assert.ok(Math.abs(attention.testAccuracy - backpropagation.testAccuracy) <= 0.003);
  assert.equal(
    report.neurons.layers.map(({ layer }: { layer: string }) => layer),
    ["0.weight", "2.weight", "4.weight"],
  );
  for (const { layer, relativeError, cosine } of report.neurons.layers) {
    assert.ok(relativeError <= 1e-5, `${layer}: ${relativeError}`);
    assert.ok(1 - cosine <= 1e-6, `${layer}: ${cosine}`);
  }
  const html = await readFile(join(out, "report.html"), "utf8");
  assert.ok([...html.matchAll(/<img src="data:image\/png;base64,iVBOR/g)].length >= 5);
  assert.ok([...html.matchAll(/<svg /g)].length >= 2);
  assert.is(report.spade.auc.length, 4);
  for (const { method, dense, trace } of report.spade.auc)
    assert.ok(
      [dense, trace].every((auc) => auc > 0.6 && auc <= 1),
      `${method}: ${dense}, ${trace}`,
    );
  assert.is(report.spade.agreement, 1);
  assert.ok(report.spade.layers.some(({ sparsity }: { sparsity: number }) => sparsity > 0.5));
  assert.equal(
    report.atd.detectors.map(({ detector }: { detector: string }) => detector),
    ["MSP, standard classifier", "ATD"],
  );
  const [msp, atd] = report.atd.detectors.map(({ auroc }: { auroc: Record<string, number> }) => auroc);
  assert.ok(msp.both < 0.2 && atd.both > 0.7, `both sides attacked: MSP ${msp.both}, ATD ${atd.both}`);
  for (const { clean, in: inside, out, both } of [msp, atd])
    assert.ok(both <= Math.min(inside, out) && Math.max(inside, out) <= clean);
  assert.not.match(html.replace(/base64,[^"]+/g, ""), /NaN|undefined/);
});

start("the same seed gives the same numbers, another seed others", async () => {
  const numbers = async (seed: string) => {
    const { code, stderr } = await run("--only", "neurons", "--epochs", "1", "--seed", seed, "--out", out);
    assert.is(code, 0, stderr);
    const { neurons, ...others } = JSON.parse(await readFile(join(out, "report.json"), "utf8"));
    assert.not("spade" in others || "atd" in others, "only what was asked for");
    const rules = neurons.rules.map(({ seconds, ...rest }: { seconds: number }) => rest);
    return JSON.stringify({ ...neurons, rules });
  };
  const first = await numbers("3");
  assert.is(await numbers("3"), first);
  assert.is.not(await numbers("4"), first);
});

start("--help lists the options; wrong ones end with a sentence and code 1", async () => {
  const help = await run("--help");
  assert.is(help.code, 0);
  for (const option of ["seed", "epochs", "rule", "only", "adapter", "out"])
    assert.match(help.stdout, `--${option}`);
  const wrong: [string[], RegExp][] = [
    [["--epochs", "none"], /--epochs got "none"/],
    [["--rule", "hebb"], /rule: "hebb" is not known/],
    [["--only", "neurons,axons"], /--only got "axons"/],
    [["--out", "package.json/out"], /--out got "package.json\/out", which cannot be made/],
    [["--speed"], /Unknown option '--speed'/],
    [["--adapter", "no-such-adapter"], /no-such-adapter/],
  ];
  for (const [options, message] of wrong) {
    const { code, stderr } = await run(...options);
    assert.is(code, 1, options.join(" "));
    assert.match(stderr, message);
    assert.not.match(stderr, /\n {4}at .*\.(ts|mjs|js):/, "a sentence, not a stack");
  }
});

start.run();
