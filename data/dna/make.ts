// Makes sequences.txt from the data set DNA of the R package mlbench, an R workspace in XZ:
//
//   xz -dc DNA.rda | node build.mjs run data/dna/make.ts
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";

/** Three columns of 0 and 1 a base. */
const BASES: Readonly<Record<string, string>> = { "100": "A", "010": "C", "001": "G", "000": "T" };
const LENGTH = 60;

/** A factor column of an R data frame. */
interface Factor {
  readonly codes: readonly number[];
  readonly levels: readonly string[];
}

type Value = string | number[] | Value[] | undefined;

/**
 * Reads what R's `save` writes (format 2, XDR), as far as a data frame of factors needs it: symbols, strings, integers,
 * lists and their attributes.
 */
class Workspace {
  private at = 0;
  private readonly symbols: string[] = [];
  readonly factors: Factor[] = [];

  constructor(private readonly bytes: Buffer) {
    if (bytes.toString("latin1", 0, 7) !== "RDX2\nX\n") throw new Error("this is no R workspace of format 2");
    this.at = 7 + 12;
  }

  private word(): number {
    this.at += 4;
    return this.bytes.readInt32BE(this.at - 4);
  }

  private many<T>(read: () => T): T[] {
    return Array.from({ length: this.word() }, read);
  }

  /** An item; of a pair list, its values with their tags before them. */
  item(): Value {
    const flags = this.word();
    const [kind, attributes, tagged] = [flags & 255, (flags & 0x200) !== 0, (flags & 0x400) !== 0];
    switch (kind) {
      case 254:
        return undefined;
      case 255:
        return this.symbols[(flags >> 8) - 1];
      case 1: {
        const name = this.item() as string;
        this.symbols.push(name);
        return name;
      }
      case 2: {
        if (attributes) this.item();
        const tag = tagged ? this.item() : undefined;
        const head = this.item();
        return [tag, head, ...((this.item() as Value[] | undefined) ?? [])];
      }
      case 9: {
        const length = this.word();
        this.at += Math.max(length, 0);
        return this.bytes.toString("latin1", this.at - Math.max(length, 0), this.at);
      }
      case 13: {
        const codes = this.many(() => this.word());
        if (!attributes) return codes;
        const own = this.item() as Value[];
        const levels = own[own.indexOf("levels") + 1];
        if (Array.isArray(levels)) this.factors.push({ codes, levels: levels as string[] });
        return codes;
      }
      case 16:
      case 19: {
        const items = this.many(() => this.item());
        if (attributes) this.item();
        return items;
      }
      default:
        throw new Error(`an item of kind ${kind} at byte ${this.at} was not expected`);
    }
  }
}

const workspace = new Workspace(await buffer(process.stdin));
workspace.item();
const columns = workspace.factors.map(({ codes, levels }) => codes.map((code) => levels[code - 1]));
if (columns.length !== 3 * LENGTH + 1) throw new Error(`there are ${columns.length} columns, not 181`);
const labels = columns[3 * LENGTH];
const lines = labels.map((label, row) => {
  const bases = Array.from({ length: LENGTH }, (_, base) => {
    const code = [0, 1, 2].map((bit) => columns[3 * base + bit][row]).join("");
    if (!BASES[code]) throw new Error(`row ${row} codes base ${base} as ${code}`);
    return BASES[code];
  });
  return `${label} ${bases.join("")}\n`;
});
await writeFile(join("data", "dna", "sequences.txt"), lines.join(""));
console.log(`${lines.length} sequences`);
