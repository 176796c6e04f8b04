import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Builder } from "./builder.js";
import { bundleSuites, testFiles } from "./bundle.js";
import type { SuiteEvent, Totals } from "./events.js";
import { HostLog } from "./host_log.js";
import type { Options } from "./options.js";

/** Runs the suites in a child process. */
export async function runOnNode(builder: Builder, { filter, adapter, verbose }: Options): Promise<Totals> {
  const files = testFiles(builder.root, "node", filter);
  const log = new HostLog("node");
  const bundle = join(builder.root, "dist", "test", `node-${process.pid}.mjs`);
  await bundleSuites(builder, "node", files, bundle);
  const child = spawn(process.execPath, ["--enable-source-maps", bundle], {
    cwd: builder.root,
    env: { ...process.env, ...(adapter && { HANDGRAD_ADAPTER: adapter }) },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  // Drivers write warnings of their own; they are of interest when something has gone wrong.
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      if (verbose) process.stdout.write(text);
      else printed = (printed + text).slice(-20_000);
    });
  }
  child.on("message", (event) => log.handle(event as SuiteEvent));
  child.on("error", (error) => log.fail(`the process could not be started: ${error.message}`));
  child.on("close", (code, signal) => log.fail(`the process ended early with ${signal ?? code}\n${printed}`));
  await log.done;
  child.kill("SIGKILL");
  await rm(bundle, { force: true });
  return log.totals;
}
