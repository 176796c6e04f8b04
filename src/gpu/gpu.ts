/** The device and everything that hangs on it: pool, command stream, pipelines, scopes, programs, errors. */
import { type AdapterKind, adapterKind } from "./adapter.js";
import { BufferPool, BufferUsage, type Storage } from "./buffers.js";
import { DeviceLostError, DisposedError, HandgradError, KernelError, ProgramError } from "./errors.js";
import { Kernel, type KernelRecord, type View } from "./kernel.js";
import { NonFiniteScan } from "./non_finite_scan.js";
import { PipelineCache } from "./pipelines.js";
import { type Profile, Profiler, summarize } from "./profiler.js";
import { Program, Recording } from "./program.js";
import { type Command, CommandStream } from "./stream.js";

export interface OpenGpuOptions {
  /** The caller's own device: used, never destroyed. */
  readonly device?: GPUDevice;
  /**
   * Which adapter: "hardware", "software", "swiftshader", "lavapipe", or part of a driver's, vendor's or device's
   * name. Default: hardware if there is one, else the fastest software adapter that works.
   */
  readonly adapter?: string;
  /** Scan the results of every op for NaN and infinity and name the op; slow. Default false. */
  readonly debug?: boolean;
  /** How many bytes of released buffers are kept for reuse. Default 256 MiB. */
  readonly poolBytes?: number;
}

/** An adapter that a host (Node, a browser) found. */
export interface HostAdapter {
  readonly adapter: GPUAdapter;
  /** Where it came from, for people: "system", "swiftshader (bundled)", … */
  readonly driver: string;
  readonly kind: AdapterKind;
  /** Drops what keeps the process alive. */
  release(): void;
}

/** What `gpu.info` tells of the adapter. */
export interface GpuInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly kind: AdapterKind;
  readonly driver: string;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
}

/** Something that a scope releases: a tensor. */
export interface Trackable {
  dispose(): void;
}

interface Scope {
  readonly created: Set<Trackable>;
  readonly kind: "scope" | "program";
}

const DEFAULT_POOL_BYTES = 256 * 2 ** 20;
const WANTED_FEATURES: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16", "subgroups"];
/** First guesses of floating-point operations a millisecond, for splitting submits; refined by measuring. */
const WORK_RATE = { hardware: 2e8, software: 2e6 } as const;

export class Gpu {
  readonly limits: GPUSupportedLimits;
  readonly pipelines: PipelineCache;
  readonly pool: BufferPool;
  readonly stream: CommandStream;
  /** Bound in place of an optional input that was not given. */
  readonly placeholder: Storage;
  /** The body of a program that is being recorded. */
  recording?: Recording;
  private readonly scopes: Scope[] = [];
  private liveTensors = 0;
  private disposed = false;
  private readonly lost: Promise<never>;
  private readonly scan?: NonFiniteScan;

  constructor(
    readonly device: GPUDevice,
    readonly info: GpuInfo,
    private readonly ownsDevice: boolean,
    private readonly releaseHost: () => void,
    options: OpenGpuOptions,
  ) {
    this.limits = device.limits;
    this.stream = new CommandStream(device, WORK_RATE[info.kind]);
    this.pool = new BufferPool(
      device,
      options.poolBytes ?? DEFAULT_POOL_BYTES,
      (error) => this.stream.park(error),
      (storage) => this.stream.destroyLater(storage),
    );
    this.pipelines = new PipelineCache(device);
    this.placeholder = this.pool.acquire(16, this);
    this.scan = options.debug ? new NonFiniteScan(this) : undefined;
    device.addEventListener("uncapturederror", this.onUncapturedError);
    this.lost = device.lost.then(({ message, reason }) => {
      const error = this.disposed
        ? new DisposedError("gpu: it was disposed while work was pending")
        : new DeviceLostError(
            `gpu: the device was lost (${reason}): ${message}; open a new one with openGpu()`,
          );
      this.stream.markLost(error);
      throw error;
    });
    this.lost.catch(() => {}); // Thrown at whoever waits; nobody waiting is no error.
  }

  /** Whether op results are scanned for NaN and infinity. */
  get debug(): boolean {
    return this.scan !== undefined;
  }

  /** Records a command in the program being recorded, or in the stream. */
  record(command: Exclude<Command, { kind: "upload" | "replay" }>): void {
    if (this.recording) this.recording.commands.push(command);
    else this.stream.push(command);
  }

  /** A storage for a tensor; a program's body gets one that the program keeps. */
  acquire(byteLength: number): Storage {
    this.throwIfDisposed();
    return this.recording ? this.recording.acquire(byteLength) : this.pool.acquire(byteLength);
  }

  /** Gives a storage back to the pool, or to the program whose body is being recorded. */
  release(storage: Storage): void {
    if (storage.owner === undefined) this.pool.release(storage);
    else if (storage.owner === this.recording) this.recording.recycle(storage);
  }

