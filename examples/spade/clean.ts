// Clean images: does what a map points at carry the dense network's prediction? Insertion up, deletion down.
import { type Gpu, type Tensor, tensor } from "handgrad";
import { type AttributionName, deletion, insertion } from "handgrad/explain";
import type { Sequential } from "handgrad/layers";
import { type Ratios, tracesOf } from "handgrad/spade";
import type { Cell, ChunkResult, Copies } from "./chunk.js";
import { mapsOf } from "./methods.js";
import { imagesOf, type Sample } from "./samples.js";

export interface CleanTask {
  readonly methods: readonly AttributionName[];
  readonly copies: Copies;
  /** Of the setting whose name stands before it. */
  readonly setting: string;
  readonly ratios: Ratios;
  readonly seed: number;
}

/** Points of a curve. */
const STEPS = 16;
/** Measures by what missing pixels show: see `insertion` and `deletion`. */
export const CLEAN_PARTS = { insertion: "insertion, blurred", deletion: "deletion, mean" } as const;
const MEASURES = {
  [CLEAN_PARTS.insertion]: (model, x, maps, target) => insertion(model, x, maps, { target, steps: STEPS }),
  [CLEAN_PARTS.deletion]: (model, x, maps, target) => deletion(model, x, maps, { target, steps: STEPS }),
} satisfies Record<
  string,
  (model: Sequential, x: Tensor, maps: Tensor, target: number[]) => ReturnType<typeof insertion>
>;

/**
 * Areas under the dense network's curves, of its own maps and of the traces'; in a result for each measure, where a
 * cell's `auc` is the area.
 */
export async function measureClean(
  gpu: Gpu,
  model: Sequential,
  samples: readonly Sample[],
  { methods, copies, setting, ratios, seed }: CleanTask,
): Promise<Record<string, ChunkResult>> {
  const start = performance.now();
  const images = imagesOf(gpu, samples, "clean");
  const [count, , height, width] = images.shape;
  const labels = samples.map(({ label }) => label);
  const traces = await tracesOf(model, images, { ...copies, ratios, seed, target: labels });
  const results = Object.fromEntries(
    Object.keys(MEASURES).map((name): [string, ChunkResult] => [
      name,
      {
        images: samples.map(({ index }) => index),
        cells: { "": { dense: {} }, [setting]: { fastspade: {} } },
        seconds: {},
      },
    ]),
  );
  try {
    for (const method of methods) {
      const dense = await mapsOf(model, images, method, labels);
      const pruned: Float32Array[] = [];
      for (const [at, trace] of traces.entries()) {
        const image = imagesOf(gpu, [samples[at]], "clean");
        pruned.push(...(await mapsOf(trace.model, image, method, [labels[at]])));
        image.dispose();
      }
      for (const [maps, key, variant] of [
        [dense, "", "dense"],
        [pruned, setting, "fastspade"],
      ] as const) {
        const values = new Float32Array(count * height * width);
        for (const [at, map] of maps.entries()) values.set(map, at * height * width);
        const batch = tensor(gpu, values, [count, height, width]);
        for (const [name, measure] of Object.entries(MEASURES)) {
          const { areas } = await measure(model, images, batch, labels);
          const cell: Cell = {
            auc: Array.from(areas),
            agreement: traces.map(({ agreement }) => (variant === "dense" ? 1 : agreement)),
            logitChange: traces.map(({ targetLogitChange }) => (variant === "dense" ? 0 : targetLogitChange)),
          };
          const variants = results[name].cells[key];
          (variants[variant] as Record<string, Cell>)[method] = cell;
        }
        batch.dispose();
      }
    }
  } finally {
    for (const trace of traces) trace.dispose();
    images.dispose();
  }
  const [first] = Object.keys(results);
  const seconds = { "insertion and deletion": (performance.now() - start) / 1000 };
  return { ...results, [first]: { ...results[first], seconds } };
}
