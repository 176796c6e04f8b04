// `npm run neurons -- train`: rules side by side, under watch.
import type { Gpu } from "handgrad";
import { type Dataset, loadFashion, loadMnist } from "handgrad/data";
import { activation, buildModel, conv2d, dense, flatten, type LayerRecord, maxPool2d } from "handgrad/layers";
import {
  type LayerObservation,
  type LedgerPage,
  type Observation,
  ruleNamed,
  trainClassifier,
  type TrainResult,
} from "handgrad/neurons";
import { lineChart, type Series } from "../report/line_chart.js";
import { escapeHtml, figure, htmlTable, type Section } from "../report/page.js";
import { startProgress } from "../start/progress.js";
import { printTable } from "../start/table.js";
import { flowMap } from "./flow_map.js";

export interface TrainCommand {
  readonly rules: readonly string[];
  readonly net: "dense" | "convolution";
  readonly data: "mnist" | "fashion";
  readonly epochs: number;
  /** Training images. */
  readonly train: number;
  readonly hidden: number;
  readonly seed: number;
  readonly rate: number;
}

const TEST = 2000;
/** Images that are looked at to find cosines and silent neurons. */
const WATCH = 500;

/** Trains by each rule from the same start. @returns what train.json holds, and a section for the report */
export async function runTrain(
  gpu: Gpu,
  command: TrainCommand,
): Promise<{ json: unknown; section: Section }> {
  const rules = command.rules.map(ruleNamed);
  const [train, test] = await dataFor(command);
  const runs: { rule: string; title: string; result: TrainResult }[] = [];
  for (const rule of rules) {
    const model = buildModel(gpu, recordsFor(command, train), { seed: command.seed });
    const progress = startProgress(rule.title);
    const result = await trainClassifier(model, train, test, {
      rule,
      epochs: command.epochs,
      learningRate: command.rate,
      seed: command.seed,
      watch: WATCH,
      onProgress: (share, loss) => progress.update(share, `loss ${loss.toFixed(3)}`),
    }).finally(progress.stop);
    model.dispose();
    runs.push({ rule: rule.name, title: rule.title, result });
  }
  console.log();
  const layers = runs[0].result.observations[0].layers.map(({ layer }) => layer);
  const head = [
    "rule",
    "test accuracy",
    "seconds",
    ...layers.map((layer) => `cosine ${layer}`),
    "Gini",
    "silent",
  ];
  const rows = runs.map(({ title, result }) => {
    const last = result.observations[result.observations.length - 1].layers;
    const neurons = last.filter(({ agents }) => agents === "neurons");
    return [
      title,
      `${(100 * result.testAccuracy).toFixed(2)} %`,
      result.seconds.toFixed(1),
      ...last.map(({ cosine }) => cosine.toFixed(3)),
      neurons.map((row) => row.gini.toFixed(2)).join(" "),
      neurons.map((row) => `${row.silent}/${row.attention.length}`).join(" "),
    ];
  });
  printTable(head, rows);
  const json = {
    ...command,
    test: test.count,
    runs: runs.map(({ rule, title, result }) => ({ rule, title, ...plain(result) })),
  };
  const charts = chartsOf(runs);
  const maps = runs.map(({ title, result }) => `<h3>${escapeHtml(title)}</h3>${mapOf(result, test)}`);
  const html = `<p>Attention of a neuron is half the sum of squares of its outgoing weights. Cosines are between what the
weights of a layer are paid and the gradient, Gini is the inequality of attention among neurons (0: all alike), silent
neurons answer no image; all after training, a number a layer from the input up.</p>
${htmlTable(head, rows)}<h3>Over training</h3><div class="pair">${charts.join("\n")}</div>${maps.join("\n")}`;
  return { json, section: { title: "Who pays whom", html } };
}

interface RuleRun {
  readonly title: string;
  readonly result: TrainResult;
}

/** A chart has this many colors. */
const MOST_LINES = 5;

