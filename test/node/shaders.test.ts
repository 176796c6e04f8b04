import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { specializeWgsl } from "../../src/gpu/wgsl.js";
import { readInterface } from "../../src/gpu/wgsl_interface.js";
import { sharedGpu } from "../helpers/gpu.js";

const shaders = suite("shaders");

async function files(): Promise<[name: string, text: string][]> {
  const names = (await readdir("shaders")).filter((name) => name.endsWith(".wgsl"));
  return Promise.all(names.map(async (name) => [name, await readFile(join("shaders", name), "utf8")]));
}

/** The first error of a text, as "line: message". */
async function firstError(device: GPUDevice, code: string): Promise<string | undefined> {
  device.pushErrorScope("validation");
  const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
  await device.popErrorScope();
  const error = messages.find(({ type }) => type === "error");
  return error && `${error.lineNum}: ${error.message}`;
}

/** Whether the device has the feature that a text enables. */
function canCompile({ features }: GPUDevice, text: string): boolean {
  const needs = /^\s*enable\s+(\w+);/m.exec(text)?.[1];
  return needs === undefined || features.has(needs === "f16" ? "shader-f16" : needs);
}

shaders("every file compiles as it stands, and with its loops unrolled", async () => {
  const { device } = await sharedGpu();
  const all = await files();
  assert.ok(all.length > 10);
  for (const [name, text] of all) {
    if (!canCompile(device, text)) continue;
    // A subgroup's lane is named by a constant, which a loop variable becomes only when it is unrolled.
    if (!text.includes("subgroupBroadcast")) assert.is(await firstError(device, text), undefined, name);
    assert.is(await firstError(device, specializeWgsl(name, text).code), undefined, `${name}, unrolled`);
    readInterface(name, text);
  }
});

shaders("every file begins with what it computes", async () => {
  for (const [name, text] of await files()) assert.match(text, /^\/\/ \S.*\n\/\/ /, name);
});

const bundler = (): Promise<{
  stripWgsl(text: string): string;
  minifiedShaders(): Promise<Map<string, string>>;
}> => import(pathToFileURL(join(process.cwd(), "shaders", "bundle.mjs")).href);

const FIELDS = /(?<=struct \w+ ?\{)[^}]*/g;

/** The words and signs of each line but for the fields of structs, which keep their names. */
function tokensByLine(code: string): string[][] {
  const bare = code.replace(FIELDS, (fields) => fields.replace(/[^\n]/g, ""));
  return bare.split("\n").map((line) => line.match(/\/\/ @.*|@builtin\(\w+\)|var<.*?>|[.@]?\w+|\S/g) ?? []);
}

/** Fails unless one text is the other with names put for names, one for one. */
function assertRenamed(short: string, long: string, file: string): void {
  const [renamed, tokens] = [tokensByLine(short), tokensByLine(long)];
  const names = new Map<string, string>();
  for (const [line, words] of tokens.entries()) {
    const at = `${file}:${line + 1}: ${words.join(" ")}`;
    assert.is(renamed[line]?.length, words.length, at);
    for (const [i, word] of words.entries()) {
      const name = renamed[line][i];
      assert.is(names.get(word) ?? name, name, at);
      names.set(word, name);
      if (!/^[a-zA-Z_]/.test(word)) assert.is(name, word, at);
    }
  }
  assert.is(renamed.length, tokens.length, file);
  assert.is(new Set(names.values()).size, names.size, `${file}: one name stands for two`);
  const fields = (code: string) => code.match(FIELDS)?.map((body) => body.match(/\w+(?=\s*:)/g));
  assert.equal(fields(short), fields(long), file);
}

shaders("minified for dist, every file says the same in other names, and compiles", async () => {
  const { device } = await sharedGpu();
  const { stripWgsl, minifiedShaders } = await bundler();
  const minified = await minifiedShaders();
  for (const [file, text] of await files()) {
    const short = minified.get(file.replace(".wgsl", "")) ?? "";
    const long = stripWgsl(text);
    assertRenamed(short, long, file);
    assert.ok(short.length < long.length, file);
    assert.equal(readInterface(file, short), readInterface(file, long), file);
    const [unrolled, asWritten] = [short, long].map((code) => specializeWgsl(file, code).code);
    assertRenamed(unrolled, asWritten, `${file}, unrolled`);
    if (!canCompile(device, text)) continue;
    assert.is(await firstError(device, unrolled), undefined, `${file}, minified`);
  }
});

shaders("the bundler keeps lines and directives", async () => {
  const { stripWgsl } = await bundler();
  for (const [name, text] of await files()) {
    const bundled = stripWgsl(text);
    const directives = (code: string) =>
      code.split("\n").flatMap((line, i) => (line.trim().startsWith("// @") ? [`${i}: ${line.trim()}`] : []));
    assert.equal(directives(bundled), directives(text), name);
    const words = (code: string) => code.split("\n").map((line) => /^\s*(fn \w+|struct \w+)/.exec(line)?.[1]);
    assert.equal(words(bundled), words(text).slice(0, words(bundled).length), name);
    assert.equal(readInterface(name, bundled), readInterface(name, text), name);
  }
});

shaders.run();
