// `npm run neurons -- merge EXPERIMENT`: joins what shards have done.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FormatError, ValueError } from "handgrad";
import { writePage } from "../report/page.js";
import { mergeAccuracy } from "./accuracy_rows.js";
import { accuracySection } from "./accuracy_page.js";
import { DEFAULT_OUT } from "./command.js";
import { mergeForget } from "./forget.js";
import { forgettingSection } from "./forget_page.js";
import { conclude } from "./sweep.js";
import type { Protocol } from "./trials.js";

const HELP = `npm run neurons -- merge EXPERIMENT [options]

Joins the checkpoints of all shards in a folder to the files that a whole run would have written.

  accuracy       accuracy.json and accuracy.html
  sweep          sweep-STREAM.json for every stream whose last rung is there
  forget         forgetting.json, forgetting-comparisons.json and forgetting.html

  --out FOLDER   where the shards' files are (default out/neurons)
  --help         this text`;

const OPTIONS = {
  out: { type: "string", default: DEFAULT_OUT },
  help: { type: "boolean", default: false },
} as const;

/** No adapter is needed to join files. */
const NO_ADAPTER = { description: "joined from shards", vendor: "", kind: "any", driver: "see the JSON" };

export async function merge(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  const [experiment] = positionals;
  if (values.help || experiment === undefined) {
    console.log(HELP);
    return;
  }
  const { out } = values;
  const page = (name: string) => join(out, `${name}.html`);
  const head = { adapter: NO_ADAPTER, seed: 1, seconds: 0 };
  if (experiment === "accuracy") {
    const rows = await mergeAccuracy(out);
    await writePage(page("accuracy"), { ...head, sections: [accuracySection(rows)] });
  } else if (experiment === "forget") {
    const results = await mergeForget(out);
    await writePage(page("forgetting"), { ...head, sections: [forgettingSection(results)] });
  } else if (experiment === "sweep") await mergeSweeps(out);
  else throw new ValueError(`merge got "${experiment}", and accuracy, sweep or forget is taken`);
  console.log(`\njoined in ${out}`);
}

/** Every sweep's last rung: the second, or the first of a full one. */
async function mergeSweeps(out: string): Promise<void> {
  const files = await readdir(out).catch(() => [] as string[]);
  const last = new Map<string, { file: string; rung: number }>();
  for (const file of files) {
    const [, sweep, rung] = /^(sweep-.*)-rung(\d)(?:\.shard-\d+-of-\d+)?\.jsonl$/.exec(file) ?? [];
    if (sweep && Number(rung) >= (last.get(sweep)?.rung ?? 0)) last.set(sweep, { file, rung: Number(rung) });
  }
  if (last.size === 0) throw new ValueError(`merge: ${out} has no sweep-STREAM-rungN.jsonl`);
  for (const [sweep, { file, rung }] of last) {
    const [line] = (await readFile(join(out, file), "utf8")).split("\n");
    const protocol: Protocol | undefined = JSON.parse(line)?.settings?.protocol;
    if (!protocol) throw new FormatError(`${join(out, file)} is no checkpoint of a sweep`);
    console.log(`\n${sweep}, rung ${rung}`);
    await conclude(out, protocol, rung);
  }
}
