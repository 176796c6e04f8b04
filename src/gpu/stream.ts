/**
 * The command stream. Ops append commands to a list and encode nothing, since pipelines compile asynchronously;
 * `flush` takes the list, waits for what is still compiling, then encodes in order and submits.
 *
 * Three rules keep the order true:
 * - every dispatch of a list has its own uniform slot in an arena that is written once, before the list runs;
 * - an upload (`queue.writeBuffer` runs ahead of what is not yet submitted) goes out at once only if no
 *   unsubmitted command uses its buffer, else it is a command of its own that splits the submit;
 * - buffers are destroyed only when no unsubmitted command uses them.
 */
import { BufferUsage, type Storage } from "./buffers.js";
import { type DeviceLostError, HandgradError } from "./errors.js";
import type { Pipeline } from "./pipelines.js";
import type { Profiler } from "./profiler.js";

/** A storage as one binding sees it. */
export interface Bound {
  readonly storage: Storage;
  readonly binding: number;
  readonly byteLength: number;
}

export interface Dispatch {
  readonly kind: "dispatch";
  readonly pipeline: Pipeline;
  readonly bound: readonly Bound[];
  readonly uniformBinding: number;
  readonly uniforms?: Uint32Array;
  readonly grid: readonly [number, number, number];
  /** Estimated floating-point operations (or bytes moved), for splitting submits. */
  readonly work: number;
}

/** A dispatch of a program: its bind group lives as long as the program. */
export interface PreparedDispatch {
  readonly pipeline: Pipeline;
  readonly bindGroup: GPUBindGroup;
  readonly grid: readonly [number, number, number];
  readonly work: number;
}

/** What an encoder does outside compute passes. */
export type Transfer =
  | { readonly kind: "clear"; readonly storage: Storage; readonly byteLength: number }
  | { readonly kind: "copy"; readonly source: Storage; readonly target: Storage; readonly byteLength: number }
  | {
      readonly kind: "read";
      readonly source: Storage;
      readonly target: GPUBuffer;
      readonly byteLength: number;
    };

export type Command =
  | Dispatch
  | Transfer
  | { readonly kind: "upload"; readonly storage: Storage; readonly data: ArrayBufferView }
  | {
      readonly kind: "replay";
      readonly commands: readonly (PreparedDispatch | Transfer)[];
      readonly work: number;
      /** The pipelines that were not compiled yet when the program was last run; empty from then on. */
      readonly compiling: readonly Pipeline[];
    };

/** WebGPU's `minUniformBufferOffsetAlignment` is at most this. */
const SLOT_BYTES = 256;
/** Past so many commands the list is submitted, so that the device works while the host records on. */
const FLUSH_COMMANDS = 256;
/** A submit of many seconds loses the device on systems with a watchdog; this is the estimate it is split at. */
const SUBMIT_MILLISECONDS = 500;
/** A list is handed to the device once it holds about so much work. */
const FLUSH_MILLISECONDS = 50;
/** Submits estimated below this say more about overheads than about the rate. */
const LEARNING_MILLISECONDS = 10;

export class CommandStream {
  private pending: Command[] = [];
  private pendingWork = 0;
  private listSerial = 1;
  private submittedSerial = 0;
  private tail: Promise<void> = Promise.resolve();
  private running = 0;
  private inFlight = 0;
  private arena?: GPUBuffer;
  private arenaSlots = 0;
  private doomed: Pick<Storage, "buffer" | "lastUse">[] = [];
  private parked?: { error: HandgradError; count: number };
  private lost?: DeviceLostError;
  /** How many submits were made, and how many dispatches were encoded. */
  submits = 0;
  dispatches = 0;
  profiler?: Profiler;
  /** Keeps the list from being submitted, for `runTimed`. */
  holding = false;

  constructor(
    private readonly device: GPUDevice,
    /** Estimated work a millisecond; refined by what submits really take. */
    private workRate: number,
  ) {}

  /** Appends a command. */
  push(command: Command): void {
    this.throwIfLost();
    touch(command, this.listSerial);
    this.pending.push(command);
    if (command.kind === "dispatch" || command.kind === "replay") this.pendingWork += command.work;
    if (this.pending.length >= FLUSH_COMMANDS || this.pendingWork > this.workRate * FLUSH_MILLISECONDS)
      this.submit();
  }

  /** Writes `data` to a storage, in order with all that was recorded before. The data may be reused at once. */
  upload(storage: Storage, data: ArrayBufferView): void {
    this.throwIfLost();
    if (storage.lastUse <= this.submittedSerial) {
      this.device.queue.writeBuffer(storage.buffer, 0, data.buffer, data.byteOffset, data.byteLength);
    } else {
      const copy = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
      this.push({ kind: "upload", storage, data: copy });
    }
  }

