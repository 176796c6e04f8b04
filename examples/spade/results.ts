// From what was measured to the table: means, differences to the dense network, paired bootstrap intervals.
import type { AttributionName } from "handgrad/explain";
import { meanInterval } from "handgrad/metrics";
import type { Cell, ChunkResult, Variant } from "./chunk.js";

/** A line of experiment.json; AUC and differences in points of 100, the rest 0–1. */
export interface Row {
  /** A network's name, or "all". */
  readonly net: string;
  /** An attribution, or "mean": the mean of an image's attributions. */
  readonly method: string;
  readonly variant: Variant;
  readonly auc: number;
  readonly ci: readonly [low: number, high: number];
  /** Mean over the images of this variant's AUC less the dense network's of the same image. */
  readonly diffToDense: number;
  readonly diffCi: readonly [low: number, high: number];
  /** Share of the images that the network still gives the class of the dense one. */
  readonly agreement: number;
  /** Mean of the target's logit less the dense network's. */
  readonly logitChange: number;
  /** Images. */
  readonly n: number;
}

/** An image's numbers, under "net image". */
interface Measured {
  readonly auc: number;
  readonly agreement: number;
  readonly logitChange: number;
}

type Column = Map<string, Measured>;

const SEED = 7;
const RESAMPLES = 2000;

/** What one part measured of all networks: a column of images for each variant and method. */
export class Table {
  private readonly columns = new Map<string, Column>();
  readonly seconds: Record<string, number> = {};
  images = 0;

  add(net: string, { images, cells, seconds }: ChunkResult): void {
    this.images += images.length;
    for (const [stage, value] of Object.entries(seconds)) {
      this.seconds[stage] = (this.seconds[stage] ?? 0) + value;
    }
    for (const [setting, variants] of Object.entries(cells)) {
      for (const [variant, methods] of Object.entries(variants)) {
        for (const [method, cell] of Object.entries(methods)) {
          const key = keyOf(setting, variant, method);
          const column = this.columns.get(key) ?? new Map<string, Measured>();
          for (const [at, image] of images.entries())
            column.set(`${net} ${image}`, measuredAt(cell as Cell, at));
          this.columns.set(key, column);
        }
      }
    }
  }

  /** The settings that were measured, "" for the dense network. */
  get settings(): string[] {
    return [...new Set([...this.columns.keys()].map((key) => key.split(SEPARATOR)[0]))];
  }

  /** The methods that were measured of a setting. */
  methodsOf(setting: string): string[] {
    const keys = [...this.columns.keys()].map((key) => key.split(SEPARATOR));
    return [...new Set(keys.flatMap(([own, , method]) => (own === setting ? method : [])))];
  }

  column(setting: string, variant: Variant, method: string): Column {
    return this.columns.get(keyOf(setting, variant, method)) ?? new Map();
  }

  /** An image's mean over methods, of the images that have all of them. */
  meanColumn(setting: string, variant: Variant, methods: readonly AttributionName[]): Column {
    const columns = methods
      .map((method) => this.column(setting, variant, method))
      .filter(({ size }) => size > 0);
    const column: Column = new Map();
    for (const image of columns[0]?.keys() ?? []) {
      const parts = columns.map((one) => one.get(image));
      if (!parts.every((part) => part !== undefined)) continue;
      const mean = (of: keyof Measured): number =>
        parts.reduce((sum, part) => sum + part[of], 0) / parts.length;
      column.set(image, {
        auc: mean("auc"),
        agreement: mean("agreement"),
        logitChange: mean("logitChange"),
      });
    }
    return column;
  }
}

const SEPARATOR = " | ";
const keyOf = (...parts: readonly string[]): string => parts.join(SEPARATOR);

const measuredAt = ({ auc, agreement, logitChange }: Cell, at: number): Measured => ({
  auc: auc[at],
  agreement: agreement[at],
  logitChange: logitChange[at],
});

/**
 * A row of one network, or of all.
 * @returns undefined if no image was measured
 */
export function rowOf(
  net: string,
  method: string,
  variant: Variant,
  column: Column,
  dense: Column,
): Row | undefined {
  const images = [...column.keys()].filter(
    (image) => dense.has(image) && (net === "all" || image.startsWith(`${net} `)),
  );
  if (images.length === 0) return undefined;
  const pick = (from: Column, of: keyof Measured): number[] =>
    images.map((image) => (from.get(image) as Measured)[of]);
  const aucs = pick(column, "auc").map((value) => 100 * value);
  const base = pick(dense, "auc").map((value) => 100 * value);
  const differences = aucs.map((value, at) => value - base[at]);
  const names = images.map((image) => image.slice(0, image.lastIndexOf(" ")));
  const nets = [...new Set(names)];
  // Each resample has every network in its share.
  const groups = names.map((name) => nets.indexOf(name));
  const options = { seed: SEED, resamples: RESAMPLES, groups };
  const [own, difference] = [meanInterval(aucs, options), meanInterval(differences, options)];
  return {
    net,
    method,
    variant,
    auc: own.mean,
    ci: [own.low, own.high],
    diffToDense: difference.mean,
    diffCi: [difference.low, difference.high],
    agreement: mean(pick(column, "agreement")),
    logitChange: mean(pick(column, "logitChange")),
    n: images.length,
  };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
