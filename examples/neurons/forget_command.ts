// The options of `npm run neurons -- forget`.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { withGpu } from "../command.js";
import { makeFolder, parseShard, SHARD_HELP } from "../experiment/shard.js";
import { writePage } from "../report/page.js";
import { wholeNumber } from "../start/options.js";
import { COMMON_HELP, COMMON_OPTIONS, someOf } from "./command.js";
import { ENTRANTS, STRATEGIES } from "./entrants.js";
import { runForget } from "./forget.js";
import { forgettingSection } from "./forget_page.js";
import { PROTOCOL_HELP, PROTOCOL_OPTIONS, protocolOf, streamNames } from "./protocol_options.js";

const QUICK = {
  streams: "permuted,split-domain",
  rules: "backpropagation,adagrad,square-0.75",
  strategies: "naive,joint,replay",
  seeds: 3,
};

const HELP = `npm run neurons -- forget [options]

Learns streams of tasks with what sweeps chose, from sweep-STREAM.json in the folder of --out or else as shipped, and
measures on test images what is left of each task. Writes forgetting.json, forgetting-comparisons.json (paired differences to
backpropagation at its best constant rate, with its best schedule, with Adagrad, and at matched learning accuracy) and
forgetting.html.

  --streams L    names with commas out of ${streamNames.join(", ")}
                 (default permuted,split-domain)
  --rules LIST   names with commas (default all that were chosen; with --quick ${QUICK.rules})
  --strategies L names with commas out of ${STRATEGIES.join(", ")}; all but naive with backpropagation,
                 at rates and strengths of their own (default all; with --quick ${QUICK.strategies})
  --seeds N      runs of each, paired by seed (default 10; ${QUICK.seeds} with --quick)
${PROTOCOL_HELP}
${SHARD_HELP}
${COMMON_HELP}`;

const OPTIONS = {
  ...COMMON_OPTIONS,
  ...PROTOCOL_OPTIONS,
  streams: { type: "string", default: QUICK.streams },
  rules: { type: "string" },
  strategies: { type: "string" },
  seeds: { type: "string" },
  shard: { type: "string" },
  fresh: { type: "boolean", default: false },
} as const;

export async function forget(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const { quick, out, fresh } = values;
  const rules = values.rules ?? (quick ? QUICK.rules : undefined);
  const strategies = values.strategies ?? (quick ? QUICK.strategies : STRATEGIES.join());
  const streams = someOf("streams", values.streams, streamNames);
  const options = {
    protocols: streams.map((stream) => protocolOf(values, stream, "test")),
    rules:
      rules === undefined
        ? undefined
        : someOf(
            "rules",
            rules,
            ENTRANTS.filter(({ strategy }) => strategy === "naive").map(({ name }) => name),
          ),
    strategies: someOf("strategies", strategies, STRATEGIES),
    seeds: wholeNumber("seeds", values.seeds ?? String(quick ? QUICK.seeds : 10), 2),
    seed: wholeNumber("seed", values.seed, 0),
    shard: parseShard(values.shard),
    fresh,
    out,
  };
  await makeFolder(out);
  await withGpu(values.adapter, async (gpu, start) => {
    const results = await runForget(gpu, options);
    const seconds = (performance.now() - start) / 1000;
    if (!results) {
      console.log(
        `\n${seconds.toFixed(1)} s; join the parts when all are done: npm run neurons -- merge forget`,
      );
      return;
    }
    const page = join(out, "forgetting.html");
    const sections = [forgettingSection(results)];
    await writePage(page, { adapter: gpu.info, seed: options.seed, seconds, sections });
    console.log(`\n${seconds.toFixed(1)} s in all; see ${page} and ${join(out, "forgetting.json")}`);
  });
}