  /** Hands the list over. Errors are parked and thrown by `settle`. */
  submit(): void {
    if (this.pending.length === 0 || this.holding) return;
    const list = this.pending;
    const serial = this.listSerial++;
    this.pending = [];
    this.pendingWork = 0;
    const compiling = list.flatMap(pipelines).filter((pipeline) => !pipeline.compiled);
    if (compiling.length === 0 && this.running === 0) {
      this.encodeSafely(list, serial);
      return;
    }
    this.running++;
    const compiled = Promise.all(
      compiling.map((pipeline) => pipeline.ready.catch((error) => this.park(error))),
    );
    this.tail = this.tail
      .then(() => compiled)
      .then(() => {
        this.encodeSafely(list, serial);
        this.running--;
      });
  }

  /** Submits, waits until everything recorded is encoded, and throws the first error that was parked. */
  async settle(): Promise<void> {
    this.submit();
    await this.tail;
    this.throwIfLost();
    this.throwParked();
  }

  throwParked(): void {
    const { parked } = this;
    this.parked = undefined;
    if (!parked) return;
    if (parked.count > 1) parked.error.message += ` (and ${parked.count - 1} more errors after it)`;
    throw parked.error;
  }

  /** Keeps the first error for the next `settle`. */
  park(error: unknown): void {
    if (this.parked) this.parked.count++;
    else
      this.parked = {
        error: error instanceof HandgradError ? error : new HandgradError(String(error)),
        count: 1,
      };
  }

  markLost(error: DeviceLostError): void {
    this.lost ??= error;
    this.pending = [];
  }

  throwIfLost(): void {
    if (this.lost) throw this.lost;
  }

  /** The serial of the list that commands are appended to now. */
  get currentSerial(): number {
    return this.listSerial;
  }

  /** Destroys a storage's buffer once no unsubmitted command uses it. */
  destroyLater(storage: Pick<Storage, "buffer" | "lastUse">): void {
    if (storage.lastUse <= this.submittedSerial) storage.buffer.destroy();
    else this.doomed.push(storage);
  }

  /** Destroys a buffer once everything recorded so far is submitted. */
  destroyBufferLater(buffer: GPUBuffer): void {
    this.destroyLater({ buffer, lastUse: this.pending.length > 0 ? this.listSerial : this.listSerial - 1 });
  }

  /** Destroys what the stream itself holds. */
  destroy(): void {
    this.arena?.destroy();
    for (const storage of this.doomed) storage.buffer.destroy();
    this.doomed = [];
  }

  private encodeSafely(list: readonly Command[], serial: number): void {
    try {
      if (!this.lost) this.encode(list);
    } catch (error) {
      this.park(error);
    }
    this.submittedSerial = serial;
    const kept: typeof this.doomed = [];
    for (const storage of this.doomed) {
      if (storage.lastUse <= serial) storage.buffer.destroy();
      else kept.push(storage);
    }
    this.doomed = kept;
  }

  private encode(list: readonly Command[]): void {
    const arena = this.writeUniforms(list);
    const submission = new Submission(this.device, this.profiler);
    const limit = this.workRate * SUBMIT_MILLISECONDS;
    let slot = 0;
    const run = (command: Command): void => {
      switch (command.kind) {
        case "dispatch": {
          const offset = command.uniforms ? SLOT_BYTES * slot++ : 0;
          // A kernel that did not compile has parked its error; what depends on it is never read.
          if (command.pipeline.compiled) {
            submission.dispatch(prepare(this.device, command, arena, offset));
            this.dispatches++;
          }
          break;
        }
        case "replay":
          for (const inner of command.commands) {
            if ("kind" in inner) submission.transfer(inner);
            else if (inner.pipeline.compiled) {
              submission.dispatch(inner);
              this.dispatches++;
              if (submission.work > limit) this.finish(submission);
            }
          }
          break;
        case "upload":
          this.finish(submission);
          this.device.queue.writeBuffer(
            command.storage.buffer,
            0,
            command.data.buffer,
            command.data.byteOffset,
            command.data.byteLength,
          );
          break;
        default:
          submission.transfer(command);
      }
      if (submission.work > limit) this.finish(submission);
    };
    for (const command of list) run(command);
    this.finish(submission);
  }

  private finish(submission: Submission): void {
    const { work } = submission;
    if (!submission.submit()) return;
    this.submits++;
    if (work > this.workRate * LEARNING_MILLISECONDS && !this.profiler) this.learnRate(work);
  }

  /** Large submits that start on an idle queue teach how much work a millisecond holds. */
  private learnRate(work: number): void {
    const start = this.inFlight++ === 0 ? performance.now() : undefined;
    const done = (): void => {
      this.inFlight--;
      if (start === undefined) return;
      const rate = work / Math.max(performance.now() - start, 0.1);
      this.workRate = Math.sqrt(this.workRate * rate);
    };
    this.device.queue.onSubmittedWorkDone().then(done, done);
  }

