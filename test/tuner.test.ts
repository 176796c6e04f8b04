import { FormatError, type Gpu, KernelError, matmul, Tuner, type TuningStore, zeros } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";

const test = suite("tuner");

/** A store that keeps its text in memory. */
function memoryStore(text?: string): TuningStore & { text?: string } {
  return {
    text,
    load() {
      return this.text;
    },
    save(_adapter, saved) {
      this.text = saved;
    },
  };
}

const variants = [{ name: "first" }, { name: "second" }];

/** A clock that only trials move: on a busy machine the real one would decide the tests. */
let now = 0;
const clock = () => now;

/** A trial whose variants take so many milliseconds. */
function busy(milliseconds: Record<string, number>) {
  return (_gpu: Gpu, { name }: { name: string }) => ({
    run() {
      now += milliseconds[name];
    },
    dispose() {},
  });
}

test("the heuristic's choice until tuned, then the fastest, remembered by the store", async () => {
  const gpu = await sharedGpu();
  const store = memoryStore();
  const tuner = new Tuner(gpu.info, store);
  const pick = (own: Tuner) => own.pick("op 1", () => variants, busy({ first: 6, second: 2 })).name;
  assert.is(pick(tuner), "first");
  const [row] = await tuner.tune(gpu, { clock });
  assert.is(row.chosen, "second");
  assert.is(row.heuristic, "first");
  assert.ok(row.times.second < row.times.first);
  assert.is(pick(tuner), "second");
  assert.is(pick(new Tuner(gpu.info, store)), "second");
  tuner.forget();
  assert.is(pick(tuner), "first");
  assert.is(pick(new Tuner(gpu.info, store)), "first");
});

test("a variant that is hardly faster does not displace the heuristic's", async () => {
  const gpu = await sharedGpu();
  const tuner = new Tuner(gpu.info);
  tuner.pick("op 2", () => variants, busy({ first: 8, second: 7.95 }));
  const [row] = await tuner.tune(gpu, { clock });
  assert.is(row.chosen, "first");
});

test("a variant that does not compile is left out and told; without one that does, its error is thrown", async () => {
  const gpu = await sharedGpu();
  const broken = gpu.kernel({
    name: "broken",
    wgsl: "@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(1) fn main() { y[0] = z; }",
    bindings: { y: "readWrite" },
    shape: () => ({}),
    grid: () => [1],
  });
  const released: string[] = [];
  const trial = (_gpu: Gpu, { name }: { name: string }) => {
    const y = zeros(gpu, [4]);
    return {
      run: () => void (name === "first" ? broken.run({ y }) : undefined),
      dispose: () => {
        released.push(name);
        y.dispose();
      },
    };
  };
  const tuner = new Tuner(gpu.info);
  const before = gpu.memory().tensors;
  tuner.pick("op 5", () => variants, trial);
  const [row] = await tuner.tune(gpu);
  assert.is(row.chosen, "second");
  assert.equal(Object.keys(row.times), ["second"]);
  assert.match(row.failures.first, /broken did not compile/);
  assert.equal(released, ["first", "second"]);
  assert.equal(tuner.used(), [{ key: "op 5", variant: "second", tuned: true, picks: 1 }]);
  const hopeless = new Tuner(gpu.info);
  hopeless.pick("op 6", () => variants.slice(0, 1).concat(variants.slice(0, 1)), trial);
  await assertRejects(() => hopeless.tune(gpu), KernelError, /broken did not compile/);
  assert.is(gpu.memory().tensors, before);
});

test("choices of another adapter or version are not taken, broken ones are told", async () => {
  const gpu = await sharedGpu();
  const tuner = new Tuner(gpu.info);
  const own = JSON.parse(tuner.export());
  const choices = { "op 3": "second" };
  assert.is(tuner.import(JSON.stringify({ ...own, adapter: "another", choices })), false);
  assert.is(tuner.import(JSON.stringify({ ...own, version: own.version + 1, choices })), false);
  assert.is(tuner.pick("op 3", () => variants, busy({})).name, "first");
  assert.is(tuner.import(JSON.stringify({ ...own, choices })), true);
  assert.is(
    new Tuner(gpu.info, memoryStore(tuner.export())).pick("op 3", () => variants, busy({})).name,
    "second",
  );
  for (const broken of ["", "{", "null", "[]", '{"version":1,"adapter":"x","choices":{"a":1}}']) {
    assert.throws(
      () => tuner.import(broken),
      (error: unknown) => error instanceof FormatError,
    );
  }
  // A broken file in the store is no reason to fail.
  assert.is(new Tuner(gpu.info, memoryStore("{")).pick("op 3", () => variants, busy({})).name, "first");
});

test("a name that is no variant any more falls back to the heuristic's", async () => {
  const gpu = await sharedGpu();
  const tuner = new Tuner(gpu.info);
  tuner.import(JSON.stringify({ ...JSON.parse(tuner.export()), choices: { "op 4": "gone" } }));
  assert.is(tuner.pick("op 4", () => variants, busy({})).name, "first");
});

test("gpu.tune measures the products that were used and releases what it made", async () => {
  const gpu = await sharedGpu();
  const [a, b] = [zeros(gpu, [8, 16]), zeros(gpu, [16, 8])];
  matmul(a, b).dispose();
  const before = gpu.memory().tensors;
  const key = "matmul 1×8×16×8";
  const noted = new Tuner(gpu.info);
  assert.is(noted.export().includes(key), false);
  const rows = await tuneOnly(gpu, key);
  assert.is(rows.length, 1);
  assert.ok(rows[0].times[rows[0].chosen] > 0);
  assert.is(gpu.memory().tensors, before);
  gpu.tuner.forget();
  for (const tensor of [a, b]) tensor.dispose();
});

/** Other suites share the gpu, and tuning all their shapes would take minutes. */
async function tuneOnly(gpu: Gpu, key: string) {
  return gpu.tuner.tune(gpu, { wanted: (other) => other === key });
}

test.run();
