// `npm run spade -- experiment`: does an attribution find a trojan's trigger better in the trace than in the network?
import { join } from "node:path";
import type { Gpu, Tensor } from "handgrad";
import { type AttributionName, maskAuc, measureMaps, randomMaps, sobelMaps } from "handgrad/explain";
import type { Sequential } from "handgrad/layers";
import { meanInterval } from "handgrad/metrics";
import { prunableLayers } from "handgrad/spade";
import { Checkpoint, mergeCheckpoints } from "../experiment/checkpoint.js";
import { checkpointFile, runJobs, type Shard } from "../experiment/shard.js";
import { startProgress } from "../start/progress.js";
import type { ChunkResult, Variant } from "./chunk.js";
import { measureChunk } from "./chunk.js";
import { measureClean } from "./clean.js";
import { methodOptions, PAPER_METHODS } from "./methods.js";
import { loadNet, type Net } from "./nets.js";
import { CHUNK, COPIES, FAINT, MAIN_SETTING, type Part, PARTS, planOf, type TunedRatios } from "./plan.js";
import { type Row, rowOf, Table } from "./results.js";
import { heldOut, imagesOf, type Sample } from "./samples.js";
import type { TrainFigures } from "./train.js";

export const NAME = "experiment";
/** What the exact solver takes: inputs of a layer. */
const SMALL_LAYER = 300;
const FLOOR_SEED = 9;

export interface ExperimentCommand {
  readonly nets: readonly string[];
  /** Where they are. */
  readonly weights: string;
  readonly images: number;
  readonly dearImages: number;
  readonly landscapeImages: number;
  /** Of each network. */
  readonly tuned: Readonly<Record<string, TunedRatios>>;
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

/** A job's value. */
interface Saved {
  readonly net: string;
  readonly results: Readonly<Record<string, ChunkResult>>;
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
  copies: COPIES,
  methods: methodOptions("saliency"),
});

/** A network and its images. */
interface Loaded extends Net {
  readonly evaluation: readonly Sample[];
  readonly tuning: readonly Sample[];
  readonly faint: readonly Sample[];
}

async function load(gpu: Gpu, name: string, command: ExperimentCommand): Promise<Loaded> {
  const { landscapeImages } = command;
  const net = await loadNet(gpu, name, command.weights);
  // Sobel and noise are scored on one scene at least.
  const count = Math.max(command.images, command.dearImages, 1);
  return {
    ...net,
    evaluation: await heldOut(gpu, net.model, { of: "evaluation", count }),
    tuning: await heldOut(gpu, net.model, { of: "tuning", count: landscapeImages }),
    faint: await heldOut(gpu, net.model, { of: "tuning", count: landscapeImages, blend: FAINT }),
  };
}

