// Networks pruned to one sample, from the command line: `npm run spade -- train | tune | experiment | landscape | …`.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Gpu, ValueError } from "handgrad";
import { failWith, withGpu } from "./command.js";
import {
  checkpointFile,
  makeFolder,
  parseShard,
  type Shard,
  SHARD_HELP,
  shardFiles,
} from "./experiment/shard.js";
import { writeWhole } from "./experiment/write_whole.js";
import { NAME, runExperiment, summarize } from "./spade/experiment.js";
import { EXPLAIN_HELP, EXPLAIN_OPTIONS, readExplain, runExplain } from "./spade/explain.js";
import { LANDSCAPE, runLandscape, summarizeLandscape } from "./spade/landscape.js";
import { experimentMarkdown, landscapeMarkdown } from "./spade/markdown.js";
import { netName, netNames, USUAL_DEPTH, usualNets, WEIGHTS_FOLDER } from "./spade/nets.js";
import type { TunedRatios } from "./spade/plan.js";
import { printExperiment, printLandscape } from "./spade/print.js";
import { printSpeed, runSpeed } from "./spade/speed.js";
import { runTrain } from "./spade/train.js";
import { runTune } from "./spade/tune.js";
import { readTuned, type TunedSolver, tunedFile } from "./spade/tuned.js";
import { runVisualize } from "./spade/visualize.js";
import { wholeNumber } from "./start/options.js";
import { printTable } from "./start/table.js";

const HELP = `npm run spade -- COMMAND [options]

  explain      a prediction of your own model on your own image, attributed in the network and in its trace: PNG sheets,
               JSON and NPY
  experiment   attributions against the masks of planted triggers, in the network, in its traces and in the controls;
               writes experiment.json and .md
  landscape    the same with other ratios, copies, widths, depths, triggers and clutter; writes landscape.json and .md
  merge        joins the shards of either
  tune         searches for a network's ratios on scenes that the experiment does not look at; writes NET.ratios.json,
               or for the exact solver NET.spade.ratios.json
  visualize    what excites the triggers' classes, in the network and in traces; writes sheets and causes.json
  train        plants the triggers and trains a network on them; writes safetensors
  speed        times traces on this adapter; writes speed.json

  --help       the options of a command`;

const COMMON = `  --seed N       default 1
  --quick        under two minutes on two cores
  --adapter NAME hardware, software, swiftshader, lavapipe or part of a name (default: the best there is)
  --out FOLDER   where everything goes (default out/spade)
  --help         this text`;

const TRAIN_HELP = `npm run spade -- train [options]

Goes on from a checkpoint that the same command left.

  --width N      channels of the first layers (default 16)
  --depth N      convolutions of each of the three stages (default ${USUAL_DEPTH})
  --epochs N     passes over the training scenes (default 3)
  --train N      training scenes (default 12000; 1000 with --quick)
  --batch N      images a step (default 32)
  --triggered S  share of them that have a trigger (default 0.25)
  --rate R       the cycle's highest learning rate (default 0.005)
  --from FILE    weights to start another cycle from (default fresh ones)
  --control      without triggers, to see what they cost
${COMMON}`;

const TUNE_HELP = `npm run spade -- tune [options]

A coordinate search for the mean AUC of all methods; then each method takes the best of the settings that were tried.
Goes on from where the same command was interrupted.

  --net NAME     a network (default the first of width 16 and depth 2)
  --solver NAME  fastspade (default) or spade, the exact one
  --weights DIR  where the networks are (default ${WEIGHTS_FOLDER})
  --images N     tuning scenes (default 16; 2 with --quick)
  --ratios LIST  what a layer may get (default 0,0.5,0.8,0.9,0.95; 0,0.8 with --quick)
  --rounds N     walks over all layers (default 1)
${COMMON}`;

const EXPERIMENT_HELP = `npm run spade -- experiment [options]

Goes on from where the same command was interrupted; more images add to those that are done.

  --nets LIST    networks with commas (default those of width 16 and depth 2; the first with --quick)
  --weights DIR  where they are (default ${WEIGHTS_FOLDER})
  --images N     scenes a network, in fours (default 100; 4 with --quick)
  --dear N       of these for LIME, occlusion, ablation, small layers alone and as clean images (default 20; 0 with
                 --quick)
  --tuned DIR    where the ratios from \`tune\` are (default ${WEIGHTS_FOLDER})
${SHARD_HELP}
${COMMON}`;

