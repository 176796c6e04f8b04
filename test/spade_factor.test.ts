import { type Gpu, randomUniform, type Tensor, tensor, zeros } from "handgrad";
import { buildModel, dense } from "handgrad/layers";
import { calibrate, tracesOf } from "handgrad/spade";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { adapterTraits } from "../src/ops/matmul_plan.js";
import {
  type DeviceFactor,
  type DeviceFactors,
  factorOnDevice,
  factorsOnDevice,
} from "../src/spade/factor_device.js";
import { upperFactor } from "../src/spade/factor_host.js";
import { beginFactors, deviceGroups, LayerProblem } from "../src/spade/layer_problem.js";
import { assertClose } from "./helpers/compare.js";
import { sharedGpu } from "./helpers/gpu.js";
import { type Random, seededRandom } from "./helpers/shapes.js";
import { array64 } from "./reference/array64.js";
import { damped, inverse } from "./reference/pruning.js";

const test = suite("factors of Hessians");

/** 2/N Σ x xᵀ of uniform draws, with as many inputs that are always 0. */
function hessian(random: Random, d: number, dead: ReadonlySet<number> = new Set()): Float32Array {
  const count = d + 3;
  const x = random.array([d, count], { low: -1, high: 1 }).data;
  const h = new Float32Array(d * d);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < d; j++) {
      let sum = 0;
      for (let k = 0; k < count; k++) sum += x[i * count + k] * x[j * count + k];
      h[i * d + j] = dead.has(i) || dead.has(j) ? 0 : (2 * sum) / count;
    }
  }
  return h;
}

function product(u: ArrayLike<number>, d: number): Float64Array {
  const result = new Float64Array(d * d);
  for (let i = 0; i < d; i++)
    for (let j = 0; j < d; j++)
      for (let k = 0; k <= Math.min(i, j); k++) result[i * d + j] += u[k * d + i] * u[k * d + j];
  return result;
}

/** The kernels are for these; adapters of other subgroups never get to them. */
const hasLanes = (gpu: Gpu): boolean => [4, 8].includes(adapterTraits(gpu).lanes);

test("the CPU's factor: UᵀU = H⁻¹, U upper, dead inputs marked", () => {
  const random = seededRandom(1);
  for (const d of [1, 2, 3, 5, 8, 17, 33]) {
    const dead = new Set(d > 4 ? [1, d - 2] : []);
    const h = hessian(random, d, dead);
    const { u, dead: found, damping } = upperFactor(h, d, 0.01);
    assert.is(damping, 0.01);
    assert.equal(
      [...found],
      Array.from({ length: d }, (_, j) => (dead.has(j) ? 1 : 0)),
    );
    for (let i = 0; i < d; i++) for (let j = 0; j < i; j++) assert.is(u[i * d + j], 0);
    assertClose(product(u, d), inverse(damped(array64([d, d], h), 0.01)).data, { tolerance: 1e-5 });
  }
});

function disposeAll(hessians: readonly Tensor[], { factors, failed }: DeviceFactors): void {
  for (const held of [...hessians, failed]) held.dispose();
  for (const { u, scale, alive } of factors) for (const held of [u, scale, alive]) held.dispose();
}

/** Hessians of one size, some with an input that is always 0. */
interface Batch {
  readonly d: number;
  readonly values: Float32Array;
  readonly dead: readonly ReadonlySet<number>[];
}

function batchOf(random: Random, d: number, problems: number): Batch {
  const values = new Float32Array(problems * d * d);
  const dead = Array.from({ length: problems }, () => new Set(d > 4 ? [random.integer(0, d - 1)] : []));
  dead.forEach((inputs, p) => {
    values.set(hessian(random, d, inputs), p * d * d);
  });
  return { d, values, dead };
}

