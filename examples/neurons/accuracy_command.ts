// The options of `npm run neurons -- accuracy`.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ruleNamed, ruleNames } from "handgrad/neurons";
import { withGpu } from "../command.js";
import { makeFolder, parseShard, SHARD_HELP } from "../experiment/shard.js";
import { writePage } from "../report/page.js";
import { wholeNumber } from "../start/options.js";
import { runAccuracy } from "./accuracy.js";
import { accuracySection } from "./accuracy_page.js";
import { COMMON_HELP, COMMON_OPTIONS, someOf, wrap } from "./command.js";
import { datasetNames, netNames } from "./tasks.js";

const QUICK = {
  rules: "attention,measured,backpropagation,movement",
  seeds: 2,
  epochs: 2,
  train: 200,
  test: 300,
};

const HELP = `npm run neurons -- accuracy [options]

  --datasets L   names with commas out of ${datasetNames.join(", ")} (default: all)
  --nets LIST    names with commas out of ${netNames.join(", ")} (default: both)
  --rules LIST   names with commas (default: all; with --quick ${QUICK.rules});
                 there are
${wrap(ruleNames)}
  --seeds N      runs of each rule, paired with backpropagation's (default 5; ${QUICK.seeds} with --quick)
  --epochs N     passes over the training data (default 4; ${QUICK.epochs} with --quick)
  --train N      training items, at most (default 1500; ${QUICK.train} with --quick)
  --test N       test items, at most (default: all; ${QUICK.test} with --quick)
  --fashion DIR  a folder with the four IDX files of the whole Fashion-MNIST, instead of the subset
${SHARD_HELP}
${COMMON_HELP}

Rates are tried from 0.01 to 0.1, a half of a decade apart, and beyond while the best is on the edge. Without --shard
accuracy.json is written at the end; parts are joined by \`npm run neurons -- merge accuracy\`.`;

const OPTIONS = {
  ...COMMON_OPTIONS,
  datasets: { type: "string", default: datasetNames.join() },
  nets: { type: "string", default: netNames.join() },
  rules: { type: "string" },
  seeds: { type: "string" },
  epochs: { type: "string" },
  train: { type: "string" },
  test: { type: "string" },
  fashion: { type: "string" },
  shard: { type: "string" },
  fresh: { type: "boolean", default: false },
} as const;

export async function accuracy(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const { quick, out, fresh } = values;
  const number = (name: "seeds" | "epochs" | "train" | "test", usual: number, least: number): number =>
    wholeNumber(name, values[name] ?? String(quick ? QUICK[name] : usual), least);
  const command = {
    rules: (values.rules ?? (quick ? QUICK.rules : ruleNames.join())).split(","),
    datasets: someOf("datasets", values.datasets, datasetNames),
    nets: someOf("nets", values.nets, netNames),
    seeds: number("seeds", 5, 1),
    epochs: number("epochs", 4, 1),
    train: number("train", 1500, 100),
    test: number("test", 10_000, 10),
    batchSize: 50,
    seed: wholeNumber("seed", values.seed, 0),
    fashionIdx: values.fashion,
    shard: parseShard(values.shard),
    fresh,
    out,
  };
  for (const rule of command.rules) ruleNamed(rule);
  await makeFolder(out);
  await withGpu(values.adapter, async (gpu, start) => {
    const rows = await runAccuracy(gpu, command);
    const seconds = (performance.now() - start) / 1000;
    if (!rows) {
      console.log(
        `\n${seconds.toFixed(1)} s; join the parts when all are done: npm run neurons -- merge accuracy`,
      );
      return;
    }
    const page = join(out, "accuracy.html");
    await writePage(page, {
      adapter: gpu.info,
      seed: command.seed,
      seconds,
      sections: [accuracySection(rows)],
    });
    console.log(`\n${seconds.toFixed(1)} s in all; see ${page} and ${join(out, "accuracy.json")}`);
  });
}