  /**
   * Runs the pending list one command a submit, waiting for each: how `gpu.profile` times kernels on an adapter
   * without timestamps.
   */
  async runTimed(report: (name: string, milliseconds: number) => void): Promise<void> {
    await this.tail;
    const list = this.pending;
    const serial = this.listSerial++;
    this.pending = [];
    this.holding = false;
    await Promise.all(
      list.flatMap(pipelines).map((pipeline) => pipeline.ready.catch((error) => this.park(error))),
    );
    for (const command of list) {
      const start = performance.now();
      this.encodeSafely([command], serial);
      await this.device.queue.onSubmittedWorkDone();
      if (command.kind === "dispatch") report(command.pipeline.name, performance.now() - start);
    }
  }

  /** One write for the uniforms of the whole list. */
  private writeUniforms(list: readonly Command[]): GPUBuffer | undefined {
    let slots = 0;
    for (const command of list) if (command.kind === "dispatch" && command.uniforms) slots++;
    if (slots === 0) return this.arena;
    if (slots > this.arenaSlots) {
      this.arena?.destroy();
      this.arenaSlots = Math.max(FLUSH_COMMANDS, slots);
      this.arena = createUniformBuffer(this.device, this.arenaSlots);
    }
    const words = new Uint32Array((slots * SLOT_BYTES) / 4);
    let slot = 0;
    for (const command of list) {
      if (command.kind === "dispatch" && command.uniforms)
        words.set(command.uniforms, (slot++ * SLOT_BYTES) / 4);
    }
    this.device.queue.writeBuffer(this.arena as GPUBuffer, 0, words);
    return this.arena;
  }
}

/** A command encoder that opens compute passes as dispatches come and closes them for transfers. */
class Submission {
  work = 0;
  private encoder?: GPUCommandEncoder;
  private pass?: GPUComputePassEncoder;
  private pipeline?: GPUComputePipeline;

  constructor(
    private readonly device: GPUDevice,
    private readonly profiler?: Profiler,
  ) {}

  dispatch(prepared: PreparedDispatch): void {
    const compiled = prepared.pipeline.compiled as GPUComputePipeline;
    if (this.profiler) this.endPass(); // one timed pass a dispatch
    if (!this.pass) {
      this.encoder ??= this.device.createCommandEncoder();
      this.pass = this.encoder.beginComputePass(this.profiler?.passDescriptor(prepared.pipeline.name));
      this.pipeline = undefined;
    }
    if (this.pipeline !== compiled) {
      this.pass.setPipeline(compiled);
      this.pipeline = compiled;
    }
    this.pass.setBindGroup(0, prepared.bindGroup);
    this.pass.dispatchWorkgroups(prepared.grid[0], prepared.grid[1], prepared.grid[2]);
    this.work += prepared.work;
  }

  transfer(command: Transfer): void {
    this.endPass();
    this.encoder ??= this.device.createCommandEncoder();
    if (command.kind === "clear") this.encoder.clearBuffer(command.storage.buffer, 0, command.byteLength);
    else {
      const target = command.kind === "copy" ? command.target.buffer : command.target;
      this.encoder.copyBufferToBuffer(command.source.buffer, 0, target, 0, command.byteLength);
    }
  }

  submit(): boolean {
    this.endPass();
    if (!this.encoder) return false;
    this.device.queue.submit([this.encoder.finish()]);
    this.encoder = undefined;
    this.work = 0;
    return true;
  }

  private endPass(): void {
    this.pass?.end();
    this.pass = undefined;
  }
}

export function createUniformBuffer(device: GPUDevice, slots: number): GPUBuffer {
  return device.createBuffer({ size: slots * SLOT_BYTES, usage: BufferUsage.uniform | BufferUsage.copyDst });
}

/** Makes the bind group of a dispatch whose uniforms stand at `offset` of `uniformBuffer`. */
export function prepare(
  device: GPUDevice,
  command: Dispatch,
  uniformBuffer: GPUBuffer | undefined,
  offset: number,
): PreparedDispatch {
  const entries: GPUBindGroupEntry[] = command.bound.map(({ storage, binding, byteLength }) => ({
    binding,
    resource: { buffer: storage.buffer, size: byteLength },
  }));
  if (command.uniforms) {
    const size = command.uniforms.byteLength;
    entries.push({
      binding: command.uniformBinding,
      resource: { buffer: uniformBuffer as GPUBuffer, offset, size },
    });
  }
  const bindGroup = device.createBindGroup({
    layout: command.pipeline.layout,
    entries,
    label: command.pipeline.name,
  });
  return { pipeline: command.pipeline, bindGroup, grid: command.grid, work: command.work };
}

export { SLOT_BYTES };

function pipelines(command: Command): Pipeline[] {
  if (command.kind === "dispatch") return [command.pipeline];
  return command.kind === "replay" ? [...command.compiling] : [];
}

function touch(command: Command, serial: number): void {
  switch (command.kind) {
    case "dispatch":
      for (const { storage } of command.bound) storage.lastUse = serial;
      break;
    case "upload":
    case "clear":
      command.storage.lastUse = serial;
      break;
    case "copy":
      command.source.lastUse = command.target.lastUse = serial;
      break;
    case "read":
      command.source.lastUse = serial;
      break;
    case "replay":
      break; // A program touches its storages itself, without a walk over its commands.
  }
}
