// Builds the library, and bundles and runs single TypeScript files.
//
//   node build.mjs                      dist/*.js (one entry a sub-path and host), dist/types and dist/LICENSES.txt
//   node build.mjs run FILE.ts [args]   bundles FILE.ts for Node, runs it and passes its exit code on
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { shadersPlugin, wgslPlugin } from "./shaders/bundle.mjs";

export const root = fileURLToPath(new URL(".", import.meta.url));

/**
 * The sub-paths of the package: "io" is `handgrad/io`. Its source is src/io/node.ts or src/io/browser.ts
 * where the hosts differ, else src/io/index.ts. A new one is a line here and an entry in package.json.
 */
export const subPaths = [
  "io",
  "data",
  "metrics",
  "layers",
  "neurons",
  "attacks",
  "explain",
  "spade",
  "atd",
  "continual",
];

/** Resolved when the program runs, never bundled: the one run-time dependency and its optional companion. */
const runTimePackages = ["webgpu", "@sparticuz/chromium"];

/** The source file behind `handgrad` (no sub-path) or `handgrad/<subPath>` on a host: "node" or "browser". */
export function sourceFile(host, subPath) {
  if (!subPath) return join(root, "src", `${host}.ts`);
  const own = join(root, "src", subPath, `${host}.ts`);
  return existsSync(own) ? own : join(root, "src", subPath, "index.ts");
}

/** What a module holds and makes by a call: `const kernel = defineKernel({`, or a value in an object of such. */
const MADE_BY_CALL = /^((?:export )?const \w+(?:: .+?)? = | {2}\w+: )(?=(?:new )?[\w.]+[<(])/gm;

/**
 * Marks what `"sideEffects": false` in package.json promises: what a module makes when it is loaded serves itself
 * only. Bundlers take that to heart for whole files, and dist joins many modules in one: without the marks a page
 * that imports one op would carry the kernels of all of them.
 */
const purePlugin = {
  name: "pure",
  setup(bundler) {
    bundler.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(MADE_BY_CALL, "$1/* @__PURE__ */ "),
      loader: "ts",
    }));
  },
};

/** Resolves `handgrad` and its sub-paths to the sources, as the installed package would on that host. */
function handgradPlugin(host) {
  return {
    name: "handgrad",
    setup(bundler) {
      bundler.onResolve({ filter: /^handgrad(\/|$)/ }, ({ path }) => ({
        path: sourceFile(host, path.slice("handgrad/".length)),
      }));
    },
  };
}

/** What every bundle for a host has in common. */
export function bundleOptions(host) {
  return {
    absWorkingDir: root,
    bundle: true,
    format: "esm",
    platform: host,
    target: host === "node" ? "node20" : "es2022",
    plugins: [handgradPlugin(host), wgslPlugin],
    logLevel: "warning",
    ...(host === "node" && { banner: { js: requireBanner } }),
  };
}

/** Bundled CommonJS packages ask for Node's own modules by `require`, which ES modules do not have. */
const requireBanner =
  'import { createRequire as createHandgradRequire } from "node:module";\n' +
  "const require = createHandgradRequire(import.meta.url);";

/** The library for one host: an entry file for each sub-path, with their common code in shared chunks. */
async function buildLibrary(host) {
  const names = ["", ...subPaths];
  const options = bundleOptions(host);
  const { metafile } = await build({
    ...options,
    plugins: [await shadersPlugin(), purePlugin, ...options.plugins],
    entryPoints: names.map((name) => ({ in: sourceFile(host, name), out: outputName(host, name) })),
    outdir: "dist",
    splitting: true,
    chunkNames: `chunks/${host}-[hash]`,
    external: runTimePackages,
    sourcemap: true,
    legalComments: "inline",
    metafile: true,
  });
  return Object.keys(metafile.inputs);
}

/** The licenses of the packages that are bundled in. */
async function writeLicenses(inputs) {
  const found = inputs.map((input) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1]);
  const packages = [...new Set(found)].filter((name) => name !== undefined).sort();
  const texts = packages.map(async (name) => {
    const folder = join(root, "node_modules", name);
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} is bundled in and has no license file`);
    return `${name}\n\n${(await readFile(join(folder, file), "utf8")).trim()}\n`;
  });
  await writeFile(join(root, "dist", "LICENSES.txt"), (await Promise.all(texts)).join("\n\n"));
}

function outputName(host, subPath) {
  if (!subPath) return host;
  return host === "node" ? subPath : `${subPath}.${host}`;
}

/** Fails when package.json does not export exactly what is built. */
async function checkExports() {
  const { exports } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const expected = Object.fromEntries(["", ...subPaths].map((name) => [name ? `./${name}` : ".", name]));
  const keys = [...new Set([...Object.keys(exports), ...Object.keys(expected)])];
  for (const key of keys) {
    const name = expected[key];
    if (name === undefined || !exports[key]) throw new Error(`package.json and build.mjs differ on "${key}"`);
    const browser = `./dist/${outputName("browser", name)}.js`;
    const source = sourceFile("node", name).slice(join(root, "src").length + 1);
    const wanted = {
      types: `./dist/types/${source.replace(/\.ts$/, ".d.ts")}`,
      node: `./dist/${outputName("node", name)}.js`,
      browser,
      default: browser,
    };
    if (JSON.stringify(exports[key]) !== JSON.stringify(wanted)) {
      throw new Error(`package.json: exports["${key}"] must be ${JSON.stringify(wanted, null, 2)}`);
    }
  }
}

/** Runs a program with this terminal and resolves to its exit code. */
export function runProgram(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit", ...options });
    const forward = (signal) => child.kill(signal);
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const signal of signals) process.on(signal, forward);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** Type declarations beside the bundles. */
async function buildTypes() {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const code = await runProgram(process.execPath, [tsc, "-p", join(root, "src", "tsconfig.json")]);
  if (code !== 0) throw new Error(`tsc ended with ${code}`);
}

/** Bundles one file for Node under dist/run, from where its packages resolve as from the project. */
export async function bundleForNode(file, name = basename(file).replace(/\.\w+$/, "")) {
  const outfile = join(root, "dist", "run", `${name}-${process.pid}.mjs`);
  await mkdir(join(root, "dist", "run"), { recursive: true });
  await build({
    ...bundleOptions("node"),
    entryPoints: [file],
    outfile,
    packages: "external",
    sourcemap: "inline",
    sourcesContent: false,
  });
  return outfile;
}

async function run(file, args) {
  if (!file) throw new Error("usage: node build.mjs run FILE.ts [args]");
  const bundle = await bundleForNode(file);
  try {
    return await runProgram(process.execPath, ["--enable-source-maps", bundle, ...args]);
  } finally {
    await rm(bundle, { force: true });
  }
}

async function buildAll() {
  await checkExports();
  for (const part of ["types", "chunks"]) {
    await rm(join(root, "dist", part), { recursive: true, force: true });
  }
  const bundled = await Promise.all([buildLibrary("node"), buildLibrary("browser"), buildTypes()]);
  await writeLicenses([...bundled[0], ...bundled[1]]);
  return 0;
}

async function main([command, file, ...args]) {
  if (command === undefined) return buildAll();
  if (command === "run") return run(file, args);
  throw new Error(`unknown command "${command}"; there are: (none), run`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  main(process.argv.slice(2)).then(
    (code) => {
      process.exitCode = code;
    },
    (error) => {
      if (!error.errors) console.error(`build.mjs: ${error.message}`);
      process.exitCode = 1;
    },
  );
}
