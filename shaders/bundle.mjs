// How the shaders come into a bundle: each as its text without comments, and in dist minified as well.
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { minifierOf } from "./minify.mjs";

const folder = fileURLToPath(new URL(".", import.meta.url));

/**
 * Removes comments and indentation from WGSL. Newlines stay, so that a line of a compile error is the line of
 * the file; comments that begin with `// @` stay, since the host reads them as directives.
 */
export function stripWgsl(source) {
  let text = "";
  let at = 0;
  while (at < source.length) {
    const pair = source.slice(at, at + 2);
    const end = pair === "//" ? endOfLine(source, at) : pair === "/*" ? endOfBlock(source, at) : at;
    const comment = source.slice(at, end);
    if (comment === "") text += source[at++];
    else text += comment.startsWith("// @") ? comment : comment.replace(/[^\n]+/g, " ");
    at = Math.max(at, end);
  }
  return text
    .split("\n")
    .map((line) => line.trim())
    .join("\n")
    .trimEnd();
}

function endOfLine(source, start) {
  const end = source.indexOf("\n", start);
  return end < 0 ? source.length : end;
}

/** WGSL's block comments nest. */
function endOfBlock(source, start) {
  let depth = 0;
  for (let at = start; at < source.length - 1; at++) {
    const pair = source.slice(at, at + 2);
    if (pair !== "/*" && pair !== "*/") continue;
    depth += pair === "/*" ? 1 : -1;
    at++;
    if (depth === 0) return at + 1;
  }
  throw new Error("a block comment is not closed");
}

/** Imports a `.wgsl` file as its text. */
export const wgslPlugin = {
  name: "wgsl",
  setup(bundler) {
    bundler.onLoad({ filter: /\.wgsl$/ }, async ({ path }) => ({
      contents: stripWgsl(await readFile(path, "utf8")),
      loader: "text",
    }));
  },
};

/** The text of every shader as dist has it, by name. */
export async function minifiedShaders() {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".wgsl")).sort();
  const texts = await Promise.all(
    files.map(async (file) => stripWgsl(await readFile(join(folder, file), "utf8"))),
  );
  const minify = minifierOf(texts);
  return new Map(files.map((file, index) => [basename(file, ".wgsl"), minify(texts[index])]));
}

/** The names of the shaders that the core imports: those of src/gpu and src/ops. */
async function coreShaders() {
  const names = new Set();
  for (const part of ["gpu", "ops"]) {
    const sources = join(folder, "..", "src", part);
    for (const file of await readdir(sources)) {
      const text = await readFile(join(sources, file), "utf8");
      for (const [, name] of text.matchAll(/shaders\/(\w+)\.wgsl"/g)) names.add(name);
    }
  }
  return names;
}

/**
 * For dist: minified shaders. Those of the core are constants of one module, since gzip finds only what repeats within
 * 32 KiB: they stand side by side, and by length, since what is as long as another is often much like it. The others are
 * modules of their own, so that a page without a bundler loads what its sub-paths need.
 */
export async function shadersPlugin() {
  const [texts, core] = await Promise.all([minifiedShaders(), coreShaders()]);
  const constants = [...texts]
    .filter(([name]) => core.has(name))
    .sort(([, a], [, b]) => a.length - b.length)
    .map(([name, text]) => `export const ${name} = ${JSON.stringify(text)};`);
  return {
    name: "shaders",
    setup(bundler) {
      bundler.onResolve({ filter: /^core shaders$/ }, ({ path }) => ({ path, namespace: "handgrad" }));
      bundler.onLoad({ filter: /^core shaders$/, namespace: "handgrad" }, () => ({
        contents: constants.join("\n"),
      }));
      bundler.onLoad({ filter: /\.wgsl$/ }, ({ path }) => {
        const name = basename(path, ".wgsl");
        return core.has(name)
          ? { contents: `export { ${name} as default } from "core shaders";` }
          : { contents: texts.get(name), loader: "text" };
      });
    },
  };
}
