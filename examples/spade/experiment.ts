// `npm run spade -- experiment`: does an attribution find a trojan's trigger better in the trace than in the network?
import { join } from "node:path";
import type { Gpu, Tensor } from "handgrad";
import { type AttributionName, maskAuc, measureMaps, randomMaps, sobelMaps } from "handgrad/explain";
import { meanInterval } from "handgrad/metrics";
import { prunableLayers } from "handgrad/spade";
import { Checkpoint, mergeCheckpoints } from "../experiment/checkpoint.js";
import { checkpointFile, runJobs, type Shard } from "../experiment/shard.js";
import { startProgress } from "../start/progress.js";
import type { ChunkResult, Variant } from "./chunk.js";
import { measureChunk } from "./chunk.js";
import { methodOptions, PAPER_METHODS } from "./methods.js";
import { loadNet, type Net } from "./nets.js";
import { CHUNK, type Part, planOf, type TunedRatios } from "./plan.js";
import { type Row, rowOf, Table } from "./results.js";
import { heldOut, imagesOf, type Sample } from "./samples.js";
import type { TrainFigures } from "./train.js";

export const NAME = "experiment";
/** What the exact solver takes: inputs of a layer. */
const SMALL_LAYER = 300;
const FLOOR_SEED = 9;

export interface ExperimentCommand {
  readonly nets: readonly string[];
  readonly images: number;
  readonly dearImages: number;
  readonly tuned: TunedRatios;
  readonly seed: number;
  readonly out: string;
  readonly shard: Shard;
  readonly fresh: boolean;
}

interface Job {
  readonly net: string;
  readonly part: Part;
  readonly chunk: number;
}

/** A job's value, or what is known of a network. */
interface Saved {
  readonly part: string;
  readonly net: string;
  readonly result: ChunkResult;
}

/** What a shard writes of its networks beside the jobs' numbers. */
interface NetFacts {
  readonly name: string;
  readonly figures: TrainFigures;
  readonly floors: Readonly<Record<string, { readonly auc: number; readonly ci: readonly [number, number] }>>;
}

export const settingsOf = ({ tuned, seed, nets }: ExperimentCommand) => ({
  nets,
  tuned,
  seed,
  chunk: CHUNK,
  methods: methodOptions("saliency"),
});

/** Runs this shard's jobs, as far as they are not done yet. */
export async function runExperiment(gpu: Gpu, command: ExperimentCommand): Promise<void> {
  const { out, shard, fresh } = command;
  const file = checkpointFile(out, NAME, shard);
  const nets = new Map<string, Net & { samples: readonly Sample[] }>();
  const facts: NetFacts[] = [];
  try {
    for (const name of command.nets) {
      const net = await loadNet(gpu, name);
      const count = Math.max(command.images, command.dearImages);
      const evaluation = await heldOut(gpu, net.model, { of: "evaluation", count });
      nets.set(name, { ...net, samples: evaluation });
      facts.push({ name, figures: net.figures, floors: await floorsOf(gpu, evaluation) });
    }
    const [first] = nets.values();
    const plan = planOf({ ...command, smallLayers: smallLayersOf(first) });
    const adapter = gpu.info.description || gpu.info.device || gpu.info.vendor;
    const settings = settingsOf(command);
    const checkpoint = Checkpoint.open<Saved>(file, { settings, about: { adapter, nets: facts }, fresh });
    const progress = startProgress("experiment");
    try {
      await runJobs(jobsOf(command.nets, plan), {
        shard,
        checkpoint,
        keyOf: ({ net, part, chunk }) => `${part.name} / ${net} / ${chunk}`,
        run: async ({ net, part, chunk }) => {
          const { model, samples } = nets.get(net) as Net & { samples: readonly Sample[] };
          const chosen = samples.slice(chunk * CHUNK, (chunk + 1) * CHUNK);
          return {
            part: part.name,
            net,
            result: rounded(await measureChunk(gpu, model, chosen, { ...part, seed: command.seed })),
          };
        },
        onProgress: (done, of, job) => {
          const note = job ? `${job.net}, ${job.part.name}` : "";
          progress.update(of === 0 ? 1 : done / of, note);
          if (!process.stderr.isTTY && job) console.log(`${done} of ${of}: ${note}`);
        },
      });
    } finally {
      progress.stop();
      checkpoint.close();
    }
  } finally {
    for (const { model } of nets.values()) model.dispose();
  }
}

/** The first images of every network and part come first, so that an interrupted run is a smaller experiment. */
function jobsOf(nets: readonly string[], plan: readonly Part[]): Job[] {
  const chunks = (part: Part): number => Math.ceil(part.images / CHUNK);
  const most = Math.max(...plan.map(chunks));
  return Array.from({ length: most }, (_, chunk) => chunk).flatMap((chunk) =>
    plan
      .filter((part) => chunk < chunks(part))
      .flatMap((part) => nets.map((net): Job => ({ net, part, chunk }))),
  );
}

