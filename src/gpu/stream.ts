/**
 * The command stream. Ops append commands to a list and encode nothing, since pipelines compile asynchronously;
 * `submit` takes the list, waits for what is still compiling, then encodes in order and hands it to the device.
 *
 * Three rules keep the order true:
 * - every dispatch of a list has its own uniform slot in an arena that is written once, before the list runs;
 * - an upload (`queue.writeBuffer` runs ahead of what is not yet submitted) goes out at once only if no
 *   unsubmitted command uses its buffer, else it is a command of its own that splits the submit;
 * - buffers are destroyed only when no unsubmitted command uses them.
 */
import type { Allocator } from "./allocator.js";
import { BindGroups } from "./bind_groups.js";
import type { Storage } from "./buffers.js";
import {
  type Command,
  compilingPipelines,
  type PreparedDispatch,
  prepared,
  type Transfer,
  touch,
} from "./commands.js";
import { type HandgradError, KernelError } from "./errors.js";
import type { ParkedErrors } from "./parked_errors.js";
import type { Profiler } from "./profiler.js";
import { createUniformBuffer, packSlots, SLOT_BYTES, Submission } from "./submission.js";
import { Validity } from "./validity.js";

/** Past so many commands the list is submitted, so that the device works while the host records on. */
const FLUSH_COMMANDS = 256;
/** A submit of many seconds loses the device on systems with a watchdog; this is the estimate it is split at. */
const SUBMIT_MILLISECONDS = 500;
/** A list is handed to the device once it holds about so much work. */
const FLUSH_MILLISECONDS = 50;
/** Submits estimated below this say more about overheads than about the rate. */
const LEARNING_MILLISECONDS = 10;

/** Told how long one dispatch took. */
export type Report = (kernel: string, milliseconds: number) => void;

/** A buffer and the last list that uses it. */
type Doomed = Pick<Storage, "buffer" | "lastUse">;

export class CommandStream {
  private pending: Command[] = [];
  private pendingWork = 0;
  private listSerial = 1;
  private submittedSerial = 0;
  /** Lists that wait for a pipeline, or for the lists before them, hang on this one after the other. */
  private tail: Promise<void> = Promise.resolve();
  private waitingLists = 0;
  private inFlight = 0;
  /** A slot for each command that a list can hold. */
  private arena?: GPUBuffer;
  private doomed: Doomed[] = [];
  private readonly validity = new Validity();
  private readonly bindGroups: BindGroups;
  private lost?: HandgradError;
  /** How many submits were made, and how many dispatches were encoded. */
  submits = 0;
  dispatches = 0;
  /** Set by `gpu.profile`: takes timestamps around every dispatch. */
  profiler?: Profiler;
  /** Set by `gpu.profile` where there are no timestamps: every dispatch is a submit of its own, waited for. */
  timer?: Report;