/** Runs this shard's jobs, as far as they are not done yet. */
export async function runExperiment(gpu: Gpu, command: ExperimentCommand): Promise<void> {
  const { out, shard, fresh, seed } = command;
  const nets = new Map<string, Loaded>();
  try {
    const facts: NetFacts[] = [];
    for (const name of command.nets) {
      const net = await load(gpu, name, command);
      nets.set(name, net);
      facts.push({ name, figures: net.figures, floors: await floorsOf(gpu, net.evaluation) });
    }
    const adapter = gpu.info.description || gpu.info.device || gpu.info.vendor;
    const checkpoint = Checkpoint.open<Saved>(checkpointFile(out, NAME, shard), {
      settings: settingsOf(command),
      about: { adapter, nets: facts },
      fresh,
    });
    const progress = startProgress("experiment");
    try {
      await runJobs(jobsOf([...nets.values()], command), {
        shard,
        checkpoint,
        keyOf: ({ net, part, chunk }) => `${part.name} / ${net} / ${chunk}`,
        run: async ({ net, part, chunk }) => {
          const { model, [part.of]: samples } = nets.get(net) as Loaded;
          const chosen = samples.slice(chunk * CHUNK, (chunk + 1) * CHUNK);
          return { net, results: rounded(await measure(gpu, model, chosen, part, seed)) };
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

/** What a job finds, by the name of a table. */
async function measure(
  gpu: Gpu,
  model: Sequential,
  samples: readonly Sample[],
  part: Part,
  seed: number,
): Promise<Readonly<Record<string, ChunkResult>>> {
  if (part.name === PARTS.clean) {
    const { methods, copies, settings } = part;
    const [{ name: setting, ratios }] = settings;
    return measureClean(gpu, model, samples, { methods, copies, setting, ratios: ratios.all, seed });
  }
  return { [part.name]: await measureChunk(gpu, model, samples, { ...part, seed }) };
}

/** The first images of every network and part come first, so that an interrupted run is a smaller experiment. */
function jobsOf(nets: readonly Net[], { tuned, ...sizes }: ExperimentCommand): Job[] {
  const jobs = nets.flatMap((net) => {
    const layers = { layers: layersOf(net), smallLayers: layersOf(net, SMALL_LAYER) };
    return planOf({ ...sizes, ...layers, tuned: tuned[net.name] }).flatMap((part) =>
      Array.from(
        { length: Math.ceil(part.images / CHUNK) },
        (_, chunk): Job => ({ net: net.name, part, chunk }),
      ),
    );
  });
  // Stable: parts and networks keep their order within a chunk.
  return jobs.sort((a, b) => a.chunk - b.chunk);
}

/** The layers that are pruned by default, of at most so many inputs. */
function layersOf({ model }: Net, most = Infinity): string[] {
  return prunableLayers(model)
    .filter(({ layer, byDefault }) => {
      const { shape } = layer.parameters.weight;
      const inputs = shape.length === 4 ? shape[1] * shape[2] * shape[3] : shape[0];
      return byDefault && inputs <= most;
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
function rounded<Value>(result: Value): Value {
  return JSON.parse(
    JSON.stringify(result, (_key, value) =>
      typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value,
    ),
  );
}

/** A row and where it comes from. */
export interface LandscapeRow extends Row {
  readonly part: string;
  readonly setting: string;
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
  readonly pooled: readonly LandscapeRow[];
  /** What is not in `rows`: other ratios and copies, network by network. */
  readonly landscape: readonly LandscapeRow[];
  readonly settings: unknown;
  readonly adapter: string;
}

const VARIANTS: readonly Variant[] = ["dense", "spade", "fastspade", "otherSample", "magnitude", "random"];

/** What experiment.json holds, from the checkpoints of all shards. */
export function summarize(files: readonly string[]): ExperimentJson {
  const { settings, abouts, values } = mergeCheckpoints<Saved>(files);
  const tables = new Map<string, Table>();
  for (const { net, results } of values.values()) {
    for (const [part, result] of Object.entries(results)) {
      const table = tables.get(part) ?? new Table();
      tables.set(part, table);
      table.add(net, result);
    }
  }
  const about = abouts[0] as { adapter: string; nets: NetFacts[] };
  const names = about.nets.map(({ name }) => name);
  const all = [...tables].flatMap(([part, table]) =>
    [...names, "all"].flatMap((net) => rowsOf(part, net, table)),
  );
  const isMain = ({ part, setting, variant, method }: LandscapeRow): boolean =>
    part === PARTS.main
      ? setting === "" || setting === MAIN_SETTING
      : method !== "mean" && (part === PARTS.dear || (part === PARTS.exact && variant === "spade"));
  const plain = ({ part, setting, logitChange, ...row }: LandscapeRow): Omit<Row, "logitChange"> => row;
  const seconds: Record<string, number> = {};
  for (const table of tables.values()) {
    for (const [stage, value] of Object.entries(table.seconds))
      seconds[stage] = (seconds[stage] ?? 0) + value;
  }
  return {
    nets: about.nets.map(({ name, figures: { cleanAccuracy, attackSuccess }, floors }) => ({
      name,
      cleanAccuracy,
      attackSuccess,
      floors,
    })),
    rows: all.filter((row) => row.net !== "all" && isMain(row)).map(plain),
    seconds,
    pooled: all.filter(({ net }) => net === "all"),
    landscape: all.filter((row) => row.net !== "all" && !isMain(row)),
    settings,
    adapter: about.adapter,
  };
}

function rowsOf(part: string, net: string, table: Table): LandscapeRow[] {
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

/** Where the JSON goes. */
export const resultFile = (out: string): string => join(out, `${NAME}.json`);
