import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** An installed package: its folder and version. */
export interface InstalledPackage {
  folder: string;
  version: string;
}

/**
 * Finds a package from handgrad's own place, then from the caller's folder. It is not loaded, and need not list
 * the files that are wanted of it among its exports.
 */
export function findPackage(name: string): InstalledPackage | undefined {
  const ownPlace = import.meta.url ? [import.meta.url] : []; // absent when bundled as CommonJS
  const places = [...ownPlace, join(process.cwd(), "package.json")];
  const roots = places.flatMap((place) => createRequire(place).resolve.paths(name) ?? []);
  for (const root of roots) {
    const folder = join(root, name);
    const description = join(folder, "package.json");
    if (existsSync(description)) {
      return { folder, version: JSON.parse(readFileSync(description, "utf8")).version };
    }
  }
  return undefined;
}
