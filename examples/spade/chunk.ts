// A few images through every variant of a network: what the experiment measures, a job at a time.
import type { Gpu, Tensor } from "handgrad";
import { type AttributionName, maskAuc, outputChange } from "handgrad/explain";
import type { Sequential } from "handgrad/layers";
import {
  type Augmentation,
  calibrate,
  type Ratios,
  type SolveOptions,
  solve,
  type Trace,
} from "handgrad/spade";
import { mapsOf } from "./methods.js";
import { imagesOf, type Sample } from "./samples.js";

/** Which network an attribution looks at. */
export type Variant = "dense" | "spade" | "fastspade" | "otherSample" | "magnitude" | "random";

/** How the copies are made that a trace is solved on. */
export interface Copies {
  readonly samples: number;
  readonly augment: readonly Augmentation[];
}

/** Ratios by method; `all` for those that are not named. */
export type MethodRatios = { readonly all: Ratios } & { readonly [Name in AttributionName]?: Ratios };

export interface ChunkTask {
  readonly methods: readonly AttributionName[];
  readonly variants: readonly Variant[];
  readonly ratios: MethodRatios;
  readonly copies: Copies;
  /** Layers that the exact solver takes; it leaves out the others. */
  readonly spadeLayers?: readonly string[];
  readonly seed: number;
}

/** What was measured of one variant and method, a number an image. */
export interface Cell {
  /** Area under the ROC curve of the map against the trigger's mask, 0–1. */
  readonly auc: number[];
  /** 1 where the network predicts the target as the dense one does. */
  readonly agreement: number[];
  /** The target's logit less the dense network's. */
  readonly logitChange: number[];
}

export interface ChunkResult {
  /** Of the images, see `Sample`. */
  readonly images: readonly number[];
  readonly cells: { readonly [Name in Variant]?: { readonly [Name in AttributionName]?: Cell } };
  /** Of all images together. */
  readonly seconds: Readonly<Record<string, number>>;
}

/** Networks to look at: one for all images, or one an image. */
type Looked = { readonly shared: Sequential } | { readonly own: readonly Sequential[] };

/** Measures a few images. */
export async function measureChunk(
  gpu: Gpu,
  model: Sequential,
  samples: readonly Sample[],
  task: ChunkTask,
): Promise<ChunkResult> {
  const images = imagesOf(gpu, samples);
  const stopwatch = new Stopwatch();
  const targets = samples.map(({ target }) => target);
  const cells: Partial<Record<Variant, Partial<Record<AttributionName, Cell>>>> = {};
  const look = async (
    variant: Variant,
    looked: Looked,
    methods: readonly AttributionName[],
  ): Promise<void> => {
    const rows = await lookThrough(looked, images, samples, methods, stopwatch);
    const changes = await stopwatch.time("passes", () => changesOf(model, looked, images, targets));
    for (const method of methods) {
      cells[variant] ??= {};
      cells[variant][method] = { auc: rows[method] as number[], ...changes };
    }
  };
  const { variants, methods, copies, seed } = task;
  try {
    if (variants.includes("dense")) await look("dense", { shared: model }, methods);
    if (variants.every((variant) => variant === "dense")) return result();
    const calibration = await stopwatch.time("calibrate", () =>
      calibrate(model, images, { ...copies, seed }),
    );
    try {
      for (const { ratios, methods: own } of groupsOf(task)) {
        const traced = async (
          options: Omit<SolveOptions, "ratios">,
          use: (traces: Trace[]) => Promise<void>,
        ) => {
          const wanted = options.solver === "spade" ? only(ratios, task.spadeLayers) : ratios;
          const traces = await stopwatch.time(`solve ${options.solver}`, () =>
            solve(calibration, { ...options, ratios: wanted, target: targets, seed }),
          );
          try {
            await use(traces);
          } finally {
            for (const trace of traces) trace.dispose();
          }
        };
        const ownAndOther = ["fastspade", "otherSample"].some((name) => variants.includes(name as Variant));
        if (ownAndOther) {
          await traced({ solver: "fastspade" }, async (traces) => {
            const models = traces.map((trace) => trace.model);
            if (variants.includes("fastspade")) await look("fastspade", { own: models }, own);
            if (variants.includes("otherSample")) {
              const others = samples.map((_, at) => models[otherOf(samples, at)]);
              await look("otherSample", { own: others }, own);
            }
          });
        }
        if (variants.includes("spade"))
          await traced({ solver: "spade" }, (traces) =>
            look("spade", { own: traces.map((trace) => trace.model) }, own),
          );
        for (const solver of ["magnitude", "random"] as const) {
          // Neither hangs on the image: the first trace stands for all.
          if (variants.includes(solver))
            await traced({ solver }, ([{ model: shared }]) => look(solver, { shared }, own));
        }
      }
    } finally {
      calibration.dispose();
    }
    return result();
  } finally {
    images.dispose();
  }

  function result(): ChunkResult {
    return { images: samples.map(({ index }) => index), cells, seconds: stopwatch.seconds };
  }
}

