// The options of `npm run neurons -- verify`.
import { parseArgs } from "node:util";
import { ValueError } from "handgrad";
import { withGpu } from "../command.js";
import { wholeNumber } from "../start/options.js";
import { COMMON_HELP, COMMON_OPTIONS, writeResults } from "./command.js";
import { runVerify } from "./verify.js";

const HELP = `npm run neurons -- verify [options]

${COMMON_HELP}`;

export async function verify(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: COMMON_OPTIONS });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const { quick, out } = values;
  const seed = wholeNumber("seed", values.seed, 0);
  await withGpu(values.adapter, async (gpu, start) => {
    const { json, section, failed } = await runVerify(gpu, { seed, quick });
    await writeResults(gpu, { out, name: "verify", json, section, seed, start });
    if (failed > 0) throw new ValueError(`verify: ${failed} rows are not as the theory says`);
  });
}
