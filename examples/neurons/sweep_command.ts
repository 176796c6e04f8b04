// The options of `npm run neurons -- sweep`.
import { parseArgs } from "node:util";
import { withGpu } from "../command.js";
import { makeFolder, parseShard, SHARD_HELP } from "../experiment/shard.js";
import { wholeNumber } from "../start/options.js";
import { COMMON_HELP, COMMON_OPTIONS, oneOf, someOf, wrap } from "./command.js";
import { ENTRANTS } from "./entrants.js";
import { PROTOCOL_HELP, PROTOCOL_OPTIONS, protocolOf, streamNames } from "./protocol_options.js";
import { runSweep } from "./sweep.js";

const ruleNames = ENTRANTS.map(({ name }) => name);
const QUICK_RULES = "backpropagation,adagrad,square-0.75";
/** Two that would only repeat backpropagation's search. */
const usualRules = ruleNames.filter((name) => name !== "attention" && name !== "slow");

const HELP = `npm run neurons -- sweep [options]

Learning rates, schedules and endowments of ledgers by successive halving: a rule's settings on half of the training images
with one seed, the best quarter on all with several. Every rule gets as many settings, is measured on validation images and
trained with seeds that \`forget\` does not use. What is chosen goes to sweep-STREAM.json, which \`forget\` reads.

  --stream NAME  one of ${streamNames.join(", ")} (default permuted)
  --rules LIST   names with commas (default all but attention and slow; with --quick ${QUICK_RULES});
                 there are
${wrap(ruleNames)}
  --configs N    settings of each rule in the first rung (default 12; 6 with --quick)
  --seeds N      seeds of the last rung (default 3; 2 with --quick)
  --full         one rung: the whole grid and two rates beyond both of its ends, all images, all seeds
  --rung N       only this rung, 1 or 2; with --shard, every shard of rung 1 comes before those of rung 2
${PROTOCOL_HELP}
${SHARD_HELP}
${COMMON_HELP}`;

const OPTIONS = {
  ...COMMON_OPTIONS,
  ...PROTOCOL_OPTIONS,
  stream: { type: "string", default: "permuted" },
  rules: { type: "string" },
  configs: { type: "string" },
  seeds: { type: "string" },
  full: { type: "boolean", default: false },
  rung: { type: "string" },
  shard: { type: "string" },
  fresh: { type: "boolean", default: false },
} as const;

export async function sweep(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const { quick, out, full, fresh, rung } = values;
  const options = {
    protocol: protocolOf(values, oneOf("stream", values.stream, streamNames), "validation"),
    rules: someOf("rules", values.rules ?? (quick ? QUICK_RULES : usualRules.join()), ruleNames),
    configs: wholeNumber("configs", values.configs ?? (quick ? "6" : "12"), 1),
    seeds: wholeNumber("seeds", values.seeds ?? (quick ? "2" : "3"), 1),
    full,
    rung: rung === undefined ? undefined : Number(oneOf("rung", rung, full ? ["1"] : ["1", "2"])),
    seed: wholeNumber("seed", values.seed, 0),
    shard: parseShard(values.shard),
    fresh,
    out,
  };
  await makeFolder(out);
  await withGpu(values.adapter, async (gpu, start) => {
    const choices = await runSweep(gpu, options);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(
      choices
        ? `${seconds} s in all`
        : `${seconds} s; when all shards of the last rung are done: npm run neurons -- merge sweep`,
    );
  });
}
