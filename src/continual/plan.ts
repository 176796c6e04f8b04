/** Which images each member sees in which step: the order of a stream, decided on the host before it begins. */
import { ValueError } from "../gpu/errors.js";
import { philoxBits, philoxPermutation } from "../random.js";
import type { Stream } from "./stream.js";

/**
 * How the stream is shown:
 * - `naive`: one task after the other
 * - `joint`: all tasks at once, in as many steps as one after the other; an upper bound
 * - `replay`: from the second task on half of each batch is drawn from a memory of the earlier tasks' images, and there are
 *   twice as many steps, so that each new image is seen as often
 */
export type Showing = "naive" | "joint" | "replay";

export interface PlanOptions {
  readonly stream: Stream;
  /** Of the data set: the label of each image, and which images are for training. */
  readonly labels: Uint32Array;
  readonly train: ArrayLike<number>;
  readonly seeds: readonly number[];
  /** Images that a task shows at most; each seed draws its own. Default all. */
  readonly perTask?: number;
  /** Default 2. */
  readonly epochs?: number;
  /** Default 32. */
  readonly batchSize?: number;
  /** Default "naive". */
  readonly showing?: Showing;
  /** Of `replay`: how many images of each earlier task are kept. Default 100. */
  readonly memory?: number;
}

/** The steps between two looks at the accuracies: a task, or all of them (`joint`). */
export interface Stage {
  /** The last task shown. */
  readonly task: number;
  readonly steps: number;
  /** [steps, members, batchSize], code = task · images + image */
  readonly codes: Uint32Array;
}

/** Random streams that a task may use, apart from those of initial weights. */
const STREAMS_A_TASK = 1024;
const FIRST_STREAM = 2 ** 16;
const streamOf = (task: number, draw: number): number => FIRST_STREAM + task * STREAMS_A_TASK + draw;

type Permute = (count: number, seed: number, stream: number) => Uint32Array;

/** Members that differ in their learning only have a seed in common: its orders are drawn once. */
function rememberOrders(): Permute {
  const known = new Map<string, Uint32Array>();
  return (count, seed, stream) => {
    const key = `${count} ${seed} ${stream}`;
    const order = known.get(key) ?? philoxPermutation(count, seed, stream);
    known.set(key, order);
    return order;
  };
}

/** @throws ValueError for numbers out of range, or a task with fewer images than a batch */
export function planStages(options: PlanOptions): Stage[] {
  const { stream, seeds, epochs = 2, batchSize = 32, showing = "naive", memory = 100, perTask } = options;
  for (const [name, value] of Object.entries({ epochs, batchSize, memory, perTask: perTask ?? 1 })) {
    if (!(Number.isInteger(value) && value >= 1))
      throw new ValueError(`continual: ${name} is ${value}, and a whole number of at least 1 is taken`);
  }
  if (showing === "replay" && batchSize % 2 !== 0)
    throw new ValueError(`continual: batchSize is ${batchSize}, and replay takes an even one`);
  if (epochs >= STREAMS_A_TASK / 2)
    throw new ValueError(`continual: epochs is ${epochs}, and less than ${STREAMS_A_TASK / 2} is taken`);
  const permute = rememberOrders();
  const drawn = stream.tasks.map((_, task) => seeds.map((seed) => drawImages(options, task, seed, permute)));
  const tasks = stream.tasks.map((_, task) => task);
  if (showing === "joint") {
    const pools = seeds.map((_, member) => Uint32Array.from(drawn.flatMap((own) => [...own[member]])));
    return [stageOf(pools, tasks.length - 1, { seeds, epochs, batchSize, permute })];
  }
  return tasks.map((task) => {
    const past = drawn.slice(0, task);
    const memories =
      showing === "replay" && task > 0
        ? seeds.map((_, member) => Uint32Array.from(past.flatMap((own) => [...own[member].slice(0, memory)])))
        : undefined;
    return stageOf(drawn[task], task, { seeds, epochs, batchSize, memories, permute });
  });
}

/** The codes of the images that a task shows to a seed. */
function drawImages(
  { stream, labels, train, perTask }: PlanOptions,
  task: number,
  seed: number,
  permute: Permute,
): Uint32Array {
  const { classes } = stream.tasks[task];
  const pool = Array.from(train).filter((image) => classes.includes(labels[image]));
  const order = permute(pool.length, seed, streamOf(task, 0));
  const count = Math.min(perTask ?? pool.length, pool.length);
  return order.slice(0, count).map((at) => task * labels.length + pool[at]);
}

interface StageOptions {
  readonly seeds: readonly number[];
  readonly epochs: number;
  readonly batchSize: number;
  readonly memories?: readonly Uint32Array[];
  readonly permute: Permute;
}

function stageOf(
  pools: readonly Uint32Array[],
  task: number,
  { seeds, epochs, batchSize, memories, permute }: StageOptions,
): Stage {
  const fresh = memories ? batchSize / 2 : batchSize;
  const batches = Math.floor(pools[0].length / fresh);
  if (batches < 1) {
    throw new ValueError(
      `continual: task ${task + 1} has ${pools[0].length} images, and at least ${fresh}, a batch, are taken`,
    );
  }
  const steps = epochs * batches;
  const codes = new Uint32Array(steps * seeds.length * batchSize);
  for (const [member, seed] of seeds.entries()) {
    const pool = pools[member];
    for (let epoch = 0; epoch < epochs; epoch++) {
      const stream = streamOf(task, 1 + 2 * epoch);
      const order = permute(pool.length, seed, stream);
      const replayed = memories && philoxBits(batches * (batchSize - fresh), seed, stream + 1);
      for (let batch = 0; batch < batches; batch++) {
        const start = ((epoch * batches + batch) * seeds.length + member) * batchSize;
        for (let i = 0; i < fresh; i++) codes[start + i] = pool[order[batch * fresh + i]];
        if (!memories || !replayed) continue;
        const own = memories[member];
        for (let i = fresh; i < batchSize; i++)
          codes[start + i] = own[replayed[batch * (batchSize - fresh) + i - fresh] % own.length];
      }
    }
  }
  return { task, steps, codes };
}
