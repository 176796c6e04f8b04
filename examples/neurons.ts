// Neurons that seek attention, from the command line: `npm run neurons -- train` and `npm run neurons -- verify`.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Gpu, HandgradError, openGpu, ValueError } from "handgrad";
import { ruleNames } from "handgrad/neurons";
import { type Section, writePage } from "./report/page.js";
import { runTrain } from "./neurons/train.js";
import { runVerify } from "./neurons/verify.js";
import { wholeNumber } from "./start/options.js";

const HELP = `npm run neurons -- COMMAND [options]

  train    trains networks by rules of your choice and writes train.json: accuracy, cosine to backpropagation a layer,
           distribution of attention, silent neurons and who paid whom, epoch by epoch; and train.html with a picture of it
  verify   checks the theory against float64 and writes verify.json: the equality of first-order attention with
           backpropagation, each of its conditions broken singly, the identities of attention, the control; and
           verify.html with the same as tables

  --help         the options of a command`;

const COMMON = `  --seed N       seed of splits, initial weights and batches (default 1)
  --quick        under two minutes on two cores
  --adapter NAME hardware, software, swiftshader, lavapipe or part of a name (default: the best there is)
  --out FOLDER   where the JSON goes (default out/neurons)
  --help         this text`;

const TRAIN_HELP = `npm run neurons -- train [options]

  --rules LIST   names with commas, default attention,backpropagation; there are
${wrap(ruleNames)}
  --net NAME     dense or convolution (default dense)
  --data NAME    mnist or fashion (default mnist)
  --epochs N     passes over the training images (default 5)
  --train N      training images (default 8000; 1000 with --quick)
  --hidden N     neurons a hidden layer of the dense net (default 128)
  --rate R       the first learning rate (default 0.1)
${COMMON}`;

const VERIFY_HELP = `npm run neurons -- verify [options]

${COMMON}`;

function wrap(names: readonly string[]): string {
  const lines = [""];
  for (const name of names) {
    const last = lines[lines.length - 1];
    if (last.length + name.length > 80) lines.push(name);
    else lines[lines.length - 1] = last ? `${last}, ${name}` : name;
  }
  return lines.map((line) => `                 ${line}`).join("\n");
}

const OPTIONS = {
  rules: { type: "string", default: "attention,backpropagation" },
  net: { type: "string", default: "dense" },
  data: { type: "string", default: "mnist" },
  epochs: { type: "string", default: "5" },
  train: { type: "string" },
  hidden: { type: "string", default: "128" },
  rate: { type: "string", default: "0.1" },
  seed: { type: "string", default: "1" },
  quick: { type: "boolean", default: false },
  adapter: { type: "string" },
  out: { type: "string", default: join("out", "neurons") },
  help: { type: "boolean", default: false },
} as const;

/** What `verify` takes of them. */
const VERIFY_OPTIONS = (({ seed, quick, adapter, out, help }) => ({ seed, quick, adapter, out, help }))(
  OPTIONS,
);

async function main([command, ...args]: string[]): Promise<void> {
  if (command === undefined || command === "--help") {
    console.log(HELP);
    return;
  }
  if (command === "train") await train(args);
  else if (command === "verify") await verify(args);
  else throw new ValueError(`"${command}" is no command; take train or verify`);
}

async function train(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (values.help) {
    console.log(TRAIN_HELP);
    return;
  }
  const { quick, out, net, data } = values;
  const rate = Number(values.rate);
  if (!(rate > 0 && Number.isFinite(rate)))
    throw new ValueError(`--rate got "${values.rate}", and a number above 0 is taken`);
  const options = {
    rules: values.rules.split(","),
    net: oneOf("net", net, ["dense", "convolution"]),
    data: oneOf("data", data, ["mnist", "fashion"]),
    epochs: wholeNumber("epochs", values.epochs, 1),
    train: wholeNumber("train", values.train ?? (quick ? "1000" : "8000"), 100),
    hidden: wholeNumber("hidden", values.hidden, 1),
    seed: wholeNumber("seed", values.seed, 0),
    rate,
  };
  await withGpu(values.adapter, async (gpu, start) => {
    const { json, section } = await runTrain(gpu, options);
    await write(gpu, { out, name: "train", json, section, seed: options.seed, start });
  });
}

async function verify(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: VERIFY_OPTIONS });
  if (values.help) {
    console.log(VERIFY_HELP);
    return;
  }
  const { quick, out } = values;
  const seed = wholeNumber("seed", values.seed, 0);
  await withGpu(values.adapter, async (gpu, start) => {
    const { json, section, failed } = await runVerify(gpu, { seed, quick });
    await write(gpu, { out, name: "verify", json, section, seed, start });
    if (failed > 0) throw new ValueError(`verify: ${failed} rows are not as the theory says`);
  });
}

function oneOf<Name extends string>(option: string, given: string, names: readonly Name[]): Name {
  const name = names.find((candidate) => candidate === given);
  if (name === undefined)
    throw new ValueError(`--${option} got "${given}", and ${names.join(" or ")} is taken`);
  return name;
}

async function withGpu(
  adapter: string | undefined,
  use: (gpu: Gpu, start: number) => Promise<void>,
): Promise<void> {
  const start = performance.now();
  const gpu = await openGpu({ adapter });
  try {
    const { description, device, vendor, kind, driver } = gpu.info;
    console.log(`adapter: ${description || device || vendor} (${kind}, ${driver})\n`);
    await use(gpu, start);
  } finally {
    gpu.dispose();
  }
}

interface Results {
  readonly out: string;
  /** Of both files. */
  readonly name: string;
  readonly json: unknown;
  readonly section: Section;
  readonly seed: number;
  readonly start: number;
}

async function write(gpu: Gpu, { out, name, json, section, seed, start }: Results): Promise<void> {
  const seconds = (performance.now() - start) / 1000;
  const [data, page] = [join(out, `${name}.json`), join(out, `${name}.html`)];
  await mkdir(out, { recursive: true });
  await writeFile(data, `${JSON.stringify(json)}\n`);
  await writePage(page, { adapter: gpu.info, seed, seconds, sections: [section] });
  console.log(`\n${seconds.toFixed(1)} s in all; see ${page} and ${data}`);
}

main(process.argv.slice(2)).catch((error) => {
  // What the user can mend comes as a sentence; anything else with its stack.
  const usage =
    error instanceof HandgradError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  console.error(usage ? `${error.message}\n(npm run neurons -- --help lists the commands)` : error);
  process.exitCode = 1;
});