function smallLayersOf({ model }: Net): string[] {
  return prunableLayers(model)
    .filter(({ layer, byDefault }) => {
      const { shape } = layer.parameters.weight;
      const inputs = shape.length === 4 ? shape[1] * shape[2] * shape[3] : shape[0];
      return byDefault && inputs <= SMALL_LAYER;
    })
    .map(({ name }) => name);
}

/** What maps score that know nothing of the network. */
async function floorsOf(gpu: Gpu, samples: readonly Sample[]): Promise<NetFacts["floors"]> {
  const images = imagesOf(gpu, samples);
  const [count, , height, width] = images.shape;
  const masks = samples.flatMap(({ mask }) => [...mask]);
  const score = async (maps: Tensor) => {
    const aucs = await measureMaps(maps, masks, maskAuc);
    maps.dispose();
    const { mean, low, high } = meanInterval(
      aucs.map((auc) => 100 * auc),
      { seed: FLOOR_SEED },
    );
    return { auc: mean, ci: [low, high] as const };
  };
  try {
    return {
      sobel: await score(sobelMaps(images)),
      random: await score(randomMaps(gpu, [count, height, width], { seed: FLOOR_SEED })),
    };
  } finally {
    images.dispose();
  }
}

/** Six digits are more than the numbers mean. */
function rounded(result: ChunkResult): ChunkResult {
  return JSON.parse(
    JSON.stringify(result, (_key, value) =>
      typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value,
    ),
  );
}

/** A part's rows that are not in the main table. */
export interface LandscapeRow extends Row {
  readonly part: string;
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
  /** Of all networks together, for the methods of the paper's table and each method. */
  readonly pooled: readonly LandscapeRow[];
  readonly landscape: readonly LandscapeRow[];
  readonly settings: unknown;
  readonly adapter: unknown;
}

const VARIANTS: readonly Variant[] = ["dense", "spade", "fastspade", "otherSample", "magnitude", "random"];
/** Parts whose rows are the experiment's; the others are its landscape. */
const MAIN_PARTS = ["tuned by method", "dear methods"];
const EXACT_PART = "exact solver";

/** What experiment.json holds, from the checkpoints of all shards. */
export function summarize(files: readonly string[]): ExperimentJson {
  const { settings, abouts, values } = mergeCheckpoints<Saved>(files);
  const tables = new Map<string, Table>();
  for (const { part, net, result } of values.values()) {
    const table = tables.get(part) ?? new Table();
    tables.set(part, table);
    table.add(net, result);
  }
  const about = abouts[0] as { adapter: string; nets: NetFacts[] };
  const names = about.nets.map(({ name }) => name);
  const [main, dear] = MAIN_PARTS.map((part) => tables.get(part) ?? new Table());
  const denseOf = (method: string) => {
    const column = main.column("dense", method);
    return column.size > 0 ? column : dear.column("dense", method);
  };
  const rowsOf = (part: string, nets: readonly string[], variants: readonly Variant[]): LandscapeRow[] => {
    const table = tables.get(part);
    if (!table) return [];
    const methods = [
      ...new Set(variants.flatMap((variant) => table.methodsOf(variant))),
    ] as AttributionName[];
    const means = PAPER_METHODS.filter((method) => methods.includes(method));
    return nets.flatMap((net) =>
      variants.flatMap((variant) => {
        const rows = methods.map((method) =>
          rowOf(net, method, variant, table.column(variant, method), denseOf(method)),
        );
        const dense = (MAIN_PARTS.includes(part) ? table : main).meanColumn("dense", means);
        rows.push(rowOf(net, "mean", variant, table.meanColumn(variant, means), dense));
        return rows.filter((row) => row !== undefined).map((row) => ({ part, ...row }));
      }),
    );
  };
  const plain = (row: LandscapeRow): Omit<Row, "logitChange"> => {
    const { part: _part, logitChange: _change, ...rest } = row;
    return rest;
  };
  const seconds: Record<string, number> = {};
  for (const table of tables.values()) {
    for (const [stage, value] of Object.entries(table.seconds))
      seconds[stage] = (seconds[stage] ?? 0) + value;
  }
  const parts = [...tables.keys()];
  return {
    nets: about.nets.map(({ name, figures: { cleanAccuracy, attackSuccess }, floors }) => ({
      name,
      cleanAccuracy,
      attackSuccess,
      floors,
    })),
    rows: [
      ...MAIN_PARTS.flatMap((part) => rowsOf(part, names, VARIANTS)).filter(
        ({ part, method }) => method !== "mean" || part === MAIN_PARTS[0],
      ),
      ...rowsOf(EXACT_PART, names, ["spade"]).filter(({ method }) => method !== "mean"),
    ].map(plain),
    seconds,
    pooled: parts.flatMap((part) => rowsOf(part, ["all"], VARIANTS)),
    landscape: parts
      .filter((part) => !MAIN_PARTS.includes(part))
      .flatMap((part) => rowsOf(part, names, VARIANTS)),
    settings,
    adapter: about.adapter,
  };
}

/** Where the JSON goes. */
export const resultFile = (out: string): string => join(out, `${NAME}.json`);
