import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listAdapters, NoAdapterError, openGpu } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertRejects } from "../helpers/errors.js";
import { assertEndedWell, bundleProgram, type ProgramOptions, runProgram } from "./program.js";

const test = suite("adapter on Node");
let bundle = "";
let folder = "";

test.before(async () => {
  bundle = await bundleProgram("adapter");
});

test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), "handgrad-test-"));
});

test.after.each(() => rm(folder, { recursive: true, force: true }));
test.after(() => rm(bundle, { force: true }));

/** Opens a GPU in a process of its own and returns what the program prints. */
async function open(wanted: string, options: ProgramOptions = {}) {
  const outcome = await runProgram(bundle, { args: [wanted], ...options });
  assertEndedWell(outcome, `adapter "${wanted}"`);
  return JSON.parse(outcome.stdout);
}

/** A Vulkan driver file in a folder where the loader looks; `library` is what it says the driver is. */
async function writeDriver(name: string, library: string): Promise<string> {
  const file = join(folder, "vulkan", "icd.d", name);
  await mkdir(join(folder, "vulkan", "icd.d"), { recursive: true });
  const description = { file_format_version: "1.0.0", ICD: { library_path: library, api_version: "1.3.0" } };
  await writeFile(file, JSON.stringify(description));
  return file;
}

test("opens, computes, and writes nothing to globalThis", async () => {
  const { kind, product, added } = await open("");
  assert.ok(["hardware", "software"].includes(kind));
  assert.equal(product, [11]);
  assert.equal(added, []);
});

test("drivers that are broken or answer no adapter are passed over", async () => {
  const refusing = await writeDriver("refusing.json", "libc.so.6"); // a library, but no driver
  const broken = await writeDriver("broken.json", join(folder, "not-there.so"));
  const garbage = join(folder, "vulkan", "icd.d", "garbage.json");
  await writeFile(garbage, "{");
  const places = { XDG_DATA_HOME: folder, VK_ICD_FILENAMES: undefined };
  for (const chosen of [undefined, refusing, broken, garbage, [broken, refusing].join(":")]) {
    const { product } = await open("", { env: { ...places, VK_DRIVER_FILES: chosen } });
    assert.equal(product, [11], `with ${chosen}`);
  }
});

test("the software adapters are found by name", async () => {
  const { kind, description, product } = await open("swiftshader");
  assert.is(kind, "software");
  assert.match(description, /SwiftShader/);
  assert.equal(product, [11]);
  assert.is((await open("", { env: { HANDGRAD_ADAPTER: "swiftshader" } })).description, description);
});

test("no adapter: the error lists each try and the next step", async () => {
  await assertRejects(
    () => openGpu({ adapter: "abacus" }),
    NoAdapterError,
    /^no adapter matches "abacus"; tried:\n {2}- system drivers: .*\n {2}- swiftshader \(bundled\): not .*next step/s,
  );
});

test("no adapter: the error tells that the optional package is absent", async () => {
  await mkdir(join(folder, "node_modules"));
  await symlink(join(process.cwd(), "node_modules", "webgpu"), join(folder, "node_modules", "webgpu"));
  const elsewhere = join(folder, "adapter.mjs");
  await copyFile(bundle, elsewhere);
  const { code, stderr } = await runProgram(elsewhere, { args: ["abacus"], cwd: folder });
  assert.is(code, 1);
  assert.match(stderr, /NoAdapterError: no adapter matches "abacus"/);
  assert.match(stderr, /swiftshader \(bundled\): the package @sparticuz\/chromium is not installed/);
  assert.match(stderr, /npm i -D @sparticuz\/chromium@147\.0\.0/);
});

test("the list of adapters names each place and why it does not serve", async () => {
  const attempts = await listAdapters();
  assert.ok(attempts.some(({ driver }) => driver === "system drivers"));
  assert.ok(attempts.some(({ driver }) => driver === "swiftshader (bundled)"));
  for (const { found, problem } of attempts) assert.is(found.length > 0, problem === "");
});

test("processes that fill the cache at once all serve, and one complete folder is left", async () => {
  const env = { XDG_CACHE_HOME: folder };
  const opened = await Promise.all([1, 2, 3, 4].map(() => open("swiftshader", { env })));
  for (const { driver, product } of opened) assert.equal([driver, product], ["swiftshader (bundled)", [11]]);
  const [name, ...others] = await readdir(join(folder, "handgrad"));
  assert.equal(others, []);
  await truncate(join(folder, "handgrad", name, "libvulkan.so.1"), 1000);
  const { driver } = await open("swiftshader", { env });
  assert.is(driver, "swiftshader (bundled)", "a cut file is made anew");
  assert.equal(await readdir(join(folder, "handgrad")), [name]);
});

test("a cache folder that cannot be made gives way to the temporary files", async () => {
  await writeFile(join(folder, "file"), "");
  const env = { XDG_CACHE_HOME: join(folder, "file"), TMPDIR: folder };
  const { driver } = await open("swiftshader", { env });
  assert.is(driver, "swiftshader (bundled)");
  const names = await readdir(folder);
  assert.ok(
    names.some((name) => name.startsWith("handgrad-")),
    names.join(", "),
  );
});

test.run();
