/** What the adapter itself can do: arithmetic, memory, and the costs around a dispatch. */
import { empty, type Gpu, type KernelRecord, zeros } from "handgrad";
import type { Clock } from "./measure.js";

export interface Roof {
  /** Multiply-adds count as two operations. */
  readonly gflops: number;
  /** The form that reached it. */
  readonly best: string;
  /** Bytes read plus bytes written. */
  readonly copyGBs: number;
  readonly dispatchMicroseconds: number;
  readonly submitMicroseconds: number;
  readonly readBackMilliseconds: number;
  /** A small new kernel, from its text to its first result. */
  readonly compileMilliseconds: number;
}

/** The form that reached the roof, kept to be run again beside the cases. */
export interface MeasuredRoof {
  readonly roof: Roof;
  /** GFLOP/s of one more run, of some 15 ms. */
  again(): Promise<number>;
}

const WORKGROUP_SIZE = 64;
const INVOCATIONS = 64 * WORKGROUP_SIZE;
const ROUNDS = 6;

interface Chain {
  readonly type: "f32" | "vec4f";
  readonly chains: number;
  /** Multiply-adds that follow each other before a chain goes back to its variable. */
  readonly depth: number;
  readonly fused: boolean;
}

const forms: readonly Chain[] = [
  { type: "f32", chains: 8, depth: 1, fused: true },
  { type: "f32", chains: 12, depth: 1, fused: true },
  { type: "f32", chains: 8, depth: 16, fused: true },
  { type: "f32", chains: 12, depth: 16, fused: false },
  { type: "vec4f", chains: 2, depth: 16, fused: true },
  { type: "vec4f", chains: 4, depth: 1, fused: true },
  { type: "vec4f", chains: 4, depth: 8, fused: false },
];

interface ChainRate {
  readonly form: Chain;
  readonly gflops: number;
  again(): Promise<number>;
}

const wallClock: Clock = () => performance.now();

/** Measures everything, rates by `clock`; `quick` takes fewer rounds. */
export async function measureRoof(
  gpu: Gpu,
  { quick = false, clock = wallClock } = {},
): Promise<MeasuredRoof> {
  const rounds = quick ? 3 : ROUNDS;
  let best: ChainRate | undefined;
  for (const form of forms) {
    const rate = await chainRate(gpu, form, rounds, clock);
    if (!best || rate.gflops > best.gflops) best = rate;
  }
  const { form, gflops, again } = best as ChainRate;
  const roof = {
    gflops,
    best: `${form.chains} chains of ${form.type}, ${form.depth} deep${form.fused ? ", fma()" : ""}`,
    copyGBs: await copyRate(gpu, rounds, clock),
    dispatchMicroseconds: await dispatchCost(gpu, rounds),
    submitMicroseconds: await submitCost(gpu, rounds),
    readBackMilliseconds: await readBackCost(gpu, rounds),
    compileMilliseconds: await compileCost(gpu),
  };
  return { roof, again };
}

async function fastest(rounds: number, run: () => Promise<void>, clock = wallClock): Promise<number> {
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = clock();
    await run();
    best = Math.min(best, clock() - start);
  }
  return best;
}

async function chainRate(gpu: Gpu, form: Chain, rounds: number, clock: Clock): Promise<ChainRate> {
  const { type, chains, depth } = form;
  const width = type === "f32" ? 1 : 4;
  // Values stay finite and normal: x → 0.9999 x + 0.0001.
  const kernel = gpu.kernel(chainKernel(form));
  const x = zeros(gpu, [4]);
  let iterations = 16;
  const run = async (): Promise<void> => {
    kernel.run({ x }, { iterations }).y.dispose();
    await gpu.finish();
  };
  const rateOf = (time: number): number =>
    (2 * width * chains * depth * iterations * INVOCATIONS) / time / 1e6;
  let time = 0;
  // Long enough that dispatch overhead is below a percent of it, on a fast adapter too.
  for (; ; iterations *= 4) {
    await run();
    time = await fastest(2, run, clock);
    if (time > 15 || iterations >= 2 ** 20) {
      time = Math.min(time, await fastest(rounds, run, clock));
      break;
    }
  }
  const { y } = kernel.run({ x }, { iterations });
  const values = await y.data();
  if (!values.every((value) => Number.isFinite(value) && value !== 0))
    throw new Error("roof: the chains gave nonsense");
  y.dispose();
  return { form, gflops: rateOf(time), again: async () => rateOf(await fastest(1, run, clock)) };
}

