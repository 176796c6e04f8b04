import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { readTar } from "./tar.js";

/**
 * SwiftShader without root or a system package. Dawn looks for `libvulkan.so.1` in the folder of `dawn.node`
 * first, and SwiftShader's library can be called directly, without a Vulkan loader. So a cache folder gets a copy of
 * `dawn.node` with SwiftShader under that name beside it, taken from the npm package below.
 */
export const chromiumPackage = "@sparticuz/chromium";
const dawnFile = "dawn.node";
const vulkanFile = "libvulkan.so.1";
const sizesFile = "sizes.json";

/** Folders whose `node_modules` count: handgrad's own place, then the caller's. */
function searchPlaces(): string[] {
  const ownPlace = import.meta.url ? [import.meta.url] : []; // empty when bundled as CommonJS
  return [...ownPlace, join(process.cwd(), "package.json")];
}

/** The folder of an installed package, or undefined. */
export function packageFolder(name: string): string | undefined {
  const roots = searchPlaces().flatMap((place) => createRequire(place).resolve.paths(name) ?? []);
  return roots.map((root) => join(root, name)).find((folder) => existsSync(join(folder, "package.json")));
}

/**
 * Prepares the cache and returns the path of a `dawn.node` that computes with SwiftShader.
 * @throws Error (a plain one, which the search for an adapter turns into a line of its report) when the machine
 *   or the installed packages do not serve.
 */
export function dawnWithSwiftShader(cacheFolders: string[] = defaultCacheFolders()): string {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `${chromiumPackage} serves Linux on x64, and this is ${process.platform} on ${process.arch}`,
    );
  }
  const dawn = packageFolder("webgpu");
  if (!dawn) throw new Error("the package webgpu is not installed");
  const chromium = packageFolder(chromiumPackage);
  if (!chromium) throw new Error(`the package ${chromiumPackage} is not installed`);
  const name = `webgpu-${packageVersion(dawn)}-chromium-${packageVersion(chromium)}`;
  const failures: string[] = [];
  for (const folder of cacheFolders) {
    try {
      return join(filledCache(folder, name, dawn, chromium), dawnFile);
    } catch (error) {
      failures.push(`${folder}: ${(error as Error).message}`);
    }
  }
  throw new Error(`no cache folder could be written (${failures.join("; ")})`);
}

/** `$XDG_CACHE_HOME/handgrad`, and for a home that cannot be written a folder of this user's among temporary files. */
function defaultCacheFolders(): string[] {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return [join(cache, "handgrad"), join(tmpdir(), `handgrad-${process.getuid?.() ?? "user"}`)];
}

function packageVersion(folder: string): string {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
}

/**
 * The folder `name` inside `cache`, filled. It is built under another name and renamed when complete, so that
 * several processes may do this at once and none sees half of it.
 */
function filledCache(cache: string, name: string, dawn: string, chromium: string): string {
  makePrivateFolder(cache);
  const target = join(cache, name);
  if (isComplete(target)) return target;
  const partial = join(cache, `.${name}-${process.pid}-${randomBytes(6).toString("hex")}`);
  try {
    mkdirSync(partial);
    fill(partial, dawn, chromium);
    moveIntoPlace(partial, target);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return target;
}

/** Code is loaded from here, so the folder must be this user's and writable by nobody else. */
function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(folder);
  if (uid !== process.getuid?.()) throw new Error("the folder belongs to another user");
  if (mode & 0o022) throw new Error("the folder can be written by other users");
}

function isComplete(folder: string): boolean {
  try {
    const sizes: Record<string, number> = JSON.parse(readFileSync(join(folder, sizesFile), "utf8"));
    return [dawnFile, vulkanFile].every((file) => statSync(join(folder, file)).size === sizes[file]);
  } catch {
    return false; // not there, or cut short: filled anew
  }
}

function fill(folder: string, dawn: string, chromium: string): void {
  const library = swiftShaderLibrary(chromium);
  const dawnSource = join(dawn, "dist", "linux-x64", dawnFile);
  copyFileSync(dawnSource, join(folder, dawnFile));
  writeFileSync(join(folder, vulkanFile), library);
  const sizes = { [dawnFile]: statSync(dawnSource).size, [vulkanFile]: library.length };
  writeFileSync(join(folder, sizesFile), JSON.stringify(sizes));
}

function swiftShaderLibrary(chromium: string): Uint8Array {
  const archive = join(chromium, "bin", "swiftshader.tar.br");
  const library = readTar(brotliDecompressSync(readFileSync(archive))).get("libvk_swiftshader.so");
  if (!library) throw new Error(`${archive} holds no libvk_swiftshader.so`);
  return library;
}

/** Renames `partial` to `target`. Another process may have been first: what it made is taken if complete. */
function moveIntoPlace(partial: string, target: string): void {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      renameSync(partial, target);
      return;
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
      if (isComplete(target)) return;
      setBrokenAside(target);
    }
  }
  throw new Error(`${target} is not complete and could not be replaced`);
}

function setBrokenAside(target: string): void {
  const aside = `${dirname(target)}/.broken-${process.pid}-${randomBytes(6).toString("hex")}`;
  try {
    renameSync(target, aside);
    rmSync(aside, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // another process did the same
  }
}
