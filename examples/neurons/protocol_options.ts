// Options of the command line that say how a stream is learnt, the same for `sweep` and `forget`.
import { ValueError } from "handgrad";
import { wholeNumber } from "../start/options.js";
import { oneOf } from "./command.js";
import { type Protocol, type StreamName, STREAMS } from "./trials.js";

export const streamNames = Object.keys(STREAMS) as StreamName[];

const QUICK = { side: "14", hidden: "32", perTask: "320", epochs: "1", evaluate: "200" };
const USUAL = { side: "28", hidden: "128", epochs: "2", evaluate: "1000" };
/** Training images that all tasks of a stream show together, at most: with it a sweep of all rules stays below 10 TFLOP. */
const PER_STREAM = 15_000;

export const PROTOCOL_HELP = `  --data NAME    mnist or fashion (default mnist)
  --side N       pixels a side, 28 or 14, means of 2 × 2 (default ${USUAL.side}; ${QUICK.side} with --quick)
  --hidden N     neurons of each of the two hidden layers (default ${USUAL.hidden}; ${QUICK.hidden} with --quick)
  --per-task N   training images a task, at most (default ${PER_STREAM} in all tasks; ${QUICK.perTask} with --quick)
  --epochs N     passes over them (default ${USUAL.epochs}; ${QUICK.epochs} with --quick)
  --evaluate N   images that accuracies are measured on, all classes (default ${USUAL.evaluate}; ${QUICK.evaluate} with --quick)`;

export const PROTOCOL_OPTIONS = {
  data: { type: "string", default: "mnist" },
  side: { type: "string" },
  hidden: { type: "string" },
  "per-task": { type: "string" },
  epochs: { type: "string" },
  evaluate: { type: "string" },
} as const;

type Given = { readonly [Name in keyof typeof PROTOCOL_OPTIONS]?: string } & { readonly quick: boolean };

const BATCH = 32;

/** @throws ValueError */
export function protocolOf(given: Given, stream: StreamName, part: Protocol["part"]): Protocol {
  const tasks = STREAMS[stream]().tasks.length;
  const usual = given.quick ? QUICK : { ...USUAL, perTask: String(PER_STREAM / tasks) };
  const side = given.side ?? usual.side;
  if (side !== "28" && side !== "14") throw new ValueError(`--side got "${side}", and 28 or 14 is taken`);
  return {
    data: oneOf("data", given.data ?? "mnist", ["mnist", "fashion"]),
    side: side === "28" ? 28 : 14,
    stream,
    perTask: wholeNumber("per-task", given["per-task"] ?? usual.perTask, 2 * BATCH),
    epochs: wholeNumber("epochs", given.epochs ?? usual.epochs, 1),
    batchSize: BATCH,
    hidden: wholeNumber("hidden", given.hidden ?? usual.hidden, 1),
    part,
    evaluate: wholeNumber("evaluate", given.evaluate ?? usual.evaluate, 20),
  };
}
