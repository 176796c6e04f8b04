/** Tuning results in the cache folder, a file an adapter. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TuningStore } from "../gpu/tuner.js";
import { cachePlaces } from "./cache.js";

const fileOf = (folder: string, adapter: string): string =>
  join(folder, `tuning-${createHash("sha256").update(adapter).digest("hex").slice(0, 16)}.json`);

/** Reads and writes the first of `places` that serves; without one nothing is remembered. */
export function nodeTuningStore(places = cachePlaces()): TuningStore {
  return {
    load(adapter) {
      for (const place of places) {
        try {
          return readFileSync(fileOf(place, adapter), "utf8");
        } catch {
          // Not there, or not readable: the next place.
        }
      }
      return undefined;
    },
    save(adapter, text) {
      for (const place of places) {
        const file = fileOf(place, adapter);
        try {
          mkdirSync(place, { recursive: true, mode: 0o700 });
          // Another process that reads meanwhile sees the old file or the new one.
          writeFileSync(`${file}.${process.pid}`, text);
          renameSync(`${file}.${process.pid}`, file);
          return;
        } catch {
          // Not writable: the next place.
        }
      }
    },
  };
}
