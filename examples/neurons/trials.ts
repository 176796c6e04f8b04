// A group of trials on a stream: the same rule with several settings and seeds, trained at once as an ensemble.
import { type Gpu, philoxPermutation, ValueError, zeros } from "handgrad";
import {
  type ContinualMetrics,
  continualMetrics,
  ElasticConsolidation,
  PenaltySgd,
  permutedStream,
  rotatedStream,
  type RunResult,
  runStream,
  type Scenario,
  type Showing,
  splitStream,
  type Stream,
  SynapticIntelligence,
} from "handgrad/continual";
import { Dataset, loadFashion, loadMnist } from "handgrad/data";
import { activation, buildModel, dense, stackModels } from "handgrad/layers";
import { Learner } from "handgrad/neurons";
import { type Config, type Entrant, rateOf, ruleOf, type Strategy } from "./entrants.js";

/** What a stream is called on the command line, and how it is made. */
export const STREAMS = {
  permuted: () => permutedStream({ tasks: 5 }),
  "permuted-10": () => permutedStream({ tasks: 10 }),
  rotated: () => rotatedStream({ tasks: 5 }),
  "split-task": () => splitStream("task"),
  "split-domain": () => splitStream("domain"),
  "split-class": () => splitStream("class"),
} as const satisfies Record<string, () => Stream>;

export type StreamName = keyof typeof STREAMS;

/** All that a trial's numbers depend on but rule, settings and seed. */
export interface Protocol {
  readonly data: "mnist" | "fashion";
  /** Pixels a side: 28, or 14, the means of 2 × 2. */
  readonly side: 28 | 14;
  readonly stream: StreamName;
  /** Images that a task shows at most. */
  readonly perTask: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly hidden: number;
  /** Which images accuracies are measured on, and how many at most. */
  readonly part: "validation" | "test";
  readonly evaluate: number;
}

export interface Member {
  readonly entrant: Entrant;
  readonly config: Config;
  readonly seed: number;
}

/** Images of the three parts, the same for all seeds: what a sweep sees is never what is reported. */
interface Parts {
  readonly data: Dataset;
  readonly train: Uint32Array;
  readonly validation: Uint32Array;
  readonly test: Uint32Array;
}

const TEST = 2000;
const VALIDATION = 1000;
const loaded = new Map<string, Promise<Parts>>();

/** 2,000 images for tests, 1,000 to validate on, the rest to train with. */
export function partsOf({ data, side }: Pick<Protocol, "data" | "side">): Promise<Parts> {
  const key = `${data} ${side}`;
  const whole = () => (data === "mnist" ? digitParts() : fashionParts());
  const parts = loaded.get(key) ?? (side === 28 ? whole() : whole().then(halved));
  loaded.set(key, parts);
  return parts;
}

/** Images of half the width and height, each pixel the mean of 2 × 2. */
function halved({ data, ...parts }: Parts): Parts {
  const [channels, height, width] = data.shape;
  const [low, narrow] = [height / 2, width / 2];
  const images = new Float32Array(data.images.length / 4);
  for (let at = 0; at < images.length; at++) {
    const [row, column] = [Math.floor(at / narrow), at % narrow];
    const first = 2 * row * width + 2 * column;
    const four = [first, first + 1, first + width, first + width + 1];
    images[at] = four.reduce((sum, from) => sum + data.images[from], 0) / 4;
  }
  const { labels, classNames } = data;
  return { ...parts, data: new Dataset({ images, labels, shape: [channels, low, narrow], classNames }) };
}

async function digitParts(): Promise<Parts> {
  const data = (await loadMnist()).toFloat();
  const order = philoxPermutation(data.count, 0);
  return {
    data,
    test: order.slice(0, TEST),
    validation: order.slice(TEST, TEST + VALIDATION),
    train: order.slice(TEST + VALIDATION),
  };
}

async function fashionParts(): Promise<Parts> {
  const { train, test } = await loadFashion();
  const [first, second] = [train.toFloat(), test.toFloat()];
  const images = new Float32Array(first.images.length + second.images.length);
  images.set(first.images);
  images.set(second.images, first.images.length);
  const labels = Uint32Array.from([...first.labels, ...second.labels]);
  const order = philoxPermutation(first.count, 0);
  return {
    data: new Dataset({ images, labels, shape: first.shape, classNames: first.classNames }),
    test: Uint32Array.from({ length: second.count }, (_, i) => first.count + i),
    validation: order.slice(0, VALIDATION),
    train: order.slice(VALIDATION),
  };
}

export interface GroupOptions {
  readonly protocol: Protocol;
  /** Of one group. */
  readonly members: readonly Member[];
  readonly rows?: "all" | "ends";
  onProgress?(share: number): void;
}