/** The methods that share ratios, so that each set of ratios is solved once. */
function groupsOf({ methods, ratios }: ChunkTask): { ratios: Ratios; methods: AttributionName[] }[] {
  const groups = new Map<string, { ratios: Ratios; methods: AttributionName[] }>();
  for (const method of methods) {
    const own = ratios[method] ?? ratios.all;
    const key = JSON.stringify(own);
    const group = groups.get(key) ?? { ratios: own, methods: [] };
    group.methods.push(method);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function only(ratios: Ratios, layers: readonly string[] | undefined): Ratios {
  if (!layers) return ratios;
  const ratioOf = (name: string): number => (typeof ratios === "number" ? ratios : (ratios[name] ?? 0));
  return Object.fromEntries(layers.map((name) => [name, ratioOf(name)]));
}

/** The next image with another target, or just the next. */
export function otherOf(samples: readonly Sample[], at: number): number {
  for (let step = 1; step < samples.length; step++) {
    const other = (at + step) % samples.length;
    if (samples[other].target !== samples[at].target) return other;
  }
  return (at + 1) % samples.length;
}

async function lookThrough(
  looked: Looked,
  images: Tensor,
  samples: readonly Sample[],
  methods: readonly AttributionName[],
  stopwatch: Stopwatch,
): Promise<Partial<Record<AttributionName, number[]>>> {
  const targets = samples.map(({ target }) => target);
  const rows: Partial<Record<AttributionName, number[]>> = {};
  for (const method of methods) {
    const maps = await stopwatch.time(method, async () => {
      if ("shared" in looked) return mapsOf(looked.shared, images, method, targets);
      const each: Float32Array[] = [];
      for (const [at, model] of looked.own.entries()) {
        const image = imagesOf(images.gpu, [samples[at]]);
        each.push(...(await mapsOf(model, image, method, [targets[at]])));
        image.dispose();
      }
      return each;
    });
    rows[method] = maps.map((map, at) => maskAuc(map, samples[at].mask));
  }
  return rows;
}

/** Each image by its own network against the dense one. */
async function changesOf(
  dense: Sequential,
  looked: Looked,
  images: Tensor,
  targets: readonly number[],
): Promise<Pick<Cell, "agreement" | "logitChange">> {
  const changeOf = async (model: Sequential) => {
    const { agreement, targetLogitChange } = await outputChange(dense, model, images, targets);
    return { agreement: Array.from(agreement), logitChange: Array.from(targetLogitChange) };
  };
  if ("shared" in looked) return changeOf(looked.shared);
  const agreement: number[] = [];
  const logitChange: number[] = [];
  for (const [at, model] of looked.own.entries()) {
    // All images, so that one shape serves; only its own counts.
    const change = await changeOf(model);
    agreement.push(change.agreement[at]);
    logitChange.push(change.logitChange[at]);
  }
  return { agreement, logitChange };
}

/** Wall time by name. */
class Stopwatch {
  readonly seconds: Record<string, number> = {};

  async time<Result>(name: string, body: () => Promise<Result>): Promise<Result> {
    const start = performance.now();
    const result = await body();
    this.seconds[name] = (this.seconds[name] ?? 0) + (performance.now() - start) / 1000;
    return result;
  }
}
