// What sweeps chose, for runs of `forget` without a sweep of their own: on 14 × 14 digits with two hidden layers of 64 neurons
// and 2,000 images a task. See docs/neurons.md for the commands.
import { type Config, entrantNamed, type ScheduleName } from "./entrants.js";

export interface Finalist {
  readonly rule: string;
  /** The best constant rate, and the best of all schedules. */
  readonly constant: Config;
  readonly scheduled: Config;
}

/** The rate, the endowment or (of a strategy) the strength, and the schedule. */
type Short = readonly [rate: number, own?: number, schedule?: ScheduleName];

function chosen(rule: string, constant: Short, scheduled: Short = constant): Finalist {
  const name = entrantNamed(rule).strategy === "naive" ? "endowment" : "strength";
  const whole = ([rate, own, schedule = "constant"]: Short): Config => ({
    schedule,
    rate,
    ...(own !== undefined && { [name]: own }),
  });
  return { rule, constant: whole(constant), scheduled: whole(scheduled) };
}

/** By the stream that they were chosen on. */
export const FINALISTS: Readonly<Record<string, readonly Finalist[]>> = {
  "sweep-permuted": [
    chosen("payment-1", [1.2, 0.1]),
    chosen("growth-1", [2.4, 0.01]),
    chosen("payment-0.5", [1.2, 0.01], [2.4, 0.001, "inverse-1"]),
    chosen("adagrad", [2.4, 0.0001]),
    chosen("square-slow", [2.4, 0.0001]),
    chosen("square-0.6", [2.4, 1e-5]),
    chosen("square-1", [1.2, 0.01]),
    chosen("square-0.75", [4.8, 0.0001]),
    chosen("growth-0.5", [1.2, 0.001]),
    chosen("square-fading", [2.4, 0.0001]),
    chosen("sender-0.5", [1.2, 1e-5]),
    chosen("backpropagation", [0.05], [0.8, undefined, "inverse-4"]),
    chosen("receiver-0.5", [0.4, 1e-5]),
    chosen("neuron", [0.2, 1]),
    chosen("ln", [0.2]),
    chosen("neuron-shuffled", [0.2, 1], [0.4, 1, "inverse-1"]),
    chosen("normalized", [0.012]),
    chosen("share", [0.1]),
    chosen("joint", [0.4], [0.8, undefined, "cosine"]),
    chosen("replay-200", [0.4, 200], [0.8, 200, "inverse-1"]),
    chosen("replay-50", [0.4, 50], [0.8, 50, "inverse-1"]),
    chosen("si", [0.1, 1]),
    chosen("ewc", [0.4, 1], [0.4, 1, "inverse-1"]),
  ],
  "sweep-split-domain": [
    chosen("receiver-0.5", [0.05, 1e-5], [0.2, 1e-8, "inverse-1"]),
    chosen("square-0.6", [0.08, 1e-5], [2.4, 1e-5, "inverse-4"]),
    chosen("neuron", [0.025, 0.3], [0.2, 1, "inverse-4"]),
    chosen("payment-1", [0.08, 0.1]),
    chosen("growth-1", [0.15, 0.001]),
    chosen("adagrad", [0.08, 1e-8], [0.3, 1e-5, "inverse-1"]),
    chosen("neuron-shuffled", [0.0125, 1], [0.05, 0.3, "inverse-1"]),
    chosen("square-slow", [0.15, 1e-5]),
    chosen("sender-0.5", [0.08, 1e-5], [0.3, 1e-8, "inverse-1"]),
    chosen("square-0.75", [0.15, 1e-5], [1.2, 1e-5, "inverse-1"]),
    chosen("square-1", [0.08, 0.001], [2.4, 0.0001, "inverse-1"]),
    chosen("payment-0.5", [0.04, 0.001]),
    chosen("growth-0.5", [0.04, 0.0001]),
    chosen("ln", [0.0125], [0.2, undefined, "inverse-4"]),
    chosen("square-fading", [0.3, 0.0001], [2.4, 1e-5, "inverse-1"]),
    chosen("backpropagation", [0.006], [0.025, undefined, "inverse-1"]),
    chosen("share", [0.006]),
    chosen("normalized", [0.0008]),
    chosen("joint", [0.2]),
    chosen("replay-200", [0.2, 200]),
    chosen("replay-50", [0.4, 50]),
    chosen("si", [0.006, 0.1], [0.025, 0.1, "inverse-1"]),
    chosen("ewc", [0.006, 10], [0.025, 10, "inverse-1"]),
  ],
};
