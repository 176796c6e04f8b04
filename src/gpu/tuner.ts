/**
 * The tuner. A hot op has several variants and a heuristic that puts the likely best first; `gpu.tune()` measures
 * them for the shapes that were used and remembers the winners, for one adapter and one version of the kernels.
 */
import { FormatError } from "./errors.js";
import type { Gpu } from "./gpu.js";
import type { GpuInfo } from "./open.js";

/** Raised whenever a kernel or a heuristic changes: what was measured before is then forgotten. */
const TUNING_VERSION = 1;
/** A variant must win by so much before it displaces the heuristic's choice: less is noise. */
const MARGIN = 0.95;
const ROUNDS = 5;
/** Each timed run repeats its op until it takes about so long. */
const TRIAL_MILLISECONDS = 8;

/** One way to compute an op; the name tells its kernel and its constants. */
export interface Variant {
  readonly name: string;
}

/** An op on given shapes with one variant, ready to be timed. */
export interface Trial {
  run(): void;
  dispose(): void;
}

interface Noted<V extends Variant> {
  readonly variants: readonly V[];
  readonly trial: (gpu: Gpu, variant: V) => Trial;
  chosen: V;
}

/** What `gpu.tune` tells of one op on one shape; times in milliseconds. */
export interface TuningRow {
  readonly key: string;
  readonly chosen: string;
  readonly heuristic: string;
  readonly times: Readonly<Record<string, number>>;
}

/** What is kept between runs: the winner's name by op and shape. */
export interface TuningCache {
  readonly version: number;
  readonly adapter: string;
  readonly choices: Readonly<Record<string, string>>;
}

/** Where tuning results are kept, one text an adapter. */
export interface TuningStore {
  load(adapter: string): string | undefined;
  save(adapter: string, text: string): void;
}

export class Tuner {
  private readonly noted = new Map<string, Noted<Variant>>();
  private readonly choices = new Map<string, string>();
  private readonly adapter: string;

  constructor(
    info: GpuInfo,
    private readonly store?: TuningStore,
  ) {
    this.adapter = [info.vendor, info.architecture, info.device, info.description].join("|");
    const text = store?.load(this.adapter);
    if (text === undefined) return;
    try {
      this.import(text);
    } catch {
      // A cache of another adapter or version, or a broken file: measured anew by the next tune().
    }
  }

  /**
   * The variant for an op on a shape: the remembered one, else the first that `variants` returns.
   * @param key names op and shape; @param trial makes the op ready to be timed, for `tune`
   */
  pick<V extends Variant>(
    key: string,
    variants: () => readonly V[],
    trial: (gpu: Gpu, variant: V) => Trial,
  ): V {
    const known = this.noted.get(key) as Noted<V> | undefined;
    if (known) return known.chosen;
    const list = variants();
    const remembered = this.choices.get(key);
    const chosen = list.find(({ name }) => name === remembered) ?? list[0];
    this.noted.set(key, { variants: list, trial, chosen } as unknown as Noted<Variant>);
    return chosen;
  }

  /** Measures every variant of the ops and shapes used so far, keeps the fastest, and stores the choices. */
  async tune(
    gpu: Gpu,
    report: (row: TuningRow) => void = () => {},
    wanted: (key: string) => boolean = () => true,
  ): Promise<TuningRow[]> {
    const rows: TuningRow[] = [];
    for (const [key, entry] of [...this.noted]) {
      if (entry.variants.length < 2 || !wanted(key)) continue;
      const row = await measure(gpu, key, entry);
      entry.chosen = entry.variants.find(({ name }) => name === row.chosen) as Variant;
      this.choices.set(key, row.chosen);
      rows.push(row);
      report(row);
    }
    this.store?.save(this.adapter, this.export());
    return rows;
  }

  /** The choices as JSON, to be shipped or kept elsewhere. */
  export(): string {
    const cache: TuningCache = {
      version: TUNING_VERSION,
      adapter: this.adapter,
      choices: Object.fromEntries([...this.choices].sort(([a], [b]) => (a < b ? -1 : 1))),
    };
    return JSON.stringify(cache, null, 2);
  }

  /**
   * Takes choices that `export` gave.
   * @returns false, and changes nothing, if they are of another adapter or another version of the kernels
   * @throws FormatError if the text is no such JSON
   */
  import(text: string): boolean {
    const cache = parse(text);
    if (cache.version !== TUNING_VERSION || cache.adapter !== this.adapter) return false;
    for (const [key, name] of Object.entries(cache.choices)) {
      this.choices.set(key, name);
      const entry = this.noted.get(key);
      if (entry) entry.chosen = entry.variants.find((variant) => variant.name === name) ?? entry.chosen;
    }
    return true;
  }

  /** Back to the heuristic; the store is emptied too. */
  forget(): void {
    this.choices.clear();
    for (const entry of this.noted.values()) entry.chosen = entry.variants[0];
    this.store?.save(this.adapter, this.export());
  }
}

function parse(text: string): TuningCache {
  let cache: Partial<TuningCache> | null;
  try {
    cache = JSON.parse(text) as Partial<TuningCache> | null;
  } catch (cause) {
    throw new FormatError("tuning: the text is not JSON; give what tuner.export() returned", { cause });
  }
  const choices = cache?.choices;
  const valid =
    typeof choices === "object" &&
    choices !== null &&
    Object.values(choices).every((name) => typeof name === "string");
  if (!cache || !valid || typeof cache.version !== "number" || typeof cache.adapter !== "string") {
    throw new FormatError(
      "tuning: the JSON has no version, adapter and choices; give what tuner.export() returned",
    );
  }
  return cache as TuningCache;
}

/** Rounds go over all variants in turn, so that a machine that slows down for a while slows them all. */
async function measure(gpu: Gpu, key: string, { variants, trial }: Noted<Variant>): Promise<TuningRow> {
  const trials: { name: string; trial: Trial; repeats: number; times: number[] }[] = [];
  try {
    for (const variant of variants) {
      const ready = trial(gpu, variant);
      trials.push({ name: variant.name, trial: ready, repeats: 1, times: [] });
      ready.run();
      await gpu.finish(); // compiles
    }
    for (const entry of trials) {
      const once = await time(gpu, entry.trial, 1);
      entry.repeats = Math.max(1, Math.min(64, Math.round(TRIAL_MILLISECONDS / once)));
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const entry of trials)
        entry.times.push((await time(gpu, entry.trial, entry.repeats)) / entry.repeats);
    }
  } finally {
    for (const entry of trials) entry.trial.dispose();
  }
  // The fastest run is the one that was disturbed least.
  const times = Object.fromEntries(trials.map(({ name, times }) => [name, Math.min(...times)]));
  const heuristic = variants[0].name;
  const best = Object.keys(times).reduce((a, b) => (times[b] < times[a] ? b : a));
  return { key, chosen: times[best] < MARGIN * times[heuristic] ? best : heuristic, heuristic, times };
}

async function time(gpu: Gpu, trial: Trial, repeats: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) trial.run();
  await gpu.finish();
  return performance.now() - start;
}
