/** Tunes handgrad for the bench's cases on this machine's adapter, and remembers: `npm run tune -- --help`. */
import { parseArgs } from "node:util";
import { openGpu } from "handgrad";
import { cases } from "./cases.js";
import { Handgrad } from "./measure.js";

const { values } = parseArgs({
  options: {
    filter: { type: "string", default: "" },
    adapter: { type: "string" },
    forget: { type: "boolean", default: false },
    export: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(`usage: npm run tune -- [options]
  --filter TEXT    only for cases whose name contains TEXT (a regular expression)
  --adapter NAME   hardware, software, swiftshader, lavapipe, or a part of the adapter's name
  --forget         drop what was remembered for the adapter
  --export         print the remembered choices as JSON, for tuner.import()`);
} else {
  const gpu = await openGpu({ adapter: values.adapter });
  try {
    if (values.forget) gpu.tuner.forget();
    else if (values.export) console.log(gpu.tuner.export());
    else {
      const pattern = new RegExp(values.filter, "i");
      const contender = new Handgrad(gpu);
      for (const which of cases) {
        if (pattern.test(which.name)) await contender.prepare(which.spec, which.inputs(), which);
      }
      await gpu.tune(({ key, chosen, heuristic, times }) => {
        const gain = times[heuristic] / times[chosen];
        console.log(
          `${key.padEnd(64)} ${chosen}${gain > 1 ? `, ${gain.toFixed(2)}× as fast as ${heuristic}` : ""}`,
        );
      });
    }
  } finally {
    gpu.dispose();
  }
}
