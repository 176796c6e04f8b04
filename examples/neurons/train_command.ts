// The options of `npm run neurons -- train`.
import { parseArgs } from "node:util";
import { ValueError } from "handgrad";
import { ruleNames } from "handgrad/neurons";
import { withGpu } from "../command.js";
import { wholeNumber } from "../start/options.js";
import { COMMON_HELP, COMMON_OPTIONS, oneOf, wrap, writeResults } from "./command.js";
import { runTrain } from "./train.js";

const HELP = `npm run neurons -- train [options]

  --rules LIST   names with commas, default attention,backpropagation; there are
${wrap(ruleNames)}
  --net NAME     dense or convolution (default dense)
  --data NAME    mnist or fashion (default mnist)
  --epochs N     passes over the training images (default 5)
  --train N      training images (default 8000; 1000 with --quick)
  --hidden N     neurons a hidden layer of the dense net (default 128)
  --rate R       the first learning rate (default 0.1)
${COMMON_HELP}`;

const OPTIONS = {
  ...COMMON_OPTIONS,
  rules: { type: "string", default: "attention,backpropagation" },
  net: { type: "string", default: "dense" },
  data: { type: "string", default: "mnist" },
  epochs: { type: "string", default: "5" },
  train: { type: "string" },
  hidden: { type: "string", default: "128" },
  rate: { type: "string", default: "0.1" },
} as const;

export async function train(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const { quick, out, net, data } = values;
  const rate = Number(values.rate);
  if (!(rate > 0 && Number.isFinite(rate)))
    throw new ValueError(`--rate got "${values.rate}", and a number above 0 is taken`);
  const options = {
    rules: values.rules.split(","),
    net: oneOf("net", net, ["dense", "convolution"]),
    data: oneOf("data", data, ["mnist", "fashion"]),
    epochs: wholeNumber("epochs", values.epochs, 1),
    train: wholeNumber("train", values.train ?? (quick ? "1000" : "8000"), 100),
    hidden: wholeNumber("hidden", values.hidden, 1),
    seed: wholeNumber("seed", values.seed, 0),
    rate,
  };
  await withGpu(values.adapter, async (gpu, start) => {
    const { json, section } = await runTrain(gpu, options);
    await writeResults(gpu, { out, name: "train", json, section, seed: options.seed, start });
  });
}
