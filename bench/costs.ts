/** What surrounds the kernels: download, first results, compiling, encoding, allocations: `npm run costs -- --help`. */
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { type Gpu, matmul, openGpu, type Program, tensor, zeros } from "handgrad";
import { cases, uploadInputs } from "./cases.js";
import { bareEncoding, type Encoding, replayedEncoding, watchCreations } from "./encoding.js";
import { type Clock, clockNamed, processorTime } from "./measure.js";
import { bundleSizes, sizeLine } from "./sizes.js";

const TARGETS = { firstMs: 500, compileMs: 1500, encodingRatio: 1.3, creations: 0 };
const DISPATCHES = 500;
const ROUNDS = 40;
const COLD_RUNS = 3;
const REPLAYS = 20;

const USAGE = `usage: npm run costs -- [options]
  --filter TEXT    kernels of the cases whose name or group contains TEXT (a regular expression)
  --adapter NAME   hardware, software, swiftshader, lavapipe, or a part of the adapter's name
  --clock NAME     wall, or cpu: compile times as processor time, for a machine that is busy otherwise
  --slowest N      how many kernels are listed; default 10
  --sizes          only what a page downloads, for which no adapter is needed
  --out FOLDER     where costs.json goes; default out`;

const { values } = parseArgs({
  options: {
    filter: { type: "string", default: "matmul|conv" },
    adapter: { type: "string" },
    clock: { type: "string", default: "wall" },
    slowest: { type: "string", default: "10" },
    out: { type: "string", default: "out" },
    sizes: { type: "boolean", default: false },
    cold: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

interface ColdStart {
  /** From the start of the process, and from openGpu, to the values of a first 64×64 product. */
  readonly fromProcess: number;
  readonly fromOpen: number;
  /** Processor time of the whole process up to there. */
  readonly processor: number;
}

interface Compiled {
  readonly kernel: string;
  readonly ms: number;
  /** The case that asked for it first. */
  readonly usedBy: string;
}

/** What a process of its own does: nothing is warm in it. */
async function coldStart(): Promise<ColdStart> {
  const start = performance.now();
  const gpu = await openGpu({ adapter: values.adapter });
  const a = tensor(gpu, new Float32Array(4096).fill(0.5), [64, 64]);
  const y = await matmul(a, a).data();
  if (!y.every((value) => value === 16)) throw new Error("the first product is wrong");
  const end = performance.now();
  gpu.dispose();
  return { fromProcess: end, fromOpen: end - start, processor: processorTime() };
}

/** Drivers keep compiled kernels on disk; a cold start has none. */
const noDriverCache = { MESA_SHADER_CACHE_DISABLE: "true" };

async function coldStarts(): Promise<ColdStart[]> {
  const results: ColdStart[] = [];
  const args = [process.argv[1], "--cold", ...(values.adapter ? ["--adapter", values.adapter] : [])];
  for (let run = 0; run < COLD_RUNS; run++) {
    const env = { ...process.env, ...noDriverCache };
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    results.push(JSON.parse(stdout) as ColdStart);
  }
  return results;
}

/**
 * Compile times of the kernels of the selected cases: making the pipeline, one at a time, and what its first dispatch
 * takes longer than its second, since some drivers compile only then.
 */
async function compileTimes(gpu: Gpu, clock: Clock): Promise<Compiled[]> {
  const { device } = gpu;
  const laps = new Laps(clock);
  const made: { kernel: string; ms: number }[] = [];
  const create = device.createComputePipelineAsync.bind(device);
  let before: Promise<unknown> = Promise.resolve();
  device.createComputePipelineAsync = (descriptor) => {
    const pipeline = before.then(async () => {
      laps.take();
      const result = await create(descriptor);
      made.push({ kernel: descriptor.label ?? "", ms: laps.take() });
      return result;
    });
    before = pipeline.catch(() => {});
    return pipeline;
  };
  const pattern = new RegExp(values.filter, "i");
  const found: Compiled[] = [];
  for (const which of cases) {
    if (!pattern.test(which.name) && !pattern.test(which.group)) continue;
    const inputs = uploadInputs(gpu, which.inputs());
    const body = which.ours(gpu, inputs);
    await gpu.finish();
    made.length = 0;
    let program: Program<unknown> | undefined;
    const first = await timeDispatches(gpu, laps, () => {
      program = gpu.program(body); // recording is the first run
    });
    // Where nothing new was compiled, its dispatches say nothing.
    const compiled = made.splice(0);
    if (compiled.length > 0) {
      const second = await timeDispatches(gpu, laps, () => program?.run());
      for (const { kernel, ms } of compiled) {
        const at = first.findIndex(([name]) => name === kernel);
        const late = at < 0 || !second[at] ? 0 : Math.max(0, first[at][1] - second[at][1]);
        found.push({ kernel, ms: ms + late, usedBy: which.name });
      }
    }
    program?.dispose();
    for (const input of inputs) input.dispose();
  }
  device.createComputePipelineAsync = create;
  return found.sort((a, b) => b.ms - a.ms);
}

/** A clock that tells the time since it was last asked. */
class Laps {
  private last: number;

  constructor(private readonly clock: Clock) {
    this.last = clock();
  }

  take(): number {
    const before = this.last;
    this.last = this.clock();
    return this.last - before;
  }
}

/** Every dispatch of `run` as a submit of its own. */
async function timeDispatches(gpu: Gpu, laps: Laps, run: () => void): Promise<[string, number][]> {
  const times: [string, number][] = [];
  gpu.stream.timer = (kernel) => times.push([kernel, laps.take()]);
  laps.take();
  run();
  await gpu.finish();
  gpu.stream.timer = undefined;
  return times;
}

/** A training step, replayed: what it creates on the device, and what it looks up. */
async function replayedStep(gpu: Gpu): Promise<Record<string, number>> {
  const which = cases.find(({ spec }) => spec.op === "mlpStep");
  if (!which) throw new Error("the bench has no training step");
  const inputs = uploadInputs(gpu, which.inputs());
  const program = gpu.program(which.ours(gpu, inputs));
  await gpu.finish();
  program.run();
  await gpu.finish();
  const created = watchCreations(gpu.device);
  const [lookups, buffers, submits] = [
    gpu.pipelines.lookups,
    gpu.memory().buffersCreated,
    gpu.stream.submits,
  ];
  for (let i = 0; i < REPLAYS; i++) {
    program.run();
    gpu.stream.submit();
  }
  await gpu.finish();
  const result = {
    runs: REPLAYS,
    dispatches: program.dispatches,
    submitsARun: (gpu.stream.submits - submits) / REPLAYS,
    pipelineLookups: gpu.pipelines.lookups - lookups,
    buffers: gpu.memory().buffersCreated - buffers,
    ...created(),
  };
  program.dispose();
  for (const input of inputs) input.dispose();
  return result;
}

async function writeResult(result: Readonly<Record<string, unknown>>): Promise<void> {
  await mkdir(values.out, { recursive: true });
  const file = join(values.out, "costs.json");
  await writeFile(file, `${JSON.stringify({ date: new Date().toISOString(), ...result }, null, 2)}\n`);
  console.log(`written: ${file}`);
}

const judged = (value: number, target: number): string => (value <= target ? "" : ` (target ${target})`);
const middle = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1];

async function main(): Promise<number> {
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const clock = clockNamed(values.clock);
  if (!clock) return 1;
  const slowest = Number(values.slowest);
  if (!(Number.isInteger(slowest) && slowest > 0)) {
    console.error(`--slowest: "${values.slowest}" is not a whole number above 0`);
    return 1;
  }
  if (values.cold) {
    console.log(JSON.stringify(await coldStart()));
    return 0;
  }
  const sizes = await bundleSizes();
  console.log(["to download, gzip of minified:", ...sizes.map(sizeLine)].join("\n"));
  if (values.sizes) {
    await writeResult({ sizes });
    return 0;
  }
  const cold = await coldStarts();
  Object.assign(process.env, noDriverCache);
  const gpu = await openGpu({ adapter: values.adapter, tuning: { load: () => undefined, save: () => {} } });
  try {
    const { info } = gpu;
    console.log(`adapter: ${[info.vendor, info.architecture, info.description].filter(Boolean).join(", ")}`);
    const first = middle(cold.map(({ fromOpen }) => fromOpen));
    console.log(
      `first 64×64 product, cold: ${first.toFixed(0)} ms from openGpu${judged(first, TARGETS.firstMs)}, ` +
        `${middle(cold.map(({ fromProcess }) => fromProcess)).toFixed(0)} ms from the start of the process, ` +
        `whose processor time was ${middle(cold.map(({ processor }) => processor)).toFixed(0)} ms`,
    );
    const step = await replayedStep(gpu);
    console.log(`${REPLAYS} replayed training steps: ${JSON.stringify(step)}`);
    const encoding = await encodingCost(gpu);
    console.log(
      `encoding a dispatch: bare calls ${encoding.bare.toFixed(2)} µs, replayed ${encoding.replayed.toFixed(2)} µs, ` +
        `${encoding.ratio.toFixed(2)}×${judged(encoding.ratio, TARGETS.encodingRatio)}`,
    );
    const compiled = await compileTimes(gpu, clock);
    console.log(
      `compiling, ${values.clock === "cpu" ? "processor time" : "wall"}: ${compiled.length} pipelines; the slowest:`,
    );
    for (const { kernel, ms, usedBy } of compiled.slice(0, slowest)) {
      console.log(
        `  ${ms.toFixed(0).padStart(6)} ms  ${kernel}, first by ${usedBy}${judged(ms, TARGETS.compileMs)}`,
      );
    }
    await writeResult({ adapter: info, clock: values.clock, sizes, cold, step, encoding, compiled });
    const { pipelineLookups, buffers, creations } = step;
    if (pipelineLookups + buffers + creations > TARGETS.creations) {
      console.error("a replayed step looked up a pipeline or made something on the device");
      return 1;
    }
    return 0;
  } finally {
    gpu.dispose();
  }
}

/** The fastest of many rounds in turn: what was disturbed least. */
async function encodingCost(gpu: Gpu): Promise<{ bare: number; replayed: number; ratio: number }> {
  const x = zeros(gpu, [256]);
  const pair: Encoding[] = [
    await bareEncoding(gpu, x, DISPATCHES),
    await replayedEncoding(gpu, x, DISPATCHES),
  ];
  const best = [Infinity, Infinity];
  for (let round = 0; round < ROUNDS; round++) {
    for (const which of round % 2 === 0 ? [0, 1] : [1, 0]) {
      best[which] = Math.min(best[which], (1000 * pair[which].encode()) / DISPATCHES);
      await gpu.finish();
    }
  }
  for (const { dispose } of pair) dispose();
  x.dispose();
  return { bare: best[0], replayed: best[1], ratio: best[1] / best[0] };
}

process.exitCode = await main();