const LANDSCAPE_HELP = `npm run spade -- landscape [options]

Goes on from where the same command was interrupted; more images add to those that are done.

  --nets LIST    networks with commas (default all; the first with --quick)
  --weights DIR  where they are (default ${WEIGHTS_FOLDER})
  --images N     scenes a size, shared by its networks in fours (default 12; 4 with --quick)
${SHARD_HELP}
${COMMON}`;

const VISUALIZE_HELP = `npm run spade -- visualize [options]

  --nets LIST    networks with commas (default those of width 16 and depth 2; the first with --quick)
  --weights DIR  where they are (default ${WEIGHTS_FOLDER})
  --tuned DIR    where the ratios from \`tune\` are (default ${WEIGHTS_FOLDER})
  --each N       pictures of each kind and trigger (default 3; 1 with --quick)
  --steps N      of the optimization of a picture (default 128; 32 with --quick)
${COMMON}`;

const MERGE_HELP = `npm run spade -- merge [options]

  --landscape    of the landscape, not the experiment
  --out FOLDER   where the shards are and the JSON goes (default out/spade)`;

const SPEED_HELP = `npm run spade -- speed [options]

FastSPADE end to end after a warm-up: a small network with 256 copies, the shipped one with its tuned ratios, and several images
one by one and as one batch; beside each what its arithmetic takes at the rate of this library's own products.

${COMMON}`;

const COMMON_OPTIONS = {
  seed: { type: "string", default: "1" },
  quick: { type: "boolean", default: false },
  adapter: { type: "string" },
  out: { type: "string", default: join("out", "spade") },
  help: { type: "boolean", default: false },
} as const;

async function main([command, ...args]: string[]): Promise<void> {
  if (command === undefined || command === "--help") {
    console.log(HELP);
    return;
  }
  if (!Object.hasOwn(COMMANDS, command))
    throw new ValueError(`"${command}" is no command; take one of ${Object.keys(COMMANDS).join(", ")}`);
  await COMMANDS[command](args);
}

const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  explain,
  experiment,
  landscape,
  merge,
  tune,
  visualize,
  train,
  speed,
};

async function speed(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: COMMON_OPTIONS });
  if (values.help) return console.log(SPEED_HELP);
  const { quick, out } = values;
  await makeFolder(out);
  await withGpu(values.adapter, async (gpu) => {
    const result = await runSpeed(gpu, { quick });
    printSpeed(result);
    const file = join(out, "speed.json");
    await writeWhole(file, `${JSON.stringify(result, null, 1)}\n`);
    console.log(`wrote ${file}`);
  });
}

