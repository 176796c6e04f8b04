import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { cachedFolder, cachePlaces } from "./cache.js";
import { findPackage } from "./packages.js";
import type { Dawn } from "./dawn.js";
import { readTar } from "./tar.js";

/** The npm package that SwiftShader is taken from, and the version known to serve Node 20. */
export const chromiumPackage = { name: "@sparticuz/chromium", version: "147.0.0" } as const;

/**
 * Loads a `dawn.node` that computes with SwiftShader, without root or a system package: Dawn looks for
 * `libvulkan.so.1` in the folder of `dawn.node` first, and SwiftShader's library can be called directly, without a
 * Vulkan loader. So a cache folder gets a copy of `dawn.node` with SwiftShader under that name beside it.
 * @throws Error when the machine or the installed packages do not serve.
 */
export function loadDawnWithSwiftShader(places: string[] = cachePlaces()): Dawn {
  const { name } = chromiumPackage;
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(`${name} serves Linux on x64, and this is ${process.platform} on ${process.arch}`);
  }
  const dawn = findPackage("webgpu");
  if (!dawn) throw new Error("the package webgpu is not installed");
  const chromium = findPackage(name);
  if (!chromium) throw new Error(`the package ${name} is not installed`);
  const fill = (folder: string) => {
    copyFileSync(join(dawn.folder, "dist", "linux-x64", "dawn.node"), join(folder, "dawn.node"));
    writeFileSync(join(folder, "libvulkan.so.1"), swiftShaderLibrary(chromium.folder));
  };
  const folderName = `webgpu-${dawn.version}-swiftshader-${chromium.version}`;
  const failures: string[] = [];
  for (const place of places) {
    try {
      const file = join(cachedFolder(folderName, fill, [place]), "dawn.node");
      return createRequire(file)(file);
    } catch (error) {
      failures.push((error as Error).message); // a place may be read-only, or forbid programs
    }
  }
  throw new Error(failures.join("; "));
}

function swiftShaderLibrary(chromium: string): Uint8Array {
  const archive = join(chromium, "bin", "swiftshader.tar.br");
  const library = readTar(brotliDecompressSync(readFileSync(archive))).get("libvk_swiftshader.so");
  if (!library) throw new Error(`${archive} holds no libvk_swiftshader.so`);
  return library;
}
