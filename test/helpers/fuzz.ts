import { FormatError } from "../../src/gpu/errors.js";
import { philoxBits } from "../../src/random.js";

const typedArrays = [
  "ArrayBuffer",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int8Array",
  "Uint16Array",
  "Int16Array",
  "Uint32Array",
  "Int32Array",
  "Float32Array",
  "Float64Array",
  "BigInt64Array",
  "BigUint64Array",
] as const;

/** Bytes that `new kind(first)` takes from memory: none for a view of a buffer. */
function bytesAllocated(kind: string, first: unknown, bytesPerElement: number): number {
  if (typeof first === "number") return first * bytesPerElement;
  if (first instanceof ArrayBuffer || typeof first !== "object" || first === null) return 0;
  return kind === "ArrayBuffer" ? 0 : (first as ArrayLike<number>).length * bytesPerElement;
}

/**
 * Runs a function and gives the largest number of bytes that it asked for in one typed array. The global
 * constructors are watched while it runs, so nothing else may run at the same time.
 */
export async function largestAllocation(run: () => unknown): Promise<number> {
  const globals = globalThis as unknown as Record<string, new (...args: unknown[]) => object>;
  const originals = typedArrays.map((kind) => globals[kind]);
  let largest = 0;
  for (const kind of typedArrays) {
    const original = globals[kind];
    const bytesPerElement = (original as unknown as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
    globals[kind] = new Proxy(original, {
      construct(target, args, newTarget) {
        largest = Math.max(largest, bytesAllocated(kind, args[0], bytesPerElement));
        return Reflect.construct(target, args, newTarget);
      },
    });
  }
  try {
    await run();
  } finally {
    typedArrays.forEach((kind, i) => {
      globals[kind] = originals[i];
    });
  }
  return largest;
}

/** A copy with one random change: bits flipped, a field overwritten with an extreme, bytes cut or put in. */
export function mutate(bytes: Uint8Array, random: ArrayLike<number>): Uint8Array {
  const [choice, place, value] = [random[0] % 6, random[1] % Math.max(1, bytes.length), random[2]];
  const copy = bytes.slice();
  if (choice === 0) return copy.subarray(0, place);
  if (choice === 1) return new Uint8Array([...copy, value & 0xff]);
  if (choice === 2)
    return new Uint8Array([...copy.subarray(0, place), ...copy.subarray(place + 1 + (value % 8))]);
  if (choice === 3)
    return new Uint8Array([...copy.subarray(0, place), value & 0xff, ...copy.subarray(place)]);
  if (choice === 4) copy.fill(value & 1 ? 0xff : 0x7f, place, place + 1 + (value % 8));
  else copy[place] ^= 1 << (value % 8);
  return copy;
}

export interface FuzzOptions {
  rounds: number;
  /** The most bytes that the reader may ask for at once. */
  maxBytes: number;
  /** Puts right what a mutation breaks, such as a checksum, so that later checks are reached. */
  repair?: (bytes: Uint8Array) => Uint8Array;
}

/**
 * Feeds a reader with every truncation of a file of up to 300 bytes and with random mutations of it.
 *
 * @returns how many were refused, always by a `FormatError`
 * @throws if the reader throws anything else or asks for more memory than it may
 */
export async function fuzzReader(
  bytes: Uint8Array,
  read: (bytes: Uint8Array) => unknown,
  { rounds, maxBytes, repair = (mutated) => mutated }: FuzzOptions,
): Promise<number> {
  const inputs: Uint8Array[] = [];
  for (let length = 0; length < Math.min(bytes.length, 300); length++) inputs.push(bytes.slice(0, length));
  for (let round = 0; round < rounds; round++) {
    const random = philoxBits(8, 11, round);
    const once = mutate(bytes, random);
    inputs.push(repair(round % 3 === 0 ? mutate(once, random.subarray(4)) : once));
  }
  let refused = 0;
  for (const [index, input] of inputs.entries()) {
    const largest = await largestAllocation(async () => {
      try {
        await read(input);
      } catch (error) {
        if (!(error instanceof FormatError)) {
          throw new Error(`input ${index} (${Array.from(input)}): ${error}`, { cause: error });
        }
        refused++;
      }
    });
    if (!(largest <= maxBytes)) {
      throw new Error(`input ${index} (${Array.from(input)}) made the reader ask for ${largest} bytes`);
    }
  }
  return refused;
}
