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

shaders("every file compiles as it stands, and with its loops unrolled", async () => {
  const { device } = await sharedGpu();
  const all = await files();
  assert.ok(all.length > 10);
  for (const [name, text] of all) {
    const needs = /^\s*enable\s+(\w+);/m.exec(text)?.[1];
    const feature = needs === "f16" ? "shader-f16" : needs;
    if (feature && !device.features.has(feature)) continue;
    // A subgroup's lane is named by a constant, which a loop variable becomes only when it is unrolled.
    if (!text.includes("subgroupBroadcast")) assert.is(await firstError(device, text), undefined, name);
    assert.is(await firstError(device, specializeWgsl(name, text).code), undefined, `${name}, unrolled`);
    readInterface(name, text);
  }
});

shaders("every file begins with what it computes", async () => {
  for (const [name, text] of await files()) assert.match(text, /^\/\/ \S.*\n\/\/ /, name);
});

shaders("the bundler keeps lines and directives", async () => {
  const { stripWgsl } = await import(pathToFileURL(join(process.cwd(), "build.mjs")).href);
  for (const [name, text] of await files()) {
    const bundled: string = stripWgsl(text);
    const directives = (code: string) =>
      code.split("\n").flatMap((line, i) => (line.trim().startsWith("// @") ? [`${i}: ${line.trim()}`] : []));
    assert.equal(directives(bundled), directives(text), name);
    const words = (code: string) => code.split("\n").map((line) => /^\s*(fn \w+|struct \w+)/.exec(line)?.[1]);
    assert.equal(words(bundled), words(text).slice(0, words(bundled).length), name);
    assert.equal(readInterface(name, bundled), readInterface(name, text), name);
  }
});

shaders.run();
