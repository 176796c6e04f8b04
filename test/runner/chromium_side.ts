// The suites' end of the line to the runner, in a page: a function that the runner has put there.
import type { SuiteEvent } from "./events.js";

declare global {
  var handgradReport: (event: SuiteEvent) => Promise<void>;
}

export function report(event: SuiteEvent): Promise<void> {
  return globalThis.handgradReport(event);
}

/** The runner closes the page. */
export function finish(): void {}