/** Of each layer: cosine to backpropagation, inequality, silent neurons over training; attention by rank at the end. */
function chartsOf(all: readonly RuleRun[]): string[] {
  const runs = all.slice(0, MOST_LINES);
  const first = runs[0].result.observations[0].layers;
  const over = (index: number, value: (row: LayerObservation) => number): Series[] =>
    runs.map(({ title, result }) => ({
      title,
      points: result.observations
        .map(({ epoch, layers }) => [epoch, value(layers[index])] as const)
        // A cosine with nothing is none.
        .filter(([, y]) => Number.isFinite(y)),
    }));
  return first.flatMap(({ layer, agents, attention }, index) => {
    const charts: string[] = [];
    if (index + 1 < first.length) {
      const chart = lineChart(
        `cosine, layer ${layer}`,
        "epoch",
        over(index, ({ cosine }) => cosine),
      );
      charts.push(
        figure(chart, `Layer ${layer}: cosine between what its weights are paid and backpropagation.`),
      );
    }
    if (agents !== "neurons") return charts;
    const many = attention.length;
    const ginis = lineChart(
      `Gini, layer ${layer}`,
      "epoch",
      over(index, ({ gini }) => gini),
    );
    const silent = lineChart(
      `silent, layer ${layer}`,
      "epoch",
      over(index, (row) => row.silent),
    );
    const ranked = runs.map(({ title, result }) => {
      const { layers } = result.observations[result.observations.length - 1];
      const sorted = Float32Array.from(layers[index].attention).sort().reverse();
      return { title, points: Array.from(sorted, (value, rank) => [rank + 1, value] as const) };
    });
    const distribution = lineChart(`attention, layer ${layer}`, "neurons, the best attended first", ranked, {
      dots: false,
    });
    return [
      ...charts,
      figure(ginis, `Gini coefficient of the attention that layer ${layer} gives to ${many} neurons.`),
      figure(silent, `How many of these ${many} neurons are silent on all images watched.`),
      figure(distribution, `Attention of these ${many} neurons at the end.`),
    ];
  });
}

async function dataFor({ data, train, seed }: TrainCommand): Promise<[Dataset, Dataset]> {
  if (data === "fashion") {
    const sets = await loadFashion();
    return [
      sets.train.split([train], { seed, stratified: true })[0],
      sets.test.split([TEST], { seed, stratified: true })[0],
    ];
  }
  const [first, second] = (await loadMnist()).split([train, TEST], { seed, stratified: true });
  return [first, second];
}

function recordsFor({ net, hidden }: TrainCommand, { imageSize, shape, classNames }: Dataset): LayerRecord[] {
  if (net === "dense") {
    return [
      dense(imageSize, hidden),
      activation("relu"),
      dense(hidden, hidden),
      activation("relu"),
      dense(hidden, classNames.length),
    ];
  }
  const [channels, height, width] = shape;
  const [low, high] = [8, 16];
  return [
    conv2d(channels, low, 3, { padding: 1 }),
    activation("relu"),
    maxPool2d(2),
    conv2d(low, high, 3, { padding: 1 }),
    activation("relu"),
    maxPool2d(2),
    flatten(),
    dense(high * Math.floor(height / 4) * Math.floor(width / 4), classNames.length),
  ];
}

/** Four digits are more than a ledger's noise. */
const short = (values: Float32Array): number[] => Array.from(values, (value) => Number(value.toPrecision(4)));

function plain({ curve, losses, testAccuracy, observations, ledger, seconds }: TrainResult) {
  return {
    testAccuracy,
    seconds,
    curve,
    losses,
    observations: observations.map(({ epoch, layers }: Observation) => ({
      epoch,
      layers: layers.map((row) => ({ ...row, attention: short(row.attention) })),
    })),
    ledger: ledger.map((page: LedgerPage) => ({ ...page, paid: short(page.paid) })),
  };
}

function mapOf({ observations, ledger }: TrainResult, { classNames }: Dataset): string {
  const { layers } = observations[observations.length - 1];
  return figure(
    flowMap({ ledger: ledger.slice(1), layers: layers.slice(1), outputs: classNames }),
    "Attention flow. A circle is a neuron, as large as the attention it holds; only the best attended of each layer are " +
      "drawn. A line is what a neuron (right) paid to one below (left) over the whole training: blue where attention was " +
      "given, red where it was taken, thicker for more. The output classes are on the right.",
  );
}
