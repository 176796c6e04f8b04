/** The device and everything that hangs on it: pool, command stream, pipelines, scopes, programs, errors. */
import { type AdapterKind, adapterKind } from "./adapter.js";
import { Allocator, BufferUsage } from "./allocator.js";
import { BufferPool, type Storage } from "./buffers.js";
import type { Recorded } from "./commands.js";
import { DeviceLostError, DisposedError, HandgradError, KernelError, ProgramError } from "./errors.js";
import { Kernel, type KernelRecord, type View } from "./kernel.js";
import { NonFiniteScan } from "./non_finite_scan.js";
import { ParkedErrors } from "./parked_errors.js";
import { PipelineCache } from "./pipelines.js";
import { type Profile, Profiler, summarize } from "./profiler.js";
import { Program, Recording } from "./program.js";
import { CommandStream } from "./stream.js";
import { Tuner, type TuningRow, type TuningStore } from "./tuner.js";

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
  /** Where tuning results are kept; default: a file in the cache folder on Node, local storage in browsers. */
  readonly tuning?: TuningStore;
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

/** What `gpu.memory()` tells. */
export interface MemoryReport {
  /** Tensors that were made and not disposed of. */
  readonly tensors: number;
  /** Bytes that tensors and programs hold. */
  readonly bytesUsed: number;
  /** Bytes of released buffers, kept for reuse. */
  readonly bytesPooled: number;
  /** Tensor buffers made so far; a replayed program makes none. */
  readonly buffersCreated: number;
}

/** How long after a failed mapping the device may take to say that it is lost. */
const LOST_MILLISECONDS = 50;
const DEFAULT_POOL_BYTES = 256 * 2 ** 20;
const WANTED_FEATURES: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16", "subgroups"];
/** First guesses of floating-point operations a millisecond, for splitting submits; refined by measuring. */
const WORK_RATE = { hardware: 2e8, software: 2e6 } as const;

export class Gpu {
  readonly limits: GPUSupportedLimits;
  readonly errors: ParkedErrors;
  readonly allocator: Allocator;
  readonly pipelines: PipelineCache;
  readonly pool: BufferPool;
  readonly stream: CommandStream;
  /** Bound in place of an optional input that was not given. */
  readonly placeholder: Storage;
  /** Chooses among the variants of the hot ops; see `tune`. */
  readonly tuner: Tuner;
  /** The body of a program that is being recorded. */
  recording?: Recording;
  private scopes: Scope[] = [];
  private liveTensors = 0;
  private disposed = false;
  private profiling = false;
  /** Rejects once the device is lost or the gpu disposed; never resolves. */
  private readonly lost: Promise<never>;
  private rejectPending: (error: HandgradError) => void = () => {};
  /** What the device's `lost` promise holds on to; emptied by `dispose`, since a caller's device may live on. */
  private readonly watch: { gpu?: Gpu } = { gpu: this };
  private readonly scan?: NonFiniteScan;

  constructor(
    readonly device: GPUDevice,
    readonly info: GpuInfo,
    private readonly ownsDevice: boolean,
    private readonly releaseHost: () => void,
    options: OpenGpuOptions,
  ) {
    this.limits = device.limits;
    this.errors = new ParkedErrors(device);
    this.allocator = new Allocator(device, this.errors);
    this.allocator.onOutOfMemory = () => this.pool.clear();
    this.stream = new CommandStream(device, this.allocator, this.errors, WORK_RATE[info.kind]);
    this.pool = new BufferPool(
      device.limits,
      options.poolBytes ?? DEFAULT_POOL_BYTES,
      this.allocator,
      (storage) => this.stream.destroyLater(storage),
    );
    this.pipelines = new PipelineCache(device);
    this.tuner = new Tuner(info, options.tuning);
    this.placeholder = this.pool.acquire(16, this);
    this.scan = options.debug ? new NonFiniteScan(this) : undefined;
    this.lost = new Promise((_, reject) => {
      this.rejectPending = reject;
    });
    this.lost.catch(() => {}); // Thrown at whoever waits; nobody waiting is no error.
    // Error scopes stand around all calls on the device; on a device of our own what slips through is ours as well.
    if (ownsDevice) device.addEventListener("uncapturederror", this.onUncapturedError);
    const { watch } = this;
    device.lost.then((info) => watch.gpu?.onLost(info));
  }

  /** Whether op results are scanned for NaN and infinity. */
  get debug(): boolean {
    return this.scan !== undefined;
  }

