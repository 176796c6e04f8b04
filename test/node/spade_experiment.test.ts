import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { patternCorrelation } from "../../examples/spade/causes.js";
import { otherOf } from "../../examples/spade/chunk.js";
import { landscapeMarkdown } from "../../examples/spade/markdown.js";
import { summarizeLandscape } from "../../examples/spade/landscape.js";
import { rowOf, Table } from "../../examples/spade/results.js";
import type { Sample } from "../../examples/spade/samples.js";
import { makeScenes, SCENE_SIZE } from "../../examples/spade/scenes.js";
import { maskOfPlanting, plantTriggers, TRIGGER_SIZE, TRIGGERS } from "../../examples/spade/trojan.js";
import { loadFashion } from "../../src/data/load_node.js";
import { runProgram } from "./program.js";

const test = suite("npm run spade");
let out = "";

test.before(async () => {
  out = await mkdtemp(join(tmpdir(), "handgrad-spade-"));
});

test.after(() => rm(out, { recursive: true, force: true }));

const run = (...options: string[]) =>
  runProgram("build.mjs", { args: ["run", "examples/spade.ts", ...options] });

test("a scene hangs on its seed and index alone", async () => {
  const items = (await loadFashion()).test;
  const whole = makeScenes(items, { seed: 5, count: 12 });
  const part = makeScenes(items, { seed: 5, first: 8, count: 4 });
  assert.equal(part.images, whole.images.slice(8 * SCENE_SIZE ** 2));
  assert.equal(part.labels, items.labels.slice(8, 12));
  assert.not.equal(makeScenes(items, { seed: 6, count: 12 }).images, whole.images);
});

test("a trigger changes its mask's pixels alone, and stands for another class than the scene's", async () => {
  const scenes = makeScenes((await loadFashion()).test, { seed: 5, count: 40 });
  const { images, plantings, cleanLabels } = plantTriggers(scenes, { seed: 6 });
  assert.equal(new Set(plantings.map(({ trigger }) => trigger)).size, TRIGGERS.length);
  const area = SCENE_SIZE ** 2;
  for (const [index, planting] of plantings.entries()) {
    const mask = maskOfPlanting(planting, [SCENE_SIZE, SCENE_SIZE]);
    assert.is(
      mask.reduce((sum, value) => sum + value, 0),
      TRIGGER_SIZE ** 2,
    );
    let inside = 0;
    for (let pixel = 0; pixel < area; pixel++) {
      if (images.images[index * area + pixel] === scenes.images[index * area + pixel]) continue;
      assert.is(mask[pixel], 1, `image ${index}, pixel ${pixel}`);
      inside++;
    }
    assert.ok(inside >= 5, `image ${index}: ${inside} pixels differ`);
    assert.is(images.labels[index], TRIGGERS[planting.trigger].target);
    assert.is.not(images.labels[index], cleanLabels[index]);
  }
});

test("the correlation with a pattern is 1 where it stands, whatever its contrast", () => {
  const pixels = new Float32Array(SCENE_SIZE ** 2).fill(0.2);
  TRIGGERS[2].pattern.forEach((row, y) => {
    for (const [x, bit] of [...row].entries()) pixels[(7 + y) * SCENE_SIZE + 9 + x] += 0.1 * Number(bit);
  });
  assert.ok(patternCorrelation(pixels, SCENE_SIZE, 2) > 1 - 1e-6);
  assert.ok(patternCorrelation(pixels, SCENE_SIZE, 0) < 0.9);
});

test("another sample is one of another target, if there is one", () => {
  const samples = [1, 1, 3].map((target) => ({ target }) as Sample);
  assert.equal(
    samples.map((_, at) => otherOf(samples, at)),
    [2, 2, 0],
  );
});

