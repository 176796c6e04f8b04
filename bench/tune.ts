/** Tunes handgrad for the bench's cases on this machine's adapter, and remembers: `npm run tune -- --help`. */
import { parseArgs } from "node:util";
import { type Gpu, openGpu, type TuningRow, type TuningStore } from "handgrad";
import { cases } from "./cases.js";
import { type Clock, clockNamed, Handgrad } from "./measure.js";

/** An untuned choice may take so many times what the best variant takes. */
const WITHIN = 1.25;
/** What came out above it is measured so many times in all, and the median counts: a run may have been disturbed. */
const CHECKS = 3;

const USAGE = `usage: npm run tune -- [options]
  --filter TEXT    only for cases whose name or group contains TEXT (a regular expression)
  --adapter NAME   hardware, software, swiftshader, lavapipe, or a part of the adapter's name
  --check          remember nothing; tell how far the untuned choices are from the best variants, and end with a
                   code other than 0 if one takes more than ${WITHIN} times as long (the median of ${CHECKS} measurements,
                   where the first says so)
  --clock NAME     wall, or cpu: processor time instead, for a machine that is busy otherwise; software adapters only
  --forget         drop what was remembered for the adapter
  --export         print the remembered choices as JSON, for tuner.import()`;

const { values } = parseArgs({
  options: {
    filter: { type: "string", default: "" },
    adapter: { type: "string" },
    check: { type: "boolean", default: false },
    clock: { type: "string", default: "wall" },
    forget: { type: "boolean", default: false },
    export: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

/** Nothing that was measured before counts, and nothing is kept. */
const forgetful: TuningStore = { load: () => undefined, save: () => {} };

async function main(): Promise<number> {
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const clock = clockNamed(values.clock);
  if (!clock) return 1;
  const gpu = await openGpu({ adapter: values.adapter, ...(values.check && { tuning: forgetful }) });
  try {
    if (values.forget) gpu.tuner.forget();
    else if (values.export) console.log(gpu.tuner.export());
    else return await tune(gpu, clock);
    return 0;
  } finally {
    gpu.dispose();
  }
}

async function tune(gpu: Gpu, clock: Clock): Promise<number> {
  const pattern = new RegExp(values.filter, "i");
  const selected = cases.filter(({ name, group }) => pattern.test(name) || pattern.test(group));
  if (selected.length === 0) {
    console.error(`no case matches "${values.filter}"`);
    return 1;
  }
  const contender = new Handgrad(gpu);
  for (const which of selected) await contender.prepare(which.spec, which.inputs(), which);
  await gpu.finish();
  const rows = await gpu.tuner.tune(gpu, { report: print, clock });
  return values.check ? judge(await checkAgain(gpu, clock, rows)) : 0;
}

/** How an untuned choice compares with the best variant. */
interface Comparison {
  readonly key: string;
  readonly heuristic: string;
  readonly best: string;
  /** Its time over the best variant's: the median of the measurements; Infinity if it does not run. */
  readonly ratio: number;
}

async function checkAgain(gpu: Gpu, clock: Clock, rows: readonly TuningRow[]): Promise<Comparison[]> {
  const found = new Map(rows.map((row) => [row.key, [compare(row)]]));
  for (let check = 1; check < CHECKS; check++) {
    const wanted = (key: string): boolean => (found.get(key)?.[0].ratio ?? 0) > WITHIN;
    for (const row of await gpu.tuner.tune(gpu, { wanted, clock })) found.get(row.key)?.push(compare(row));
  }
  return [...found.values()].map((comparisons) => {
    comparisons.sort((a, b) => a.ratio - b.ratio);
    return comparisons[comparisons.length >> 1];
  });
}

function compare({ key, heuristic, times }: TuningRow): Comparison {
  const best = Object.keys(times).reduce((a, b) => (times[b] < times[a] ? b : a));
  return { key, heuristic, best, ratio: (times[heuristic] ?? Infinity) / times[best] };
}

function print({ key, chosen, heuristic, times, failures }: TuningRow): void {
  const gain = times[heuristic] / times[chosen];
  const better = gain > 1 ? `, ${gain.toFixed(2)}× as fast as ${heuristic}` : "";
  console.log(`${key.padEnd(64)} ${chosen}${better}`);
  for (const [variant, problem] of Object.entries(failures)) {
    console.log(`    left out: ${variant}: ${problem.split("\n")[0]}`);
  }
}

/** Prints the ratios; 1 if one is too large. */
function judge(comparisons: readonly Comparison[]): number {
  const worst = comparisons.filter(({ ratio }) => !(ratio <= WITHIN)).sort((a, b) => b.ratio - a.ratio);
  const mean = Math.exp(
    comparisons.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / comparisons.length,
  );
  console.log(
    `\n${comparisons.length} ops and shapes; untuned over tuned: geometric mean ${mean.toFixed(2)}, ` +
      `${worst.length} above ${WITHIN}`,
  );
  for (const { key, heuristic, best, ratio } of worst)
    console.log(`  ${ratio.toFixed(2)}  ${key}: ${heuristic}, best ${best}`);
  return worst.length > 0 ? 1 : 0;
}

process.exitCode = await main();
