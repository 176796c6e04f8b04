// A few images through every variant of a network: what the experiment measures, a job at a time.
import type { Gpu, Tensor } from "handgrad";
import { type AttributionName, maskAuc, outputChange } from "handgrad/explain";
import type { Sequential } from "handgrad/layers";
import {
  type Augmentation,
  calibrate,
  type Ratios,
  type SolverName,
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

/** Ratios, and the networks that are made with them. */
export interface Setting {
  readonly name: string;
  readonly copies: Copies;
  readonly ratios: MethodRatios;
  readonly variants: readonly Exclude<Variant, "dense">[];
}

export interface ChunkTask {
  readonly methods: readonly AttributionName[];
  readonly settings: readonly Setting[];
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

type Cells = Record<string, { [Name in Variant]?: { [Name in AttributionName]?: Cell } }>;

export interface ChunkResult {
  /** Of the images, see `Sample`. */
  readonly images: readonly number[];
  /** By setting ("" for the dense network), variant and method. */
  readonly cells: Cells;
  /** Of all images together. */
  readonly seconds: Readonly<Record<string, number>>;
}

/** Networks to look at: one for all images, or one an image. */
type Looked = { readonly shared: Sequential } | { readonly own: readonly Sequential[] };

/** Solves the images' traces for as long as they are used. */
type Traced = (ratios: Ratios, solver: SolverName, use: (traces: Trace[]) => Promise<void>) => Promise<void>;

/** Measures a few images in one go: the copies and their Hessians serve all settings. */
export async function measureChunk(
  gpu: Gpu,
  model: Sequential,
  samples: readonly Sample[],
  { methods, settings, seed }: ChunkTask,
): Promise<ChunkResult> {
  const images = imagesOf(gpu, samples);
  const stopwatch = new Stopwatch();
  const targets = samples.map(({ target }) => target);
  const cells: Cells = {};
  const look = async (
    [setting, variant]: readonly [string, Variant],
    looked: Looked,
    own: readonly AttributionName[],
  ): Promise<void> => {
    const rows = await stopwatch.time("attributions", () => lookThrough(looked, images, samples, own));
    const changes = await stopwatch.time("passes", () => changesOf(model, looked, images, targets));
    for (const method of own) {
      cells[setting] ??= {};
      cells[setting][variant] ??= {};
      cells[setting][variant][method] = { auc: rows[method] as number[], ...changes };
    }
  };
  const lookInto = async ({ name, variants, ratios: byMethod }: Setting, traced: Traced): Promise<void> => {
    const has = (variant: Variant): boolean => (variants as readonly Variant[]).includes(variant);
    for (const { ratios, methods: own } of groupsOf(methods, byMethod)) {
      if (has("fastspade") || has("otherSample")) {
        await traced(ratios, "fastspade", async (traces) => {
          const models = traces.map((trace) => trace.model);
          if (has("fastspade")) await look([name, "fastspade"], { own: models }, own);
          const others = samples.map((_, at) => models[otherOf(samples, at)]);
          if (has("otherSample")) await look([name, "otherSample"], { own: others }, own);
        });
      }
      if (has("spade")) {
        await traced(ratios, "spade", (traces) =>
          look([name, "spade"], { own: traces.map((trace) => trace.model) }, own),
        );
      }
      for (const solver of ["magnitude", "random"] as const) {
        // Neither hangs on the image: the first trace stands for all.
        if (has(solver))
          await traced(ratios, solver, ([{ model: shared }]) => look([name, solver], { shared }, own));
      }
    }
  };
  const result = (): ChunkResult => ({
    images: samples.map(({ index }) => index),
    cells,
    seconds: stopwatch.seconds,
  });
  try {
    await look(["", "dense"], { shared: model }, methods);
    for (const copies of new Set(settings.map((setting) => setting.copies))) {
      const calibration = await stopwatch.time("calibrate", () =>
        calibrate(model, images, { ...copies, seed }),
      );
      const traced: Traced = async (ratios, solver, use) => {
        const traces = await stopwatch.time(`solve ${solver}`, () =>
          solve(calibration, { solver, ratios, target: targets, seed }),
        );
        try {
          await use(traces);
        } finally {
          for (const trace of traces) trace.dispose();
        }
      };
      try {
        for (const setting of settings) if (setting.copies === copies) await lookInto(setting, traced);
      } finally {
        calibration.dispose();
      }
    }
    return result();
  } finally {
    images.dispose();
  }
}

/** The methods that share ratios, so that each set of ratios is solved once. */
function groupsOf(
  methods: readonly AttributionName[],
  ratios: MethodRatios,
): { ratios: Ratios; methods: AttributionName[] }[] {
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

/** The next image with another target, or just the next. */
export function otherOf(samples: readonly Sample[], at: number): number {
  for (let step = 1; step < samples.length; step++) {
    const other = (at + step) % samples.length;
    if (samples[other].target !== samples[at].target) return other;
  }
  return (at + 1) % samples.length;
}

/** The AUC of every image by method. All maps are asked for at once, so that the device never waits for the host. */
async function lookThrough(
  looked: Looked,
  images: Tensor,
  samples: readonly Sample[],
  methods: readonly AttributionName[],
): Promise<Partial<Record<AttributionName, number[]>>> {
  const targets = samples.map(({ target }) => target);
  const singles = "own" in looked ? samples.map((sample) => imagesOf(images.gpu, [sample])) : [];
  const mapsBy = async (method: AttributionName): Promise<Float32Array[]> => {
    if ("shared" in looked) return mapsOf(looked.shared, images, method, targets);
    const maps = looked.own.map((model, at) => mapsOf(model, singles[at], method, [targets[at]]));
    return (await Promise.all(maps)).flat();
  };
  try {
    const all = await Promise.all(methods.map(mapsBy));
    return Object.fromEntries(
      methods.map((method, index) => [method, all[index].map((map, at) => maskAuc(map, samples[at].mask))]),
    );
  } finally {
    for (const image of singles) image.dispose();
  }
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
  // All images, so that one shape serves; only its own counts.
  const changes = await Promise.all(looked.own.map(changeOf));
  return {
    agreement: changes.map(({ agreement }, at) => agreement[at]),
    logitChange: changes.map(({ logitChange }, at) => logitChange[at]),
  };
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
