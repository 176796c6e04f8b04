/**
 * Attacks on whole sets of samples: batches, restarts, ε lists, and chains of attacks on those that survive.
 */
import { ShapeError, ValueError } from "../gpu/errors.js";
import { copy, type Tensor, zeros } from "../tensor.js";
import { checkChain, checkRange, classesOf, goalOf, judgeOf } from "./checks.js";
import {
  type Attack,
  type Batch,
  checkAtLeast,
  checkCount,
  FLAGS,
  type Recorded,
  sampleSizes,
} from "./definition.js";
import { enter, openLedger } from "./ledger.js";
import type { AttackLoss } from "./losses.js";
import type { Differentiable } from "./model.js";
import { type AttackResult, CurveMean, readResult, type StageReport } from "./result.js";
import { type SampleSet, Sitting } from "./sitting.js";

export interface RunOptions {
  /**
   * The class of each sample; for `scoreLoss` 1 lowers the score and 0 raises it. Default: the model's own
   * word.
   */
  readonly labels?: Tensor | ArrayLike<number>;
  /** The class that each sample is to be taken for, or one for all. */
  readonly targets?: Tensor | ArrayLike<number> | number;
  /** Samples a program, at most; default 128. Results do not depend on it but for rounding. */
  readonly batch?: number;
  /**
   * The number of the first sample, on which random numbers hang: of a part of a set its place there. Default
   * 0.
   */
  readonly firstSample?: number;
  /** By what results are compared. Default: the attacks' loss if they share one, else `marginLoss`. */
  readonly judge?: AttackLoss;
  /** Heard after each batch. */
  readonly onProgress?: (progress: AttackProgress) => void;
}

export interface AttackProgress {
  readonly epsilon: number;
  readonly stage: string;
  /** From 0. */
  readonly restart: number;
  readonly restarts: number;
  /** Samples done, of those that this run attacks. */
  readonly done: number;
  readonly samples: number;
}

const DEFAULT_BATCH = 128;

/**
 * Attacks samples and keeps the best result of each: of its steps, its restarts, and the clean image. A list
 * of attacks is a chain: each goes on with the samples that survived those before it.
 * @param x [n, …], from 0 to 1
 * @returns A label or target that is no class of the model gives its sample a loss of NaN, which is counted.
 * @throws ValueError for pixels outside 0 to 1 or attacks that make no chain; ShapeError
 * @example
 * const { success, counts, delta } = await attack(model, images, pgd({ epsilon: 8 / 255 }), { labels });
 * const hard = [apgd({ epsilon }), apgdTargeted({ epsilon }), square({ epsilon, queries: 5000 })];
 * const { robust } = await attack(model, images, hard, { labels });
 */
export async function attack(
  model: Differentiable,
  x: Tensor,
  how: Attack | readonly Attack[],
  options: RunOptions = {},
): Promise<AttackResult> {
  const epsilons = new Set([how].flat().map(({ epsilon }) => epsilon));
  if (epsilons.size > 1) {
    const list = [...epsilons].join(", ");
    throw new ValueError(`attack: the attacks of a chain have epsilon ${list}, and one for all is taken`);
  }
  return (await attackAtEach(model, x, how, [...epsilons], options))[0];
}

/**
 * The same for each ε of a list, with the programs of the first: steps that are shares of ε go with it.
 * @param epsilons in pixel units; they go before the attacks' own
 * @example
 * const epsilons = [2 / 255, 4 / 255, 8 / 255];
 * const results = await attackAtEach(model, images, pgd({ epsilon: 1 }), epsilons, { labels });
 */
