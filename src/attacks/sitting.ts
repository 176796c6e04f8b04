/**
 * An attack on many samples, batch by batch: its programs, and the results of the whole set on the device.
 */
import mergeWgsl from "../../shaders/attack_merge.wgsl";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import type { Program } from "../gpu/program.js";
import { add, fill } from "../ops/elementwise.js";
import { gatherRows } from "../ops/movement.js";
import { argmax } from "../ops/reduce.js";
import { clear, copy, empty, type Tensor, tensor, zeros } from "../tensor.js";
import { copyRowsWhere } from "./copy_rows.js";
import type { Attack, Batch, Outcome } from "./definition.js";
import { enter, type Ledger, NO_LOSS, openLedger } from "./ledger.js";
import type { AttackLoss } from "./losses.js";
import type { Differentiable } from "./model.js";
import { chooseTargets, type Target } from "./targets.js";

const mergeKernel = defineKernel({
  name: "attack_merge",
  wgsl: mergeWgsl,
  bindings: {
    loss: "read",
    flags: "read",
    slots: "read",
    best: "readWrite",
    merged: "readWrite",
    improved: "write",
  },
  shape: ({ loss }) => ({ improved: loss }),
  uniforms: ({ loss, best }) => ({ count: loss[0], total: best[0] }),
  grid: ({ loss }, limits) => gridFor(loss[0], 64, limits),
});

/** Stands for no row: what pads a batch. */
const PADDING = 0xffffffff;

/** The whole set on the device. */
export interface SampleSet {
  readonly x: Tensor;
  /** u32 [n]. */
  readonly labels?: Tensor;
  /** u32 [n]. */
  readonly targets?: Tensor;
  /** The number of the first sample, for random numbers. */
  readonly firstSample: number;
}

/** What tells the rows of one batch size, written before each run. */
class Rows {
  readonly rows: Tensor;
  /** Where results go; padding where a row is there to fill the batch only. */
  readonly slots: Tensor;
  readonly samples: Tensor;
  readonly all: Tensor;

  constructor(
    gpu: Gpu,
    readonly size: number,
  ) {
    const words = () => empty(gpu, [size], { dtype: "u32" });
    [this.rows, this.slots, this.samples] = [words(), words(), words()];
    this.all = tensor(gpu, new Uint32Array(size).fill(1));
  }

  write(rows: readonly number[], firstSample: number): void {
    const filled = Uint32Array.from({ length: this.size }, (_, i) => rows[i] ?? rows[0]);
    this.rows.write(filled);
    this.slots.write(filled.map((row, i) => (i < rows.length ? row : PADDING)));
    this.samples.write(filled.map((row) => row + firstSample));
  }

  dispose(): void {
    for (const words of [this.rows, this.slots, this.samples, this.all]) words.dispose();
  }
}

/** The programs of one stage for one batch size. */
interface StagePrograms {
  readonly begin: Program;
  readonly round?: Program;
  readonly rounds: number;
  readonly end: Program;
}

/** Best results of the whole set so far. */
export class Sitting {
  readonly gpu: Gpu;
  readonly delta: Tensor;
  /** [n] and u32 [n]: loss and flags of what is kept. */
  readonly best: Tensor;
  readonly flags: Tensor;
  readonly epsilon: Tensor;
  private readonly draw: Tensor;
  private readonly rows = new Map<number, Rows>();
  private readonly programs = new Map<Attack, Map<number, StagePrograms>>();
  private readonly recorded: Program[] = [];
  private readonly curves = new Map<Attack, Tensor>();

  constructor(
    private readonly model: Differentiable,
    private readonly set: SampleSet,
    private readonly judge: AttackLoss,
    /** The largest number of samples in a batch. */
    private readonly batch: number,
  ) {
    const { x } = set;
    this.gpu = x.gpu;
    const count = x.shape[0];
    this.delta = zeros(this.gpu, x.shape);
    this.best = fill(empty(this.gpu, [count]), NO_LOSS);
    this.flags = zeros(this.gpu, [count], { dtype: "u32" });
    this.epsilon = zeros(this.gpu, [1]);
    this.draw = zeros(this.gpu, [1], { dtype: "u32" });
  }

  /** Starts a new result from that of the clean images, given as a ledger. */
  reset({ best, flags }: Pick<Ledger, "best" | "flags">, epsilon: number): void {
    clear(this.delta);
    copy(best, { out: this.best });
    copy(flags, { out: this.flags });
    this.epsilon.write([epsilon]);
  }

  /** Runs a stage once on some rows of the set. `onBatch` hears after each batch how many rows are done. */
  async run(
    how: Attack,
    rows: readonly number[],
    draw: number,
    onBatch?: (done: number) => void,
  ): Promise<void> {
    const { firstSample } = this.set;
    this.draw.write([draw]);
    for (let start = 0; start < rows.length; ) {
      const size = this.sizeFor(rows.length - start);
      const part = rows.slice(start, start + size);
      this.rowsOf(size).write(part, firstSample);
      this.replay(how, size);
      start += part.length;
      await (onBatch ? this.gpu.finish() : this.gpu.flush());
      onBatch?.(start);
    }
  }

