// Out-of-distribution detectors under attack, from the command line: `npm run atd -- train`, `evaluate`, `attack` and
// `experiment`.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { type Gpu, ValueError } from "handgrad";
import type { DetectorName } from "handgrad/atd";
import { runAttack } from "./atd/attack.js";
import { loadAtdData, TEST_OUTS, type TestOut } from "./atd/data.js";
import { DETECTORS } from "./atd/detectors.js";
import { runEvaluate } from "./atd/evaluate.js";
import {
  type ExperimentResult,
  printResult,
  resultOf,
  runExperiment,
  writeResult,
} from "./atd/experiment.js";
import { quickJobs } from "./atd/jobs.js";
import { trainClassifier, trainDiscriminator } from "./atd/networks.js";
import { experimentSection } from "./atd/page.js";
import { BACKBONES, RECIPE_NAMES } from "./atd/recipes.js";
import type { AttackedScores } from "./atd/scores.js";
import { failWith, withGpu } from "./command.js";
import { mergeCheckpoints } from "./experiment/checkpoint.js";
import { makeFolder, parseShard, SHARD_HELP, shardFiles } from "./experiment/shard.js";
import { type Section, writePage } from "./report/page.js";
import { wholeNumber } from "./start/options.js";

const HELP = `npm run atd -- COMMAND [options]

  train       trains the networks of a seed: a standard and a robust classifier, ATD, and its ablations
  evaluate    attacks one detector and writes the table clean / in / out / both for each test set and ε
  attack      attacks a few images against ATD and MSP: pictures and scores
  experiment  all detectors on both classifiers, several seeds, ablations, ε curves and verdicts
  merge       joins the shards of an experiment

  --help      the options of a command`;

const SHIPPED = join("weights", "atd");
const COMMON = `  --seed N        seed of splits, weights, batches, attacks and sets (default 1; 1 is shipped)
  --adapter NAME  hardware, software, swiftshader, lavapipe or part of a name (default: the best there is)
  --out FOLDER    where the results go (default out/atd)
  --help          this text`;
const SCORES = `  --detector NAME ${wrap(DETECTORS)}
                  (default atd)
  --backbone NAME standard or robust (default robust)`;

const TRAIN_HELP = `npm run atd -- train [options]

Trains what is not trained yet, and goes on with what was interrupted, with the same numbers. All of a seed takes
hours on a software adapter; --only standard,robust,atd is what ships.

  --only LIST     names with commas (default all): standard, robust,
                  ${wrap(RECIPE_NAMES)}
  --weights DIR   where networks go, a folder seed-N (default out/atd/weights)
${COMMON}`;

const EVALUATE_HELP = `npm run atd -- evaluate [options]

${SCORES}
  --epsilon LIST  of the attack in 255ths, with commas (default 16)
  --steps N       of PGD and of APGD each, of which the better counts for each image (default 20)
  --images N      of each set (default 200)
  --weights DIR   where networks are (default weights/atd, which has seed 1: standard, robust, atd)
${COMMON}`;

const ATTACK_HELP = `npm run atd -- attack [options]

  --set NAME      what is out: easy (digits), hard (held-out classes) or noise (default easy)
  --epsilon N     in 255ths (default 16)
  --steps N       of PGD (default 50)
  --images N      of each kind that enter the table (default 100); eight of them are shown
  --weights DIR   where networks are (default weights/atd)
${COMMON}`;

const EXPERIMENT_HELP = `npm run atd -- experiment [options]

Prints the work before it starts, trains what is missing, and goes on where it was interrupted.

  --seeds LIST    with commas (default 1,2,3)
  --images N      of each set (default 500)
  --full          the whole cross of detectors, sets and ε (tens of hours on a software adapter)
  --quick         PGD-20, three detectors, the shipped networks: under three minutes on two cores
  --weights DIR   where networks are, or go (default out/atd/weights)
${SHARD_HELP}
${COMMON.split("\n").slice(1).join("\n")}`;

const MERGE_HELP = `npm run atd -- merge [--out FOLDER] [--seeds LIST]`;

function wrap(names: readonly string[]): string {
  const lines = [""];
  for (const name of names) {
    const last = lines[lines.length - 1];
    if (last.length + name.length > 76) lines.push(name);
    else lines[lines.length - 1] = last ? `${last}, ${name}` : name;
  }
  return lines.join(",\n                  ");
}

const TEXT = { type: "string" } as const;
const SWITCH = { type: "boolean", default: false } as const;
const BASE = {
  seed: { ...TEXT, default: "1" },
  adapter: TEXT,
  out: { ...TEXT, default: join("out", "atd") },
};

/** The options, or nothing after the help was asked for. */
function optionsOf<Options extends NonNullable<ParseArgsConfig["options"]>>(
  args: string[],
  help: string,
  options: Options,
) {
  const parsed = parseArgs({ args, options: { ...options, help: SWITCH } });
  if (!(parsed.values as { help?: boolean }).help) return parsed.values;
  console.log(help);
  return undefined;
}

function oneOf<Name extends string>(option: string, given: string, names: readonly Name[]): Name {
  const name = names.find((candidate) => candidate === given);
  if (name !== undefined) return name;
  throw new ValueError(`--${option} got "${given}", and one of ${names.join(", ")} is taken`);
}

function listOf(option: string, given: string, least: number): number[] {
  return given.split(",").map((text) => wholeNumber(option, text, least));
}

/** In pixel units. */
const levels = (count: number): number => count / 255;