  /** Writes data to a storage, in order with the ops recorded before. */
  upload(storage: Storage, data: ArrayBufferView, what: string): void {
    this.throwIfDisposed();
    const scope = this.scopes[this.scopes.length - 1];
    if (scope) {
      throw new ProgramError(
        `${what}: an upload inside a ${scope.kind} body is not taken; make the tensor before it, and write() to it`,
      );
    }
    this.stream.upload(storage, data);
  }

  /** Waits for everything recorded and returns a copy of the storage's first bytes. */
  async read(storage: Storage, byteLength: number, what: string): Promise<ArrayBuffer> {
    this.throwIfDisposed();
    const scope = this.scopes[this.scopes.length - 1];
    if (scope)
      throw new ProgramError(`${what}: a read-back inside a ${scope.kind} body is not taken; read after it`);
    const size = Math.max(Math.ceil(byteLength / 4) * 4, 4);
    const target = this.device.createBuffer({ size, usage: BufferUsage.mapRead | BufferUsage.copyDst });
    try {
      this.stream.push({ kind: "read", source: storage, target, byteLength: size });
      await this.stream.settle();
      await Promise.race([target.mapAsync(1), this.lost]);
      this.stream.throwParked();
      const bytes = target.getMappedRange().slice(0, byteLength);
      await this.scan?.throwIfFound();
      return bytes;
    } catch (error) {
      // A lost device is told apart from a failed map only by its own promise, which may settle a tick later.
      if (error instanceof HandgradError) throw error;
      await Promise.race([this.lost, new Promise((resolve) => setTimeout(resolve, 20))]);
      throw new KernelError(
        `${what}: the read-back failed: ${error instanceof Error ? error.message : String(error)}`,
        {
          cause: error,
        },
      );
    } finally {
      target.destroy();
    }
  }

  /** Submits what is recorded. Resolves once it is encoded; @throws the first error that was parked. */
  async flush(): Promise<void> {
    this.throwIfDisposed();
    if (this.recording) throw new ProgramError("gpu.flush: not inside a program body");
    await Promise.race([this.stream.settle(), this.lost]);
  }

  /** Submits what is recorded and waits until the device has done it; for timing. */
  async finish(): Promise<void> {
    await this.flush();
    await Promise.race([this.device.queue.onSubmittedWorkDone(), this.lost]);
    this.stream.throwParked();
  }

  /**
   * Runs `body` and releases every tensor made in it but those it returns (also inside arrays and records).
   * @throws ProgramError if the body returns a promise, uploads, reads back or disposes of an outer tensor
   */
  scope<T>(body: () => T): T {
    return this.inScope("scope", body);
  }

  /**
   * Runs `body` once, as its first step, and keeps what it recorded: `program.run()` replays it.
   * Temporaries belong to the program until it is disposed; tensors that the body returns are overwritten by each run.
   * @throws ProgramError as `scope` does, and inside another program's body
   */
  program<T>(body: () => T): Program<T> {
    this.throwIfDisposed();
    if (this.recording) throw new ProgramError("gpu.program: not inside another program's body");
    const recording = new Recording(this);
    this.recording = recording;
    let result: T;
    try {
      result = this.inScope("program", body);
    } catch (error) {
      for (const storage of recording.storages) this.pool.release(storage);
      throw error;
    } finally {
      this.recording = undefined;
    }
    const program = new Program(this, recording, result);
    program.run();
    return program;
  }

  private inScope<T>(kind: Scope["kind"], body: () => T): T {
    this.throwIfDisposed();
    const scope: Scope = { created: new Set(), kind };
    this.scopes.push(scope);
    let kept: Set<unknown> = new Set();
    let result: T;
    try {
      result = body();
      if (
        result instanceof Promise ||
        typeof (result as { then?: unknown } | undefined)?.then === "function"
      ) {
        throw new ProgramError(
          `gpu.${kind}: the body returned a promise; it must be synchronous, read results after it`,
        );
      }
      kept = collect(result);
    } finally {
      for (const tensor of scope.created) if (!kept.has(tensor)) tensor.dispose();
      this.scopes.pop();
      // What lives on belongs to the scope around this one.
      const outer = this.scopes[this.scopes.length - 1];
      if (outer) for (const tensor of scope.created) outer.created.add(tensor);
    }
    return result;
  }

  /** Counts a tensor and hands it to the innermost scope. */
  track(tensor: Trackable): void {
    this.liveTensors++;
    this.scopes[this.scopes.length - 1]?.created.add(tensor);
  }

  /** Forgets a tensor. @throws ProgramError if it was made outside the innermost scope or program body */
  untrack(tensor: Trackable): void {
    const scope = this.scopes[this.scopes.length - 1];
    if (scope && !scope.created.delete(tensor)) {
      throw new ProgramError(
        `dispose: the tensor was made outside this ${scope.kind} body; dispose of it after the body`,
      );
    }
    this.liveTensors--;
  }

