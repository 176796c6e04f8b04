/** Climbs the ladder of ladder.md on this machine, rung against rung in pairs: `npm run ladder -- --help`. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { type Gpu, openGpu } from "handgrad";
import { type Case, cases, type Input, uploadInputs } from "./cases.js";
import { type Rung, rungs } from "./ladder_rungs.js";
import { calibrate, type Sample, summarize, type Timer, timePairs } from "./pairs.js";
import { measureRoof } from "./roof.js";

const PAGE = "bench/ladder.md";
const BATCH_MILLISECONDS = 30;

const USAGE = `usage: npm run ladder -- [options]
  --adapter NAME   hardware, software, swiftshader, lavapipe, or a part of the adapter's name
  --size N         128, 256, 512 or 1024; default 256 on software adapters, 1024 on GPUs
  --pairs N        times that each rung is timed beside the one before it; default 9
  --write          put the table into ${PAGE}, in the place of the one for this adapter`;

const { values } = parseArgs({
  options: {
    adapter: { type: "string" },
    size: { type: "string" },
    pairs: { type: "string", default: "9" },
    write: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

interface Climbed {
  readonly name: string;
  readonly idea: string;
  readonly ms: number;
  readonly gflops: number;
  readonly roofShare: number;
  /** Over the rung before it: of the pairs' ratios the median and the quartiles. */
  readonly gain?: Sample;
  /** The product of the gains so far. */
  readonly overNaive: number;
  /** Compiling included, unless the driver had the kernel on disk. */
  readonly firstMs: number;
  readonly error: number;
}

async function main(): Promise<void> {
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const pairs = Number(values.pairs);
  if (!Number.isInteger(pairs) || pairs < 1)
    throw new Error(`--pairs ${values.pairs}: a whole number from 1 on is taken`);
  const gpu = await openGpu({ adapter: values.adapter });
  try {
    const size = values.size ?? (gpu.info.kind === "software" ? "256" : "1024");
    const square = cases.find(({ name }) => name === `matmul ${size}×${size}×${size}`);
    if (!square) throw new Error(`--size ${size}: 128, 256, 512 or 1024 is taken`);
    const load = loadavg()[0];
    const { roof } = await measureRoof(gpu, { quick: true });
    const list = await climb(gpu, square, roof.gflops, pairs);
    const { vendor, architecture, device, description, kind, driver } = gpu.info;
    const machine = { load, cores: availableParallelism() };
    const result = {
      adapter: { vendor, architecture, device, description, kind, driver },
      date: new Date().toISOString(),
      machine,
      size: Number(size),
      pairs,
      roof,
      rungs: list,
    };
    await mkdir("out", { recursive: true });
    await writeFile("out/ladder.json", `${JSON.stringify(result, null, 2)}\n`);
    const name = [vendor, architecture].filter(Boolean).join(" ") || description;
    const caption =
      `${[vendor, description || architecture].filter(Boolean).join(", ")}: ${size}³, ${pairs} pairs a step, ` +
      `roof ${roof.gflops.toFixed(1)} GFLOP/s, load ${load.toFixed(1)} on ${machine.cores} cores at the start, ` +
      result.date.slice(0, 10);
    const text = `${caption}\n\n${table(list)}`;
    console.log(`${text}\n\nwritten: out/ladder.json`);
    if (values.write) await writeTable(name, text);
  } finally {
    gpu.dispose();
  }
}

/** Checks every rung, then times each beside the one before it. @throws Error if a result is wrong */
async function climb(gpu: Gpu, square: Case, roof: number, pairs: number): Promise<Climbed[]> {
  const inputs = square.inputs();
  const [a, b] = uploadInputs(gpu, inputs);
  const list = rungs(gpu, a, b);
  const checked: { firstMs: number; error: number }[] = [];
  for (const rung of list) checked.push(await check(square, inputs, rung));
  const timers = list.map((rung) => timer(gpu, rung));
  const counts: number[] = [];
  for (const time of timers) counts.push(await calibrate(time, BATCH_MILLISECONDS));
  const samples: number[][] = list.map(() => []);
  const gains: (Sample | undefined)[] = [undefined];
  for (let i = 1; i < list.length; i++) {
    const before = i - 1;
    const timing = await timePairs([timers[before], timers[i]], [counts[before], counts[i]], pairs);
    samples[before].push(...timing.first);
    samples[i].push(...timing.second);
    gains.push(timing.gain);
  }
  let overNaive = 1;
  return list.map(({ name, idea }, i) => {
    const ms = summarize(samples[i]).median;
    const gflops = (square.flops as number) / ms / 1e6;
    const gain = gains[i];
    overNaive *= gain?.median ?? 1;
    return { name, idea, ms, gflops, roofShare: gflops / roof, gain, overNaive, ...checked[i] };
  });
}

async function check(square: Case, inputs: readonly Input[], rung: Rung) {
  const start = performance.now();
  const y = rung.run();
  const values = (await y.data()) as Float32Array;
  const firstMs = performance.now() - start;
  y.dispose();
  const error = square.check([values], inputs);
  if (!(error <= square.tolerance))
    throw new Error(`${rung.name} is wrong: relative error ${error.toExponential(1)}`);
  return { firstMs, error };
}

function timer(gpu: Gpu, rung: Rung): Timer {
  return async (count) => {
    const start = performance.now();
    for (let i = 0; i < count; i++) rung.run().dispose();
    await gpu.finish();
    return performance.now() - start;
  };
}

function table(list: readonly Climbed[]): string {
  const rows = list.map(({ name, idea, gflops, roofShare, gain, overNaive, firstMs }) => {
    const step = gain ? `${gain.median.toFixed(2)}× (${gain.low.toFixed(2)}–${gain.high.toFixed(2)})` : "";
    const rate = gflops >= 100 ? gflops.toFixed(0) : gflops.toFixed(2);
    const share = `${(100 * roofShare).toFixed(roofShare < 0.1 ? 1 : 0)} %`;
    return `| ${[name, idea, step, `${overNaive.toFixed(1)}×`, rate, share, firstMs.toFixed(0)].join(" | ")} |`;
  });
  const head = "| rung | what is new | gain (quartiles) | over naive | GFLOP/s | of roof | first run, ms |";
  return [head, "|---|---|---|---|---|---|---|", ...rows].join("\n");
}

/** Replaces what stands between the adapter's two marks. */
async function writeTable(adapter: string, text: string): Promise<void> {
  const page = await readFile(PAGE, "utf8");
  const [open, close] = [`<!-- ladder ${adapter} -->`, "<!-- end -->"];
  const start = page.indexOf(open);
  const end = page.indexOf(close, start);
  if (start < 0 || end < 0) throw new Error(`--write: ${PAGE} has no marks "${open}" and "${close}"`);
  await writeFile(PAGE, `${page.slice(0, start)}${open}\n${text}\n${page.slice(end)}`);
  console.log(`written: ${PAGE}`);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