async function train(args: string[]): Promise<void> {
  const values = optionsOf(args, TRAIN_HELP, {
    ...BASE,
    only: TEXT,
    weights: { ...TEXT, default: join("out", "atd", "weights") },
  });
  if (!values) return;
  const seed = wholeNumber("seed", values.seed, 0);
  const all: readonly string[] = [...BACKBONES, ...RECIPE_NAMES];
  const names = values.only?.split(",") ?? all;
  for (const name of names) oneOf("only", name, all);
  await withGpu(values.adapter, async (gpu) => {
    const place = { gpu, seed, folder: values.weights };
    const data = await loadAtdData({ seed });
    for (const name of BACKBONES) if (names.includes(name)) await trainClassifier(place, name, data);
    for (const name of RECIPE_NAMES) if (names.includes(name)) await trainDiscriminator(place, name, data);
  });
}

async function evaluate(args: string[]): Promise<void> {
  const values = optionsOf(args, EVALUATE_HELP, {
    ...BASE,
    detector: { ...TEXT, default: "atd" },
    backbone: { ...TEXT, default: "robust" },
    epsilon: { ...TEXT, default: "16" },
    steps: { ...TEXT, default: "20" },
    images: { ...TEXT, default: "200" },
    weights: { ...TEXT, default: SHIPPED },
  });
  if (!values) return;
  const command = {
    detector: oneOf<DetectorName>("detector", values.detector, DETECTORS),
    backbone: oneOf("backbone", values.backbone, BACKBONES),
    epsilons: listOf("epsilon", values.epsilon, 0).map(levels),
    steps: wholeNumber("steps", values.steps, 1),
    images: wholeNumber("images", values.images, 2),
    seed: wholeNumber("seed", values.seed, 0),
    weights: values.weights,
  };
  await makeFolder(values.out);
  await withGpu(values.adapter, async (gpu) => {
    const json = await runEvaluate(gpu, command);
    await writeJson(join(values.out, "evaluate.json"), json);
  });
}

async function attack(args: string[]): Promise<void> {
  const values = optionsOf(args, ATTACK_HELP, {
    ...BASE,
    set: { ...TEXT, default: "easy" },
    epsilon: { ...TEXT, default: "16" },
    steps: { ...TEXT, default: "50" },
    images: { ...TEXT, default: "100" },
    weights: { ...TEXT, default: SHIPPED },
  });
  if (!values) return;
  const seed = wholeNumber("seed", values.seed, 0);
  const command = {
    set: oneOf<TestOut>("set", values.set, TEST_OUTS),
    epsilon: levels(wholeNumber("epsilon", values.epsilon, 0)),
    steps: wholeNumber("steps", values.steps, 1),
    images: wholeNumber("images", values.images, 8),
    seed,
    weights: values.weights,
  };
  await makeFolder(values.out);
  await withGpu(values.adapter, async (gpu, start) => {
    const { json, section } = await runAttack(gpu, command);
    await writeJson(join(values.out, "attack.json"), json);
    await writeHtml(gpu, join(values.out, "attack.html"), { seed, start, section });
  });
}

async function experiment(args: string[]): Promise<void> {
  const values = optionsOf(args, EXPERIMENT_HELP, {
    adapter: TEXT,
    out: BASE.out,
    seeds: TEXT,
    images: TEXT,
    full: SWITCH,
    quick: SWITCH,
    fresh: SWITCH,
    shard: TEXT,
    weights: TEXT,
  });
  if (!values) return;
  const { quick, full, fresh, out } = values;
  const shard = parseShard(values.shard);
  const seeds = listOf("seeds", values.seeds ?? (quick ? "1" : "1,2,3"), 0);
  const command = {
    seeds,
    n: wholeNumber("images", values.images ?? (quick ? "120" : "500"), 2),
    full,
    shard,
    fresh,
    weights: values.weights ?? (quick ? SHIPPED : join(out, "weights")),
    out,
    jobs: quick ? quickJobs(seeds) : undefined,
    name: quick ? "quick" : "experiment",
  };
  await makeFolder(out);
  await withGpu(values.adapter, async (gpu, start) => {
    const result = await runExperiment(gpu, command);
    printResult(result);
    if (shard.count > 1) {
      console.log("\na part of the experiment; npm run atd -- merge joins the parts");
      return;
    }
    console.log(`\nwrote ${await writeResult(out, result, command.name)}`);
    const section = experimentSection(result);
    await writeHtml(gpu, join(out, `${command.name}.html`), { seed: seeds[0], start, section });
  });
}

async function merge(args: string[]): Promise<void> {
  const values = optionsOf(args, MERGE_HELP, { out: BASE.out, seeds: { ...TEXT, default: "1,2,3" } });
  if (!values) return;
  const files = await shardFiles(values.out, "experiment");
  const { values: found } = mergeCheckpoints<AttackedScores>(files);
  const result: ExperimentResult = resultOf((key) => found.get(key), listOf("seeds", values.seeds, 0));
  printResult(result);
  console.log(`\nwrote ${await writeResult(values.out, result)}`);
}

async function writeJson(file: string, json: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(json, null, 1)}\n`);
  console.log(`\nwrote ${file}`);
}

async function writeHtml(
  gpu: Gpu,
  file: string,
  { seed, start, section }: { seed: number; start: number; section: Section },
): Promise<void> {
  const seconds = (performance.now() - start) / 1000;
  await writePage(file, { adapter: gpu.info, seed, seconds, sections: [section] });
  console.log(`${seconds.toFixed(1)} s in all; see ${file}`);
}

const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  train,
  evaluate,
  attack,
  experiment,
  merge,
};

async function main([command, ...args]: string[]): Promise<void> {
  if (command === undefined || command === "--help") console.log(HELP);
  else if (Object.hasOwn(COMMANDS, command)) await COMMANDS[command](args);
  else throw new ValueError(`"${command}" is no command; take one of ${Object.keys(COMMANDS).join(", ")}`);
}

main(process.argv.slice(2)).catch(failWith("npm run atd -- --help lists the commands"));
