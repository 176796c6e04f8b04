/** Times one case beside its peers: each result checked first, warm-up apart, then rounds in turn. */
import type { Gpu, Tensor } from "handgrad";
import { type Case, uploadInputs } from "./cases.js";
import type { Input, Spec } from "./cases.js";

/** Whoever can run a case: handgrad itself, or a peer in a process or on a page. */
export interface Contender {
  readonly name: string;
  /** The first result, or undefined where it has no such op. */
  prepare(spec: Spec, inputs: readonly Input[], which: Case): Promise<Float32Array | undefined>;
  /** The next result. */
  again(): Promise<Float32Array>;
  /** Milliseconds, by the contender's clock, for `count` runs that are waited for once. */
  time(count: number): Promise<number>;
}

export interface Timing {
  /** Median, for one run. */
  readonly ms: number;
  /** Half the distance between the quartiles, as a share of the median. */
  readonly spread: number;
  readonly error: number;
  /** The first run, compiling included. */
  readonly firstMs: number;
  readonly problem?: string;
}

export interface Measured {
  readonly name: string;
  readonly timings: Readonly<Record<string, Timing>>;
  /** What handgrad ran. */
  readonly variants: readonly CaseVariant[];
  /** The fastest of the roof's runs between the rounds, GFLOP/s. */
  readonly roofGflops?: number;
}

export interface MeasureOptions {
  readonly rounds: number;
  /** A timed batch takes about so long. */
  readonly batchMilliseconds: number;
  /** One run of what reached the roof, GFLOP/s: a machine that slows down for a while slows both. */
  readonly roof?: () => Promise<number>;
}

const failed = (problem: string, error = Number.NaN, firstMs = Number.NaN): Timing => ({
  ms: Number.NaN,
  spread: Number.NaN,
  error,
  firstMs,
  problem,
});

export async function measureCase(
  which: Case,
  contenders: readonly Contender[],
  { rounds, batchMilliseconds, roof }: MeasureOptions,
): Promise<Measured> {
  const inputs = which.inputs();
  const timings: Record<string, Timing> = {};
  const runners: {
    contender: Contender;
    count: number;
    samples: number[];
    error: number;
    firstMs: number;
  }[] = [];
  for (const contender of contenders) {
    try {
      const start = performance.now();
      const first = await contender.prepare(which.spec, inputs, which);
      const firstMs = performance.now() - start;
      if (!first) continue;
      const results = which.stateful ? [first, await contender.again()] : [first];
      const error = which.check(results, inputs);
      if (!(error <= which.tolerance)) {
        timings[contender.name] = failed(`wrong: relative error ${error.toExponential(1)}`, error, firstMs);
        continue;
      }
      await contender.time(1);
      const once = await contender.time(1);
      const count = Math.max(1, Math.min(200, Math.round(batchMilliseconds / Math.max(once, 0.01))));
      await contender.time(count);
      runners.push({ contender, count, samples: [], error, firstMs });
    } catch (error) {
      timings[contender.name] = failed((error as Error).message);
    }
  }
  let roofGflops: number | undefined;
  for (let round = 0; round < rounds; round++) {
    if (roof && which.flops !== undefined) roofGflops = Math.max(roofGflops ?? 0, await roof());
    // The order turns, so that nobody always follows the same neighbor.
    for (let i = 0; i < runners.length; i++) {
      const runner = runners[(i + round) % runners.length];
      try {
        runner.samples.push((await runner.contender.time(runner.count)) / runner.count);
      } catch (error) {
        timings[runner.contender.name] = failed((error as Error).message);
      }
    }
  }
  for (const { contender, samples, error, firstMs } of runners) {
    if (timings[contender.name]) continue;
    const sorted = samples.sort((a, b) => a - b);
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    timings[contender.name] = { ms: at(0.5), spread: (at(0.75) - at(0.25)) / 2 / at(0.5), error, firstMs };
  }
  const own = contenders.find((contender) => contender instanceof Handgrad);
  return { name: which.name, timings, variants: own?.variants ?? [], roofGflops };
}

/** Milliseconds from any fixed moment: of the wall's clock, or of this process' processor time. */
export type Clock = () => number;

/** Which kernel an op of a case runs with, and whether the tuner or the heuristic chose it. */
export interface CaseVariant {
  readonly op: string;
  readonly variant: string;
  readonly tuned: boolean;
}

/** What `--clock cpu` measures: a software adapter computes in this process' threads. On Node only. */
export function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The clock of an option `--clock`; says which there are and gives undefined for another name. */
export function clockNamed(name: string): Clock | undefined {
  if (name === "wall") return () => performance.now();
  if (name === "cpu") return processorTime;
  console.error(`--clock: "${name}" is unknown; there are wall and cpu`);
  return undefined;
}

/** handgrad: each run replays a Program, as a training loop does. */
export class Handgrad implements Contender {
  readonly name = "handgrad";
  /** The variants that the case prepared last runs with. */
  variants: readonly CaseVariant[] = [];
  private release = (): void => {};
  private run = (): { data(): Promise<Float32Array> } => {
    throw new Error("not prepared");
  };
  /** For a case that waits in the middle of a run. */
  private wait: (() => Promise<Tensor>) | undefined;

  constructor(
    private readonly gpu: Gpu,
    private readonly clock: Clock = () => performance.now(),
  ) {}

  async prepare(_spec: Spec, inputs: readonly Input[], which: Case): Promise<Float32Array> {
    this.release();
    const { gpu } = this;
    const tensors = uploadInputs(gpu, inputs);
    this.wait = which.whole?.(gpu, tensors);
    this.variants = [];
    if (this.wait) {
      this.release = () => {
        for (const tensor of tensors) tensor.dispose();
      };
      return this.again();
    }
    const body = which.ours(gpu, tensors);
    const before = new Map(gpu.tuner.used().map(({ key, picks }) => [key, picks]));
    const program = gpu.program(body);
    this.variants = gpu.tuner
      .used()
      .filter(({ key, picks }) => picks > (before.get(key) ?? 0))
      .map(({ key, variant, tuned }) => ({ op: key, variant, tuned }));
    this.release = () => {
      program.dispose();
      for (const tensor of tensors) tensor.dispose();
    };
    this.run = () => program.run() as unknown as { data(): Promise<Float32Array> };
    // Recording was the first run.
    return (await program.result.data()) as Float32Array;
  }

  async again(): Promise<Float32Array> {
    const waited = await this.wait?.();
    if (!waited) return this.run().data();
    const result = (await waited.data()) as Float32Array;
    waited.dispose();
    return result;
  }

  async time(count: number): Promise<number> {
    const start = this.clock();
    for (let i = 0; i < count; i++) {
      if (this.wait) (await this.wait()).dispose();
      else this.run();
    }
    await this.gpu.finish();
    return this.clock() - start;
  }
}
