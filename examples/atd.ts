// Out-of-distribution detectors under attack, from the command line: `npm run atd -- train`, `evaluate`, `attack` and
// `experiment`.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Gpu, HandgradError, openGpu, ValueError } from "handgrad";
import { loadAtdData } from "./atd/data.js";
import { trainClassifier, trainDiscriminator } from "./atd/networks.js";
import { BACKBONES, type BackboneName, RECIPE_NAMES, type RecipeName } from "./atd/recipes.js";
import { wholeNumber } from "./start/options.js";

const HELP = `npm run atd -- COMMAND [options]

  train       trains the networks of a seed: a standard and a robust classifier, ATD, and its ablations

  --help      the options of a command`;

const TRAIN_HELP = `npm run atd -- train [options]

Trains what is not trained yet, and goes on with what was interrupted, with the same numbers.

  --seed N        seed of splits, weights, batches, attacks and open set (default 1)
  --only LIST     names with commas (default all): standard, robust,
                  ${RECIPE_NAMES.join(", ")}
  --weights DIR   where networks go, a folder seed-N (default out/atd/weights)
  --adapter NAME  hardware, software, swiftshader, lavapipe or part of a name (default: the best there is)
  --help          this text`;

async function train(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: "string", default: "1" },
      only: { type: "string" },
      weights: { type: "string", default: join("out", "atd", "weights") },
      adapter: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(TRAIN_HELP);
    return;
  }
  const seed = wholeNumber("seed", values.seed, 0);
  const all: readonly string[] = [...BACKBONES, ...RECIPE_NAMES];
  const names = values.only?.split(",") ?? all;
  const unknown = names.find((name) => !all.includes(name));
  if (unknown !== undefined)
    throw new ValueError(`--only got "${unknown}", and names of ${all.join(", ")} are taken`);
  await withGpu(values.adapter, async (gpu) => {
    const place = { gpu, seed, folder: values.weights };
    const data = await loadAtdData({ seed });
    for (const name of BACKBONES.filter((one) => names.includes(one)))
      await trainClassifier(place, name as BackboneName, data);
    for (const name of RECIPE_NAMES.filter((one) => names.includes(one)))
      await trainDiscriminator(place, name as RecipeName, data);
  });
}

async function withGpu(adapter: string | undefined, use: (gpu: Gpu) => Promise<void>): Promise<void> {
  const gpu = await openGpu({ adapter });
  try {
    const { description, device, vendor, kind, driver } = gpu.info;
    console.log(`adapter: ${description || device || vendor} (${kind}, ${driver})\n`);
    await use(gpu);
  } finally {
    gpu.dispose();
  }
}

async function main([command, ...args]: string[]): Promise<void> {
  if (command === undefined || command === "--help") console.log(HELP);
  else if (command === "train") await train(args);
  else throw new ValueError(`"${command}" is no command; take train`);
}

main(process.argv.slice(2)).catch((error) => {
  // What the user can mend comes as a sentence; anything else with its stack.
  const usage =
    error instanceof HandgradError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  console.error(usage ? `${error.message}\n(npm run atd -- --help lists the commands)` : error);
  process.exitCode = 1;
});