  /** Records a command in the program being recorded, or in the stream. */
  record(command: Recorded): void {
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
    this.forbidInScope(`${what}: an upload`, "make the tensor before it, and write() to it");
    this.stream.upload(storage, data);
  }

  /** @throws ProgramError inside a scope or program body */
  forbidInScope(deed: string, advice: string): void {
    const scope = this.scopes[this.scopes.length - 1];
    if (scope) throw new ProgramError(`${deed} inside a ${scope.kind} body is not taken; ${advice}`);
  }

  /** Waits for everything recorded and returns a copy of the storage's first bytes. */
  async read(storage: Storage, byteLength: number, what: string): Promise<ArrayBuffer> {
    this.throwIfDisposed();
    const waiter = this.errors.startWaiting();
    const size = Math.max(byteLength, 4);
    const target = this.allocator.create(size, BufferUsage.mapRead | BufferUsage.copyDst);
    try {
      if (byteLength > 0) this.stream.push({ kind: "read", source: storage, target, byteLength });
      await this.unlessLost(this.stream.settle());
      await this.unlessLost(target.mapAsync(1));
      await this.unlessLost(this.errors.settled());
      this.errors.throwParked(waiter);
      const bytes = target.getMappedRange().slice(0, byteLength);
      await this.scan?.throwIfFound();
      return bytes;
    } catch (cause) {
      if (cause instanceof HandgradError) throw cause;
      // A lost device fails the mapping too, and is told by its own promise, maybe a moment later.
      await this.unlessLost(new Promise((resolve) => setTimeout(resolve, LOST_MILLISECONDS)));
      this.errors.throwParked(waiter);
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new KernelError(`${what}: the read-back failed: ${reason}`, { cause });
    } finally {
      this.errors.stopWaiting(waiter);
      this.allocator.destroy(target);
    }
  }

