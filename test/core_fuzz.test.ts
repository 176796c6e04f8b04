/** Long random sequences of everything the core does, beside a plain model of what the values must be. */
import { clear, copy, type Gpu, type Program, ProgramError, ShapeError, type Tensor, tensor } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertExact } from "./helpers/compare.js";
import { accumulate, affine, affineOf, combine, counting, gateCompilation, withGpu } from "./helpers/core.js";
import { type Random, seededRandom } from "./helpers/shapes.js";

const fuzz = suite("core, random sequences");

type Values = Uint32Array<ArrayBuffer>;

/** A buffer as the model sees it; views share one. */
interface Cell {
  values: Values;
}

interface Live {
  readonly tensor: Tensor;
  readonly cell: Cell;
}

/** An op that was recorded: how the model does the same, and what it made. */
interface Step {
  readonly model: () => void;
  readonly made?: Live;
}

/** Ops one after the other, and which of the tensors that they made are returned. */
interface Chain {
  readonly steps: readonly Step[];
  readonly returned: readonly Live[];
}

interface Recorded {
  readonly program: Program<Tensor[]>;
  readonly steps: readonly Step[];
  readonly results: readonly Live[];
  /** What it reads or writes and does not own. */
  readonly inputs: ReadonlySet<Cell>;
}

const SIZES = [3, 64, 65, 300];

function add(a: Values, b: Values, factor: number): Values {
  return a.map((value, i) => value + Math.imul(factor, b[i])) as Values;
}

/** Calls `body` with flat views, which are gone after it. */
function withFlat<T>(tensors: readonly Live[], body: (...views: Tensor[]) => T): T {
  const views = tensors.map(({ tensor }) => tensor.reshape([-1]));
  try {
    return body(...views);
  } finally {
    for (const view of views) view.dispose();
  }
}

class Sequence {
  private readonly live: Live[] = [];
  private readonly programs: Recorded[] = [];
  private readonly checks: Promise<void>[] = [];
  private readonly random: Random;

