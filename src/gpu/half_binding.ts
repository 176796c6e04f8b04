/**
 * f16 storage for a binding that its WGSL declares as f32: the host rewrites the declaration to words of two float16 and
 * every load to one that unpacks them, so that a kernel serves both and reads half the bytes. `unpack2x16float` is part
 * of WGSL itself: no adapter needs the feature "shader-f16" for it, and where that is there it is no faster.
 */
import { KernelError } from "./errors.js";

/** What replaces an array of f32 by how many values one element of it holds. */
const FORMS: Readonly<
  Record<number, { readonly type: string; readonly result: string; readonly load: string }>
> = {
  1: { type: "u32", result: "f32", load: "unpack2x16float(NAME[i / 2u])[i % 2u]" },
  2: { type: "u32", result: "vec2f", load: "unpack2x16float(NAME[i])" },
  4: {
    type: "vec2u",
    result: "vec4f",
    load: "vec4f(unpack2x16float(NAME[i].x), unpack2x16float(NAME[i].y))",
  },
};

/**
 * The text with the binding `name` stored as f16.
 * @param width how many values one element of the array holds: 4 for `array<vec4f>`
 * @throws KernelError if the text does anything with the binding but load single elements, `name[index]`
 */
export function halfBinding(kernel: string, source: string, name: string, width: number): string {
  const { type, result, load } = FORMS[width];
  const declaration = new RegExp(`^(.*@binding\\(\\d+\\).*\\b${name}\\s*:\\s*)array<[^;]*;(.*)$`);
  const uses = new RegExp(`(?<![.\\w])${name}(?!\\w)`, "g");
  const lines = source.split("\n").map((line, index) => {
    const declared = declaration.exec(line);
    if (declared) return `${declared[1]}array<${type}>;${declared[2]}`;
    const [, code, comment = ""] = /^(.*?)(\/\/.*)?$/.exec(line) as unknown as string[];
    return rewriteLoads(code, uses, `load_half_${name}`, `${kernel}.wgsl:${index + 1}`) + comment;
  });
  const body = load.replaceAll("NAME", name);
  return `${lines.join("\n")}\nfn load_half_${name}(i: u32) -> ${result} { return ${body}; }`;
}

/** `b[b_at[j] + 1u]` becomes `load_half_b(b_at[j] + 1u)`. */
function rewriteLoads(code: string, uses: RegExp, load: string, place: string): string {
  let text = "";
  let from = 0;
  for (const { index, 0: name } of code.matchAll(uses)) {
    const open = index + name.length;
    const close = code[open] === "[" ? closingBracket(code, open) : -1;
    if (close < 0 || index < from) {
      throw new KernelError(
        `${place}: a binding that takes f16 is only loaded from, as ${name}[index] on one line, and here stands ` +
          `"${code.trim()}"`,
      );
    }
    text += `${code.slice(from, index)}${load}(${code.slice(open + 1, close)})`;
    from = close + 1;
  }
  return text + code.slice(from);
}

function closingBracket(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if (code[at] === "[") depth++;
    if (code[at] === "]" && --depth === 0) return at;
  }
  return -1;
}
