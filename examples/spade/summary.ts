// From the checkpoints of a measurement to the rows of its JSON.
import type { AttributionName } from "handgrad/explain";
import { mergeCheckpoints } from "../experiment/checkpoint.js";
import type { Variant } from "./chunk.js";
import { PAPER_METHODS } from "./methods.js";
import type { About, Saved } from "./parts.js";
import { type Row, rowOf, Table } from "./results.js";

/** A row and where it comes from. */
export interface PartRow extends Row {
  readonly part: string;
  readonly setting: string;
}

const VARIANTS: readonly Variant[] = ["dense", "spade", "fastspade", "otherSample", "magnitude", "random"];

/** Everything that was measured, in the tables that `nameOf` names. */
export function readTables(
  files: readonly string[],
  nameOf: (net: string, part: string) => string,
): { settings: unknown; about: About; tables: ReadonlyMap<string, Table> } {
  const { settings, abouts, values } = mergeCheckpoints<Saved>(files);
  const tables = new Map<string, Table>();
  for (const { net, results } of values.values()) {
    for (const [part, result] of Object.entries(results)) {
      const name = nameOf(net, part);
      const table = tables.get(name) ?? new Table();
      tables.set(name, table);
      table.add(net, result);
    }
  }
  return { settings, about: abouts[0] as About, tables };
}

/** Of one network or "all"; method "mean" is the mean over those of the paper's table that were measured. */
export function rowsOf(part: string, net: string, table: Table): PartRow[] {
  return table.settings.flatMap((setting) => {
    const methods = table.methodsOf(setting) as AttributionName[];
    const means = PAPER_METHODS.filter((method) => methods.includes(method));
    return VARIANTS.flatMap((variant) => {
      const rows = methods.map((method) =>
        rowOf(
          net,
          method,
          variant,
          table.column(setting, variant, method),
          table.column("", "dense", method),
        ),
      );
      const own = table.meanColumn(setting, variant, means);
      rows.push(rowOf(net, "mean", variant, own, table.meanColumn("", "dense", means)));
      return rows.filter((row) => row !== undefined).map((row) => ({ part, setting, ...row }));
    });
  });
}

/** Wall time of each stage, all tables together. */
export function secondsOf(tables: Iterable<Table>): Record<string, number> {
  const seconds: Record<string, number> = {};
  for (const table of tables) {
    for (const [stage, value] of Object.entries(table.seconds))
      seconds[stage] = (seconds[stage] ?? 0) + value;
  }
  return seconds;
}