  constructor(
    private readonly gpu: Gpu,
    private readonly seed: number,
  ) {
    this.random = seededRandom(seed);
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const what = `seed ${this.seed}, step ${step}`;
      this.act(what);
      assert.is(this.gpu.memory().tensors, this.expectedTensors(), what);
      if (this.random.uniform() < 0.05) await Promise.all(this.checks.splice(0));
    }
    for (const live of this.live) this.read(live, `seed ${this.seed}, at the end`);
    await Promise.all(this.checks);
    for (const { program } of this.programs) program.dispose();
    for (const { tensor } of this.live) tensor.dispose();
    const { tensors, bytesUsed } = this.gpu.memory();
    assert.equal([tensors, bytesUsed], [0, 0], `seed ${this.seed}: all is given back`);
  }

  private expectedTensors(): number {
    return this.programs.reduce((sum, { results }) => sum + results.length, this.live.length);
  }

  private act(what: string): void {
    const { random, live, programs } = this;
    const choice = random.integer(0, 99);
    if (choice < 8) this.make();
    else if (choice < 40) this.keep(this.op(this.some()));
    else if (choice < 50) {
      const { tensor, cell } = this.any();
      cell.values = counting(tensor.size, random.integer(0, 999), random.integer(0, 999));
      tensor.write(cell.values.slice());
    } else if (choice < 55) {
      const { tensor, cell } = this.any();
      this.live.push({ tensor: tensor.reshape([-1, 1]), cell });
    } else if (choice < 68 && live.length > 0) {
      const [{ tensor }] = live.splice(random.integer(0, live.length - 1), 1);
      tensor.dispose();
      tensor.dispose();
    } else if (choice < 74) this.scope();
    else if (choice < 78) this.record();
    else if (choice < 86 && programs.length > 0) this.replay(random.pick(programs));
    else if (choice < 88 && programs.length > 0) {
      const [{ program }] = programs.splice(random.integer(0, programs.length - 1), 1);
      program.dispose();
    } else if (choice < 92) this.fail();
    else if (choice < 94) void this.gpu.flush();
    else this.read(this.any(), what);
  }

  private make(size = this.random.pick(SIZES)): Live {
    const values = counting(size, this.random.integer(0, 999), this.random.integer(0, 999));
    const made = { tensor: tensor(this.gpu, values), cell: { values: values.slice() } };
    this.live.push(made);
    return made;
  }

  private any(size?: number): Live {
    const fitting = this.live.filter(({ tensor }) => size === undefined || tensor.size === size);
    return fitting.length > 0 ? this.random.pick(fitting) : this.make(size);
  }

  /** Three tensors of one size, maybe the same. */
  private some(): Live[] {
    const first = this.any();
    return [first, this.any(first.tensor.size), this.any(first.tensor.size)];
  }

  /** Records a random op; the model is to follow. */
  private op([a, b, c]: readonly Live[]): Step {
    const [factor, offset] = [this.random.integer(0, 99), this.random.integer(0, 99)];
    const make = (made: Tensor, compute: () => Values): Step => {
      const cell = { values: new Uint32Array(made.size) };
      const model = () => {
        cell.values = compute();
      };
      return { model, made: { tensor: made, cell } };
    };
    const overwrite = (target: Live, compute: () => Values): Step => {
      const model = () => {
        target.cell.values = compute();
      };
      return { model };
    };
    const shared = a.cell === b.cell;
    switch (this.random.integer(shared ? 3 : 0, 7)) {
      case 0:
        copy(a.tensor, { out: b.tensor });
        return overwrite(b, () => a.cell.values.slice());
      case 1:
        withFlat([a, b], (x, total) => accumulate(total, x));
        return overwrite(b, () => add(b.cell.values, a.cell.values, 1));
      case 2:
        withFlat([a, b], (x, out) => affine(x, factor, offset, out));
        return overwrite(b, () => affineOf(a.cell.values, factor, offset));
      case 3:
        affine(a.tensor, factor, offset, a.tensor);
        return overwrite(a, () => affineOf(a.cell.values, factor, offset));
      case 4:
        clear(a.tensor);
        return overwrite(a, () => new Uint32Array(a.tensor.size));
      case 5:
        return make(affine(a.tensor, factor, offset), () => affineOf(a.cell.values, factor, offset));
      case 6:
        return make(
          withFlat([a, b], (x, y) => combine(x, y)),
          () => add(a.cell.values, b.cell.values, 3),
        );
      default:
        return make(
          withFlat([a, b, c], (x, y, z) => combine(x, y, z)),
          () => add(add(a.cell.values, b.cell.values, 3), c.cell.values, 1),
        );
    }
  }

  private keep({ model, made }: Step): void {
    model();
    if (made) this.live.push(made);
  }

  /** A chain of ops on `start` and on what they make; some of it is returned. */
  private chain(start: readonly Live[]): Chain {
    const pool = [...start];
    const steps: Step[] = [];
    const made: Live[] = [];
    for (let i = this.random.integer(1, 5); i > 0; i--) {
      const step = this.op([this.random.pick(pool), this.random.pick(pool), this.random.pick(pool)]);
      steps.push(step);
      if (!step.made) continue;
      pool.push(step.made);
      made.push(step.made);
    }
    return { steps, returned: made.filter(() => this.random.uniform() < 0.5) };
  }

  private scope(): void {
    const start = this.some();
    let chain: Chain = { steps: [], returned: [] };
    this.gpu.scope(() => {
      chain = this.chain(start);
      return chain.returned.map(({ tensor }) => tensor);
    });
    for (const { model } of chain.steps) model();
    this.live.push(...chain.returned);
  }

  private record(): void {
    const start = this.some();
    let chain: Chain = { steps: [], returned: [] };
    const program = this.gpu.program(() => {
      chain = this.chain(start);
      return chain.returned.map(({ tensor }) => tensor);
    });
    const { steps, returned: results } = chain;
    for (const { model } of steps) model();
    this.programs.push({ program, steps, results, inputs: new Set(start.map(({ cell }) => cell)) });
  }

  private replay({ program, steps, inputs }: Recorded): void {
    const alive = new Set(this.live.map(({ cell }) => cell));
    if ([...inputs].every((cell) => alive.has(cell))) {
      program.run();
      for (const { model } of steps) model();
      return;
    }
    try {
      program.run();
    } catch (error) {
      assert.instance(error, ProgramError);
      return;
    }
    // The input that is gone was not used by any of the ops.
    for (const { model } of steps) model();
  }

  private fail(): void {
    const [a] = this.some();
    const other = this.any(a.tensor.size === 64 ? 65 : 64);
    const wrong = [
      () => withFlat([a, other], (x, y) => combine(x, y)),
      () => withFlat([a], (x) => combine(x, x, undefined, x)),
      () => this.gpu.program(() => withFlat([a, other], (x, y) => [affine(x, 2, 0, x), combine(x, y)])),
      () => this.gpu.scope(() => [affine(a.tensor, 2, 0), accumulate(a.tensor, a.tensor)]),
    ];
    assert.throws(this.random.pick(wrong), (error: Error) => error instanceof ShapeError);
  }

  private read({ tensor, cell }: Live, what: string): void {
    const expected = cell.values.slice();
    const check = tensor.data().then((values) => assertExact(values, expected, what));
    check.catch(() => {}); // looked at later, with the others
    this.checks.push(check);
  }
}

for (const [name, poolBytes] of [
  ["the usual pool", undefined],
  ["a small pool", 3000],
  ["no pool", 0],
] as const) {
  fuzz(name, async () => {
    for (let seed = 1; seed <= 6; seed++) {
      await withGpu(
        async (gpu) => {
          const gate = gateCompilation(gpu.device);
          setTimeout(() => gate.open(), 3 * (seed - 1));
          await new Sequence(gpu, seed).run(250);
          assert.ok(gpu.memory().bytesPooled <= (poolBytes ?? 2 ** 28));
        },
        { poolBytes, debug: seed === 6 },
      );
    }
  });
}

fuzz("two gpus on one device by turns", async () => {
  await withGpu((one) =>
    withGpu(async (two) => {
      await Promise.all([new Sequence(one, 101).run(300), new Sequence(two, 102).run(300)]);
    }),
  );
});

fuzz.run();