  constructor(
    private readonly device: GPUDevice,
    private readonly allocator: Allocator,
    private readonly errors: ParkedErrors,
    /** Estimated work a millisecond; refined by what submits really take. */
    private workRate: number,
  ) {
    this.bindGroups = new BindGroups(device);
  }

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
      const upload: Command = { kind: "upload", storage, data };
      const answered = this.validity.hand([upload]);
      this.validity.follow(upload);
      this.guard(["an upload"], () => this.write(storage.buffer, data), answered);
    } else {
      const copy = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
      this.push({ kind: "upload", storage, data: copy });
    }
  }

  /** Hands the list over. Errors are parked and thrown by `settle`. */
  submit(): void {
    if (this.pending.length === 0) return;
    const list = this.pending;
    const serial = this.listSerial++;
    this.pending = [];
    this.pendingWork = 0;
    const { timer } = this;
    const compiling = compilingPipelines(list);
    if (compiling.length === 0 && this.waitingLists === 0 && !timer) {
      this.encodeSafely(list);
      this.finishList(serial);
      return;
    }
    this.waitingLists++;
    const compiled = Promise.all(
      compiling.map((pipeline) => pipeline.ready.catch((error) => this.errors.park(error))),
    );
    this.tail = this.tail.then(async () => {
      await compiled;
      if (timer) await this.encodeTimed(list, timer);
      else this.encodeSafely(list);
      this.finishList(serial);
      this.waitingLists--;
    });
  }

  /** Submits, waits until everything recorded is encoded, and throws the first error that was parked. */
  async settle(): Promise<void> {
    this.submit();
    await this.tail;
    this.throwIfLost();
  }

  markLost(error: HandgradError): void {
    this.lost ??= error;
    this.pending = [];
    this.bindGroups.clear();
  }

  throwIfLost(): void {
    if (this.lost) throw this.lost;
  }

  /** The serial of the list that commands are appended to now. */
  get currentSerial(): number {
    return this.listSerial;
  }

  /** The serial of the last list that was handed to the device. */
  get lastSubmitted(): number {
    return this.submittedSerial;
  }

  /** Destroys a storage's buffer once no unsubmitted command uses it. */
  destroyLater(storage: Doomed): void {
    if (storage.lastUse <= this.submittedSerial) this.allocator.destroy(storage.buffer);
    else this.doomed.push(storage);
  }

  /** Destroys a buffer once everything recorded so far is submitted. */
  destroyBufferLater(buffer: GPUBuffer): void {
    this.destroyLater({ buffer, lastUse: this.pending.length > 0 ? this.listSerial : this.listSerial - 1 });
  }

  /** The list of this serial is submitted: buffers that waited for it can go. */
  private finishList(serial: number): void {
    this.submittedSerial = serial;
    const done = this.doomed.filter((storage) => storage.lastUse <= serial);
    if (done.length === 0) return;
    this.doomed = this.doomed.filter((storage) => storage.lastUse > serial);
    for (const { buffer } of done) this.allocator.destroy(buffer);
  }

  private encodeSafely(list: readonly Command[]): void {
    if (this.lost) return;
    const submission = new Submission(this.device, this.profiler);
    const answered = this.validity.hand(list);
    let thrown: HandgradError | undefined;
    try {
      this.guard(
        submission.kernels,
        () => this.encode(list, submission),
        (refusal) => answered(refusal ?? thrown),
      );
    } catch (error) {
      thrown = this.errors.park(error);
    }
  }

  /** What the device refuses in `body` is parked as an error that names `what` was to be run. */
  private guard(
    what: Iterable<string>,
    body: () => void,
    answered: (refusal: HandgradError | undefined) => void,
  ): void {
    const explain = (message: string): HandgradError => {
      const names = [...what].join(", ") || "a copy";
      return new KernelError(
        `the device refused a submit of ${names}: ${message}; what it was to write is missing, record it again`,
      );
    };
    this.errors.guard("validation", body, explain, answered);
  }

  private encode(list: readonly Command[], submission: Submission): void {
    const arena = this.writeUniforms(list);
    let slot = 0;
    for (const command of list) {
      switch (command.kind) {
        case "dispatch": {
          const offset = command.uniforms ? SLOT_BYTES * slot++ : 0;
          if (!this.validity.problemOf(command))
            this.dispatch(submission, prepared(command, this.bindGroups.of(command, arena, offset)));
          break;
        }
        case "replay":
          for (const inner of command.commands) this.replay(submission, inner);
          break;
        case "upload":
          this.finish(submission);
          this.validity.follow(command);
          this.write(command.storage.buffer, command.data);
          break;
        default:
          this.transfer(submission, command);
      }
    }
    this.finish(submission);
  }

  private replay(submission: Submission, command: PreparedDispatch | Transfer): void {
    if ("kind" in command) this.transfer(submission, command);
    else if (!this.validity.problemOf(command)) this.dispatch(submission, command);
  }

  private transfer(submission: Submission, command: Transfer): void {
    this.validity.follow(command);
    submission.transfer(command);
  }

  private dispatch(submission: Submission, prepared: PreparedDispatch): void {
    const limit = this.workRate * SUBMIT_MILLISECONDS;
    if (submission.work > 0 && submission.work + prepared.work > limit) this.finish(submission);
    submission.dispatch(prepared);
    this.dispatches++;
  }

  private write(buffer: GPUBuffer, data: ArrayBufferView): void {
    this.device.queue.writeBuffer(buffer, 0, data.buffer, data.byteOffset, data.byteLength);
  }

  private finish(submission: Submission): void {
    const { work } = submission;
    if (!submission.submit()) return;
    this.submits++;
    if (work > this.workRate * LEARNING_MILLISECONDS && !this.profiler && !this.timer) this.learnRate(work);
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

  /** Runs a list one dispatch a submit, those of programs too, waiting for each. */
  private async encodeTimed(list: readonly Command[], report: Report): Promise<void> {
    for (const command of list) {
      const steps: readonly Command[] =
        command.kind === "replay"
          ? command.commands.map((inner) => ({ ...command, commands: [inner], compiling: [] }))
          : [command];
      for (const step of steps) {
        const name = kernelOf(step);
        const start = performance.now();
        this.encodeSafely([step]);
        await this.device.queue.onSubmittedWorkDone().catch(() => {}); // a lost device is told by its own promise
        if (name) report(name, performance.now() - start);
      }
    }
  }

  /** One write for the uniforms of the whole list. */
  private writeUniforms(list: readonly Command[]): GPUBuffer | undefined {
    const words = packSlots(list.filter((command) => command.kind === "dispatch"));
    if (!words) return undefined;
    this.arena ??= createUniformBuffer(this.allocator, FLUSH_COMMANDS);
    this.write(this.arena, words);
    return this.arena;
  }
}

/** The kernel that a command runs if it is a dispatch, or a replay of a single one. */
function kernelOf(command: Command): string | undefined {
  if (command.kind === "dispatch") return command.pipeline.compiled && command.pipeline.name;
  if (command.kind !== "replay") return undefined;
  const [inner] = command.commands;
  return "kind" in inner || !inner.pipeline.compiled ? undefined : inner.pipeline.name;
}
