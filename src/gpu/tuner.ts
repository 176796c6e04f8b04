/**
 * The tuner. A hot op has several variants and a heuristic that puts the likely best first; `gpu.tune()` measures
 * them for the shapes that were used and remembers the winners, for one adapter and one version of the kernels.
 */
import { FormatError, HandgradError } from "./errors.js";
import type { Gpu } from "./gpu.js";
import type { GpuInfo } from "./open.js";

/** Raised whenever a kernel or a heuristic changes: what was measured before is then forgotten. */
const TUNING_VERSION = 7;
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
  /** How often it was picked. */
  picks: number;
}

/** What `gpu.tune` tells of one op on one shape; times in milliseconds. */
export interface TuningRow {
  readonly key: string;
  readonly chosen: string;
  readonly heuristic: string;
  readonly times: Readonly<Record<string, number>>;
  /** Variants that this adapter does not take, and why: they are left out. */
  readonly failures: Readonly<Record<string, string>>;
}

export interface TuneOptions {
  /** Called with each row as it is measured. */
  readonly report?: (row: TuningRow) => void;
  /** Which ops and shapes, by their key; default all that were used. */
  readonly wanted?: (key: string) => boolean;
  /** Milliseconds from any fixed moment; default the wall's clock. */
  readonly clock?: () => number;
}

/** The variant that an op on a shape runs with. */
export interface TunedChoice {
  readonly key: string;
  readonly variant: string;
  /** Whether it was measured, now or before, or is the heuristic's. */
  readonly tuned: boolean;
  /** How often it was picked; a program picks while it is recorded. */
  readonly picks: number;
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
    if (known) {
      known.picks++;
      return known.chosen;
    }
    const list = variants();
    const remembered = this.choices.get(key);
    const chosen = list.find(({ name }) => name === remembered) ?? list[0];
    this.noted.set(key, { variants: list, trial, chosen, picks: 1 } as unknown as Noted<Variant>);
    return chosen;
  }

  /** What every op and shape used so far runs with. */
  used(): TunedChoice[] {
    return [...this.noted].map(([key, { chosen, picks }]) => {
      return { key, variant: chosen.name, tuned: this.choices.has(key), picks };
    });
  }

  /** How many choices are remembered for this adapter, from this run and earlier ones. */
  get remembered(): number {
    return this.choices.size;
  }

  /**
   * Measures every variant of the ops and shapes used so far, keeps the fastest, and stores the choices. A variant that
   * does not compile on this adapter, or does not take the shape, is left out and told in the row.
   * @throws the heuristic's error if no variant runs
   */
  async tune(gpu: Gpu, { report, wanted = () => true, clock }: TuneOptions = {}): Promise<TuningRow[]> {
    const rows: TuningRow[] = [];
    for (const [key, entry] of [...this.noted]) {
      if (entry.variants.length < 2 || !wanted(key)) continue;
      const row = await measure(gpu, key, entry, clock);
      entry.chosen = entry.variants.find(({ name }) => name === row.chosen) as Variant;
      this.choices.set(key, row.chosen);
      rows.push(row);
      report?.(row);
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

interface TimedTrial {
  readonly name: string;
  readonly trial: Trial;
  repeats: number;
  readonly times: number[];
}

/** Rounds go over all variants in turn, so that a machine that slows down for a while slows them all. */
async function measure(
  gpu: Gpu,
  key: string,
  { variants, trial }: Noted<Variant>,
  clock = () => performance.now(),
): Promise<TuningRow> {
  const trials: TimedTrial[] = [];
  const failures: Record<string, string> = {};
  let first: unknown;
  try {
    for (const variant of variants) {
      const ready = trial(gpu, variant);
      try {
        ready.run();
        await gpu.finish(); // compiles
      } catch (error) {
        ready.dispose();
        gpu.throwIfDisposed(); // nothing else will run either
        if (!(error instanceof HandgradError)) throw error;
        first ??= error;
        failures[variant.name] = error.message;
        continue;
      }
      trials.push({ name: variant.name, trial: ready, repeats: 1, times: [] });
    }
    if (trials.length === 0) throw first;
    for (const entry of trials) {
      const once = await time(gpu, entry, clock);
      entry.repeats = Math.max(1, Math.min(64, Math.round(TRIAL_MILLISECONDS / Math.max(once, 0.01))));
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const entry of trials) entry.times.push(await time(gpu, entry, clock));
    }
  } finally {
    for (const entry of trials) entry.trial.dispose();
  }
  // The fastest run is the one that was disturbed least.
  const times = Object.fromEntries(trials.map(({ name, times }) => [name, Math.min(...times)]));
  const heuristic = variants[0].name;
  const best = Object.keys(times).reduce((a, b) => (times[b] < times[a] ? b : a));
  const stays = heuristic in times && times[best] >= MARGIN * times[heuristic];
  return { key, chosen: stays ? heuristic : best, heuristic, times, failures };
}

/** Milliseconds of one run. */
async function time(gpu: Gpu, { trial, repeats }: TimedTrial, clock: () => number): Promise<number> {
  const start = clock();
  for (let i = 0; i < repeats; i++) trial.run();
  await gpu.finish();
  return (clock() - start) / repeats;
}
