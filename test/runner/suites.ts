// Runs the bundled suites inside a host, one after the other, and reports each.
import { disposeSharedGpu } from "../helpers/gpu.js";
import type { SuiteEvent, SuiteResult } from "./events.js";
import {
  describe,
  forgetSuites,
  madeSuites,
  type SuiteLog,
  setTestStartListener,
  startedSuites,
} from "./suite.js";

/** A test file, and what loads it. */
export type TestFile = readonly [file: string, load: () => Promise<unknown>];

/** What uvu's run of a suite resolves to: failures, then how many passed, were skipped, were there. */
type UvuRun = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>;

const uvuGlobals = globalThis as typeof globalThis & { UVU_QUEUE: (UvuRun | string | null)[][] };

/** Runs the files in order; every event is reported, also "end" when all have been run. */
export async function runFiles(
  files: TestFile[],
  report: (event: SuiteEvent) => Promise<void>,
): Promise<void> {
  for (const [file, load] of files) {
    setTestStartListener((suite, test) => void report({ type: "test", file, suite, test }));
    for (const result of await runFile(file, load)) await report({ type: "suite", ...result });
  }
  await disposeSharedGpu();
  await report({ type: "end" });
}

async function runFile(file: string, load: () => Promise<unknown>): Promise<SuiteResult[]> {
  forgetSuites();
  const queue: (UvuRun | string | null)[] = [];
  uvuGlobals.UVU_QUEUE.splice(0, Number.POSITIVE_INFINITY, queue);
  try {
    await load();
  } catch (error) {
    return [failedFile(file, `could not be loaded\n${describe(error)}`)];
  }
  if (madeSuites.length === 0) return [failedFile(file, "has no suite")];
  const results: SuiteResult[] = [];
  const runs = queue.filter((run): run is UvuRun => typeof run === "function");
  for (const [index, log] of startedSuites.entries()) results.push(await runSuite(file, runs[index], log));
  for (const log of madeSuites) {
    if (startedSuites.includes(log)) continue;
    results.push(failedFile(file, "its `.run()` is missing, so none of its tests ran", log.name));
  }
  return results;
}

async function runSuite(file: string, run: UvuRun, log: SuiteLog): Promise<SuiteResult> {
  const start = performance.now();
  const [, passed, , total] = await run();
  const milliseconds = performance.now() - start;
  const { failures } = log;
  const suite = log.name || file;
  if (total === 0) failures.push(`${suite}: no tests`);
  // An error in a hook leaves tests behind that neither passed nor failed.
  return { file, suite, passed, failed: Math.max(failures.length, total - passed), milliseconds, failures };
}

function failedFile(file: string, problem: string, suite = file): SuiteResult {
  return { file, suite, passed: 0, failed: 1, milliseconds: 0, failures: [`${suite}: ${problem}`] };
}
