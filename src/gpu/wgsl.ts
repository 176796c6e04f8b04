/**
 * Specialisation of a `.wgsl` file. Every file compiles as it stands; the host may
 *
 * - give other values to the constants of its marked block (`// @constants` … `// @end`),
 * - unroll a loop that stands behind `// @unroll` (Tint does not unroll, and SwiftShader keeps arrays that
 *   are indexed by a loop variable in memory), and
 * - split a private array that stands behind `// @scalars` into single variables, so that it lives in registers.
 *
 * A block that declares `const UNROLL: bool` can turn both directives off. A directive or a constant that
 * cannot be applied throws: silence here would mean measuring another kernel than the one that is named.
 */
import { KernelError } from "./errors.js";

export type ConstantValue = number | boolean;
export type Constants = Readonly<Record<string, ConstantValue>>;

/** A specialised source; `lines[i]` is the line of the `.wgsl` file (from 1) that line i of `code` came from. */
export interface SpecializedWgsl {
  readonly code: string;
  readonly lines: readonly number[];
}

interface Line {
  text: string;
  readonly origin: number;
}

const BLOCK_START = /^\s*\/\/ @constants\s*$/;
const BLOCK_END = /^\s*\/\/ @end\s*$/;
const CONSTANT = /^(\s*const\s+(\w+)\s*:\s*(u32|i32|f32|bool)\s*=\s*)([^;]+);/;
const LOOP =
  /^\s*for\s*\(\s*var\s+(\w+)\s*(?::\s*\w+\s*)?=\s*([^;]+);\s*(\w+)\s*<\s*([^;=][^;]*);\s*(\w+)\s*(?:\+\+|\+=\s*([^)]+))\s*\)\s*\{\s*$/;

/** A comment that looks like a directive; only the exact forms are directives. */
const LOOKS_LIKE_DIRECTIVE = /^\s*\/\/\s*@\s*(constants|end|unroll|scalars)\b/i;
const DIRECTIVE = /^\s*\/\/ @(constants|end|unroll|scalars)\s*$/;
/** More copies of a loop's body than this are a mistake, and would cost seconds to compile. */
const MOST_COPIES = 1024;

/** Values of a marked block after replacement, for evaluating loop bounds and array sizes. */
type ConstantTable = Map<string, number>;

/**
 * Replaces constants and applies the unroll directives.
 * @param name the kernel's name, for messages
 * @throws KernelError for a constant that the block does not declare or a directive that cannot be applied
 */
export function specializeWgsl(name: string, source: string, constants: Constants = {}): SpecializedWgsl {
  const lines: Line[] = source.split("\n").map((text, index) => ({ text, origin: index + 1 }));
  for (const { text, origin } of lines) {
    if (!LOOKS_LIKE_DIRECTIVE.test(text) || DIRECTIVE.test(text)) continue;
    throw new KernelError(
      `kernel ${name}, line ${origin}: "${text.trim()}" is not a directive; they are "// @constants", "// @end", ` +
        `"// @unroll" and "// @scalars", alone on their line`,
    );
  }
  const table = replaceConstants(name, lines, constants);
  if (table.get("UNROLL") === 0) return join(lines);
  return join(splitArrays(name, unroll(name, lines, table), table));
}

function join(lines: readonly Line[]): SpecializedWgsl {
  return { code: lines.map((line) => line.text).join("\n"), lines: lines.map((line) => line.origin) };
}

function replaceConstants(name: string, lines: Line[], constants: Constants): ConstantTable {
  const table: ConstantTable = new Map();
  const missing = new Set(Object.keys(constants));
  let inside = false;
  for (const line of lines) {
    if (BLOCK_START.test(line.text)) inside = true;
    else if (BLOCK_END.test(line.text)) inside = false;
    else if (inside) {
      const match = CONSTANT.exec(line.text);
      if (!match) continue;
      const [declaration, head, constant, type, initial] = match as unknown as string[];
      const given = constants[constant];
      const value = given === undefined ? initial.trim() : literal(name, constant, type, given);
      if (given !== undefined) line.text = `${head}${value};${line.text.slice(declaration.length)}`;
      missing.delete(constant);
      if (type === "bool") table.set(constant, value === "true" ? 1 : 0);
      else if (type !== "f32") table.set(constant, evaluate(name, value, table));
    }
  }
  if (inside) throw new KernelError(`kernel ${name}: "// @constants" is not closed by "// @end"`);
  if (missing.size > 0) {
    throw new KernelError(
      `kernel ${name}: constant ${[...missing].join(", ")} is not declared between "// @constants" and "// @end" ` +
        `of its WGSL; declare it there or drop it from the record`,
    );
  }
  return table;
}

function literal(name: string, constant: string, type: string, value: ConstantValue): string {
  if (type === "bool") {
    if (typeof value === "boolean") return String(value);
  } else if (typeof value === "number" && Number.isFinite(value)) {
    if (type === "f32" && Number.isFinite(Math.fround(value)))
      return /[.e]/.test(String(value)) ? String(value) : `${value}.0`;
    if (type === "u32" && value === value >>> 0) return `${value}u`;
    if (type === "i32" && value === (value | 0)) return String(value);
  }
  throw new KernelError(`kernel ${name}: constant ${constant} is a ${type}, and got ${String(value)}`);
}

/** Expands `// @unroll` loops, outermost first, so that inner bounds may use outer loop variables. */
function unroll(name: string, lines: readonly Line[], table: ConstantTable): Line[] {
  const result: Line[] = [];
  for (let i = 0; i < lines.length; i++) {
    if (lines[i].text.trim() !== "// @unroll") {
      result.push(lines[i]);
      continue;
    }
    const header = lines[i + 1];
    const match = header && LOOP.exec(header.text);
    if (!match || match[1] !== match[3] || match[1] !== match[5]) {
      throw new KernelError(
        `kernel ${name}, line ${lines[i].origin}: "// @unroll" must stand before a loop of the form ` +
          `"for (var i = A; i < B; i++) {" on one line`,
      );
    }
    const [, variable, startText, , endText, , stepText] = match as unknown as string[];
    const start = evaluate(name, startText, table);
    const end = evaluate(name, endText, table);
    const step = stepText ? evaluate(name, stepText, table) : 1;
    const copies = Math.ceil((end - start) / step);
    if (!(step > 0 && copies <= MOST_COPIES)) {
      throw new KernelError(
        `kernel ${name}, line ${header.origin}: a loop from ${start} to ${end} by ${step} is not unrolled; ` +
          `at most ${MOST_COPIES} copies are made`,
      );
    }
    const close = closingBrace(name, lines, i + 1);
    const body = lines.slice(i + 2, close);
    const jump = body.find(({ text }) => /\b(break|continue)\b/.test(text.replace(/\/\/.*$/, "")));
    if (jump) {
      throw new KernelError(
        `kernel ${name}, line ${jump.origin}: "${jump.text.trim()}" in an unrolled loop would leave the loop around ` +
          `it; use if, or drop "// @unroll"`,
      );
    }
    const pattern = new RegExp(`(?<![.\\w])${variable}(?!\\w)`, "g");
    const suffix = /u\s*$/.test(startText) ? "u" : "";
    for (let value = start; value < end; value += step) {
      const copy = body.map((line) => ({ ...line, text: line.text.replace(pattern, `${value}${suffix}`) }));
      result.push({ text: "{", origin: header.origin });
      result.push(...unroll(name, copy, table));
      result.push({ text: "}", origin: lines[close].origin });
    }
    i = close;
  }
  return result;
}

/** The index of the line that closes the block opened at the end of `lines[open]`. */
function closingBrace(name: string, lines: readonly Line[], open: number): number {
  let depth = 0;
  for (let i = open; i < lines.length; i++) {
    for (const character of lines[i].text.replace(/\/\/.*$/, "")) {
      if (character === "{") depth++;
      if (character === "}") depth--;
    }
    if (depth === 0) {
      if (lines[i].text.trim() === "}") return i;
      break;
    }
  }
  throw new KernelError(
    `kernel ${name}, line ${lines[open].origin}: the unrolled loop must close with a "}" on a line of its own`,
  );
}

/** Turns `var acc: array<array<vec4f, 2>, 8>;` behind `// @scalars` into `var acc_0_0: vec4f;` and so on. */
function splitArrays(name: string, lines: readonly Line[], table: ConstantTable): Line[] {
  const arrays = new Set<string>();
  const result: Line[] = [];
  for (let i = 0; i < lines.length; i++) {
    if (lines[i].text.trim() !== "// @scalars") {
      result.push(lines[i]);
      continue;
    }
    const declaration = lines[++i];
    const match = /^\s*var\s+(\w+)\s*:\s*(array<.+>)\s*;\s*$/.exec(declaration?.text ?? "");
    if (!match) {
      throw new KernelError(
        `kernel ${name}, line ${lines[i - 1].origin}: "// @scalars" must stand before "var name: array<type, n>;"`,
      );
    }
    const [, array, type] = match as unknown as string[];
    arrays.add(array);
    const names = elementNames(name, array, type, table);
    result.push({
      text: names.map(([element, kind]) => `var ${element}: ${kind};`).join(" "),
      origin: declaration.origin,
    });
  }
  if (arrays.size === 0) return result;
  return result.map((line) => ({ ...line, text: replaceElements(name, line, arrays, table) }));
}

function elementNames(name: string, prefix: string, type: string, table: ConstantTable): [string, string][] {
  const match = /^array<(.+),\s*([^,<>]+)>$/.exec(type.trim());
  if (!match) return [[prefix, type.trim()]];
  const count = evaluate(name, match[2], table);
  return Array.from({ length: count }, (_, index) =>
    elementNames(name, `${prefix}_${index}`, match[1], table),
  ).flat();
}

/** `acc[3u][1u + 1u]` becomes `acc_3_2`; an index that is not a constant throws. */
function replaceElements(
  name: string,
  line: Line,
  arrays: ReadonlySet<string>,
  table: ConstantTable,
): string {
  const [, code, comment] = /^(.*?)(\/\/.*)?$/.exec(line.text) as unknown as string[];
  let text = code;
  for (const array of arrays) {
    const pattern = new RegExp(`(?<![.\\w])${array}(?!\\w)`, "g");
    let result = "";
    let from = 0;
    for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
      let end = match.index + array.length;
      let element = array;
      while (text[end] === "[") {
        const close = text.indexOf("]", end);
        // A vector component behind the array's own dimensions is written .x, never [0].
        element += `_${evaluate(name, text.slice(end + 1, close), table, line.origin)}`;
        end = close + 1;
      }
      result += text.slice(from, match.index) + element;
      from = pattern.lastIndex = end;
    }
    text = result + text.slice(from);
  }
  return text + (comment ?? "");
}

