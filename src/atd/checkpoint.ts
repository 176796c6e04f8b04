/** What training writes down between epochs so that it can go on with the same numbers: one safetensors file. */
import { FormatError } from "../gpu/errors.js";
import { decodeSafetensors, encodeSafetensors } from "../io/safetensors.js";
import type { Tensors } from "../layers/layer.js";
import type { StateArray } from "../optimizer.js";

/** Arrays by name, group by group ("discriminator", "optimizer", …). */
export type CheckpointGroups = Readonly<Record<string, ReadonlyMap<string, StateArray>>>;

export interface Checkpoint<Facts> {
  readonly groups: CheckpointGroups;
  /** What is no array: epochs done, options, history. */
  readonly facts: Facts;
}

const FACTS_KEY = "facts";
const KIND_KEY = "checkpoint";

/** @param kind what was trained; `decodeCheckpoint` takes a file of the same kind only */
export function encodeCheckpoint<Facts>(
  kind: string,
  { groups, facts }: Checkpoint<Facts>,
): Uint8Array<ArrayBuffer> {
  const entries = Object.entries(groups).flatMap(([group, arrays]) =>
    [...arrays].map(([name, array]) => [`${group}/${name}`, array] as [string, StateArray]),
  );
  return encodeSafetensors(entries, { [KIND_KEY]: kind, [FACTS_KEY]: JSON.stringify(facts) });
}

/** @throws FormatError for anything but a checkpoint of this kind */
export function decodeCheckpoint<Facts>(kind: string, bytes: Uint8Array): Checkpoint<Facts> {
  const { tensors, metadata } = decodeSafetensors(bytes, { name: "checkpoint" });
  if (metadata[KIND_KEY] !== kind) {
    throw new FormatError(
      `checkpoint: it is of ${metadata[KIND_KEY] ?? "no training"}, and one of ${kind} is taken`,
    );
  }
  const groups: Record<string, Map<string, StateArray>> = {};
  for (const [path, { shape, data }] of tensors) {
    const slash = path.indexOf("/");
    const group = path.slice(0, slash);
    groups[group] ??= new Map();
    groups[group].set(path.slice(slash + 1), { shape: [...shape], data: data as Float32Array });
  }
  return { groups, facts: JSON.parse(metadata[FACTS_KEY]) as Facts };
}

/** The values of tensors on the host; u32 counters as float32, exact up to 2^24. */
export async function readTensors(tensors: Tensors): Promise<Map<string, StateArray>> {
  const arrays = new Map<string, StateArray>();
  for (const [name, tensor] of Object.entries(tensors)) {
    arrays.set(name, { shape: [...tensor.shape], data: Float32Array.from(await tensor.data()) });
  }
  return arrays;
}

/** @throws FormatError, before anything is written, unless there is an array for each tensor and no other */
export function checkTensors(
  what: string,
  tensors: Tensors,
  arrays: ReadonlyMap<string, StateArray> | undefined,
): void {
  for (const name of new Set([...Object.keys(tensors), ...(arrays?.keys() ?? [])])) {
    const [tensor, array] = [tensors[name], arrays?.get(name)];
    if (tensor && array && tensor.shape.join() === array.shape.join()) continue;
    throw new FormatError(
      `checkpoint: ${what} "${name}" has shape [${array?.shape ?? "missing"}], and ` +
        `[${tensor?.shape ?? "none"}] is taken; go on with the networks and options that it was made with`,
    );
  }
}

/** Writes what `checkTensors` found right. */
export function writeTensors(tensors: Tensors, arrays: ReadonlyMap<string, StateArray>): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    const { data } = arrays.get(name) as StateArray;
    tensor.write(tensor.dtype === "u32" ? Uint32Array.from(data) : data);
  }
}

/** @throws FormatError if the options differ in anything, naming the first that does */
export function checkSameOptions(now: object, then: object): void {
  const [mine, theirs] = [now, then] as Record<string, unknown>[];
  for (const name of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
    const [a, b] = [JSON.stringify(mine[name]), JSON.stringify(theirs[name])];
    if (a !== b)
      throw new FormatError(`checkpoint: it was made with ${name} ${b}, and this training has ${name} ${a}`);
  }
}
