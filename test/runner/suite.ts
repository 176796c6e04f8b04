// Stands in for `uvu` in bundled suites: the same interface, run by uvu itself, with its traps closed. A suite that
// is made but not run, a skipped test and an error in a hook are failures here, and a test that hangs ends.
import * as uvu from "uvu";

type Callback = uvu.Callback;

/** No test takes so long; one that does waits for something that will not come. */
const testTimeoutMs = 180_000;

/** What happened to the suites of the file that is being run. */
export interface SuiteLog {
  name: string;
  ran: boolean;
  failures: string[];
}

export const suiteLogs: SuiteLog[] = [];

let onTestStart: (suite: string, test: string) => void = () => {};

/** The listener is told when a test begins. */
export function setTestStartListener(listener: typeof onTestStart): void {
  onTestStart = listener;
}

export function suite(name: string) {
  if (!name) throw new Error("a suite needs a name");
  const log: SuiteLog = { name, ran: false, failures: [] };
  suiteLogs.push(log);
  const inner = uvu.suite(name);

  const guarded = (what: string, callback: Callback): Callback => {
    return async (context) => {
      try {
        await withTimeout(callback(context), what);
      } catch (error) {
        log.failures.push(`${name} › ${what}\n${describe(error)}`);
        throw error;
      }
    };
  };
  const test = (testName: string, callback: Callback) => {
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
  test.before = hook("before");
  test.after = hook("after");
  test.only = (testName: string) => {
    log.failures.push(`${name} › ${testName}: test.only is for trying things out; it hides the other tests`);
  };
  test.skip = (testName = "a test") => {
    log.failures.push(`${name} › ${testName}: tests are never skipped`);
  };
  test.run = () => {
    log.ran = true;
    inner.run();
  };
  return test;
}

export const test = suite("tests");
suiteLogs.length = 0;

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
  const { name, message, stack = "", details = "" } = error as Error & { details?: string };
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line));
  return [`${name}: ${message}`, ...details.split("\n"), ...frames].filter((line) => line.trim()).join("\n");
}
