/** The bench on Node. See README.md beside this file. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { openGpu } from "handgrad";
import { cases as programCases, waitingCases } from "./cases.js";
import { clockNamed, type Contender, Handgrad, measureCase } from "./measure.js";
import { isInstalled, PEERS, Peer } from "./peers/peer.js";
import {
  type BenchResult,
  benchResult,
  type CaseResult,
  caseResult,
  chart,
  comparison,
  header,
  row,
} from "./report.js";
import { measureRoof } from "./roof.js";

const USAGE = `usage: npm run bench -- [options]
  --filter TEXT     only cases whose name or group contains TEXT (a regular expression)
  --adapter NAME    hardware, software, swiftshader, lavapipe, or a part of the adapter's name
  --peers LIST      of ${Object.keys(PEERS).join(", ")}; "none" for handgrad alone. Default: all that are installed
  --compare FILE    an earlier bench.json: what got slower
  --quick           fewer and shorter rounds
  --clock NAME      wall, or cpu: processor time instead, for a machine that is busy otherwise; software adapters only
  --tune            tune handgrad for the cases first
  --out FOLDER      where bench.json and bench.html go; default out
  --page            build the bench page and serve it for browsers instead`;

const { values } = parseArgs({
  options: {
    filter: { type: "string" },
    adapter: { type: "string" },
    peers: { type: "string" },
    compare: { type: "string" },
    quick: { type: "boolean", default: false },
    clock: { type: "string", default: "wall" },
    tune: { type: "boolean", default: false },
    out: { type: "string", default: "out" },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<number> {
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const clock = clockNamed(values.clock);
  if (!clock) return 1;
  const unknown = peerNames().find((peer) => !(peer in PEERS));
  if (unknown !== undefined) {
    console.error(`--peers: "${unknown}" is unknown; there are ${Object.keys(PEERS).join(", ")} and none`);
    return 1;
  }
  const benchFolder = process.env.HANDGRAD_BENCH_FOLDER as string;
  const adapterBundle = process.env.HANDGRAD_BENCH_ADAPTER as string;
  const before = values.compare
    ? (JSON.parse(await readFile(values.compare, "utf8")) as BenchResult)
    : undefined;
  const pattern = new RegExp(values.filter ?? "", "i");
  const cases = [...programCases, ...waitingCases];
  const selected = cases.filter(({ name, group }) => pattern.test(name) || pattern.test(group));
  if (selected.length === 0) {
    console.error(
      `no case matches "${values.filter}"; there are:\n  ${cases.map(({ name }) => name).join("\n  ")}`,
    );
    return 1;
  }

  const gpu = await openGpu({ adapter: values.adapter });
  const peers: Peer[] = [];
  try {
    const { info } = gpu;
    console.log(
      `adapter: ${[info.vendor, info.architecture, info.description].filter(Boolean).join(", ")} (${info.kind}, ${info.driver})`,
    );
    const { roof, again } = await measureRoof(gpu, { quick: values.quick, clock });
    console.log(
      `roof: ${roof.gflops.toFixed(1)} GFLOP/s (${roof.best}), copy ${roof.copyGBs.toFixed(2)} GB/s, ` +
        `dispatch ${roof.dispatchMicroseconds.toFixed(1)} µs, submit and wait ${roof.submitMicroseconds.toFixed(0)} µs, ` +
        `read-back ${roof.readBackMilliseconds.toFixed(2)} ms, small kernel compiled in ${roof.compileMilliseconds.toFixed(0)} ms`,
    );
    peers.push(...(await openPeers(benchFolder, adapterBundle)));
    const names = peers.map(({ name }) => name);
    const contenders: Contender[] = [new Handgrad(gpu, clock), ...peers];
    const effort = values.quick
      ? { rounds: 5, batchMilliseconds: 15 }
      : { rounds: 15, batchMilliseconds: 50 };
    if (values.tune) {
      for (const which of selected) await contenders[0].prepare(which.spec, which.inputs(), which);
      await gpu.tune(({ key, chosen, heuristic }) => {
        if (chosen !== heuristic) console.log(`tuned ${key}: ${chosen} instead of ${heuristic}`);
      });
    }

    const { remembered } = gpu.tuner;
    console.log(
      remembered > 0
        ? `tuning: ${remembered} choices for this adapter, from the cache${values.tune ? " and this run" : ""}`
        : "tuning: none for this adapter, so the heuristic chooses; npm run tune measures",
    );
    console.log(`\n${header(names)}`);
    const results: CaseResult[] = [];
    for (const which of selected) {
      const result = caseResult(
        which,
        await measureCase(which, contenders, { ...effort, roof: again }),
        roof,
      );
      results.push(result);
      console.log(row(result, names));
      for (const [peer, { problem }] of Object.entries(result.peers))
        if (problem) console.log(`    ${peer}: ${problem}`);
    }
    const all = benchResult(info, roof, results, { clock: values.clock, remembered });
    await mkdir(values.out, { recursive: true });
    await writeFile(join(values.out, "bench.json"), `${JSON.stringify(all, null, 2)}\n`);
    await writeFile(join(values.out, "bench.html"), chart(all, names));
    for (const [group, mean] of Object.entries(all.geometricMean)) {
      console.log(`best peer's time over ours, geometric mean, ${group}: ${mean.toFixed(2)}×`);
    }
    console.log(`written: ${join(values.out, "bench.json")}, ${join(values.out, "bench.html")}`);
    if (before) console.log(`\ncompared with ${values.compare}:\n  ${comparison(before, all).join("\n  ")}`);
    const failures = results.filter(({ ours }) => ours.ms === null);
    for (const { name, ours } of failures) console.error(`FAILED ${name}: ${ours.problem}`);
    return failures.length > 0 ? 1 : 0;
  } finally {
    for (const peer of peers) peer.close();
    gpu.dispose();
  }
}

function peerNames(): string[] {
  if (values.peers === "none") return [];
  return values.peers?.split(",") ?? Object.keys(PEERS);
}

async function openPeers(benchFolder: string, adapterBundle: string): Promise<Peer[]> {
  const opened: Peer[] = [];
  for (const peer of peerNames()) {
    if (!isInstalled(benchFolder, peer)) {
      console.log(`peer ${peer} is not installed: npm install --prefix ${dirname(join(benchFolder, "x"))}`);
      continue;
    }
    try {
      opened.push(
        await Peer.open(
          benchFolder,
          peer,
          adapterBundle,
          values.adapter ?? process.env.HANDGRAD_ADAPTER ?? "",
          values.clock,
        ),
      );
    } catch (error) {
      console.log(`peer ${peer} could not be opened: ${(error as Error).message}`);
    }
  }
  return opened;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
