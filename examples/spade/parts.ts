// The measuring of an experiment: the parts of its plan, a few images of a network at a time, each on disk as it ends.
import type { Gpu, Tensor } from "handgrad";
import { maskAuc, measureMaps, randomMaps, sobelMaps } from "handgrad/explain";
import type { Sequential } from "handgrad/layers";
import { meanInterval } from "handgrad/metrics";
import { Checkpoint } from "../experiment/checkpoint.js";
import { checkpointFile, runJobs, type Shard } from "../experiment/shard.js";
import { startProgress } from "../start/progress.js";
import { type ChunkResult, measureChunk } from "./chunk.js";
import { measureClean } from "./clean.js";
import { loadNet, type Net } from "./nets.js";
import { CHUNK, type Part, PARTS, SCENE_KINDS, type SceneKind } from "./plan.js";
import { heldOut, imagesOf, type Sample, type SceneVariation } from "./samples.js";
import type { TrainFigures } from "./train.js";

const FLOOR_SEED = 9;

export interface PartsCommand {
  readonly nets: readonly string[];
  /** Where they are. */
  readonly weights: string;
  readonly seed: number;
  readonly out: string;
  readonly shard: Shard;
  readonly fresh: boolean;
}

export interface PartsTask {
  /** Of the checkpoint's file. */
  readonly name: string;
  /** What the numbers depend on. */
  readonly settings: unknown;
  /** What is measured of a network. */
  partsOf(net: Net): Part[];
}

interface Job {
  readonly net: string;
  readonly part: Part;
  readonly chunk: number;
}

/** A job's value. */
export interface Saved {
  readonly net: string;
  readonly results: Readonly<Record<string, ChunkResult>>;
}

/** What a shard writes of its networks beside the jobs' numbers. */
export interface NetFacts {
  readonly name: string;
  readonly figures: TrainFigures;
  readonly floors: Readonly<Record<string, { readonly auc: number; readonly ci: readonly [number, number] }>>;
}

/** A checkpoint's `about`. */
export interface About {
  readonly adapter: string;
  readonly nets: readonly NetFacts[];
}

/** A network, what is measured of it, and on which images. */
interface Loaded extends Net {
  readonly parts: readonly Part[];
  readonly samples: Readonly<Record<SceneKind, readonly Sample[]>>;
}

async function load(gpu: Gpu, name: string, { weights }: PartsCommand, task: PartsTask): Promise<Loaded> {
  const net = await loadNet(gpu, name, weights);
  const parts = task.partsOf(net);
  const samples: Partial<Record<SceneKind, readonly Sample[]>> = {};
  for (const [kind, variation] of Object.entries(SCENE_KINDS) as [SceneKind, SceneVariation][]) {
    const most = parts.reduce(
      (count, part) => (part.of === kind ? Math.max(count, CHUNK * chunksOf(part)) : count),
      // Sobel and noise are scored on one scene at least.
      kind === "evaluation" ? 1 : 0,
    );
    samples[kind] = await heldOut(gpu, net.model, { of: "evaluation", count: most, ...variation });
  }
  return { ...net, parts, samples: samples as Loaded["samples"] };
}

/** Runs this shard's jobs, as far as they are not done yet. */
export async function runParts(gpu: Gpu, command: PartsCommand, task: PartsTask): Promise<void> {
  const { out, shard, fresh, seed } = command;
  const nets = new Map<string, Loaded>();
  try {
    const facts: NetFacts[] = [];
    for (const name of command.nets) {
      const net = await load(gpu, name, command, task);
      nets.set(name, net);
      facts.push({ name, figures: net.figures, floors: await floorsOf(gpu, net.samples.evaluation) });
    }
    const adapter = gpu.info.description || gpu.info.device || gpu.info.vendor;
    const checkpoint = Checkpoint.open<Saved>(checkpointFile(out, task.name, shard), {
      settings: task.settings,
      about: { adapter, nets: facts } satisfies About,
      fresh,
    });
    const progress = startProgress(task.name);
    try {
      await runJobs(jobsOf([...nets.values()]), {
        shard,
        checkpoint,
        keyOf: ({ net, part, chunk }) => `${part.name} / ${net} / ${chunk}`,
        run: async ({ net, part, chunk }) => {
          const { model, samples } = nets.get(net) as Loaded;
          const chosen = samples[part.of].slice(chunk * CHUNK, (chunk + 1) * CHUNK);
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
  if (part.name !== PARTS.clean)
    return { [part.name]: await measureChunk(gpu, model, samples, { ...part, seed }) };
  const { methods, settings } = part;
  const [{ name: setting, ratios, copies }] = settings;
  return measureClean(gpu, model, samples, { methods, copies, setting, ratios: ratios.all, seed });
}

/** Whole ones, so that more images can be added later. */
const chunksOf = ({ images }: Part): number => Math.ceil(images / CHUNK);

/** The first images of every network and part come first, so that an interrupted run is a smaller experiment. */
function jobsOf(nets: readonly Loaded[]): Job[] {
  const jobs = nets.flatMap(({ name, parts }) =>
    parts.flatMap((part) =>
      Array.from({ length: chunksOf(part) }, (_, chunk): Job => ({ net: name, part, chunk })),
    ),
  );
  // Stable: parts and networks keep their order within a chunk.
  return jobs.sort((a, b) => a.chunk - b.chunk);
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
