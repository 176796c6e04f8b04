// The suites' end of the line to the runner, in Node: messages between parent and child process.
import type { SuiteEvent } from "./events.js";

export function report(event: SuiteEvent): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(event, (error: Error | null) => (error ? reject(error) : resolve()));
  });
}

/** A test may have left a device open, which would keep the process alive. */
export function finish(): void {
  process.exit(0);
}
