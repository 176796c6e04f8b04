/** What the host must know of a WGSL file to bind it: read off its text, so that nothing is said twice. */
import { KernelError } from "./errors.js";

/** What the host reads off a WGSL file: its storage bindings in order and the fields of its uniform struct. */
export interface WgslInterface {
  readonly storage: readonly StorageBinding[];
  readonly uniform?: {
    readonly index: number;
    readonly fields: readonly UniformField[];
    readonly byteLength: number;
  };
}

export interface StorageBinding {
  readonly name: string;
  readonly index: number;
  readonly writable: boolean;
  readonly dtype: "f32" | "u32";
  /** How many values one element of the WGSL array holds: 4 for `array<vec4f>`. */
  readonly width: number;
}

export interface UniformField {
  readonly name: string;
  readonly type: "u32" | "i32" | "f32" | "vec4u";
  readonly offset: number;
}

/** One slot of the uniform arena; see submission.ts. */
const MOST_UNIFORM_BYTES = 256;

const BINDING =
  /@group\(0\)\s*@binding\((\d+)\)\s*var<\s*(storage|uniform)\s*(?:,\s*(read|read_write)\s*)?>\s*(\w+)\s*:\s*([^;]+);/g;

/** Reads the bindings of group 0 and the layout of the uniform struct. @throws KernelError if a field has another type */
export function readInterface(name: string, source: string): WgslInterface {
  const code = source.replace(/\/\/.*$|\/\*[\s\S]*?\*\//gm, "");
  const storage: StorageBinding[] = [];
  let uniform: WgslInterface["uniform"];
  for (const match of code.matchAll(BINDING)) {
    const [, index, space, access, variable, type] = match as unknown as string[];
    if (space === "uniform") {
      uniform = { index: Number(index), ...uniformLayout(name, code, type.trim()) };
    } else {
      const element = elementOf(name, variable, withoutAliases(type.trim(), code));
      storage.push({ name: variable, index: Number(index), writable: access === "read_write", ...element });
    }
  }
  storage.sort((a, b) => a.index - b.index);
  return { storage, uniform };
}

const ELEMENT =
  /^array<\s*(?:(f32|u32)|atomic<\s*(u32)\s*>|vec([24])<\s*(f32|u32)\s*>|vec([24])([fu]))\s*(?:,[^>]*)?>$/;

/** A type with the names that `alias` declarations of the file give to others written out. */
function withoutAliases(type: string, code: string): string {
  const aliases = new Map<string, string>();
  for (const [, alias, meaning] of code.matchAll(/\balias\s+(\w+)\s*=\s*([^;]+);/g))
    aliases.set(alias, meaning.trim());
  const writeOut = (word: string): string => {
    const meaning = aliases.get(word);
    aliases.delete(word); // WGSL has no recursive aliases; a file that does not compile may
    return meaning === undefined ? word : meaning.replace(/\w+/g, writeOut);
  };
  return type.replace(/\w+/g, writeOut);
}

/** @throws KernelError for anything but arrays of f32 or u32, plain, atomic or in vectors of two or four */
function elementOf(name: string, variable: string, type: string): Pick<StorageBinding, "dtype" | "width"> {
  const match = ELEMENT.exec(type);
  if (!match) {
    throw new KernelError(
      `kernel ${name}: binding "${variable}" is ${type}, and an array of f32, u32, atomic<u32>, or vectors of two or ` +
        `four f32 or u32 is taken`,
    );
  }
  const [, plain, atomic, lanes, of, shortLanes, letter] = match;
  const dtype = plain ?? atomic ?? of ?? (letter === "u" ? "u32" : "f32");
  return { dtype: dtype as StorageBinding["dtype"], width: Number(lanes ?? shortLanes ?? 1) };
}

function uniformLayout(
  name: string,
  code: string,
  struct: string,
): { fields: UniformField[]; byteLength: number } {
  const body = new RegExp(`struct\\s+${struct}\\s*\\{([^}]*)\\}`).exec(code)?.[1];
  if (body === undefined)
    throw new KernelError(`kernel ${name}: the uniform binding must be a struct declared in the file`);
  const fields: UniformField[] = [];
  let offset = 0;
  for (const field of body.split(",")) {
    if (field.trim() === "") continue;
    const match = /^\s*(\w+)\s*:\s*(u32|i32|f32|vec4u|vec4<u32>)\s*$/.exec(field);
    if (!match)
      throw new KernelError(`kernel ${name}: uniform field "${field.trim()}" must be u32, i32, f32 or vec4u`);
    const type = match[2] === "vec4<u32>" ? "vec4u" : (match[2] as UniformField["type"]);
    if (type === "vec4u") offset = Math.ceil(offset / 16) * 16;
    fields.push({ name: match[1], type, offset });
    offset += type === "vec4u" ? 16 : 4;
  }
  const byteLength = Math.ceil(offset / 16) * 16;
  if (byteLength > MOST_UNIFORM_BYTES) {
    throw new KernelError(
      `kernel ${name}: the uniform struct takes ${byteLength} bytes, and at most ${MOST_UNIFORM_BYTES} are taken; ` +
        `put the rest in a tensor`,
    );
  }
  return { fields, byteLength };
}

/**
 * The in-place form of a kernel: the declaration of the read binding goes, and its name stands for the output's,
 * since WebGPU does not let one buffer be bound for reading and for writing in the same dispatch.
 */
export function mergeBinding(source: string, input: string, output: string): string {
  const declaration = new RegExp(`^.*@binding\\(\\d+\\).*\\b${input}\\s*:\\s*array.*$`, "m");
  return source.replace(declaration, "").replace(new RegExp(`(?<![.\\w])${input}(?!\\w)`, "g"), output);
}