async function assertFactors(factor: DeviceFactor, { d, values, dead }: Batch): Promise<void> {
  const [u, scale, alive] = await Promise.all([factor.u.data(), factor.scale.data(), factor.alive.data()]);
  for (const [p, inputs] of dead.entries()) {
    const expected = upperFactor(values.subarray(p * d * d, (p + 1) * d * d), d, 0.01);
    const own = u.subarray(p * d * d, (p + 1) * d * d);
    const what = `${d} × ${d}, problem ${p}`;
    for (let i = 0; i < d; i++) for (let j = 0; j < i; j++) assert.is(own[i * d + j], 0, what);
    assertClose(own, expected.u, { tolerance: 2e-5, what });
    const inverses = Array.from({ length: d }, (_, j) =>
      inputs.has(j) ? 0 : 1 / expected.u[j * d + j] ** 2,
    );
    assertClose(scale.subarray(p * d, (p + 1) * d), inverses, { tolerance: 2e-5, what });
    const living = Array.from({ length: d }, (_, j) => (inputs.has(j) ? 0 : 1));
    assert.equal([...alive.subarray(p * d, (p + 1) * d)], living, what);
  }
}

test("the device's factors are those of the CPU, whatever the size and the number of problems", async () => {
  const gpu = await sharedGpu();
  if (!hasLanes(gpu)) return;
  const random = seededRandom(2);
  const batches = [1, 3, 31, 32, 33, 64, 97, 130, 5].map((d) => batchOf(random, d, random.integer(1, 3)));
  // Each by itself, and all sizes together.
  for (const some of [...batches.map((batch) => [batch]), batches]) {
    const hessians = some.map(({ d, values, dead }) => tensor(gpu, values, [dead.length, d, d]));
    const made = factorOnDevice(hessians, 0.01);
    const problems = some.reduce((sum, { dead }) => sum + dead.length, 0);
    assert.equal([...(await made.failed.data())], new Array(problems).fill(0));
    for (const [index, factor] of made.factors.entries()) await assertFactors(factor, some[index]);
    disposeAll(hessians, made);
  }
});

test("a matrix that is not positive definite, or not finite, is told of the others in its batch", async () => {
  const gpu = await sharedGpu();
  if (!hasLanes(gpu)) return;
  const d = 40;
  const good = hessian(seededRandom(3), d);
  const indefinite = Float32Array.from(good);
  indefinite[39 * d + 38] = indefinite[38 * d + 39] = 100;
  const broken = Float32Array.from(good);
  broken[5 * d + 5] = Number.NaN;
  const h = tensor(gpu, Float32Array.from([...indefinite, ...good, ...broken]), [3, d, d], {
    checkFinite: false,
  });
  const made = factorOnDevice([h], 0.01);
  assert.equal([...(await made.failed.data())], [1, 0, 1]);
  const u = (await made.factors[0].u.data()).subarray(d * d, 2 * d * d);
  assertClose(u, upperFactor(good, d, 0.01).u, { tolerance: 2e-5 });
  disposeAll([h], made);
});

test("what the device cannot factor the CPU does, with more damping, and nothing is left behind", async () => {
  const gpu = await sharedGpu();
  const { tensors } = gpu.memory();
  const model = buildModel(gpu, [dense(130, 4)], { seed: 1 });
  const d = 130;
  for (const isDefinite of [true, false]) {
    const problem = new LayerProblem("0", model.layers[0] as never, 1, 0.01);
    const values = hessian(seededRandom(4), d);
    // An eigenvalue of about -1, which a hundredth of the mean diagonal does not make up for.
    if (!isDefinite) values[1] = values[d] = values[0] + 1;
    const given = tensor(gpu, values, [1, d, d]);
    problem.h.dispose();
    Object.assign(problem, { h: given });
    const { u, damping } = await problem.factors();
    const expected = upperFactor(values, d, 0.01);
    assert.is(damping[0] > 0.01, !isDefinite);
    assert.equal([...damping], [expected.damping]);
    assertClose(await u.data(), expected.u, { tolerance: 2e-5 });
    problem.dispose();
  }
  model.dispose();
  assert.is(gpu.memory().tensors, tensors);
});

