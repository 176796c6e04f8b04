/**
 * Programs: a list of commands, recorded once, that replays. A run allocates nothing, checks no shape and looks up
 * no pipeline; what changes from run to run is data on the device (inputs by `tensor.write()`, the learning rate,
 * Adam's step count, random counters).
 */
import { makeBindGroup } from "./bind_groups.js";
import type { Storage } from "./buffers.js";
import { type PreparedDispatch, prepared, type Recorded, storagesOf, type Transfer } from "./commands.js";
import { DisposedError, KernelError, ProgramError } from "./errors.js";
import type { Gpu } from "./gpu.js";
import type { Trackable } from "./scopes.js";
import type { Pipeline } from "./pipelines.js";
import { createUniformBuffer, packSlots, SLOT_BYTES } from "./submission.js";

/** The commands and storages of a program while its body runs. */
export class Recording {
  readonly commands: Recorded[] = [];
  readonly storages: Storage[] = [];
  /** The tensors that the body made and returned. */
  results: readonly Trackable[] = [];
  private readonly free = new Map<number, Storage[]>();

  constructor(private readonly gpu: Gpu) {}

  /** A storage that the program keeps; one released earlier in the same body serves again. */
  acquire(byteLength: number): Storage {
    const reused = this.free.get(this.gpu.pool.capacityFor(byteLength))?.pop();
    if (reused) {
      reused.references = 1;
      return reused;
    }
    const storage = this.gpu.pool.acquire(byteLength, this);
    this.storages.push(storage);
    return storage;
  }

  /** Lets a later temporary of the same body have the storage. */
  recycle(storage: Storage): void {
    const storages = this.free.get(storage.capacity);
    if (storages) storages.push(storage);
    else this.free.set(storage.capacity, [storage]);
  }
}

/** A recorded list of dispatches; `run()` replays it. Made by `gpu.program(body)`. */
export class Program<Result = unknown> {
  private readonly commands: readonly (PreparedDispatch | Transfer)[];
  private compiling: readonly Pipeline[];
  private readonly work: number;
  /** Everything the commands touch; `inputs` are those that the program does not own. */
  private readonly touched: readonly Storage[];
  private readonly inputs: readonly Storage[];
  private readonly uniformBuffer?: GPUBuffer;
  private disposed = false;

  /** @param result what the body returned; its tensors are overwritten by each run */
  constructor(
    private readonly gpu: Gpu,
    private readonly recording: Recording,
    readonly result: Result,
  ) {
    const { commands } = recording;
    const dispatches = commands.filter((command) => command.kind === "dispatch");
    const uniforms = packSlots(dispatches);
    if (uniforms) {
      this.uniformBuffer = createUniformBuffer(gpu.allocator, dispatches.length);
      gpu.device.queue.writeBuffer(this.uniformBuffer, 0, uniforms);
    }
    this.commands = this.prepareAll(commands);
    this.compiling = dispatches.map((command) => command.pipeline);
    this.work = dispatches.reduce((sum, command) => sum + command.work, 0);
    const touched = new Set<Storage>();
    for (const command of commands) for (const storage of storagesOf(command)) touched.add(storage);
    this.touched = [...touched];
    this.inputs = this.touched.filter(
      (storage) => storage.owner !== recording && storage !== gpu.placeholder,
    );
  }

  private prepareAll(commands: readonly Recorded[]): (PreparedDispatch | Transfer)[] {
    const { device, errors } = this.gpu;
    let slot = 0;
    const prepareOne = (command: Recorded): PreparedDispatch | Transfer => {
      if (command.kind !== "dispatch") return command;
      const offset = command.uniforms ? SLOT_BYTES * slot++ : 0;
      return prepared(command, makeBindGroup(device, command, this.uniformBuffer, offset));
    };
    return errors.guard(
      "validation",
      () => commands.map(prepareOne),
      (message) => new KernelError(`program: the device refused the bindings of a kernel: ${message}`),
    );
  }

  /** How many dispatches a run makes. */
  get dispatches(): number {
    return this.commands.reduce((count, command) => count + ("kind" in command ? 0 : 1), 0);
  }

  /**
   * Replays the recorded commands, in order with everything else.
   * @returns what the body returned; its tensors hold this run's results
   * @throws ProgramError if a tensor that the body used was disposed, or inside a program body
   */
  run(): Result {
    const { gpu } = this;
    if (this.disposed) throw new DisposedError("program: it was disposed; record it anew with gpu.program()");
    gpu.throwIfDisposed();
    if (gpu.recording)
      throw new ProgramError("program: run() inside another program's body is not taken; call its function");
    for (const storage of this.inputs) {
      if (storage.released) {
        throw new ProgramError(
          "program: a tensor that its body used was disposed; keep the inputs alive, or record the program anew",
        );
      }
    }
    if (this.compiling.length > 0) this.compiling = this.compiling.filter((pipeline) => !pipeline.compiled);
    const serial = gpu.stream.currentSerial;
    for (const storage of this.touched) storage.lastUse = serial;
    gpu.stream.push({ kind: "replay", commands: this.commands, work: this.work, compiling: this.compiling });
    return this.result;
  }

  /** Releases the program's temporaries and results. Idempotent. @throws ProgramError inside a program body */
  dispose(): void {
    const { gpu, recording } = this;
    if (this.disposed) return;
    if (gpu.recording)
      throw new ProgramError("program: dispose() inside another program's body is not taken; call it after");
    this.disposed = true;
    if (this.uniformBuffer) gpu.stream.destroyBufferLater(this.uniformBuffer);
    gpu.scopes.outside(() => {
      for (const tensor of recording.results) tensor.dispose();
    });
    for (const storage of recording.storages) gpu.pool.release(storage);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
