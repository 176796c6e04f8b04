/** Tunes handgrad for the bench's cases on this machine's adapter, and remembers: `npm run tune -- --help`. */
import { parseArgs } from "node:util";
import { type Gpu, openGpu, type TuningRow, type TuningStore } from "handgrad";
import { cases } from "./cases.js";
import { type Clock, clockNamed, Handgrad } from "./measure.js";

/** An untuned choice may take so many times what the best variant takes. */
const WITHIN = 1.25;

const USAGE = `usage: npm run tune -- [options]
  --filter TEXT    only for cases whose name or group contains TEXT (a regular expression)
  --adapter NAME   hardware, software, swiftshader, lavapipe, or a part of the adapter's name
  --check          remember nothing; tell how far the untuned choices are from the best variants, and end with a
                   code other than 0 if one takes more than ${WITHIN} times as long
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
  return values.check ? judge(rows) : 0;
}

function print({ key, chosen, heuristic, times, failures }: TuningRow): void {
  const gain = times[heuristic] / times[chosen];
  const better = gain > 1 ? `, ${gain.toFixed(2)}× as fast as ${heuristic}` : "";
  console.log(`${key.padEnd(64)} ${chosen}${better}`);
  for (const [variant, problem] of Object.entries(failures)) {
    console.log(`    left out: ${variant}: ${problem.split("\n")[0]}`);
  }
}

/** The untuned choices' times over the best variants'; 1 if one is too slow, or does not run at all. */
function judge(rows: readonly TuningRow[]): number {
  const ratios = rows.map(({ key, heuristic, times }) => {
    return { key, heuristic, ratio: (times[heuristic] ?? Infinity) / Math.min(...Object.values(times)) };
  });
  const worst = ratios.filter(({ ratio }) => !(ratio <= WITHIN)).sort((a, b) => b.ratio - a.ratio);
  const mean = Math.exp(ratios.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / ratios.length);
  console.log(
    `\n${ratios.length} ops and shapes; untuned over tuned: geometric mean ${mean.toFixed(2)}, ` +
      `${worst.length} above ${WITHIN}`,
  );
  for (const { key, heuristic, ratio } of worst) console.log(`  ${ratio.toFixed(2)}  ${key}: ${heuristic}`);
  return worst.length > 0 ? 1 : 0;
}

process.exitCode = await main();
