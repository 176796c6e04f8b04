import { FormatError, ValueError } from "../gpu/errors.js";
import { checkHostArray, elementCount, type HostArray, roundToFloat32 } from "./array.js";
import { elementBytes, type ElementType, littleEndianBytes, readElements } from "./elements.js";
import { concatBytes } from "./inflate.js";
import { findDuplicateKey } from "./json.js";

/**
 * Safetensors (Hugging Face): the header's length as a little-endian 64-bit integer; the header, a JSON
 * object `{ name: { dtype, shape, data_offsets: [begin, end] }, "__metadata__": { key: text } }`; then the
 * numbers, little-endian, row-major, without gaps or overlaps.
 */
const prefixBytes = 8;
const headerAlignment = 8;
const metadataKey = "__metadata__";

/** The format's own cap on the header. */
const maxHeaderBytes = 100_000_000;

const typeOfDtype: Readonly<Record<string, ElementType>> = {
  F16: "f16",
  BF16: "bf16",
  F32: "f32",
  F64: "f64",
  I8: "i8",
  U8: "u8",
  I16: "i16",
  U16: "u16",
  I32: "i32",
  U32: "u32",
  I64: "i64",
  U64: "u64",
  BOOL: "bool",
};

const floatTypes = new Set<ElementType>(["f16", "bf16", "f32", "f64"]);

/** Named arrays and the file's own notes. */
export interface Safetensors {
  /** In the order of the file's data. */
  tensors: Map<string, HostArray>;
  metadata: Record<string, string>;
}

