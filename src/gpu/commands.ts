/** What the command stream and programs are lists of. */
import type { Storage } from "./buffers.js";
import type { Waiter } from "./parked_errors.js";
import type { Pipeline } from "./pipelines.js";

/** A storage as one binding sees it. */
export interface Bound {
  readonly storage: Storage;
  readonly binding: number;
  readonly byteLength: number;
  /** Whether its old values go into the result. */
  readonly reads: boolean;
  readonly writes: boolean;
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
  readonly bound: readonly Bound[];
  readonly bindGroup: GPUBindGroup;
  readonly grid: readonly [number, number, number];
  readonly work: number;
}

export function prepared(
  { pipeline, bound, grid, work }: Dispatch,
  bindGroup: GPUBindGroup,
): PreparedDispatch {
  return { pipeline, bound, bindGroup, grid, work };
}

/** What an encoder does outside compute passes. */
export type Transfer =
  | { readonly kind: "clear"; readonly storage: Storage; readonly byteLength: number }
  | {
      readonly kind: "copy";
      readonly source: Storage;
      readonly target: Storage;
      readonly byteLength: number;
      /** Whether what the copies before put into the target stays, beside this; default false. */
      readonly joins?: boolean;
      /** In bytes; default 0. */
      readonly sourceOffset?: number;
      readonly targetOffset?: number;
    }
  | {
      readonly kind: "read";
      readonly source: Storage;
      readonly target: GPUBuffer;
      readonly byteLength: number;
      /** Told if the values are missing because an op before failed. */
      readonly waiter: Waiter;
    };

/** What a program's body may record. */
export type Recorded = Dispatch | Transfer;

/** A run of a program. */
export interface Replay {
  readonly kind: "replay";
  readonly commands: readonly (PreparedDispatch | Transfer)[];
  readonly work: number;
  /** The pipelines that were not compiled yet when the program was last run; empty from then on. */
  readonly compiling: readonly Pipeline[];
}

export type Command =
  | Recorded
  | Replay
  | { readonly kind: "upload"; readonly storage: Storage; readonly data: ArrayBufferView };

/** Notes in the storages of a command that the list of this serial uses them. */
export function touch(command: Command, serial: number): void {
  // A program touches its storages itself, without a walk over its commands.
  if (command.kind === "replay") return;
  if (command.kind === "upload") command.storage.lastUse = serial;
  else for (const storage of storagesOf(command)) storage.lastUse = serial;
}

/** The storages that a command reads or writes. */
export function storagesOf(command: Recorded): Storage[] {
  switch (command.kind) {
    case "dispatch":
      return command.bound.map(({ storage }) => storage);
    case "clear":
      return [command.storage];
    case "copy":
      return [command.source, command.target];
    case "read":
      return [command.source];
  }
}

/** The pipelines without which the commands cannot be encoded, each once. */
export function compilingPipelines(commands: readonly Command[]): Pipeline[] {
  const found = new Set<Pipeline>();
  for (const command of commands) {
    const pipelines = command.kind === "dispatch" ? [command.pipeline] : [];
    for (const pipeline of command.kind === "replay" ? command.compiling : pipelines) {
      if (!pipeline.compiled) found.add(pipeline);
    }
  }
  return [...found];
}