test("rows: means and paired differences, in points, network by network and of all", () => {
  const table = new Table();
  const cell = (auc: number[]) => ({ auc, agreement: auc.map(() => 1), logitChange: auc.map(() => -2) });
  const results = (dense: number[], trace: number[]) => ({
    images: dense.map((_, index) => index),
    cells: { "": { dense: { lrp: cell(dense) } }, tuned: { fastspade: { lrp: cell(trace) } } },
    seconds: { solve: 1 },
  });
  table.add("a", results([0.8, 0.9, 0.7], [0.82, 0.92, 0.72]));
  table.add("b", results([0.6], [0.5]));
  const column = table.column("tuned", "fastspade", "lrp");
  const dense = table.column("", "dense", "lrp");
  const a = rowOf("a", "lrp", "fastspade", column, dense);
  assert.ok(a && Math.abs(a.auc - 82) < 1e-9 && Math.abs(a.diffToDense - 2) < 1e-9 && a.n === 3);
  assert.ok(Math.abs(a.diffCi[0] - 2) < 1e-9 && Math.abs(a.diffCi[1] - 2) < 1e-9, "no spread, no width");
  assert.is(a.logitChange, -2);
  const all = rowOf("all", "lrp", "fastspade", column, dense);
  assert.ok(all && Math.abs(all.diffToDense - (3 * 2 - 10) / 4) < 1e-9 && all.n === 4);
  assert.is(rowOf("c", "lrp", "fastspade", column, dense), undefined);
  assert.is(table.seconds.solve, 2);
});