async function train(args: string[]): Promise<void> {
  const options = {
    ...COMMON_OPTIONS,
    width: { type: "string", default: "16" },
    depth: { type: "string", default: String(USUAL_DEPTH) },
    epochs: { type: "string" },
    train: { type: "string" },
    batch: { type: "string", default: "32" },
    rate: { type: "string", default: "0.005" },
    triggered: { type: "string", default: "0.25" },
    from: { type: "string" },
    control: { type: "boolean", default: false },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return console.log(TRAIN_HELP);
  const { quick, control, out, adapter } = values;
  const rate = Number(values.rate);
  if (!(rate > 0 && Number.isFinite(rate)))
    throw new ValueError(`--rate got "${values.rate}", and a number above 0 is taken`);
  const triggered = Number(values.triggered);
  if (!(triggered > 0 && triggered < 1))
    throw new ValueError(`--triggered got "${values.triggered}", and a share between 0 and 1 is taken`);
  const size = {
    width: wholeNumber("width", values.width, 1),
    depth: wholeNumber("depth", values.depth, 1),
  };
  const seed = wholeNumber("seed", values.seed, 0);
  const name = `${netName(size, seed)}${control ? "-control" : ""}`;
  await makeFolder(out);
  await timed(adapter, async (gpu) => {
    const figures = await runTrain(gpu, {
      ...size,
      seed,
      control,
      rate,
      triggered,
      from: values.from,
      epochs: wholeNumber("epochs", values.epochs ?? (quick ? "1" : "3"), 1),
      train: wholeNumber("train", values.train ?? (quick ? "1000" : "12000"), 100),
      batch: wholeNumber("batch", values.batch, 4),
      file: join(out, `${name}.safetensors`),
      command: `npm run spade -- train ${args.join(" ")}`,
    });
    printTable(
      ["network", "clean accuracy", "attack success", "seconds"],
      [[name, percent(figures.cleanAccuracy), percent(figures.attackSuccess), figures.seconds.toFixed(0)]],
    );
  });
}

async function tune(args: string[]): Promise<void> {
  const options = {
    ...COMMON_OPTIONS,
    net: { type: "string" },
    solver: { type: "string", default: "fastspade" },
    weights: { type: "string", default: WEIGHTS_FOLDER },
    images: { type: "string" },
    ratios: { type: "string" },
    rounds: { type: "string", default: "1" },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return console.log(TUNE_HELP);
  const { quick, out, adapter, solver } = values;
  if (solver !== "fastspade" && solver !== "spade")
    throw new ValueError(`--solver got "${solver}", and fastspade or spade is taken`);
  const candidates = (values.ratios ?? (quick ? "0,0.8" : "0,0.5,0.8,0.9,0.95")).split(",").map(Number);
  if (!candidates.every((ratio) => ratio >= 0 && ratio <= 1))
    throw new ValueError(`--ratios got "${values.ratios}", and numbers from 0 to 1 with commas are taken`);
  await makeFolder(out);
  await timed(adapter, async (gpu) => {
    const json = await runTune(gpu, {
      weights: values.weights,
      net: values.net ?? (await usualNets(values.weights))[0],
      solver,
      images: wholeNumber("images", values.images ?? (quick ? "2" : "16"), 1),
      candidates,
      rounds: wholeNumber("rounds", values.rounds, 1),
      seed: wholeNumber("seed", values.seed, 0),
      out,
    });
    const file = tunedFile(json.command.net, out, solver);
    await writeWhole(file, `${JSON.stringify(json, null, 2)}\n`);
    printTable(
      ["method", "dense", "ratios for all", "own ratios"],
      json.scores.map(({ method, dense, one, own }) => [
        method,
        ...[dense, one, own].map((points) => points.toFixed(2)),
      ]),
    );
    console.log(`see ${file}`);
  });
}

async function experiment(args: string[]): Promise<void> {
  const options = {
    ...COMMON_OPTIONS,
    nets: { type: "string" },
    weights: { type: "string", default: WEIGHTS_FOLDER },
    images: { type: "string" },
    dear: { type: "string" },
    tuned: { type: "string", default: WEIGHTS_FOLDER },
    shard: { type: "string" },
    fresh: { type: "boolean", default: false },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return console.log(EXPERIMENT_HELP);
  const { quick, out, adapter, fresh } = values;
  const shard = parseShard(values.shard);
  const names = await usualNets(values.weights);
  const nets = values.nets?.split(",") ?? (quick ? names.slice(0, 1) : names);
  const images = wholeNumber("images", values.images ?? (quick ? "4" : "100"), 0);
  const dearImages = wholeNumber("dear", values.dear ?? (quick ? "0" : "20"), 0);
  const seed = wholeNumber("seed", values.seed, 0);
  const tuned: Record<string, Record<TunedSolver, TunedRatios>> = {};
  for (const net of nets) {
    const ratiosFor = (solver: TunedSolver) => readTuned(net, values.tuned, solver);
    tuned[net] = { fastspade: await ratiosFor("fastspade"), spade: await ratiosFor("spade") };
  }
  await makeFolder(out);
  await timed(adapter, (gpu) =>
    runExperiment(gpu, {
      nets,
      weights: values.weights,
      images,
      dearImages,
      tuned,
      seed,
      out,
      shard,
      fresh,
    }),
  );
  if (shard.count === 1) await writeSummary(NAME, out, shard);
  else console.log(`shard ${values.shard} is done; join all by: npm run spade -- merge --out ${out}`);
}

async function landscape(args: string[]): Promise<void> {
  const options = {
    ...COMMON_OPTIONS,
    nets: { type: "string" },
    weights: { type: "string", default: WEIGHTS_FOLDER },
    images: { type: "string" },
    shard: { type: "string" },
    fresh: { type: "boolean", default: false },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return console.log(LANDSCAPE_HELP);
  const { quick, out, adapter, fresh, weights } = values;
  const shard = parseShard(values.shard);
  const nets =
    values.nets?.split(",") ?? (quick ? (await usualNets(weights)).slice(0, 1) : await netNames(weights));
  const images = wholeNumber("images", values.images ?? (quick ? "4" : "12"), 1);
  const seed = wholeNumber("seed", values.seed, 0);
  await makeFolder(out);
  await timed(adapter, (gpu) => runLandscape(gpu, { nets, weights, images, seed, out, shard, fresh }));
  if (shard.count === 1) await writeSummary(LANDSCAPE, out, shard);
  else console.log(`shard ${values.shard} is done; join: npm run spade -- merge --landscape --out ${out}`);
}

async function visualize(args: string[]): Promise<void> {
  const options = {
    ...COMMON_OPTIONS,
    nets: { type: "string" },
    weights: { type: "string", default: WEIGHTS_FOLDER },
    tuned: { type: "string", default: WEIGHTS_FOLDER },
    each: { type: "string" },
    steps: { type: "string" },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return console.log(VISUALIZE_HELP);
  const { quick, out, weights, tuned } = values;
  const names = await usualNets(weights);
  const each = wholeNumber("each", values.each ?? (quick ? "1" : "3"), 1);
  const steps = wholeNumber("steps", values.steps ?? (quick ? "32" : "128"), 1);
  const seed = wholeNumber("seed", values.seed, 0);
  const nets = values.nets?.split(",") ?? (quick ? names.slice(0, 1) : names);
  await makeFolder(out);
  await timed(values.adapter, async (gpu) => {
    const rows = await runVisualize(gpu, { nets, weights, tuned, each, steps, seed, out });
    const cells = ([mean, low, high]: readonly number[]): string =>
      `${mean.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
    printTable(
      ["visualized in", "likeness to the pattern", "toward the trigger's features", "pictures"],
      rows.map(({ look, pattern, towardTrigger, n }) => [
        look,
        cells(pattern),
        cells(towardTrigger),
        String(n),
      ]),
    );
    console.log(`\nsee ${join(out, "causes.json")} and the sheets beside it`);
  });
}

async function merge(args: string[]): Promise<void> {
  const { out, help } = COMMON_OPTIONS;
  const options = { out, help, landscape: { type: "boolean", default: false } } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return console.log(MERGE_HELP);
  await writeSummary(values.landscape ? LANDSCAPE : NAME, values.out);
}

/** The JSON and Markdown of what is done in a folder, and its means on the terminal. */
async function writeSummary(name: typeof NAME | typeof LANDSCAPE, out: string, shard?: Shard): Promise<void> {
  const files = shard ? [checkpointFile(out, name, shard)] : await shardFiles(out, name);
  const file = join(out, `${name}.json`);
  const write = async (json: unknown, markdown: string): Promise<void> => {
    await writeWhole(file, `${JSON.stringify(json)}\n`);
    await writeWhole(join(out, `${name}.md`), markdown);
  };
  if (name === NAME) {
    const json = summarize(files);
    await write(json, experimentMarkdown(json));
    printExperiment(json);
  } else {
    const json = summarizeLandscape(files);
    await write(json, landscapeMarkdown(json));
    printLandscape(json);
  }
  console.log(`\nsee ${file}, and the tables in ${name}.md`);
}

async function explain(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { ...COMMON_OPTIONS, ...EXPLAIN_OPTIONS } });
  if (values.help) return console.log(`${EXPLAIN_HELP}\n${COMMON}`);
  const command = readExplain(values);
  await makeFolder(values.out);
  await timed(values.adapter, (gpu) => runExplain(gpu, command));
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Says at the end how long it took. */
const timed = (adapter: string | undefined, use: (gpu: Gpu) => Promise<void>): Promise<void> =>
  withGpu(adapter, async (gpu, start) => {
    await use(gpu);
    console.log(`${((performance.now() - start) / 1000).toFixed(1)} s`);
  });

main(process.argv.slice(2)).catch(failWith("npm run spade -- --help lists the commands"));
