// `npm run spade -- experiment`: does an attribution find a trojan's trigger better in the trace than in the network?
import type { Gpu } from "handgrad";
import { methodOptions } from "./methods.js";
import { layersOf } from "./nets.js";
import { type NetFacts, type PartsCommand, runParts } from "./parts.js";
import { CHUNK, COPIES, MAIN_SETTING, PARTS, planOf, type TunedRatios } from "./plan.js";
import type { Row } from "./results.js";
import type { TunedSolver } from "./tuned.js";
import { type PartRow, readTables, rowsOf, secondsOf } from "./summary.js";

export const NAME = "experiment";
/** Inputs of the layers that are pruned alone: those that the exact solver is meant for. */
const SMALL_LAYER = 300;

export interface ExperimentCommand extends PartsCommand {
  readonly images: number;
  readonly dearImages: number;
  /** Of each network. */
  readonly tuned: Readonly<Record<string, Readonly<Record<TunedSolver, TunedRatios>>>>;
}

export const settingsOf = ({ tuned, seed, nets }: ExperimentCommand) => ({
  nets,
  tuned,
  seed,
  chunk: CHUNK,
  copies: COPIES,
  methods: methodOptions("saliency"),
});

/** Runs this shard's jobs, as far as they are not done yet. */
export function runExperiment(gpu: Gpu, command: ExperimentCommand): Promise<void> {
  const { tuned, images, dearImages } = command;
  return runParts(gpu, command, {
    name: NAME,
    settings: settingsOf(command),
    partsOf: (net) =>
      planOf({ images, dearImages, smallLayers: layersOf(net, SMALL_LAYER), tuned: tuned[net.name] }),
  });
}

export interface ExperimentJson {
  readonly nets: readonly {
    readonly name: string;
    readonly cleanAccuracy: number;
    readonly attackSuccess: number;
    readonly floors: NetFacts["floors"];
  }[];
  readonly rows: readonly Omit<Row, "logitChange">[];
  readonly seconds: Readonly<Record<string, number>>;
  /** Of all networks together; method "mean" is the mean over those of the paper's table that were measured. */
  readonly pooled: readonly PartRow[];
  /** What is not in `rows`: other ratios, small layers alone, clean images, network by network. */
  readonly others: readonly PartRow[];
  readonly settings: unknown;
  readonly adapter: string;
}

/** What experiment.json holds, from the checkpoints of all shards. */
export function summarize(files: readonly string[]): ExperimentJson {
  const { settings, about, tables } = readTables(files, (_net, part) => part);
  const names = about.nets.map(({ name }) => name);
  const all = [...tables].flatMap(([part, table]) =>
    [...names, "all"].flatMap((net) => rowsOf(part, net, table)),
  );
  const isMain = ({ part, setting, variant, method }: PartRow): boolean => {
    if (part === PARTS.main) return setting === "" || setting === MAIN_SETTING;
    if (part === PARTS.exact) return setting === MAIN_SETTING && variant === "spade";
    return method !== "mean" && part === PARTS.dear;
  };
  const plain = ({ part, setting, logitChange, ...row }: PartRow): Omit<Row, "logitChange"> => row;
  return {
    nets: about.nets.map(({ name, figures: { cleanAccuracy, attackSuccess }, floors }) => ({
      name,
      cleanAccuracy,
      attackSuccess,
      floors,
    })),
    rows: all.filter((row) => row.net !== "all" && isMain(row)).map(plain),
    seconds: secondsOf(tables.values()),
    pooled: all.filter(({ net }) => net === "all"),
    others: all.filter((row) => row.net !== "all" && !isMain(row)),
    settings,
    adapter: about.adapter,
  };
}
