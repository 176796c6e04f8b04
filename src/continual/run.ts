/** A stream learnt by many networks at once, and what they know of each task after each. */
import type { Dataset } from "../data/dataset.js";
import { ShapeError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import type { Program } from "../gpu/program.js";
import type { Saved, Tensors } from "../layers/layer.js";
import type { Sequential } from "../layers/sequential.js";
import { add, mul } from "../ops/elementwise.js";
import { gatherRows } from "../ops/gather.js";
import { correctPredictions, softmaxCrossEntropy } from "../ops/loss.js";
import { advance } from "../ops/random.js";
import { sum } from "../ops/reduce.js";
import { clear, copy, type Tensor, tensor, zeros } from "../tensor.js";
import { denseSquares, type Penalty } from "./penalties.js";
import { type PlanOptions, planStages, type Stage } from "./plan.js";
import { StreamSet } from "./stream_set.js";

/** One update of all members from what a forward pass and the loss left; logits and error are [members, n, outputs]. */
export interface StreamLearner {
  step(outcome: { readonly saved: Saved; readonly logits: Tensor; readonly error: Tensor }): void;
}

export interface RunOptions extends Omit<PlanOptions, "labels"> {
  /** Pixels and labels of all parts. */
  readonly data: Dataset;
  /** Images that accuracies are measured on: the validation or the test part. */
  readonly evaluate: ArrayLike<number>;
  /** A network of each seed, stacked; see `stackModels`. Trained in place. */
  readonly model: Sequential;
  readonly learner: StreamLearner;
  /** f32 [members]; before each step it gets the rates of the step. */
  readonly learningRates: Tensor;
  /** The rate of a member in a step of all, counted from 0. */
  rateOf(member: number, step: number, steps: number): number;
  readonly penalty?: Penalty;
  /**
   * Which accuracies to measure: all of R, and of the untrained networks (`all`), only what ACC and learning accuracy are
   * made of, the diagonal and the last row (`ends`; the rest is NaN). Default "all".
   */
  readonly rows?: "all" | "ends";
  /** Called with the share of the steps done. */
  readonly onProgress?: (share: number) => void;
}

export interface RunResult {
  /** R[member][i][j], the accuracy on task j after task i; of `joint` one row. NaN where it was not measured. */
  readonly R: readonly (readonly (readonly number[])[])[];
  /** By member and task; empty with rows "ends". */
  readonly untrained: readonly (readonly number[])[];
  /** Members whose parameters are not finite at the end: their rates were too large, their accuracies are guesses. */
  readonly diverged: readonly number[];
}

/** Steps that are recorded before the host waits for them; it keeps what is in flight small. */
const STEPS_AHEAD = 10;
const EVALUATE_BATCH = 100;
/** Batches that the Fisher information of a task is estimated from. */
const FISHER_STEPS = 20;

/**
 * Trains the members over a stream, each as if it were alone, and measures their accuracies. All data are on the device:
 * a step takes its images, labels and learning rates there, by a counter, and is one recorded program.
 * @throws ValueError for a plan that does not fit; ShapeError for a wrong number of learning rates
 */
export async function runStream(gpu: Gpu, options: RunOptions): Promise<RunResult> {
  const { learningRates, seeds, data, stream } = options;
  if (learningRates.size !== seeds.length) {
    throw new ShapeError(
      `runStream: learningRates has ${learningRates.size} elements, and ${seeds.length}, one a seed, is taken`,
    );
  }
  const stages = planStages({ ...options, labels: data.labels });
  const set = new StreamSet(gpu, stream, data, seeds);
  try {
    return await new Runner(gpu, set, options).run(stages);
  } finally {
    set.dispose();
  }
}

class Runner {
  private readonly members: number;

  constructor(
    private readonly gpu: Gpu,
    private readonly set: StreamSet,
    private readonly options: RunOptions,
  ) {
    this.members = options.seeds.length;
  }

  async run(stages: readonly Stage[]): Promise<RunResult> {
    const { rows = "all", seeds, penalty, stream } = this.options;
    const tasks = stream.tasks.map((_, task) => task);
    const total = stages.reduce((steps, stage) => steps + stage.steps, 0);
    const R = seeds.map(() => stages.map(() => new Array<number>(tasks.length).fill(Number.NaN)));
    const untrained = rows === "all" ? await this.accuracies(tasks) : [];
    let done = 0;
    for (const [i, stage] of stages.entries()) {
      await this.train(stage, done, total);
      done += stage.steps;
      const last = i + 1 === stages.length;
      if (penalty && !last) this.closeTask(stage, penalty);
      const wanted = rows === "all" || last ? tasks : [stage.task];
      for (const [member, measured] of (await this.accuracies(wanted)).entries()) {
        for (const [at, task] of wanted.entries()) R[member][i][task] = measured[at];
      }
    }
    return { R, untrained, diverged: await this.diverged() };
  }

  private async train({ codes, steps }: Stage, done: number, total: number): Promise<void> {
    const { gpu, set, members } = this;
    const { rateOf, learningRates, learner, model, onProgress } = this.options;
    const n = codes.length / (steps * members);
    const rates = Float32Array.from({ length: steps * members }, (_, at) =>
      rateOf(at % members, done + Math.floor(at / members), total),
    );
    const allCodes = tensor(gpu, codes, [steps, members * n]);
    const allRates = tensor(gpu, rates, [steps, members]);
    const counter = zeros(gpu, [1], { dtype: "u32" });
    let program: Program | undefined;
    const body = (): void => {
      const own = gatherRows(allCodes, counter).reshape([members, n]);
      copy(gatherRows(allRates, counter).reshape(learningRates.shape), { out: learningRates });
      advance(counter);
      const { saved, logits, rows } = set.forward(model, own);
      const { dlogits } = softmaxCrossEntropy(rows, set.labels(own), { reduction: "sum" });
      // Each member's loss is the mean over its own samples.
      const error = mul(dlogits, 1 / n).reshape(logits.shape);
      learner.step({ saved, logits, error });
    };
    try {
      for (let step = 0; step < steps; step++) {
        if (program) program.run();
        else program = gpu.program(body);
        if ((step + 1) % STEPS_AHEAD !== 0 && step + 1 !== steps) continue;
        await counter.data();
        onProgress?.((done + step + 1) / total);
      }
    } finally {
      program?.dispose();
      for (const one of [allCodes, allRates, counter]) one.dispose();
    }
  }

  /** [member][at], the accuracies on the tasks `wanted`. */
  private async accuracies(wanted: readonly number[]): Promise<number[][]> {
    const { gpu, set, members } = this;
    const { evaluate, model, seeds } = this.options;
    const result = seeds.map((): number[] => []);
    const codes = zeros(gpu, [members, EVALUATE_BATCH], { dtype: "u32" });
    const counts = zeros(gpu, [members]);
    let program: Program | undefined;
    const body = (): void => {
      const { rows } = set.forward(model, codes);
      const right = correctPredictions(rows, set.labels(codes)).reshape([members, EVALUATE_BATCH]);
      add(counts, sum(right, { axes: [1] }), { out: counts });
    };
    try {
      for (const task of wanted) {
        const own = set.codesOf(task, evaluate);
        clear(counts);
        for (let start = 0; start < own.length; start += EVALUATE_BATCH) {
          const batch = new Uint32Array(members * EVALUATE_BATCH);
          for (let at = 0; at < batch.length; at++)
            batch[at] = own[start + (at % EVALUATE_BATCH)] ?? set.nothing;
          codes.write(batch);
          if (program) program.run();
          else program = gpu.program(body);
        }
        for (const [member, count] of (await counts.data()).entries())
          result[member].push(count / own.length);
      }
    } finally {
      program?.dispose();
      codes.dispose();
      counts.dispose();
    }
    return result;
  }

  /** What a penalty takes from a task: mean squared gradients of the samples of its last steps. */
  private closeTask({ codes, steps }: Stage, penalty: Penalty): void {
    const { gpu, members } = this;
    const { parameters } = this.options.model;
    const sums: Record<string, Tensor> = {};
    for (const [name, { shape }] of Object.entries(parameters)) sums[name] = zeros(gpu, shape);
    const size = codes.length / steps;
    const own = zeros(gpu, [members, size / members], { dtype: "u32" });
    const looks = penalty.wantsSquares ? Math.min(steps, FISHER_STEPS) : 0;
    try {
      for (let step = steps - looks; step < steps; step++) {
        own.write(codes.slice(step * size, (step + 1) * size));
        gpu.scope(() => {
          for (const [name, squares] of Object.entries(this.squares(own)))
            add(sums[name], mul(squares, members / (looks * size)), { out: sums[name] });
        });
      }
      penalty.taskDone(sums);
    } finally {
      for (const one of [own, ...Object.values(sums)]) one.dispose();
    }
  }

  /** Squared gradients by parameter, a sample at a time, summed, by the chain rule. */
  private squares(codes: Tensor): Tensors {
    const { set } = this;
    const { model } = this.options;
    const { saved, logits, rows } = set.forward(model, codes);
    const { dlogits } = softmaxCrossEntropy(rows, set.labels(codes), { reduction: "sum" });
    const result: Record<string, Tensor> = {};
    let flow = dlogits.reshape(logits.shape);
    for (let i = model.layers.length - 1; i >= 0; i--) {
      const layer = model.layers[i];
      const inner = (saved.inner ?? [])[i];
      if (layer.parameters.weight) {
        const { weight, bias } = denseSquares(inner.tensors.x, flow);
        result[`${i}.weight`] = weight;
        if (layer.parameters.bias) result[`${i}.bias`] = bias;
      }
      if (i > 0) flow = layer.inputGrad(flow, inner);
    }
    return result;
  }

  private async diverged(): Promise<number[]> {
    const found = new Set<number>();
    for (const parameter of Object.values(this.options.model.parameters)) {
      const rows = parameter.reshape([this.members, parameter.size / this.members]);
      const sums = sum(rows, { axes: [1] });
      for (const [member, value] of (await sums.data()).entries()) {
        if (!Number.isFinite(value)) found.add(member);
      }
      for (const one of [rows, sums]) one.dispose();
    }
    return [...found].sort((a, b) => a - b);
  }
}