function chainKernel({ type, chains, depth, fused }: Chain): KernelRecord<{ iterations: number }> {
  const indices = Array.from({ length: chains }, (_, c) => c);
  const lines: string[] = [];
  for (let d = 0; d < depth; d++) {
    for (const c of indices) {
      const before = d === 0 ? `s${c}` : `t${c}_${d - 1}`;
      lines.push(`let t${c}_${d} = ${fused ? `fma(${before}, scale, shift)` : `${before} * scale + shift`};`);
    }
  }
  const total = indices.map((c) => (type === "f32" ? `s${c}` : `dot(s${c}, vec4f(1.0))`)).join(" + ");
  return {
    name: "roof",
    wgsl: `
struct Params { iterations: u32, }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(${WORKGROUP_SIZE})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let scale = ${type}(0.9999 + x[0]);
  let shift = ${type}(0.0001 + x[1]);
${indices.map((c) => `  var s${c} = ${type}(f32(id.x % 7u) + ${c}.5);`).join("\n")}
  for (var i = 0u; i < params.iterations; i++) {
${lines.map((line) => `    ${line}`).join("\n")}
${indices.map((c) => `    s${c} = t${c}_${depth - 1};`).join("\n")}
  }
  y[id.x] = ${total};
}`,
    bindings: { x: "read", y: "write" },
    shape: () => ({ y: [INVOCATIONS] }),
    uniforms: (_shapes, { iterations }) => ({ iterations }),
    grid: () => [INVOCATIONS / WORKGROUP_SIZE],
    work: (_shapes, { iterations }) => 2 * chains * depth * iterations * INVOCATIONS,
  };
}

async function copyRate(gpu: Gpu, rounds: number, clock: Clock): Promise<number> {
  const bytes = 32 * 2 ** 20;
  const kernel = gpu.kernel({
    name: "roof_copy",
    wgsl: `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x] + vec4f(1.0); }`,
    bindings: { x: "read", y: "write" },
    shape: ({ x }) => ({ y: x }),
    grid: ({ x }) => [x[0] / 256],
  });
  const x = zeros(gpu, [bytes / 4]);
  const y = empty(gpu, [bytes / 4]);
  const run = async (): Promise<void> => {
    kernel.run({ x }, undefined, { out: { y } });
    await gpu.finish();
  };
  await run();
  const time = await fastest(rounds, run, clock);
  const values = await y.data();
  if (!values.every((value) => value === 1)) throw new Error("roof: the copy is wrong");
  x.dispose();
  y.dispose();
  return (2 * bytes) / time / 1e6;
}

function tinyKernel(gpu: Gpu, seed: number) {
  return gpu.kernel({
    name: "roof_tiny",
    wgsl: `
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1)
fn main() { y[0] += ${seed}.25; }`,
    bindings: { y: "readWrite" },
    shape: () => ({}),
    grid: () => [1],
  });
}

/** The slope between few and many dispatches in one submit. */
async function dispatchCost(gpu: Gpu, rounds: number): Promise<number> {
  const kernel = tinyKernel(gpu, 1);
  const y = zeros(gpu, [4]);
  const times: number[] = [];
  const counts = [10, 410];
  for (const count of counts) {
    const program = gpu.program(() => {
      for (let i = 0; i < count; i++) kernel.run({ y }, undefined);
    });
    await gpu.finish();
    times.push(
      await fastest(rounds, async () => {
        program.run();
        await gpu.finish();
      }),
    );
    program.dispose();
  }
  y.dispose();
  return (1000 * (times[1] - times[0])) / (counts[1] - counts[0]);
}

async function submitCost(gpu: Gpu, rounds: number): Promise<number> {
  const kernel = tinyKernel(gpu, 2);
  const y = zeros(gpu, [4]);
  const run = async (): Promise<void> => {
    kernel.run({ y }, undefined);
    await gpu.finish();
  };
  await run();
  const time = await fastest(10 * rounds, run);
  y.dispose();
  return 1000 * time;
}

async function readBackCost(gpu: Gpu, rounds: number): Promise<number> {
  const y = zeros(gpu, [4]);
  await y.data();
  const time = await fastest(10 * rounds, async () => {
    await y.data();
  });
  y.dispose();
  return time;
}

async function compileCost(gpu: Gpu): Promise<number> {
  // Drivers keep compiled kernels on disk: a number that was never compiled before gives an honest time.
  const kernel = tinyKernel(gpu, Math.floor(performance.timeOrigin + performance.now()) % 1e9);
  const y = zeros(gpu, [4]);
  await gpu.finish();
  const start = performance.now();
  kernel.run({ y }, undefined);
  await gpu.finish();
  y.dispose();
  return performance.now() - start;
}