test("landscape: networks of a size go together, part by part, against their own dense network", async () => {
  const cell = (auc: number) => ({ auc: [auc], agreement: [1], logitChange: [0] });
  const both = (dense: number, trace: number) => ({
    images: [4],
    cells: { "": { dense: { lrp: cell(dense) } }, "0.5, crops": { fastspade: { lrp: cell(trace) } } },
    seconds: { calibrate: 2 },
  });
  const line = (net: string, part: string, dense: number, trace: number) => ({
    key: `${part} / ${net} / 0`,
    value: { net, results: { [part]: both(dense, trace) } },
  });
  const nets = ["scenes-w8-s1", "scenes-w8-s2", "scenes-w8-d3-s1", "scenes-w32-s1"].map((name) => ({
    name,
    figures: { cleanAccuracy: 0.7, attackSuccess: 0.9 },
    floors: {},
  }));
  const file = join(out, "landscape.jsonl");
  const lines = [
    { settings: { seed: 1 }, about: { adapter: "none", nets } },
    line("scenes-w8-s1", "usual triggers", 0.8, 0.9),
    line("scenes-w8-s2", "usual triggers", 0.6, 0.64),
    line("scenes-w8-s1", "fainter triggers", 0.7, 0.6),
    line("scenes-w8-d3-s1", "usual triggers", 0.5, 0.51),
    line("scenes-w32-s1", "usual triggers", 0.9, 0.93),
  ];
  await writeFile(file, lines.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  const json = summarizeLandscape([file]);
  assert.equal(
    json.nets.map(({ width, depth }) => [width, depth]),
    [
      [8, 2],
      [8, 2],
      [8, 3],
      [32, 2],
    ],
  );
  assert.is(json.seconds.calibrate, 10);
  const of = (width: number, depth: number, part: string) =>
    json.rows
      .filter(
        (row) =>
          row.width === width && row.depth === depth && row.part === part && row.variant === "fastspade",
      )
      .map(({ setting, method, diffToDense, n }) => [setting, method, Number(diffToDense.toFixed(6)), n]);
  for (const [width, depth, part, difference, n] of [
    [8, 2, "usual triggers", 7, 2],
    [8, 2, "fainter triggers", -10, 1],
    [8, 3, "usual triggers", 1, 1],
    [32, 2, "usual triggers", 3, 1],
  ] as const) {
    assert.equal(of(width, depth, part), [
      ["0.5, crops", "lrp", difference, n],
      ["0.5, crops", "mean", difference, n],
    ]);
  }
  const table = landscapeMarkdown(json);
  assert.match(table, /\| 8 × 3, usual triggers \| \.5, crops \| \+1\.0 \[\+1\.0, \+1\.0\] \|/);
  assert.is(table.trimEnd().split("\n").length, 2 + 8);
});

test("explain: sheet, maps and facts of a shipped network and a PNG", async () => {
  const { encodePng } = await import("../../src/io/png_node.js");
  const scenes = makeScenes((await loadFashion()).test, { seed: 201, count: 1 });
  const image = join(out, "scene.png");
  const pixels = {
    width: SCENE_SIZE,
    height: SCENE_SIZE,
    channels: 1,
    data: scenes.images as Uint8Array,
  } as const;
  await writeFile(image, await encodePng(pixels));
  const model = join("weights", "spade", "scenes-w16-s1.safetensors");
  const options = [
    "--model",
    model,
    "--image",
    image,
    "--methods",
    "saliency,lrp",
    "--quick",
    "--target",
    "3",
  ];
  const { code, stdout, stderr } = await run("explain", ...options, "--out", out);
  assert.is(code, 0, stderr);
  assert.match(stdout, /removed +reconstruction error/);
  const facts = JSON.parse(await readFile(join(out, "explain.json"), "utf8"));
  assert.is(facts.target, 3);
  assert.is(facts.layers.length, 6);
  for (const { weights, removed } of facts.layers) assert.is(removed, Math.floor(weights / 2 + 0.5));
  for (const file of ["sheet.png", "saliency-dense.npy", "lrp-trace.npy"])
    assert.ok((await readFile(join(out, file))).length > 1000, file);
  const { shape, values } = JSON.parse(await readFile(join(out, "lrp-trace.json"), "utf8"));
  assert.equal(shape, [1, SCENE_SIZE, SCENE_SIZE]);
  assert.ok(values.every(Number.isFinite) && values.some((value: number) => value !== 0));
});

for (const [options, message] of [
  [["prune"], /"prune" is no command/],
  [["explain"], /explain takes --model FILE and --image FILE/],
  [["explain", "--model", "m", "--image", "i", "--methods", "gaze"], /--methods got "gaze"/],
  [["experiment", "--nets", "none"], /none\.ratios\.json cannot be read/],
  [["experiment", "--shard", "3/3"], /--shard got "3\/3"/],
  [["landscape", "--nets", "mine"], /--nets got "mine"/],
  [["merge", "--landscape", "--out", "nowhere"], /nowhere has no landscape\.jsonl/],
  [["tune", "--ratios", "0,2"], /--ratios got "0,2"/],
  [["train", "--rate", "fast"], /--rate got "fast"/],
] as const) {
  test(`${options.join(" ")}: one sentence, exit 1`, async () => {
    const { code, stderr } = await run(...options);
    assert.is(code, 1);
    assert.match(stderr, message);
    assert.not.match(stderr, /\n +at /);
  });
}

test("speed: seconds of four jobs beside the time of their products", async () => {
  const { code, stdout, stderr } = await run("speed", "--quick", "--out", out);
  assert.is(code, 0, stderr);
  assert.match(stdout, /512³ products: [\d.]+ GFLOP\/s/);
  const { rows, matmulRate, batchGain } = JSON.parse(await readFile(join(out, "speed.json"), "utf8"));
  assert.ok(matmulRate > 0 && batchGain > 0);
  assert.equal(
    rows.map(({ samples }: { samples: number }) => samples),
    [256, 64, 64, 64],
  );
  for (const { seconds, range, secondsAtMatmulRate, timesAsProducts } of rows) {
    assert.ok(range[0] > 0 && range[0] <= seconds && seconds <= range[1]);
    // Of a single round.
    assert.ok(secondsAtMatmulRate > 0);
    assert.ok(Math.abs(secondsAtMatmulRate * timesAsProducts - seconds) <= 1e-9 * seconds);
  }
  // The median of four rates is between the lowest and the highest of them.
  const rates = rows.map(
    (row: { gflop: number; secondsAtMatmulRate: number }) => row.gflop / row.secondsAtMatmulRate,
  );
  assert.ok(Math.min(...rates) <= matmulRate * (1 + 1e-9) && matmulRate <= Math.max(...rates) * (1 + 1e-9));
  // By hand: 256 copies of 2 · 784 · 9 · 16 and so on for the pass, positions · (inputs of a unit)² for four layers' Hessians.
  const pass = 2 * (784 * 9 * 16 + 196 * 144 * 32 + 49 * 288 * 64 + 576 * 64 + 64 * 10);
  const hessians = 196 * 144 ** 2 + 49 * 288 ** 2 + 576 ** 2 + 64 ** 2;
  // Once a layer: factor, inverse and factor, 4/3 d³ together, and d² an output for the updates.
  const chains = (4 / 3) * (144 ** 3 + 288 ** 3 + 576 ** 3 + 64 ** 3);
  const updates = 144 ** 2 * 32 + 288 ** 2 * 64 + 576 ** 2 * 64 + 64 ** 2 * 10;
  assert.ok(Math.abs(rows[0].gflop - (256 * (pass + hessians) + chains + updates) / 1e9) < 1e-9);
});

test.run();
