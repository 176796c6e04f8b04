/** What the suites tell the runner while they run on a host; sent as JSON. */
export type SuiteEvent =
  | { type: "test"; file: string; suite: string; test: string }
  | ({ type: "suite" } & SuiteResult)
  | { type: "end" };

export interface SuiteResult {
  file: string;
  suite: string;
  passed: number;
  failed: number;
  milliseconds: number;
  /** One text a failure. */
  failures: string[];
}

/** The sum of a host or a check. */
export interface Totals {
  passed: number;
  failed: number;
}