export async function attackAtEach(
  model: Differentiable,
  x: Tensor,
  how: Attack | readonly Attack[],
  epsilons: readonly number[],
  options: RunOptions = {},
): Promise<AttackResult[]> {
  const stages = [how].flat();
  const { batch = DEFAULT_BATCH, firstSample = 0 } = options;
  checkCount("attack", "batch", batch, 1);
  checkCount("attack", "firstSample", firstSample, 0);
  for (const epsilon of epsilons) checkAtLeast("attack", "epsilon", epsilon, 0);
  checkChain(stages);
  const judge = judgeOf(stages, options.judge);
  const { count } = sampleSizes("attack", x.shape);
  if (count === 0) throw new ShapeError(`attack: x has shape [${x.shape}], and at least one sample is taken`);
  await checkRange(x);

  const owned: { dispose(): void }[] = [];
  const results: AttackResult[] = [];
  try {
    const given = (name: string, values: Tensor | ArrayLike<number> | undefined): Tensor | undefined =>
      values === undefined ? undefined : classesOf(name, x, values, owned);
    const goal = goalOf(stages, options.targets !== undefined);
    const labels = given("labels", options.labels);
    const all = Array.from({ length: count }, (_, i) => i);
    const single = typeof options.targets === "number" ? all.map(() => options.targets as number) : undefined;
    const targets = given("targets", single ?? (options.targets as Tensor | ArrayLike<number> | undefined));
    const set = { x, labels, targets, firstSample };
    const asks =
      goal !== undefined ||
      (!labels && [judge, ...stages.map(({ loss }) => loss)].some((loss) => loss.ofClasses));
    const asked = asks ? await askModel(model, set, judge, batch, goal, stages[0].seed, owned) : set;
    const sitting = new Sitting(model, asked, judge, batch);
    owned.push(sitting);

    const look = lookAt(judge);
    await sitting.run(look, all, 0);
    const clean = { best: copy(sitting.best), flags: copy(sitting.flags) };
    owned.push(clean.best, clean.flags);
    const facts = {
      clean: {
        loss: (await clean.best.data()) as Float32Array,
        flags: (await clean.flags.data()) as Uint32Array,
      },
      targets: (await asked.targets?.data()) as Uint32Array | undefined,
    };
    for (const epsilon of epsilons) {
      sitting.reset(clean, epsilon);
      const reports: StageReport[] = [];
      for (const stage of stages) {
        const chained = stages.length > 1 || stage.earlyStop;
        reports.push(await runStage(sitting, stage, all, chained, epsilon, options));
      }
      results.push(await readResult(sitting, x, { ...facts, epsilon, stages: reports }));
    }
    return results;
  } catch (error) {
    for (const result of results) result.dispose();
    throw error;
  } finally {
    for (const item of owned.reverse()) item.dispose();
  }
}

/** All restarts of one attack; with `chained` each on those that survived so far. */
async function runStage(
  sitting: Sitting,
  stage: Attack,
  all: readonly number[],
  chained: boolean,
  epsilon: number,
  { onProgress }: RunOptions,
): Promise<StageReport> {
  const { name, restarts } = stage;
  const survivors = async (): Promise<number[]> => {
    const flags = await sitting.flags.data();
    return all.filter((row) => (flags[row] & FLAGS.success) === 0);
  };
  const before = await survivors();
  let mean: CurveMean | undefined;
  let rows: readonly number[] = chained ? before : all;
  const attacked = rows.length;
  for (let restart = 0; restart < restarts && rows.length > 0; restart++) {
    const samples = rows.length;
    const report =
      onProgress &&
      ((done: number) => onProgress({ epsilon, stage: name, restart, restarts, done, samples }));
    await sitting.run(stage, rows, restart, report);
    const curve = sitting.curveOf(stage) as Tensor;
    mean ??= new CurveMean(curve.shape[1]);
    mean.add(await curve.data(), rows);
    if (chained && restart + 1 < restarts) rows = await survivors();
  }
  const after = await survivors();
  const lossCurve = mean?.mean() ?? new Float64Array(0);
  return { name, attacked, succeeded: before.length - after.length, lossCurve };
}

/** The clean images, judged as if they were attacked. */
function lookAt(loss: AttackLoss): Attack {
  const record = (model: Differentiable, { x, labels, targets }: Batch): Recorded => {
    const { gpu } = x;
    return gpu.scope(() => {
      const ledger = openLedger(gpu, x.shape[0], 1);
      enter(ledger, loss(model.forward(x).y, { labels, targets }), { column: 0 });
      const { best, flags, curve } = ledger;
      return { outcome: { delta: zeros(gpu, x.shape), loss: best, flags, curve }, rounds: 0 };
    });
  };
  return { name: "clean", norm: "linf", epsilon: 0, loss, restarts: 1, earlyStop: false, seed: 0, record };
}

/** Labels and targets that the model itself names where none were given. */
async function askModel(
  model: Differentiable,
  set: SampleSet,
  judge: AttackLoss,
  batch: number,
  goal: Attack["target"],
  seed: number,
  owned: { dispose(): void }[],
): Promise<SampleSet> {
  const words = (): Tensor => {
    const classes = zeros(set.x.gpu, [set.x.shape[0]], { dtype: "u32" });
    owned.push(classes);
    return classes;
  };
  const labels = set.labels ?? words();
  const targets = goal ? words() : undefined;
  const sitting = new Sitting(model, set, judge, batch);
  try {
    await sitting.ask({ labels, targets }, goal, seed);
  } finally {
    sitting.dispose();
  }
  return { ...set, labels, targets: targets ?? set.targets };
}
