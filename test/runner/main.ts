// The test runner: checks, then the suites on each host; ends with one line, `N passed, N failed`.
import type { Builder } from "./builder.js";
import { testFiles } from "./bundle.js";
import { runChecks } from "./checks.js";
import { runInChromium } from "./chromium_host.js";
import type { Totals } from "./events.js";
import { runOnNode } from "./node_host.js";
import { type HostName, help, type Options, parseOptions } from "./options.js";

const hosts: Record<HostName, (builder: Builder, options: Options) => Promise<Totals>> = {
  node: runOnNode,
  chromium: runInChromium,
};

/** Resolves to the exit code: 0 when all passed and there was something to pass. */
export async function main(args: string[], builder: Builder): Promise<number> {
  let options: Options | undefined;
  try {
    options = parseOptions(args);
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
  if (!options) {
    console.log(help);
    return 0;
  }
  return runAll(options, builder);
}

async function runAll(options: Options, builder: Builder): Promise<number> {
  const { hosts: wanted, filter, checks } = options;
  if (wanted.every((host) => testFiles(builder.root, host, filter).length === 0)) {
    console.error(`no test file matches ${filter.map((text) => `"${text}"`).join(", ")}`);
    return 1;
  }
  const parts = checks ? [await runChecks(builder.root)] : [];
  parts.push(...(await Promise.all(wanted.map((host) => runHost(host, builder, options)))));
  const sum = (key: keyof Totals) => parts.reduce((total, part) => total + part[key], 0);
  const [passed, failed] = [sum("passed"), sum("failed")];
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** A host that cannot even be prepared, as when a test file does not bundle, is one failure. */
async function runHost(host: HostName, builder: Builder, options: Options): Promise<Totals> {
  try {
    return await hosts[host](builder, options);
  } catch (error) {
    console.log(`${host.padEnd(9)} FAILED ${(error as Error).message}`);
    return { passed: 0, failed: 1 };
  }
}
