// The main job, `npm start`: neurons that seek the attention of the next layer learn to read digits, with
// backpropagation beside them from the same start.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Gpu, openGpu, ValueError } from "handgrad";
import { ruleNamed } from "handgrad/neurons";
import { failWith } from "./command.js";
import { neuronsSection } from "./report/neurons_section.js";
import { type Section, writePage } from "./report/page.js";
import { runAtd } from "./start/atd.js";
import { runNeurons } from "./start/neurons.js";
import { wholeNumber } from "./start/options.js";
import { runSpade } from "./start/spade.js";
import { printTable } from "./start/table.js";

const HELP = `npm start -- [options]

Trains a network of attention-seeking neurons on real digits, backpropagation beside it; prunes a network to
one image and asks both why; attacks two detectors of out-of-distribution images; and writes a report.

  --seed N       seed of the split, the initial weights and the order of the batches (default 1)
  --epochs N     passes over the 8,000 training digits (default 3)
  --rule NAME    the rule beside backpropagation: attention (default), measured (slow: by differences) or another;
                 a name that is not known lists them all
  --only NAMES   of neurons,spade,atd those that are named (default all)
  --adapter NAME hardware, software, swiftshader, lavapipe or part of a name (default: the best there is)
  --out FOLDER   where report.json and report.html go (default out)
  --help         this text`;

const METHODS = ["neurons", "spade", "atd"];

/** @throws ValueError for a method that is not known */
function methodsOf(only: string): string[] {
  const names = only.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !METHODS.includes(name));
  if (unknown !== undefined)
    throw new ValueError(`--only got "${unknown}", and one or more of ${METHODS.join(",")} is taken`);
  return names;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      epochs: { type: "string", default: "3" },
      rule: { type: "string", default: "attention" },
      only: { type: "string", default: METHODS.join(",") },
      adapter: { type: "string" },
      out: { type: "string", default: "out" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const seed = wholeNumber("seed", values.seed, 0);
  const epochs = wholeNumber("epochs", values.epochs, 1);
  const methods = methodsOf(values.only);
  ruleNamed(values.rule);
  await mkdir(values.out, { recursive: true }).catch((cause) => {
    throw new ValueError(`--out got "${values.out}", which cannot be made: ${cause.message}`, { cause });
  });
  const start = performance.now();
  const gpu = await openGpu({ adapter: values.adapter });
  try {
    await run(gpu, { seed, epochs, rule: values.rule, methods, out: values.out, start });
  } finally {
    gpu.dispose();
  }
}

interface Settings {
  readonly seed: number;
  readonly epochs: number;
  readonly rule: string;
  readonly methods: readonly string[];
  readonly out: string;
  /** When the clock started, in milliseconds. */
  readonly start: number;
}

async function run(gpu: Gpu, { seed, epochs, rule, methods, out, start }: Settings): Promise<void> {
  const { vendor, architecture, device, description, kind, driver, features } = gpu.info;
  console.log(`adapter: ${description || device || vendor} (${kind}, ${driver})`);
  const parts: Record<string, { json: unknown; section: Section }> = {};
  for (const method of METHODS) {
    if (!methods.includes(method)) continue;
    console.log();
    if (method === "neurons") parts[method] = await neuronsPart(gpu, { seed, epochs, rule });
    if (method === "spade") parts[method] = await runSpade(gpu);
    if (method === "atd") parts[method] = await runAtd(gpu);
  }
  const seconds = (performance.now() - start) / 1000;
  const adapter = { vendor, architecture, device, description, kind, driver, features };
  const json = Object.fromEntries(Object.entries(parts).map(([method, part]) => [method, part.json]));
  await writeFile(
    join(out, "report.json"),
    `${JSON.stringify({ adapter, seed, seconds, ...json }, null, 2)}\n`,
  );
  const sections = Object.values(parts).map(({ section }) => section);
  await writePage(join(out, "report.html"), { adapter, seed, seconds, sections });
  console.log(
    `\n${seconds.toFixed(1)} s in all; see ${join(out, "report.html")} and ${join(out, "report.json")}`,
  );
}

async function neuronsPart(gpu: Gpu, { seed, epochs, rule }: Pick<Settings, "seed" | "epochs" | "rule">) {
  const neurons = await runNeurons(gpu, { seed, epochs, rule });
  console.log();
  printTable(
    ["rule", "test accuracy", "seconds"],
    neurons.rules.map((row) => [
      row.title,
      `${(100 * row.testAccuracy).toFixed(2)} %`,
      row.seconds.toFixed(1),
    ]),
  );
  console.log();
  printTable(
    ["layer", "largest relative difference", "smallest cosine"],
    neurons.layers.map((row) => [row.title, row.relativeError.toExponential(1), row.cosine.toFixed(9)]),
  );
  return { json: neurons.json, section: await neuronsSection(neurons) };
}

main().catch(failWith("npm start -- --help lists the options"));