const SHOWING: Readonly<Record<Strategy, Showing>> = {
  naive: "naive",
  joint: "joint",
  ewc: "naive",
  si: "naive",
  replay: "replay",
};

/**
 * Trains all members at once, each as if it were alone.
 * @throws ValueError if they are of several groups
 */
export async function runGroup(gpu: Gpu, options: GroupOptions): Promise<RunResult> {
  const { protocol, members, rows, onProgress } = options;
  const rule = ruleOf(members);
  const [
    {
      entrant: { strategy },
      config: { strength },
    },
  ] = members;
  const { data, ...parts } = await partsOf(protocol);
  const stream = STREAMS[protocol.stream]();
  const seeds = members.map(({ seed }) => seed);
  const { hidden } = protocol;
  const architecture = [
    dense(data.imageSize, hidden),
    activation("relu"),
    dense(hidden, hidden),
    activation("relu"),
    dense(hidden, stream.outputs),
  ];
  const models = new Map([...new Set(seeds)].map((seed) => [seed, buildModel(gpu, architecture, { seed })]));
  const model = stackModels(seeds.map((seed) => models.get(seed)!));
  for (const one of models.values()) one.dispose();
  const learningRates = zeros(gpu, [members.length]);
  const penalty = penaltyOf(strategy, strength, model.parameters);
  const learner = new Learner(model, {
    rule,
    inputShape: [members.length, 1, data.imageSize],
    learningRate: learningRates,
    momentum: 0,
    seed: seeds,
    ...(penalty && {
      optimizer: (parameters, learningRate) => new PenaltySgd(parameters, { learningRate }, penalty),
    }),
  });
  try {
    return await runStream(gpu, {
      stream,
      data,
      seeds,
      train: parts.train,
      evaluate: parts[protocol.part].slice(0, protocol.evaluate),
      perTask: protocol.perTask,
      epochs: protocol.epochs,
      batchSize: protocol.batchSize,
      showing: SHOWING[strategy],
      ...(strategy === "replay" && strength !== undefined && { memory: strength }),
      model,
      learner,
      learningRates,
      rateOf: (member, step, steps) => rateOf(members[member], step / steps, stream.tasks.length),
      penalty,
      rows,
      onProgress,
    });
  } finally {
    for (const one of [learner, penalty, model, learningRates]) one?.dispose();
  }
}

/**
 * What R says of a network. All tasks at once leave one row: its mean is ACC, and there is no diagonal.
 * @param untrained its accuracies before the first task
 */
export function metricsOf(
  R: readonly (readonly number[])[],
  strategy: Strategy,
  untrained?: readonly number[],
): Partial<ContinualMetrics> & Pick<ContinualMetrics, "acc"> {
  if (strategy !== "joint") return continualMetrics(R, untrained);
  const [row] = R;
  return { acc: row.reduce((sum, value) => sum + value, 0) / row.length };
}

function penaltyOf(
  strategy: Strategy,
  strength: number | undefined,
  parameters: Learner["optimizer"]["state"],
) {
  if (strategy !== "ewc" && strategy !== "si") return undefined;
  if (strength === undefined) throw new ValueError(`${strategy}: strength is missing`);
  return strategy === "ewc"
    ? new ElasticConsolidation(parameters, strength)
    : new SynapticIntelligence(parameters, { strength });
}

/** Floating-point operations of one member's trial, those of the products: 2 a weight and sample, forward and two back. */
export async function trialWork(
  protocol: Protocol,
  { strategy, rows = "all" }: Pick<Entrant, "strategy"> & Pick<GroupOptions, "rows">,
): Promise<number> {
  const { data, ...parts } = await partsOf(protocol);
  const { tasks, outputs } = STREAMS[protocol.stream]();
  const { hidden, epochs, perTask } = protocol;
  const first = data.imageSize * hidden;
  const upper = hidden * hidden + hidden * outputs;
  const shown = (images: Uint32Array, most: number) =>
    tasks.reduce((sum, { classes }) => {
      const own = Array.from(images).filter((image) => classes.includes(data.labels[image])).length;
      return sum + Math.min(own, most);
    }, 0);
  const seen = shown(parts.train, perTask) * epochs * (strategy === "replay" ? 2 : 1);
  const evaluated = shown(parts[protocol.part].slice(0, protocol.evaluate), Number.POSITIVE_INFINITY);
  const looks = rows === "all" ? (strategy === "joint" ? 2 : tasks.length + 1) : 2;
  return seen * (4 * first + 6 * upper) + looks * evaluated * 2 * (first + upper);
}

/** A stream's scenario, for tables. */
export const scenarioOf = (stream: StreamName): Scenario => STREAMS[stream]().scenario;
