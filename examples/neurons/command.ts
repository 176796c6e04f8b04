// What the commands of `npm run neurons` have in common.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Gpu, ValueError } from "handgrad";
import { makeFolder } from "../experiment/shard.js";
import { type Section, writePage } from "../report/page.js";

export const DEFAULT_OUT = join("out", "neurons");

export const COMMON_HELP = `  --seed N       seed of splits, initial weights and batches (default 1)
  --quick        under two minutes on two cores
  --adapter NAME hardware, software, swiftshader, lavapipe or part of a name (default: the best there is)
  --out FOLDER   where the JSON goes (default out/neurons)
  --help         this text`;

/** Options that all commands take. */
export const COMMON_OPTIONS = {
  seed: { type: "string", default: "1" },
  quick: { type: "boolean", default: false },
  adapter: { type: "string" },
  out: { type: "string", default: DEFAULT_OUT },
  help: { type: "boolean", default: false },
} as const;

/** A list for a help text, in lines. */
export function wrap(names: readonly string[]): string {
  const lines = [""];
  for (const name of names) {
    const last = lines[lines.length - 1];
    if (last.length + name.length > 80) lines.push(name);
    else lines[lines.length - 1] = last ? `${last}, ${name}` : name;
  }
  return lines.map((line) => `                 ${line}`).join("\n");
}

/** @throws ValueError */
export function oneOf<Name extends string>(option: string, given: string, names: readonly Name[]): Name {
  const name = names.find((candidate) => candidate === given);
  if (name === undefined)
    throw new ValueError(`--${option} got "${given}", and ${names.join(" or ")} is taken`);
  return name;
}

/** Names with commas between them. @throws ValueError for a name that is not there */
export function someOf<Name extends string>(option: string, given: string, names: readonly Name[]): Name[] {
  return given.split(",").map((text) => {
    const name = names.find((candidate) => candidate === text);
    if (name === undefined)
      throw new ValueError(`--${option} got "${text}", and names out of ${names.join(", ")} are taken`);
    return name;
  });
}

export interface Results {
  readonly out: string;
  /** Of both files. */
  readonly name: string;
  readonly json: unknown;
  readonly section: Section;
  readonly seed: number;
  readonly start: number;
}

/** Writes NAME.json and NAME.html. */
export async function writeResults(
  gpu: Gpu,
  { out, name, json, section, seed, start }: Results,
): Promise<void> {
  const seconds = (performance.now() - start) / 1000;
  const [data, page] = [join(out, `${name}.json`), join(out, `${name}.html`)];
  await makeFolder(out);
  await writeFile(data, `${JSON.stringify(json)}\n`);
  await writePage(page, { adapter: gpu.info, seed, seconds, sections: [section] });
  console.log(`\n${seconds.toFixed(1)} s in all; see ${page} and ${data}`);
}
