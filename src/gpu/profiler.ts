/** Time a kernel: a timestamp at both ends of a pass that holds a single dispatch. */
import { BufferUsage } from "./allocator.js";
import { ProgramError } from "./errors.js";
import type { Gpu } from "./gpu.js";

/** One row of `gpu.profile`. */
export interface KernelTime {
  readonly kernel: string;
  readonly calls: number;
  readonly milliseconds: number;
}

export interface Profile {
  /** `timestamp-query`: the device's own clock; `wall clock`: one submit a dispatch, waited for. */
  readonly clock: "timestamp-query" | "wall clock";
  /** Longest first. */
  readonly kernels: readonly KernelTime[];
  /** From the first command recorded to the last one done, on the host's clock. */
  readonly totalMilliseconds: number;
}

/** WebGPU allows 4,096 queries a set: two a dispatch. */
const DISPATCHES_A_SET = 2048;

export class Profiler {
  private readonly names: string[] = [];
  private readonly sets: GPUQuerySet[] = [];

  constructor(private readonly device: GPUDevice) {}

  passDescriptor(name: string): GPUComputePassDescriptor {
    const slot = this.names.length % DISPATCHES_A_SET;
    if (slot === 0)
      this.sets.push(this.device.createQuerySet({ type: "timestamp", count: 2 * DISPATCHES_A_SET }));
    this.names.push(name);
    const querySet = this.sets[this.sets.length - 1];
    const timestampWrites = {
      querySet,
      beginningOfPassWriteIndex: 2 * slot,
      endOfPassWriteIndex: 2 * slot + 1,
    };
    return { label: name, timestampWrites };
  }

  /** Waits for the device and sums up by kernel. */
  async read(report: (name: string, milliseconds: number) => void): Promise<void> {
    for (let set = 0; set < this.sets.length; set++) {
      const names = this.names.slice(set * DISPATCHES_A_SET, (set + 1) * DISPATCHES_A_SET);
      const ticks = await this.resolve(this.sets[set], 2 * names.length);
      names.forEach((name, index) => {
        // Some drivers hand out a later begin than end around a context switch: count it as zero.
        const nanoseconds = Math.max(0, Number(ticks[2 * index + 1] - ticks[2 * index]));
        report(name, nanoseconds / 1e6);
      });
    }
  }

  destroy(): void {
    for (const set of this.sets) set.destroy();
  }

  private async resolve(querySet: GPUQuerySet, count: number): Promise<BigUint64Array> {
    const { device } = this;
    const size = 8 * count;
    const resolved = device.createBuffer({ size, usage: BufferUsage.queryResolve | BufferUsage.copySrc });
    const readable = device.createBuffer({ size, usage: BufferUsage.mapRead | BufferUsage.copyDst });
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, readable, 0, size);
    device.queue.submit([encoder.finish()]);
    await readable.mapAsync(1);
    const ticks = new BigUint64Array(readable.getMappedRange().slice(0));
    resolved.destroy();
    readable.destroy();
    return ticks;
  }
}

/** The gpus whose time is being taken. */
const profiled = new WeakSet<Gpu>();

/** What `gpu.profile` does. @throws ProgramError while another profile of this gpu is taken */
export async function takeProfile(gpu: Gpu, body: () => unknown): Promise<Profile> {
  if (profiled.has(gpu)) throw new ProgramError("gpu.profile: another profile is being taken; wait for it");
  profiled.add(gpu);
  const { stream } = gpu;
  const times = new Map<string, { calls: number; milliseconds: number }>();
  const report = (name: string, milliseconds: number): void => {
    const row = times.get(name) ?? { calls: 0, milliseconds: 0 };
    times.set(name, { calls: row.calls + 1, milliseconds: row.milliseconds + milliseconds });
  };
  const profiler = gpu.device.features.has("timestamp-query") ? new Profiler(gpu.device) : undefined;
  try {
    await gpu.finish();
    const start = performance.now();
    stream.profiler = profiler;
    stream.timer = profiler ? undefined : report;
    await body();
    await gpu.finish();
    const totalMilliseconds = performance.now() - start;
    stream.profiler = undefined;
    if (profiler) await gpu.unlessLost(profiler.read(report));
    const clock = profiler ? "timestamp-query" : "wall clock";
    return { clock, kernels: summarize(times), totalMilliseconds };
  } finally {
    stream.profiler = undefined;
    stream.timer = undefined;
    profiled.delete(gpu);
    profiler?.destroy();
  }
}

/** Collects times by kernel, longest first. */
function summarize(times: ReadonlyMap<string, { calls: number; milliseconds: number }>): KernelTime[] {
  return [...times]
    .map(([kernel, { calls, milliseconds }]) => ({ kernel, calls, milliseconds }))
    .sort((a, b) => b.milliseconds - a.milliseconds);
}