interface Entry {
  tensorName: string;
  type: ElementType;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * Reads a safetensors file into float32 arrays. F64 is rounded to nearest; integers must be exact in float32.
 *
 * @param bytes the whole file
 * @param options `name` for messages
 * @throws FormatError if the file is truncated or oversized, its header is damaged, too long or names a
 *   tensor twice, offsets leave gaps, overlap or do not fit dtype and shape, or a number has no float32; all
 *   of the header is checked before anything is allocated
 * @example
 * const { tensors } = decodeSafetensors(bytes, { name: "digits.safetensors" });
 * tensors.get("dense1.weight"); // { shape: [784, 128], data: Float32Array }
 */
export function decodeSafetensors(bytes: Uint8Array, options: { name?: string } = {}): Safetensors {
  const { name = "bytes" } = options;
  const dataStart = prefixBytes + readHeaderLength(bytes, name);
  const header = parseHeader(bytes.subarray(prefixBytes, dataStart), name);
  const { [metadataKey]: notes = {}, ...rest } = header;
  const metadata = checkMetadata(notes, name);
  const entries = Object.entries(rest).map(([tensorName, value]) => checkEntry(tensorName, value, name));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkOffsets(entries, bytes.length - dataStart, name);
  const tensors = new Map<string, HostArray>();
  for (const { tensorName, type, shape, begin, end } of entries) {
    const where = `${name}: tensor ${JSON.stringify(tensorName)}`;
    const numbers = readElements(bytes.subarray(dataStart + begin, dataStart + end), type, false, where);
    const data =
      numbers instanceof Float32Array ? numbers : roundToFloat32(numbers, !floatTypes.has(type), where);
    tensors.set(tensorName, { shape, data });
  }
  return { tensors, metadata };
}

function readHeaderLength(bytes: Uint8Array, name: string): number {
  if (bytes.length < prefixBytes) {
    throw new FormatError(
      `${name} is not a safetensors file: it has ${bytes.length} bytes, but 8 or more are taken`,
    );
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, prefixBytes).getBigUint64(0, true);
  const available = Math.min(bytes.length - prefixBytes, maxHeaderBytes);
  if (length > available) {
    throw new FormatError(
      `${name} is truncated or not a safetensors file: its header claims ${length} bytes, ` +
        `but ${available} can be`,
    );
  }
  return Number(length);
}

function parseHeader(headerBytes: Uint8Array, name: string): Record<string, unknown> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(headerBytes);
    const header: unknown = JSON.parse(text);
    const duplicate = findDuplicateKey(text);
    if (duplicate !== undefined) {
      throw new FormatError(`the key ${JSON.stringify(duplicate)} stands twice`);
    }
    if (!isRecord(header)) {
      throw new FormatError("it is not an object");
    }
    return header;
  } catch (cause) {
    const reason = cause instanceof FormatError ? cause.message : "it is not json in utf-8";
    throw new FormatError(`${name} has a damaged safetensors header: ${reason}`, { cause });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkMetadata(notes: unknown, name: string): Record<string, string> {
  if (!isRecord(notes) || Object.values(notes).some((note) => typeof note !== "string")) {
    throw new FormatError(`${name} has a ${metadataKey} that is not an object of texts`);
  }
  return notes as Record<string, string>;
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkEntry(tensorName: string, value: unknown, name: string): Entry {
  const where = `${name}: tensor ${JSON.stringify(tensorName)}`;
  const { dtype, shape, data_offsets: offsets } = isRecord(value) ? value : {};
  const type =
    typeof dtype === "string" && Object.hasOwn(typeOfDtype, dtype) ? typeOfDtype[dtype] : undefined;
  if (!type) {
    const taken = Object.keys(typeOfDtype).join(", ");
    throw new FormatError(`${where} has dtype ${JSON.stringify(dtype)}, but ${taken} are taken`);
  }
  const count = Array.isArray(shape) ? elementCount(shape) : undefined;
  if (count === undefined) {
    throw new FormatError(
      `${where} has shape ${JSON.stringify(shape)}, but a list of whole numbers is taken`,
    );
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isOffset)) {
    throw new FormatError(`${where} has data_offsets ${JSON.stringify(offsets)}, but [begin, end] is taken`);
  }
  const [begin, end] = offsets;
  if (end - begin !== count * elementBytes[type]) {
    throw new FormatError(
      `${where} has data_offsets [${offsets}], but ${dtype} of shape [${shape}] takes ` +
        `${count * elementBytes[type]} bytes`,
    );
  }
  return { tensorName, type, shape: shape as number[], begin, end };
}

/** Sorted by offset, each tensor must begin where the one before it ends. */
function checkOffsets(entries: readonly Entry[], dataBytes: number, name: string): void {
  let expected = 0;
  for (const { tensorName, begin, end } of entries) {
    if (begin !== expected) {
      throw new FormatError(
        `${name}: tensor ${JSON.stringify(tensorName)} begins at byte ${begin}, but the tensors before it ` +
          `end at ${expected}; gaps and overlaps are not taken`,
      );
    }
    expected = end;
  }
  if (expected !== dataBytes) {
    throw new FormatError(
      `${name} is truncated or oversized: its tensors take ${expected} bytes, ` +
        `but ${dataBytes} follow its header`,
    );
  }
}

/**
 * Writes float32 arrays as a safetensors file, in the order given.
 *
 * @param tensors names and arrays, such as a Map or `Object.entries(record)`
 * @param metadata texts to store beside them
 * @throws ValueError if a name comes twice or is `__metadata__`
 * @throws ShapeError if an array has another number of elements than its shape
 * @example
 * const bytes = encodeSafetensors(new Map([["weight", { shape: [2], data: new Float32Array(2) }]]));
 */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, HostArray]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) {
    header.set(metadataKey, metadata);
  }
  const pieces: Uint8Array[] = [];
  let offset = 0;
  for (const [tensorName, array] of tensors) {
    if (tensorName === metadataKey || header.has(tensorName)) {
      throw new ValueError(
        `tensors has the name ${JSON.stringify(tensorName)} twice or it is reserved; rename one`,
      );
    }
    checkHostArray(array, `tensors: ${JSON.stringify(tensorName)}`);
    const end = offset + array.data.byteLength;
    header.set(tensorName, { dtype: "F32", shape: array.shape, data_offsets: [offset, end] });
    pieces.push(littleEndianBytes(array.data));
    offset = end;
  }
  const fields = [...header].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  const headerLength = Math.ceil(json.length / headerAlignment) * headerAlignment;
  const prefix = new Uint8Array(prefixBytes + headerLength).fill(0x20);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(headerLength), true);
  prefix.set(json, prefixBytes);
  return concatBytes([prefix, ...pieces]);
}