/** Integer arithmetic over literals and constants: + - * / % and parentheses. */
function evaluate(name: string, expression: string, table: ConstantTable, line?: number): number {
  const tokens = expression.match(/\d+|\w+|[-+*/%()]/g) ?? [];
  // `8u` is read as 8: WGSL's integer suffixes carry no value.
  const cleaned = expression.replace(/(\d)[ui]\b/g, "$1").match(/\d+|\w+|[-+*/%()]|\S/g) ?? tokens;
  let position = 0;
  const fail = (): never => {
    const where = line === undefined ? "" : `, line ${line}`;
    throw new KernelError(
      `kernel ${name}${where}: "${expression.trim()}" is not a constant integer expression`,
    );
  };
  const primary = (): number => {
    const token = cleaned[position++];
    if (token === "-") return -primary();
    if (token === "(") {
      const value = sum();
      return cleaned[position++] === ")" ? value : fail();
    }
    if (token !== undefined && /^\d+$/.test(token)) return Number(token);
    return (token !== undefined ? table.get(token) : undefined) ?? fail();
  };
  const product = (): number => {
    let value = primary();
    while (cleaned[position] === "*" || cleaned[position] === "/" || cleaned[position] === "%") {
      const operator = cleaned[position++];
      const right = primary();
      value = operator === "*" ? value * right : operator === "/" ? Math.trunc(value / right) : value % right;
    }
    return value;
  };
  const sum = (): number => {
    let value = product();
    while (cleaned[position] === "+" || cleaned[position] === "-") {
      value = cleaned[position++] === "+" ? value + product() : value - product();
    }
    return value;
  };
  const value = sum();
  return position === cleaned.length && Number.isInteger(value) ? value : fail();
}
