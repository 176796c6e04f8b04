import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** What a program did that ran in a process of its own. */
export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface ProgramOptions {
  args?: string[];
  /** Flags of Node itself. */
  flags?: string[];
  /** Added to this process's environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  cwd?: string;
}

/** A program that has not ended by then hangs; starting it takes about a second, a training run a minute. */
const timeoutMs = 180_000;

/** Bundles a program of test/node/programs with the project's build script; resolves to the bundle's path. */
export async function bundleProgram(name: string): Promise<string> {
  const builder = await import(pathToFileURL(join(process.cwd(), "build.mjs")).href);
  return builder.bundleForNode(join("test", "node", "programs", `${name}.ts`), `test-${name}`);
}

/** Runs a bundle in Node until it ends by itself; one that hangs is killed, which its `signal` tells. */
export function runProgram(bundle: string, { args = [], flags = [], env, cwd }: ProgramOptions = {}) {
  return new Promise<Outcome>((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, bundle, ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const printed = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        printed[name] += text;
      });
    }
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, ...printed });
    });
  });
}

/** Throws, with everything the program printed, unless it ended by itself with code 0. */
export function assertEndedWell({ code, signal, stdout, stderr }: Outcome, what: string): void {
  if (code === 0 && signal === null) return;
  throw new Error(`${what}: ended with ${signal ?? code}\n${stdout}\n${stderr}`);
}