test("layers of all sizes are factored together, as they are one by one", async () => {
  const gpu = await sharedGpu();
  const { tensors } = gpu.memory();
  const random = seededRandom(5);
  const sizes = [130, 40, 145];
  const model = buildModel(gpu, [dense(130, 40), dense(40, 145), dense(145, 3)], { seed: 1 });
  const problems = model.layers.map((layer, index) => new LayerProblem(`${index}`, layer as never, 1, 0.01));
  const values = sizes.map((d) => hessian(random, d));
  // Of the second one float32 has no factor: that says nothing of the others.
  values[1][1] = values[1][40] = values[1][0] + 1;
  for (const [index, problem] of problems.entries()) {
    problem.h.dispose();
    Object.assign(problem, { h: tensor(gpu, values[index], [1, sizes[index], sizes[index]]) });
  }
  const { software, lanes } = adapterTraits(gpu);
  const [first, second, third] = problems;
  assert.equal(deviceGroups(problems), software && lanes === 8 ? [[third, first, second]] : []);
  assert.equal(deviceGroups([second]), []);
  beginFactors(problems);
  for (const [index, problem] of problems.entries()) {
    const { u, damping } = await problem.factors();
    const expected = upperFactor(values[index], sizes[index], 0.01);
    assert.equal([...damping], [expected.damping]);
    assertClose(await u.data(), expected.u, { tolerance: 2e-5 });
    problem.dispose();
  }
  model.dispose();
  assert.is(gpu.memory().tensors, tensors);
});

test("little damping, small matrices and adapters without subgroups of 8 are the CPU's", async () => {
  const gpu = await sharedGpu();
  const large = randomUniform(gpu, [1, 130, 130], { seed: 1 });
  const small = randomUniform(gpu, [1, 64, 64], { seed: 1 });
  const { lanes, software } = adapterTraits(gpu);
  assert.is(factorsOnDevice([large], 0.01), software && lanes === 8);
  assert.is(factorsOnDevice([large], 1e-4), false);
  assert.is(factorsOnDevice([small], 0.01), false);
  // As many as fit into 64 MiB together.
  assert.is(factorsOnDevice(new Array(700).fill(large), 0.01), false);
  large.dispose();
  small.dispose();
});

test("the seconds of a trace's stages add up, and to no more than the clock's", async () => {
  const gpu = await sharedGpu();
  // Tens of milliseconds of Hessians: on a busy machine a browser tells of shorter work when it tells of the next.
  const model = buildModel(gpu, [dense(256, 8)], { seed: 1 });
  const samples = randomUniform(gpu, [2, 256], { seed: 2 });
  const start = performance.now();
  const traces = await tracesOf(model, samples, { ratios: 0.5, samples: 1024, layers: ["0"] });
  const clock = (performance.now() - start) / 1000;
  for (const { seconds } of traces) {
    const { augment, hessian, factor, solve, total } = seconds;
    const stages = [augment, hessian, factor, solve];
    for (const [stage, value] of Object.entries(seconds)) assert.ok(value >= 0, `${stage}: ${value}`);
    assert.ok(augment > 0 && hessian > 0 && solve > 0, stages.join(", "));
    assert.ok(Math.abs(total - stages.reduce((sum, value) => sum + value, 0)) < 1e-9);
    assert.ok(total <= clock + 1e-9, `${total} of ${clock}`);
  }
  for (const held of [...traces, model, samples]) held.dispose();
  const calibration = await calibrate(buildModel(gpu, [dense(1024, 2)], { seed: 1 }), zeros(gpu, [1, 1024]), {
    samples: 256,
  });
  assert.ok(calibration.times.end > 0 && calibration.times.hessian > 0);
  calibration.model.dispose();
  calibration.dispose();
});

test.run();