  private unlessLost<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.lost]);
  }

  /** Submits what is recorded. Resolves once it is encoded; @throws the first error that was parked. */
  flush(): Promise<void> {
    if (this.recording) throw new ProgramError("gpu.flush: not inside a program body");
    return this.settle();
  }

  private async settle(): Promise<void> {
    this.throwIfDisposed();
    await this.unlessLost(this.stream.settle());
    this.errors.throwParked();
  }

  /** Submits what is recorded and waits until the device has done it; for timing. */
  finish(): Promise<void> {
    if (this.recording) throw new ProgramError("gpu.finish: not inside a program body");
    return this.settleDone();
  }

  private async settleDone(): Promise<void> {
    const waiter = this.errors.startWaiting();
    try {
      await this.settle();
      await this.unlessLost(this.device.queue.onSubmittedWorkDone());
      await this.unlessLost(this.errors.settled());
      this.errors.throwParked(waiter);
    } finally {
      this.errors.stopWaiting(waiter);
    }
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
    try {
      program.run();
    } catch (error) {
      program.dispose();
      throw error;
    }
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
      if (isThenable(result)) {
        result.then(undefined, () => {}); // What it rejects with comes of being in here, and is told by this error.
        throw new ProgramError(
          `gpu.${kind}: the body returned a promise; it must be synchronous, read results after it`,
        );
      }
      kept = collect(result);
    } finally {
      for (const tensor of scope.created) if (!kept.has(tensor)) tensor.dispose();
      this.scopes.pop();
      if (kind === "program" && this.recording) this.recording.results = [...scope.created];
      // What lives on belongs to the scope around this one.
      const outer = this.scopes[this.scopes.length - 1];
      if (outer) for (const tensor of scope.created) outer.created.add(tensor);
    }
    return result;
  }

  /** Runs `body` as if no scope were open. */
  outsideScopes(body: () => void): void {
    const open = this.scopes;
    this.scopes = [];
    try {
      body();
    } finally {
      this.scopes = open;
    }
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
  memory(): MemoryReport {
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
   * @param body may be asynchronous
   * @throws ProgramError while another profile is taken
   */
  profile(body: () => unknown): Promise<Profile> {
    if (this.recording) throw new ProgramError("gpu.profile: not inside a program body");
    return this.takeProfile(body);
  }

  private async takeProfile(body: () => unknown): Promise<Profile> {
    if (this.profiling) throw new ProgramError("gpu.profile: another profile is being taken; wait for it");
    this.profiling = true;
    const times = new Map<string, { calls: number; milliseconds: number }>();
    const report = (name: string, milliseconds: number): void => {
      const row = times.get(name) ?? { calls: 0, milliseconds: 0 };
      times.set(name, { calls: row.calls + 1, milliseconds: row.milliseconds + milliseconds });
    };
    const profiler = this.device.features.has("timestamp-query") ? new Profiler(this.device) : undefined;
    try {
      await this.settleDone();
      const start = performance.now();
      this.stream.profiler = profiler;
      this.stream.timer = profiler ? undefined : report;
      await body();
      await this.settleDone();
      const totalMilliseconds = performance.now() - start;
      this.stream.profiler = undefined;
      if (profiler) await this.unlessLost(profiler.read(report));
      const clock = profiler ? "timestamp-query" : "wall clock";
      return { clock, kernels: summarize(times), totalMilliseconds };
    } finally {
      // What a failed body left recorded is run under this profile, not under the next.
      await this.unlessLost(this.stream.settle()).catch(() => {});
      this.stream.profiler = undefined;
      this.stream.timer = undefined;
      this.profiling = false;
      profiler?.destroy();
    }
  }

  /**
   * Measures the variants of every hot op for the shapes used so far, takes the fastest and remembers them for this
   * adapter (see `tuner.export` for shipping them). Programs recorded before keep what they were recorded with.
   * @param report called with each row as it is measured
   */
  async tune(report?: (row: TuningRow) => void): Promise<TuningRow[]> {
    this.throwIfDisposed();
    await this.finish();
    return this.tuner.tune(this, report);
  }

  /** In debug mode: records a scan of an op's result. */
  scanForNonFinite(kernel: string, output: string, view: View): void {
    this.scan?.record(kernel, output, view);
  }

  throwIfDisposed(): void {
    if (this.disposed) throw new DisposedError("gpu: it was disposed; open a new one with openGpu()");
    this.stream.throwIfLost();
  }

  /**
   * Releases everything, the tensors too; the caller's own device is left alone. What is pending is rejected with a
   * DisposedError. Idempotent. The process can exit after it.
   */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.watch.gpu = undefined;
    const error = new DisposedError(
      "gpu: it was disposed while work was pending; read results before dispose()",
    );
    this.stream.markLost(error);
    this.rejectPending(error);
    this.device.removeEventListener("uncapturederror", this.onUncapturedError);
    this.pool.clear();
    this.allocator.destroyAll();
    if (this.ownsDevice) this.device.destroy();
    this.releaseHost();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private onLost({ reason, message }: GPUDeviceLostInfo): void {
    const why = message ? `${reason}: ${message}` : reason;
    const error = new DeviceLostError(`gpu: the device was lost (${why}); open a new one with openGpu()`);
    this.stream.markLost(error);
    this.rejectPending(error);
  }

  private readonly onUncapturedError = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    this.errors.park(new KernelError(`gpu: the device refused a command: ${event.error.message}`));
  };
}

/** Opens the caller's device, or the adapter that the host finds, with all the limits that the adapter has. */
export async function openGpuWith(
  findAdapter: (wanted: string | undefined) => Promise<HostAdapter>,
  options: OpenGpuOptions = {},
): Promise<Gpu> {
  if (options.device) {
    const { device } = options;
    const info = describe(device.adapterInfo, undefined, "the caller's device", device);
    return new Gpu(device, info, false, () => {}, options);
  }
  const host = await findAdapter(options.adapter);
  let device: GPUDevice | undefined;
  try {
    const { adapter } = host;
    device = await adapter.requestDevice({
      requiredLimits: readLimits(adapter.limits),
      requiredFeatures: WANTED_FEATURES.filter((feature) => adapter.features.has(feature)),
    });
    const info = describe(adapter.info, host.kind, host.driver, device);
    return new Gpu(device, info, true, () => host.release(), options);
  } catch (error) {
    device?.destroy();
    host.release();
    throw error;
  }
}

function describe(
  /** Absent on the devices of older browsers. */
  adapter: GPUAdapterInfo | undefined,
  kind: GpuInfo["kind"] | undefined,
  driver: string,
  device: GPUDevice,
): GpuInfo {
  return {
    vendor: adapter?.vendor ?? "",
    architecture: adapter?.architecture ?? "",
    device: adapter?.device ?? "",
    description: adapter?.description ?? "",
    kind: kind ?? (adapter ? adapterKind(adapter) : "hardware"),
    driver,
    limits: readLimits(device.limits),
    features: [...device.features].sort(),
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

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