  /** [n, points]: the losses of the stage's last run on each row. */
  curveOf(how: Attack): Tensor | undefined {
    return this.curves.get(how);
  }

  /**
   * Sets labels to the classes that the model itself names (unless the set has labels), and targets by them.
   * @param classes u32 [n] each, the caller's
   */
  async ask(
    { labels, targets }: { readonly labels: Tensor; readonly targets?: Tensor },
    target: Target | undefined,
    seed: number,
  ): Promise<void> {
    const { x, labels: given, firstSample } = this.set;
    const rows = Array.from({ length: x.shape[0] }, (_, i) => i);
    for (let start = 0; start < rows.length; start += this.batch) {
      const part = rows.slice(start, start + this.batch);
      const words = this.rowsOf(this.sizeFor(part.length));
      words.write(part, firstSample);
      this.gpu.scope(() => {
        const logits = this.model.forward(gatherRows(x, words.rows)).y;
        const classes = given ? gatherRows(given, words.rows) : argmax(logits, { axes: [1] });
        if (!given) copyRowsWhere(classes, words.all, labels, words.slots);
        if (!target || !targets) return;
        const chosen = chooseTargets(target, logits, classes, { seed, samples: words.samples });
        copyRowsWhere(chosen, words.all, targets, words.slots);
      });
      await this.gpu.flush();
    }
  }

  dispose(): void {
    for (const program of this.recorded.reverse()) program.dispose();
    for (const words of this.rows.values()) words.dispose();
    for (const curve of this.curves.values()) curve.dispose();
    for (const held of [this.delta, this.best, this.flags, this.epsilon, this.draw]) held.dispose();
  }

  /** Few sizes, so few programs: the largest one, and for the rest its halves. */
  private sizeFor(left: number): number {
    let size = Math.min(this.batch, this.set.x.shape[0]);
    while (size > 1 && Math.ceil(size / 2) >= left) size = Math.ceil(size / 2);
    return size;
  }

  private rowsOf(size: number): Rows {
    const words = this.rows.get(size) ?? new Rows(this.gpu, size);
    this.rows.set(size, words);
    return words;
  }

  /** Recording a program is its first run. */
  private replay(how: Attack, size: number): void {
    const known = this.programs.get(how)?.get(size);
    if (!known) {
      this.record(how, size);
      return;
    }
    known.begin.run();
    for (let i = 0; i < known.rounds; i++) known.round?.run();
    known.end.run();
  }

  private record(how: Attack, size: number): void {
    const { gpu, set, model } = this;
    const { rows, samples, slots, all } = this.rowsOf(size);
    const begin = this.program(() => {
      const batch: Batch = {
        x: gatherRows(set.x, rows),
        labels: set.labels && gatherRows(set.labels, rows),
        targets: set.targets && gatherRows(set.targets, rows),
        samples,
        draw: this.draw,
        epsilon: this.epsilon,
      };
      return { batch, ...how.record(model, batch) };
    });
    const { batch, outcome, rounds, round } = begin.result;
    const repeated = round && rounds > 0 ? this.program(round) : undefined;
    for (let i = 1; i < rounds; i++) repeated?.run();
    if (!this.curves.has(how)) {
      this.curves.set(how, zeros(gpu, [set.x.shape[0], outcome.curve.shape[1]]));
    }
    const curve = this.curves.get(how) as Tensor;
    const end = this.program(() => {
      if (how.loss !== this.judge || how.target === "eachInTurn") this.judgeAnew(batch, outcome);
      const { loss, flags } = outcome;
      const { improved } = mergeKernel.run(
        { loss, flags, slots, best: this.best, merged: this.flags },
        undefined,
      );
      copyRowsWhere(outcome.delta, improved, this.delta, slots);
      copyRowsWhere(outcome.curve, all, curve, slots);
    });
    const sizes = this.programs.get(how) ?? new Map<number, StagePrograms>();
    this.programs.set(how, sizes.set(size, { begin, round: repeated, rounds, end }));
  }

  private program<T>(body: () => T): Program<T> {
    const program = this.gpu.program(body);
    this.recorded.push(program);
    return program;
  }

  /** Stages with losses of their own are compared by one that all share. */
  private judgeAnew({ x, labels, targets }: Batch, { delta, loss, flags }: Outcome): void {
    const { y } = this.model.forward(add(x, delta));
    const judged = this.judge(y, { labels, targets });
    const { curve } = openLedger(this.gpu, x.shape[0], 1);
    enter({ best: loss, flags, curve }, judged, { column: 0 }, { takeLast: true });
  }
}