  /** Checks a user's record and makes it a kernel; see `KernelRecord`. */
  kernel<Options = undefined>(record: KernelRecord<Options>): Kernel<Options> {
    return new Kernel(record);
  }

  /** Live tensors, bytes they (and programs) use, bytes pooled for reuse, buffers ever created. */
  memory(): { tensors: number; bytesUsed: number; bytesPooled: number; buffersCreated: number } {
    const { bytesUsed, bytesPooled, created } = this.pool;
    return {
      tensors: this.liveTensors,
      bytesUsed: bytesUsed - this.placeholder.capacity,
      bytesPooled,
      buffersCreated: created,
    };
  }

  /**
   * Time a kernel of what `body` records. Takes timestamps where the adapter has them, else waits for each dispatch.
   */
  async profile(body: () => unknown): Promise<Profile> {
    await this.finish();
    const times = new Map<string, { calls: number; milliseconds: number }>();
    const report = (name: string, milliseconds: number): void => {
      const row = times.get(name) ?? { calls: 0, milliseconds: 0 };
      times.set(name, { calls: row.calls + 1, milliseconds: row.milliseconds + milliseconds });
    };
    const timestamps = this.device.features.has("timestamp-query");
    const profiler = timestamps ? new Profiler(this.device) : undefined;
    const start = performance.now();
    this.stream.profiler = profiler;
    this.stream.holding = !timestamps;
    try {
      await body();
      if (!timestamps) await this.stream.runTimed(report);
      await this.finish();
    } finally {
      this.stream.profiler = undefined;
      this.stream.holding = false;
    }
    const totalMilliseconds = performance.now() - start;
    await profiler?.read(report);
    return {
      clock: timestamps ? "timestamp-query" : "wall clock",
      kernels: summarize(times),
      totalMilliseconds,
    };
  }

  /** In debug mode: records a scan of an op's result. */
  scanForNonFinite(kernel: string, output: string, view: View): void {
    this.scan?.record(kernel, output, view);
  }

  throwIfDisposed(): void {
    if (this.disposed) throw new DisposedError("gpu: it was disposed; open a new one with openGpu()");
    this.stream.throwIfLost();
  }

  /** Releases everything; the caller's own device is left alone. Idempotent. The process can exit after it. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.device.removeEventListener("uncapturederror", this.onUncapturedError);
    this.stream.markLost(new DisposedError("gpu: it was disposed; open a new one with openGpu()"));
    if (this.ownsDevice) {
      this.device.destroy();
    } else {
      this.pool.clear();
      this.stream.destroy();
    }
    this.releaseHost();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private readonly onUncapturedError = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    this.stream.park(new KernelError(`gpu: the device refused a command: ${event.error.message}`));
  };
}

/** Opens the caller's device, or the adapter that the host finds, with all the limits that the adapter has. */
export async function openGpuWith(
  findAdapter: (wanted: string | undefined) => Promise<HostAdapter>,
  options: OpenGpuOptions = {},
): Promise<Gpu> {
  if (options.device) {
    const { device } = options;
    return new Gpu(
      device,
      describe(device.adapterInfo, adapterKind(device.adapterInfo), "the caller's device", device),
      false,
      () => {},
      options,
    );
  }
  const host = await findAdapter(options.adapter);
  try {
    const { adapter } = host;
    const device = await adapter.requestDevice({
      requiredLimits: readLimits(adapter.limits),
      requiredFeatures: WANTED_FEATURES.filter((feature) => adapter.features.has(feature)),
    });
    const info = describe(adapter.info, host.kind, host.driver, device);
    return new Gpu(device, info, true, () => host.release(), options);
  } catch (error) {
    host.release();
    throw error;
  }
}

function describe(
  adapter: GPUAdapterInfo,
  kind: GpuInfo["kind"],
  driver: string,
  device: GPUDevice,
): GpuInfo {
  const { vendor, architecture, description } = adapter;
  const features = [...device.features].sort();
  return {
    vendor,
    architecture,
    device: adapter.device,
    description,
    kind,
    driver,
    limits: readLimits(device.limits),
    features,
  };
}

function readLimits(limits: GPUSupportedLimits): Record<string, number> {
  const result: Record<string, number> = {};
  for (const name in limits) {
    const value = (limits as unknown as Record<string, unknown>)[name];
    if (typeof value === "number") result[name] = value;
  }
  return result;
}

/** All objects reachable from a body's result through arrays, maps and plain records. */
function collect(value: unknown, found: Set<unknown> = new Set()): Set<unknown> {
  if (typeof value !== "object" || value === null || found.has(value)) return found;
  found.add(value);
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
    for (const item of value instanceof Map ? value.values() : value) collect(item, found);
  } else if (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null) {
    for (const item of Object.values(value)) collect(item, found);
  }
  return found;
}
