import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { build } from "esbuild";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readTar } from "../../src/node/tar.js";
import { assertEndedWell, runProgram } from "./program.js";

const test = suite("package");
const run = promisify(execFile);
let consumer = "";
let files: Map<string, Uint8Array>;
let subPaths: string[] = [];

/** Packs the project and unpacks it into the node_modules of an empty project, as an installation would. */
test.before(async () => {
  consumer = await mkdtemp(join(tmpdir(), "handgrad-consumer-"));
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", consumer]);
  const archive = join(consumer, stdout.trim().split("\n").at(-1) ?? "");
  files = readTar(gunzipSync(await readFile(archive)));
  for (const [name, content] of files) {
    const file = join(consumer, "node_modules", name.replace(/^package/, "handgrad"));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  for (const name of ["webgpu", "@sparticuz"]) {
    await symlink(join(process.cwd(), "node_modules", name), join(consumer, "node_modules", name));
  }
  const { exports } = JSON.parse(new TextDecoder().decode(files.get("package/package.json")));
  subPaths = Object.keys(exports).map((key) => key.replace(/^\./, "handgrad"));
});

test.after(() => rm(consumer, { recursive: true, force: true }));

test("holds the library, its types and licence, and nothing of the workshop", () => {
  const names = [...files.keys()].map((name) => name.replace(/^package\//, ""));
  for (const name of ["LICENSE", "README.md", "dist/node.js", "dist/browser.js", "dist/types/node.d.ts"]) {
    assert.ok(names.includes(name), `${name} is missing`);
  }
  const strays = names.filter((name) =>
    /^(src|test|examples|bench|node_modules|dist\/(run|test))\b/.test(name),
  );
  assert.equal(strays, []);
  const licenses = new TextDecoder().decode(files.get("package/dist/LICENSES.txt"));
  for (const bundled of ["d3-color", "d3-interpolate", "d3-scale-chromatic", "pngjs"]) {
    assert.match(licenses, new RegExp(`^${bundled}\n\n`, "m"), "of what is bundled in");
  }
  assert.match(licenses, /\npngjs\n\n[\s\S]*Permission is hereby granted/, "in full");
});

test("importing it loads no GPU code; every sub-path imports, and a product comes out", async () => {
  const program = join(consumer, "program.mjs");
  await writeFile(
    program,
    `import { createRequire } from "node:module";
     import { openGpu, tensor, matmul } from "handgrad";
     const isLoaded = () => process.report.getReport().sharedObjects.some((file) => file.endsWith("dawn.node"));
     if (isLoaded()) throw new Error("dawn.node is loaded before it is needed");
     for (const name of ${JSON.stringify(subPaths)}) await import(name);
     const gpu = await openGpu();
     const [value] = await matmul(tensor(gpu, [[1, 2]]), tensor(gpu, [[3], [4]])).data();
     gpu.dispose();
     console.log(value, isLoaded());`,
  );
  const outcome = await runProgram(program, { cwd: consumer });
  assertEndedWell(outcome, "a consumer's program");
  assert.is(outcome.stdout, "11 true\n");
});

test("its minified kernels compute what they should: unrolled, in place, from f16 and convolved", async () => {
  const program = join(consumer, "kernels.mjs");
  await writeFile(
    program,
    `import { conv2d, matmul, openGpu, relu, sum, tensor, toF16 } from "handgrad";
     const gpu = await openGpu();
     const x = tensor(gpu, Float32Array.from({ length: 64 }, (_, i) => (i % 5) - 2), [8, 8]);
     const eye = tensor(gpu, Float32Array.from({ length: 64 }, (_, i) => Number(i % 9 === 0)), [8, 8]);
     const values = async (y) => (await y.data()).join();
     const wanted = await values(x);
     const same = [matmul(x, eye), matmul(x, toF16(eye)), conv2d(x.reshape([1, 1, 8, 8]), tensor(gpu, [[[[1]]]]))];
     for (const y of same) console.log((await values(y)) === wanted);
     console.log(await values(sum(x)), await values(sum(relu(x, { out: x }))));
     gpu.dispose();`,
  );
  const outcome = await runProgram(program, { cwd: consumer });
  assertEndedWell(outcome, "a consumer's program");
  assert.is(outcome.stdout, "true\ntrue\ntrue\n-2 37\n");
});

/** What a bundler makes of a page's only statement. */
async function pageOf(statement: string): Promise<string> {
  const page = { contents: statement, resolveDir: consumer };
  const { outputFiles } = await build({ stdin: page, bundle: true, format: "esm", write: false });
  return outputFiles[0].text;
}

test("a page carries the kernels of what it imports, and no others", async () => {
  const kernels = async (name: string, from = "handgrad"): Promise<number> =>
    (await pageOf(`export { ${name} } from "${from}"`)).split("@compute").length - 1;
  assert.is(await kernels("openGpu"), 1, "the scan of debug mode");
  assert.is(await kernels("relu"), 1);
  assert.is(await kernels("dropout"), 1);
  assert.is(await kernels("sgd"), 2, "with momentum and without");
  assert.is(await kernels("colorMaps", "handgrad/explain"), 0);
});

test("its types serve a strict consumer with the types of the browser only", async () => {
  const lines = subPaths.map((name, index) => `import * as part${index} from "${name}";\nvoid part${index};`);
  lines.push(
    'import { matmul, openGpu, tensor } from "handgrad";',
    "const gpu = await openGpu({ adapter: 'software' });",
    "const y: Float32Array | Uint32Array = await matmul(tensor(gpu, [[1, 2]]), tensor(gpu, [[3], [4]])).data();",
    "void y;",
    "// @ts-expect-error: a string is no tensor",
    "matmul('a', 'b');",
    "export {};",
  );
  await writeFile(join(consumer, "consumer.ts"), lines.join("\n"));
  const compilerOptions = {
    strict: true,
    noEmit: true,
    module: "nodenext",
    target: "es2023",
    lib: ["es2023", "esnext.disposable", "dom", "dom.iterable"],
    types: [],
  };
  await writeFile(join(consumer, "package.json"), JSON.stringify({ type: "module" }));
  await writeFile(
    join(consumer, "tsconfig.json"),
    JSON.stringify({ compilerOptions, files: ["consumer.ts"] }),
  );
  const tsc = join(process.cwd(), "node_modules", "typescript", "bin", "tsc");
  const outcome = await runProgram(tsc, { cwd: consumer });
  assertEndedWell(outcome, "tsc in a consumer's project");
});

test.run();
