import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Totals } from "./events.js";

/** The checks before the suites; each counts as one test. */
const checks: Record<string, string[]> = {
  types: [join("node_modules", "typescript", "bin", "tsc")],
  lint: [join("node_modules", "@biomejs", "biome", "bin", "biome"), "check", "--error-on-warnings"],
  build: ["build.mjs"],
};

/** Runs all checks, printing the output of those that fail. */
export async function runChecks(root: string): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0 };
  for (const [name, command] of Object.entries(checks)) {
    const start = performance.now();
    const { code, output } = await collect(root, command);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    if (code !== 0) console.log(output);
    console.log(`check     ${name}: ${code === 0 ? "passed" : "FAILED"} (${seconds} s)`);
    totals[code === 0 ? "passed" : "failed"]++;
  }
  return totals;
}

function collect(root: string, command: string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, command, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}
