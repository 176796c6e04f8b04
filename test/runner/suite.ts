// Stands in for `uvu` in bundled suites: the same interface, run by uvu itself, with its traps closed. A suite that
// is made but not run, a skipped test and an error in a hook are failures here, and a test that hangs ends.
import * as uvu from "uvu";

type Callback = uvu.Callback;

/** No test takes so long; one that does waits for something that will not come. */
const testTimeoutMs = 180_000;

/** What happened to a suite. */
export interface SuiteLog {
  name: string;
  failures: string[];
}

/** The suites of the file that is being run, and those of them whose `.run()` was called, in that order. */
export const madeSuites: SuiteLog[] = [];
export const startedSuites: SuiteLog[] = [];

let onTestStart: (suite: string, test: string) => void = () => {};

/** The listener is told when a test begins. */
export function setTestStartListener(listener: typeof onTestStart): void {
  onTestStart = listener;
}

/** Forgets the suites of the file before. */
export function forgetSuites(): void {
  madeSuites.length = 0;
  startedSuites.length = 0;
}

export function suite(name: string) {
  if (!name) throw new Error("a suite needs a name");
  const made = guardedSuite(name, uvu.suite(name));
  logOf(name);
  return made;
}

/** uvu's suite without a name, one a file. */
export const test = guardedSuite("", uvu.test);

/** The log of a suite of this file; begun by the first call, since `test` above serves many files. */
function logOf(name: string): SuiteLog {
  const known = madeSuites.find((log) => log.name === name);
  if (known) return known;
  const log = { name, failures: [] };
  madeSuites.push(log);
  return log;
}

function guardedSuite(name: string, inner: uvu.Test) {
  const guarded = (what: string, callback: Callback): Callback => {
    const log = logOf(name);
    return async (context) => {
      try {
        await withTimeout(callback(context), what);
      } catch (error) {
        log.failures.push(`${title(name, what)}\n${describe(error)}`);
        throw error;
      }
    };
  };
  const guardedTest = (testName: string, callback: Callback) => {
    const run = guarded(testName, callback);
    inner(testName, (context) => {
      onTestStart(name, testName);
      return run(context);
    });
  };
  const hook = (kind: "before" | "after") =>
    Object.assign((callback: Callback) => inner[kind](guarded(kind, callback)), {
      each: (callback: Callback) => inner[kind].each(guarded(`${kind} each`, callback)),
    });
  const refused = (testName: string, why: string) => {
    logOf(name).failures.push(`${title(name, testName)}: ${why}`);
  };
  return Object.assign(guardedTest, {
    before: hook("before"),
    after: hook("after"),
    only: (testName: string) =>
      refused(testName, "test.only is for trying things out; it hides the other tests"),
    skip: (testName = "a test") => refused(testName, "tests are never skipped"),
    run: () => {
      startedSuites.push(logOf(name));
      inner.run();
    },
  });
}

/** The nameless suite's tests go by their own names. */
function title(suiteName: string, testName: string): string {
  return suiteName ? `${suiteName} › ${testName}` : testName;
}

async function withTimeout(running: unknown, what: string): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise((_, reject) => {
    const message = `"${what}" did not end within ${testTimeoutMs / 1000} s`;
    timer = setTimeout(() => reject(new Error(message)), testTimeoutMs);
  });
  try {
    await Promise.race([running, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** The error with its stack, and what was expected and what came. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  const { name, message, stack = "", details } = error as Error & { details?: unknown };
  const comparison = typeof details === "string" ? details.split("\n") : [];
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line));
  return [`${name}: ${message}`, ...comparison, ...frames].filter((line) => line.trim()).join("\n");
}
