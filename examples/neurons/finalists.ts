// What sweeps chose, for runs of `forget` without a sweep of their own. See docs/neurons.md for the commands.
import type { Config } from "./entrants.js";

export interface Finalist {
  readonly rule: string;
  /** The best constant rate, and the best of all schedules. */
  readonly constant: Config;
  readonly scheduled: Config;
}

/** By the stream that they were chosen on. */
export const FINALISTS: Readonly<Record<string, readonly Finalist[]>> = {};
