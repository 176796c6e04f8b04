import { FormatError } from "../gpu/errors.js";
import { checkHostArray, elementCount, type HostArray, type NumberArray } from "./array.js";
import { elementBytes, type ElementType, littleEndianBytes, readElements } from "./elements.js";

/**
 * NPY, NumPy's format of one array (numpy.lib.format, versions 1.0 to 3.0): the magic, two bytes of version,
 * the header's length (2 bytes in version 1, 4 afterwards), a Python dictionary with `descr`, `fortran_order`
 * and `shape`, and the numbers.
 */
const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** The whole header is padded to a multiple of this, so that data can be mapped. */
const headerAlignment = 64;

const typeOfDescriptor: Readonly<Record<string, ElementType>> = {
  f2: "f16",
  f4: "f32",
  f8: "f64",
  i1: "i8",
  u1: "u8",
  i2: "i16",
  u2: "u16",
  i4: "i32",
  u4: "u32",
  i8: "i64",
  u8: "u64",
  b1: "bool",
};

/**
 * Reads an NPY file in C order.
 *
 * @param bytes the whole file
 * @param options `name` for messages
 * @returns the array in its own number type; float16 becomes float32, 64-bit integers float64 (exact, below
 *   2^53), booleans bytes
 * @throws FormatError if the bytes are not NPY, hold another type or order, or are fewer or more than the
 *   header says, which is checked before anything is allocated
 * @example
 * const faces = toFloat32(decodeNpy(bytes, { name: "lfw_subset.npy" })); // shape [200, 25, 25]
 */
export function decodeNpy(bytes: Uint8Array, options: { name?: string } = {}): HostArray<NumberArray> {
  const { name = "bytes" } = options;
  if (bytes.length < 10 || magic.some((byte, i) => bytes[i] !== byte)) {
    throw new FormatError(`${name} is not an npy file: it does not start with \\x93NUMPY and a version`);
  }
  const version = bytes[6];
  if (version < 1 || version > 3 || (version > 1 && bytes.length < 12)) {
    throw new FormatError(
      `${name} is an npy file of version ${version} or truncated; versions 1 to 3 are taken`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerStart = version === 1 ? 10 : 12;
  const dataStart = headerStart + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (dataStart > bytes.length) {
    throw new FormatError(
      `${name} is truncated: its header ends at byte ${dataStart}, but ${bytes.length} came`,
    );
  }
  const header = readHeader(new TextDecoder("latin1").decode(bytes.subarray(headerStart, dataStart)), name);
  const needed = (elementCount(header.shape) ?? Number.POSITIVE_INFINITY) * elementBytes[header.type];
  if (bytes.length - dataStart !== needed) {
    throw new FormatError(
      `${name} is truncated or oversized: shape [${header.shape}] takes ${needed} bytes, ` +
        `but ${bytes.length - dataStart} follow its header`,
    );
  }
  const data = readElements(bytes.subarray(dataStart), header.type, header.bigEndian, name);
  return { shape: header.shape, data };
}

/** Takes the dictionary apart entry by entry; anything that is not one of the three entries is refused. */
function readHeader(text: string, name: string): { type: ElementType; bigEndian: boolean; shape: number[] } {
  const fields = new Map<string, string>();
  const entry = /\s*'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([\d, ]*\))\s*(,|(?=\}))/y;
  const body = text.trim();
  entry.lastIndex = 1;
  let end = 1;
  for (let match = entry.exec(body); match; match = entry.exec(body)) {
    fields.set(match[1], match[2]);
    end = entry.lastIndex;
  }
  const descriptor = /^'([<>|=]?)([a-z]\d)'$/.exec(fields.get("descr") ?? "");
  const shape = /^\(([\d, ]*)\)$/.exec(fields.get("shape") ?? "");
  if (body[0] !== "{" || body.slice(end).trim() !== "}" || fields.size !== 3 || !shape) {
    throw new FormatError(`${name} has a damaged npy header; descr, fortran_order and shape are taken`);
  }
  const type = descriptor ? typeOfDescriptor[descriptor[2]] : undefined;
  if (!descriptor || !type) {
    const taken = Object.keys(typeOfDescriptor).join(", ");
    throw new FormatError(`${name} holds numbers of type ${fields.get("descr")}, but ${taken} are taken`);
  }
  if (fields.get("fortran_order") !== "False") {
    throw new FormatError(`${name} is in Fortran order; save numpy.ascontiguousarray(array) instead`);
  }
  const sizes = shape[1].split(",").filter((size) => size.trim() !== "");
  return { type, bigEndian: descriptor[1] === ">", shape: sizes.map(Number) };
}

/**
 * Writes an NPY file (version 1.0, little-endian, C order) in the array's own number type.
 *
 * @param array any shape, of up to some hundred axes
 * @throws ShapeError if the array has another number of elements than its shape
 * @example
 * const bytes = encodeNpy({ shape: [2, 3], data: new Float32Array(6) });
 */
export function encodeNpy(array: HostArray<NumberArray>): Uint8Array<ArrayBuffer> {
  checkHostArray(array, "array");
  const { data, shape } = array;
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const fields = `'descr': '${descriptor(data)}', 'fortran_order': False, 'shape': (${sizes}), `;
  const padding = headerAlignment - ((10 + fields.length + 3) % headerAlignment);
  const header = new TextEncoder().encode(`{${fields}}${" ".repeat(padding % headerAlignment)}\n`);
  const bytes = new Uint8Array(10 + header.length + data.byteLength);
  bytes.set(magic);
  bytes[6] = 1;
  new DataView(bytes.buffer).setUint16(8, header.length, true);
  bytes.set(header, 10);
  bytes.set(littleEndianBytes(data), 10 + header.length);
  return bytes;
}

function descriptor(data: NumberArray): string {
  const isFloat = data instanceof Float32Array || data instanceof Float64Array;
  const isSigned = data instanceof Int8Array || data instanceof Int16Array || data instanceof Int32Array;
  const order = data.BYTES_PER_ELEMENT === 1 ? "|" : "<";
  return `${order}${isFloat ? "f" : isSigned ? "i" : "u"}${data.BYTES_PER_ELEMENT}`;
}
