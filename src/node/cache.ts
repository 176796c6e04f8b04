import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

const sizesFile = "sizes.json";

/**
 * A folder of files that are made once and kept for later processes: `name` inside the first of `places` that can
 * be used. `fill` writes the files into an empty folder, which gets its name when it is complete, so that several
 * processes may do this at once and none sees half of it. A folder whose files are not of the size they were
 * written with is made anew.
 * @throws Error with the reasons when no place can be used.
 */
export function cachedFolder(name: string, fill: (folder: string) => void, places = cachePlaces()): string {
  const failures: string[] = [];
  for (const place of places) {
    try {
      makePrivateFolder(place);
      return filledFolder(place, name, fill);
    } catch (error) {
      failures.push(`cache folder ${place}: ${(error as Error).message}`);
    }
  }
  throw new Error(failures.join("; "));
}

/** `$XDG_CACHE_HOME/handgrad`; where home cannot be written, a folder of this user's among temporary files. */
export function cachePlaces(): string[] {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return [join(cache, "handgrad"), join(tmpdir(), `handgrad-${process.getuid?.() ?? "user"}`)];
}

/** Programs are loaded from here, so the folder must be this user's and writable by nobody else. */
function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(folder);
  if (process.getuid && uid !== process.getuid()) throw new Error("the folder belongs to another user");
  if (process.getuid && mode & 0o022) throw new Error("the folder can be written by other users");
}

function filledFolder(place: string, name: string, fill: (folder: string) => void): string {
  const target = join(place, name);
  if (isComplete(target)) return target;
  const partial = temporaryName(place, name);
  try {
    mkdirSync(partial);
    fill(partial);
    writeFileSync(join(partial, sizesFile), JSON.stringify(sizesOf(partial)));
    moveIntoPlace(partial, target);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return target;
}

function temporaryName(place: string, name: string): string {
  return join(place, `.${name}-${process.pid}-${randomBytes(6).toString("hex")}`);
}

function sizesOf(folder: string): Record<string, number> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const names = files.map((entry) =>
    join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1),
  );
  return Object.fromEntries(names.map((name) => [name, statSync(join(folder, name)).size]));
}

function isComplete(folder: string): boolean {
  try {
    const sizes: Record<string, number> = JSON.parse(readFileSync(join(folder, sizesFile), "utf8"));
    return Object.entries(sizes).every(([file, size]) => statSync(join(folder, file)).size === size);
  } catch {
    return false; // not there, or cut short
  }
}

/** Renames `partial` to `target`. Another process may have been first: what it made is taken if complete. */
function moveIntoPlace(partial: string, target: string): void {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      renameSync(partial, target);
      return;
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST", "EPERM"].includes(codeOf(error))) throw error;
      if (isComplete(target)) return;
      setAside(target);
    }
  }
  throw new Error(`${target} is not complete and could not be replaced`);
}

/** Removes a broken folder; by another name first, since another process may put a good one in its place. */
function setAside(target: string): void {
  const aside = `${target}-broken-${process.pid}-${randomBytes(6).toString("hex")}`;
  try {
    renameSync(target, aside);
    rmSync(aside, { recursive: true, force: true });
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error; // ENOENT: another process did the same
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
