/** The device and everything that hangs on it: pool, command stream, pipelines, scopes, programs, errors. */
import { Allocator, BufferUsage } from "./allocator.js";
import { BufferPool, type Storage } from "./buffers.js";
import type { Recorded } from "./commands.js";
import { DeviceLostError, DisposedError, HandgradError, KernelError, ProgramError } from "./errors.js";
import { Kernel, type KernelRecord, type View } from "./kernel.js";
import { NonFiniteScan } from "./non_finite_scan.js";
import { Lifetime } from "./lifetime.js";
import { ParkedErrors } from "./parked_errors.js";
import { PipelineCache } from "./pipelines.js";
import type { GpuInfo, OpenGpuOptions } from "./open.js";
import { type Profile, takeProfile } from "./profiler.js";
import { Program, Recording } from "./program.js";
import { Scopes } from "./scopes.js";
import { CommandStream } from "./stream.js";
import { Tuner, type TuningRow } from "./tuner.js";

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
  /** Whether results do not depend on the size of the batch; see `OpenGpuOptions`. */
  readonly deterministic: boolean;
  /** Chooses among the variants of the hot ops; see `tune`. */
  readonly tuner: Tuner;
  /** The body of a program that is being recorded. */
  recording?: Recording;
  /** The scopes and program bodies that are open, and the tensors that are alive. */
  readonly scopes = new Scopes();
  private disposed = false;
  /** Ends when the device is lost or the gpu disposed of. */
  readonly lifetime = new Lifetime();
  /** What the device's `lost` promise holds on to; emptied by `dispose`, since a caller's device may live on. */
  private readonly watch: { gpu?: Gpu } = { gpu: this };
  private readonly scan?: NonFiniteScan;

  constructor(
    readonly device: GPUDevice,
    readonly info: GpuInfo,
    private readonly ownsDevice: boolean,
    options: OpenGpuOptions,
  ) {
    this.limits = device.limits;
    this.deterministic = options.deterministic ?? false;
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

  /**
   * A storage for a tensor; a program's body gets one that the program keeps.
   * @param forHost for values of the host: rather one that they can be written to at once
   */
  acquire(byteLength: number, forHost = false): Storage {
    this.throwIfDisposed();
    if (this.recording) return this.recording.acquire(byteLength);
    return this.pool.acquire(byteLength, undefined, forHost ? this.stream.lastSubmitted : Infinity);
  }

  /** Gives a storage back to the pool, or to the program whose body is being recorded. */
  release(storage: Storage): void {
    if (storage.owner === undefined) this.pool.release(storage);
    else if (storage.owner === this.recording) this.recording.recycle(storage);
  }

  /** Writes data to a storage, in order with the ops recorded before. */
  upload(storage: Storage, data: ArrayBufferView, what: string): void {
    this.throwIfDisposed();
    this.scopes.forbid(`${what}: an upload`, "make the tensor before it, and write() to it");
    this.stream.upload(storage, data);
  }

  /** Waits for everything recorded and returns a copy of the storage's first bytes. */
  async read(storage: Storage, byteLength: number, what: string): Promise<ArrayBuffer> {
    this.throwIfDisposed();
    const waiter = this.errors.startWaiting();
    const size = Math.max(byteLength, 4);
    const target = this.allocator.create(size, BufferUsage.mapRead | BufferUsage.copyDst);
    try {
      if (byteLength > 0) this.stream.push({ kind: "read", source: storage, target, byteLength, waiter });
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

  /** Rejects with the device's loss, or the gpu's disposal, if that comes first. */
  unlessLost<T>(work: Promise<T>): Promise<T> {
    return this.lifetime.unlessEnded(work);
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
   * Runs `body` and releases every tensor made in it but those it returns, also inside arrays, records, maps and sets
   * (not inside objects of other classes).
   * @throws ProgramError if the body returns a promise, uploads, reads back or disposes of an outer tensor
   */
  scope<T>(body: () => T): T {
    this.throwIfDisposed();
    return this.scopes.run("scope", body);
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
      result = this.scopes.run("program", body, (results) => {
        recording.results = results;
      });
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

  /** Checks a user's record and makes it a kernel; see `KernelRecord`. */
  kernel<Options = undefined>(record: KernelRecord<Options>): Kernel<Options> {
    return new Kernel(record);
  }

  /** Live tensors, bytes they (and programs) use, bytes pooled for reuse, buffers ever created. */
  memory(): MemoryReport {
    const { bytesUsed, bytesPooled, created } = this.pool;
    return {
      tensors: this.scopes.liveTensors,
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
    return takeProfile(this, body);
  }

  /**
   * Measures the variants of every hot op for the shapes used so far, takes the fastest and remembers them for this
   * adapter (see `tuner.export` for shipping them). Programs recorded before keep what they were recorded with.
   * @param report called with each row as it is measured
   */
  async tune(report?: (row: TuningRow) => void): Promise<TuningRow[]> {
    this.throwIfDisposed();
    await this.finish();
    return this.tuner.tune(this, { report });
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
    this.lifetime.end(error);
    this.device.removeEventListener("uncapturederror", this.onUncapturedError);
    this.pool.clear();
    this.allocator.destroyAll();
    if (this.ownsDevice) this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private onLost({ reason, message }: GPUDeviceLostInfo): void {
    const why = message ? `${reason}: ${message}` : reason;
    const error = new DeviceLostError(`gpu: the device was lost (${why}); open a new one with openGpu()`);
    this.stream.markLost(error);
    this.lifetime.end(error);
  }

  private readonly onUncapturedError = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    this.errors.park(new KernelError(`gpu: the device refused a command: ${event.error.message}`));
  };
}
