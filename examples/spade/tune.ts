// `npm run spade -- tune`: ratios that make maps find the trigger, on scenes that the experiment does not look at.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Gpu, ValueError } from "handgrad";
import { type AttributionName, maskAuc } from "handgrad/explain";
import { type Trace, tuneRatios, type TuneState } from "handgrad/spade";
import { startProgress } from "../start/progress.js";
import { CHEAP_METHODS, mapsOf, PAPER_METHODS } from "./methods.js";
import { loadNet } from "./nets.js";
import { COPIES, type TunedRatios } from "./plan.js";
import { heldOut, imagesOf } from "./samples.js";
import type { TunedSolver } from "./tuned.js";
import { writeWhole } from "../experiment/write_whole.js";

export interface TuneCommand {
  readonly net: string;
  readonly solver: TunedSolver;
  /** Where it is. */
  readonly weights: string;
  /** Tuning scenes. */
  readonly images: number;
  /** What each layer may get. */
  readonly candidates: readonly number[];
  readonly rounds: number;
  readonly seed: number;
  readonly out: string;
}

/** Mean AUC of each method by the JSON of the removed shares. */
type MethodScores = Record<
  string,
  { readonly ratios: Record<string, number>; readonly sums: Record<string, number> }
>;

interface Stored {
  readonly command: Omit<TuneCommand, "out">;
  readonly state: TuneState;
  readonly methods: MethodScores;
}

export interface TuneJson extends TunedRatios {
  readonly command: Omit<TuneCommand, "out">;
  /** Mean AUC of the tuning scenes, points of 100: of the dense network, with the ratios for all, with a method's own. */
  readonly scores: readonly {
    readonly method: string;
    readonly dense: number;
    readonly one: number;
    readonly own: number;
  }[];
}

/** The methods that the search listens to: the paper's, but for the dear ones, which take what suits all. */
const HEARD = PAPER_METHODS.filter((method) => CHEAP_METHODS.includes(method));

/**
 * A coordinate search for the mean of all methods; each method then takes the best of all settings that the search has
 * tried.
 */
export async function runTune(gpu: Gpu, { out, ...command }: TuneCommand): Promise<TuneJson> {
  const { net, solver, weights, images, candidates, rounds, seed } = command;
  const file = join(out, `tune-${net}-${solver}.state.json`);
  const stored = await restore(file, command);
  const methods: MethodScores = stored?.methods ?? {};
  const { model } = await loadNet(gpu, net, weights);
  const samples = await heldOut(gpu, model, { of: "tuning", count: images });
  const targets = samples.map(({ target }) => target);
  const batch = imagesOf(gpu, samples);
  const singles = samples.map((sample) => imagesOf(gpu, [sample]));
  const progress = startProgress(`tune ${net}`);
  try {
    const objective = async (trace: Trace, index: number): Promise<number> => {
      const key = JSON.stringify(trace.sparsity);
      methods[key] ??= { ratios: { ...trace.sparsity }, sums: {} };
      const entry = methods[key];
      let sum = 0;
      for (const method of CHEAP_METHODS) {
        const [map] = await mapsOf(trace.model, singles[index], method, [targets[index]]);
        const auc = maskAuc(map, samples[index].mask);
        entry.sums[method] = (entry.sums[method] ?? 0) + auc;
        if (HEARD.includes(method)) sum += auc / HEARD.length;
      }
      return sum;
    };
    const { ratios, score } = await tuneRatios(model, batch, objective, {
      ...COPIES,
      solver,
      seed,
      candidates,
      rounds,
      target: targets,
      resume: stored?.state,
      onProgress: async ({ done, total, layer, ratio, best, state }) => {
        progress.update(done / total, `layer ${layer} at ${ratio}, best ${(100 * best).toFixed(2)}`);
        if (!process.stderr.isTTY)
          console.log(`${done} of ${total}: ${layer} ${ratio}, best ${best.toFixed(4)}`);
        await writeWhole(file, JSON.stringify({ command, state, methods } satisfies Stored));
      },
    });
    console.log(`best mean over methods: ${(100 * score).toFixed(2)}`);
    return { ...choose(methods, ratios, images), command };
  } finally {
    progress.stop();
    for (const tensor of [batch, ...singles]) tensor.dispose();
    model.dispose();
  }
}

async function restore(file: string, command: Omit<TuneCommand, "out">): Promise<Stored | undefined> {
  if (!existsSync(file)) return undefined;
  const stored = JSON.parse(await readFile(file, "utf8")) as Stored;
  if (JSON.stringify(stored.command) === JSON.stringify(command)) return stored;
  throw new ValueError(`${file} is of another command; remove it, or take another --out`);
}

function choose(
  methods: MethodScores,
  one: Readonly<Record<string, number>>,
  images: number,
): Omit<TuneJson, "command"> {
  const entries = Object.values(methods);
  const removed = (ratios: Readonly<Record<string, number>>): number =>
    Object.values(ratios).reduce((sum, ratio) => sum + ratio, 0);
  const dense = entries.find(({ ratios }) => removed(ratios) === 0);
  const near = (a: Readonly<Record<string, number>>): number =>
    Object.keys({ ...a, ...one }).reduce((sum, name) => sum + Math.abs((a[name] ?? 0) - (one[name] ?? 0)), 0);
  // Removed shares are ratios to within half a weight.
  const shared = entries.reduce((best, entry) => (near(entry.ratios) < near(best.ratios) ? entry : best));
  const byMethod: Partial<Record<AttributionName, Record<string, number>>> = {};
  const scores = CHEAP_METHODS.map((method) => {
    const own = entries.reduce((best, entry) => (entry.sums[method] > best.sums[method] ? entry : best));
    byMethod[method] = rounded(own.ratios);
    const points = (entry: (typeof entries)[number] | undefined): number =>
      entry ? (100 * entry.sums[method]) / images : Number.NaN;
    return { method, dense: points(dense), one: points(shared), own: points(own) };
  });
  return { one, byMethod, scores };
}

function rounded(ratios: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(ratios).map(([name, ratio]) => [name, Number(ratio.toFixed(3))]));
}
