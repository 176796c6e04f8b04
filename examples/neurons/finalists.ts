// What sweeps chose, for runs of `forget` without a sweep of their own: on 14 × 14 digits with two hidden layers of 64 neurons
// and 2,000 images a task. See docs/neurons.md for the commands.
import type { Config } from "./entrants.js";

export interface Finalist {
  readonly rule: string;
  /** The best constant rate, and the best of all schedules. */
  readonly constant: Config;
  readonly scheduled: Config;
}

/** By the stream that they were chosen on. */
export const FINALISTS: Readonly<Record<string, readonly Finalist[]>> = {
  "sweep-permuted": [
    {
      rule: "payment-1",
      constant: { schedule: "constant", rate: 1.2, endowment: 0.1 },
      scheduled: { schedule: "constant", rate: 1.2, endowment: 0.1 },
    },
    {
      rule: "growth-1",
      constant: { schedule: "constant", rate: 2.4, endowment: 0.01 },
      scheduled: { schedule: "constant", rate: 2.4, endowment: 0.01 },
    },
    {
      rule: "payment-0.5",
      constant: { schedule: "constant", rate: 1.2, endowment: 0.01 },
      scheduled: { schedule: "inverse-1", rate: 2.4, endowment: 0.001 },
    },
    {
      rule: "adagrad",
      constant: { schedule: "constant", rate: 2.4, endowment: 0.0001 },
      scheduled: { schedule: "constant", rate: 2.4, endowment: 0.0001 },
    },
    {
      rule: "square-slow",
      constant: { schedule: "constant", rate: 2.4, endowment: 0.0001 },
      scheduled: { schedule: "constant", rate: 2.4, endowment: 0.0001 },
    },
    {
      rule: "square-0.6",
      constant: { schedule: "constant", rate: 2.4, endowment: 1e-5 },
      scheduled: { schedule: "constant", rate: 2.4, endowment: 1e-5 },
    },
    {
      rule: "square-1",
      constant: { schedule: "constant", rate: 1.2, endowment: 0.01 },
      scheduled: { schedule: "constant", rate: 1.2, endowment: 0.01 },
    },
    {
      rule: "square-0.75",
      constant: { schedule: "constant", rate: 4.8, endowment: 0.0001 },
      scheduled: { schedule: "constant", rate: 4.8, endowment: 0.0001 },
    },
    {
      rule: "growth-0.5",
      constant: { schedule: "constant", rate: 1.2, endowment: 0.001 },
      scheduled: { schedule: "constant", rate: 1.2, endowment: 0.001 },
    },
    {
      rule: "square-fading",
      constant: { schedule: "constant", rate: 2.4, endowment: 0.0001 },
      scheduled: { schedule: "constant", rate: 2.4, endowment: 0.0001 },
    },
    {
      rule: "sender-0.5",
      constant: { schedule: "constant", rate: 1.2, endowment: 1e-5 },
      scheduled: { schedule: "constant", rate: 1.2, endowment: 1e-5 },
    },
    {
      rule: "backpropagation",
      constant: { schedule: "constant", rate: 0.05 },
      scheduled: { schedule: "inverse-4", rate: 0.8 },
    },
    {
      rule: "receiver-0.5",
      constant: { schedule: "constant", rate: 0.4, endowment: 1e-5 },
      scheduled: { schedule: "constant", rate: 0.4, endowment: 1e-5 },
    },
    {
      rule: "neuron",
      constant: { schedule: "constant", rate: 0.2, endowment: 1 },
      scheduled: { schedule: "constant", rate: 0.2, endowment: 1 },
    },
    {
      rule: "ln",
      constant: { schedule: "constant", rate: 0.2 },
      scheduled: { schedule: "constant", rate: 0.2 },
    },
    {
      rule: "neuron-shuffled",
      constant: { schedule: "constant", rate: 0.2, endowment: 1 },
      scheduled: { schedule: "inverse-1", rate: 0.4, endowment: 1 },
    },
    {
      rule: "normalized",
      constant: { schedule: "constant", rate: 0.012 },
      scheduled: { schedule: "constant", rate: 0.012 },
    },
    {
      rule: "share",
      constant: { schedule: "constant", rate: 0.1 },
      scheduled: { schedule: "constant", rate: 0.1 },
    },
  ],
  "sweep-split-domain": [
    {
      rule: "receiver-0.5",
      constant: { schedule: "constant", rate: 0.05, endowment: 1e-5 },
      scheduled: { schedule: "inverse-1", rate: 0.2, endowment: 1e-8 },
    },
    {
      rule: "square-0.6",
      constant: { schedule: "constant", rate: 0.08, endowment: 1e-5 },
      scheduled: { schedule: "inverse-4", rate: 2.4, endowment: 1e-5 },
    },
    {
      rule: "neuron",
      constant: { schedule: "constant", rate: 0.025, endowment: 0.3 },
      scheduled: { schedule: "inverse-4", rate: 0.2, endowment: 1 },
    },
    {
      rule: "payment-1",
      constant: { schedule: "constant", rate: 0.08, endowment: 0.1 },
      scheduled: { schedule: "constant", rate: 0.08, endowment: 0.1 },
    },
    {
      rule: "growth-1",
      constant: { schedule: "constant", rate: 0.15, endowment: 0.001 },
      scheduled: { schedule: "constant", rate: 0.15, endowment: 0.001 },
    },
    {
      rule: "adagrad",
      constant: { schedule: "constant", rate: 0.08, endowment: 1e-8 },
      scheduled: { schedule: "inverse-1", rate: 0.3, endowment: 1e-5 },
    },
    {
      rule: "neuron-shuffled",
      constant: { schedule: "constant", rate: 0.0125, endowment: 1 },
      scheduled: { schedule: "inverse-1", rate: 0.05, endowment: 0.3 },
    },
    {
      rule: "square-slow",
      constant: { schedule: "constant", rate: 0.15, endowment: 1e-5 },
      scheduled: { schedule: "constant", rate: 0.15, endowment: 1e-5 },
    },
    {
      rule: "sender-0.5",
      constant: { schedule: "constant", rate: 0.08, endowment: 1e-5 },
      scheduled: { schedule: "inverse-1", rate: 0.3, endowment: 1e-8 },
    },
    {
      rule: "square-0.75",
      constant: { schedule: "constant", rate: 0.15, endowment: 1e-5 },
      scheduled: { schedule: "inverse-1", rate: 1.2, endowment: 1e-5 },
    },
    {
      rule: "square-1",
      constant: { schedule: "constant", rate: 0.08, endowment: 0.001 },
      scheduled: { schedule: "inverse-1", rate: 2.4, endowment: 0.0001 },
    },
    {
      rule: "payment-0.5",
      constant: { schedule: "constant", rate: 0.04, endowment: 0.001 },
      scheduled: { schedule: "constant", rate: 0.04, endowment: 0.001 },
    },
    {
      rule: "growth-0.5",
      constant: { schedule: "constant", rate: 0.04, endowment: 0.0001 },
      scheduled: { schedule: "constant", rate: 0.04, endowment: 0.0001 },
    },
    {
      rule: "ln",
      constant: { schedule: "constant", rate: 0.0125 },
      scheduled: { schedule: "inverse-4", rate: 0.2 },
    },
    {
      rule: "square-fading",
      constant: { schedule: "constant", rate: 0.3, endowment: 0.0001 },
      scheduled: { schedule: "inverse-1", rate: 2.4, endowment: 1e-5 },
    },
    {
      rule: "backpropagation",
      constant: { schedule: "constant", rate: 0.006 },
      scheduled: { schedule: "inverse-1", rate: 0.025 },
    },
    {
      rule: "share",
      constant: { schedule: "constant", rate: 0.006 },
      scheduled: { schedule: "constant", rate: 0.006 },
    },
    {
      rule: "normalized",
      constant: { schedule: "constant", rate: 0.0008 },
      scheduled: { schedule: "constant", rate: 0.0008 },
    },
  ],
};
