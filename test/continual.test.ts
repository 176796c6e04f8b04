import { copy, tensor, ValueError, zeros } from "handgrad";
import {
  continualMetrics,
  ElasticConsolidation,
  meanInterval,
  PenaltySgd,
  permutedStream,
  planStages,
  rotatedStream,
  type RunOptions,
  runStream,
  splitStream,
  type Stream,
  SynapticIntelligence,
  viewTable,
} from "handgrad/continual";
import { Dataset } from "handgrad/data";
import { activation, buildModel, dense, stackModels } from "handgrad/layers";
import { Learner, ruleNamed } from "handgrad/neurons";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";

const continual = suite("continual learning");
const near = (actual: number, expected: number, what: string, tolerance = 1e-6): void =>
  assert.ok(!!(Math.abs(actual - expected) <= tolerance), `${what}: ${actual}, and ${expected} was expected`);

continual("metrics by hand", () => {
  const R = [
    [0.9, 0.3, 0.2],
    [0.95, 0.8, 0.4],
    [0.6, 0.9, 0.7],
  ];
  const { acc, learning, forgetting, bwt, fwt } = continualMetrics(R, [0.1, 0.2, 0.5]);
  near(acc, 2.2 / 3, "ACC");
  near(learning, 2.4 / 3, "learning");
  // The best before the end: 0.95 and 0.8. The second is better at the end: negative forgetting counts.
  near(forgetting, (0.35 - 0.1) / 2, "forgetting");
  near(bwt, (-0.3 + 0.1) / 2, "BWT");
  near(fwt!, (0.3 - 0.2 + (0.4 - 0.5)) / 2, "FWT");
  assert.equal(continualMetrics([[0.8]]), { acc: 0.8, learning: 0.8, forgetting: 0, bwt: 0 });
  for (const wrong of [[], [[1, 0]], [[1, 0], [1]]])
    assert.throws(() => continualMetrics(wrong), /as many columns as rows/);
});

continual("intervals of means by Student's t", () => {
  const { mean, sd, ci } = meanInterval([1, 2, 3, 4]);
  near(mean, 2.5, "mean");
  near(sd, Math.sqrt(5 / 3), "sd");
  near(ci![1] - ci![0], (2 * 3.182 * Math.sqrt(5 / 3)) / 2, "width", 1e-3);
  assert.equal(meanInterval([7]), { mean: 7, sd: 0 });
  // 95 % of t with 60 degrees of freedom is 2.0003.
  const many = Array.from({ length: 61 }, (_, i) => i % 2);
  const wide = meanInterval(many);
  near((wide.ci![1] - wide.mean) / (wide.sd / Math.sqrt(61)), 2.0003, "t of 60", 2e-3);
  assert.throws(() => meanInterval([]), /at least one/);
});

continual("streams: who competes, and what the outputs stand for", () => {
  const domain = splitStream("domain");
  assert.is(domain.outputs, 2);
  assert.equal(domain.tasks[1].targets, [-1, -1, 0, 1, -1, -1, -1, -1, -1, -1]);
  const task = splitStream("task");
  assert.is(task.outputs, 10);
  assert.equal(task.tasks[2].active, [4, 5]);
  assert.is(splitStream("class").tasks[2].active.length, 10);
  assert.equal(
    permutedStream({ tasks: 3 }).tasks.map(({ permuted }) => permuted),
    [false, true, true],
  );
  assert.equal(
    rotatedStream().tasks.map(({ degrees }) => degrees),
    [0, 36, 72, 108, 144],
  );
  assert.throws(() => splitStream("task", { tasks: 3 }), /do not divide/);
  assert.throws(() => permutedStream({ tasks: 0 }), /tasks is 0/);
});

continual("views: quarter turns are exact, half-way weights are shares", () => {
  const shape = [1, 4, 4] as const;
  const { sources, weights, taps } = viewTable(rotatedStream({ tasks: 4, degrees: 360 }), shape, [1])!;
  assert.is(taps, 4);
  const image = Float64Array.from({ length: 16 }, (_, i) => i + 1);
  const seen = (task: number, pixel: number): number => {
    const at = (task * 16 + pixel) * 4;
    return [0, 1, 2, 3].reduce((sum, k) => sum + weights![at + k] * image[sources[at + k]], 0);
  };
  for (let y = 0; y < 4; y++) {
    for (let x = 0; x < 4; x++) {
      near(seen(0, 4 * y + x), image[4 * y + x], "as it is");
      // Counterclockwise: the right column comes up to be the first row.
      near(seen(1, 4 * y + x), image[4 * x + 3 - y], "a quarter");
      near(seen(2, 4 * y + x), image[4 * (3 - y) + 3 - x], "a half");
    }
  }
  const slanted = viewTable(rotatedStream({ tasks: 2, degrees: 90 }), shape, [1])!;
  for (let pixel = 0; pixel < 16; pixel++) {
    const sum = [0, 1, 2, 3].reduce((total, k) => total + slanted.weights![(16 + pixel) * 4 + k], 0);
    assert.ok(sum >= 0 && sum <= 1 + 1e-6, `${sum}`);
  }
  const permuted = viewTable(permutedStream({ tasks: 2 }), shape, [5, 6])!;
  const order = (member: number): number[] =>
    Array.from(permuted.sources.slice((member * 2 + 1) * 16, (member * 2 + 2) * 16));
  assert.equal(
    [...order(0)].sort((a, b) => a - b),
    Array.from({ length: 16 }, (_, i) => i),
  );
  assert.not.equal(order(0), order(1));
  assert.is(viewTable(splitStream("task"), shape, [1]), undefined);
});

const labels40 = Uint32Array.from({ length: 40 }, (_, i) => i % 4);
const train40 = Array.from({ length: 32 }, (_, i) => i);
const stream4 = splitStream("domain", { tasks: 2, classes: 4 });

continual("plans: every image of a task once an epoch; a memory of earlier tasks only", () => {
  const common = {
    stream: stream4,
    labels: labels40,
    train: train40,
    seeds: [1, 2, 1],
    epochs: 2,
    batchSize: 4,
  };
  const naive = planStages(common);
  assert.equal(
    naive.map(({ task, steps }) => [task, steps]),
    [
      [0, 8],
      [1, 8],
    ],
  );
  const of = (codes: Uint32Array, member: number): number[] =>
    Array.from(codes).filter((_, at) => Math.floor(at / 4) % 3 === member);
  for (const { task, codes } of naive) {
    const own = train40
      .filter((image) => Math.floor((image % 4) / 2) === task)
      .map((image) => task * 40 + image);
    const first = of(codes, 0);
    assert.equal(
      [...first.slice(0, 16)].sort((a, b) => a - b),
      own,
    );
    assert.equal(
      [...first.slice(16)].sort((a, b) => a - b),
      own,
    );
    assert.equal(first, of(codes, 2), "the same seed, the same order");
    assert.not.equal(first, of(codes, 1));
  }
  const [joint, ...none] = planStages({ ...common, showing: "joint" });
  assert.is(none.length, 0);
  assert.is(joint.steps, 16);
  const [, replay] = planStages({ ...common, showing: "replay", memory: 3 });
  assert.is(replay.steps, 16);
  const old = of(replay.codes, 0).filter((_, at) => at % 4 >= 2);
  assert.ok(
    old.every((code) => code < 40),
    "half of each batch is of the first task",
  );
  assert.ok(new Set(old).size <= 3);
  assert.throws(() => planStages({ ...common, perTask: 3 }), /has 3 images, and at least 4/);
  assert.throws(() => planStages({ ...common, showing: "replay", batchSize: 5 }), /even/);
});

/** Four classes of small noisy pictures. */
function pictures(): Dataset {
  const random = seededRandom(3);
  const images = new Float32Array(40 * 16);
  for (let image = 0; image < 40; image++) {
    const noise = random.array([16], { low: 0, high: 0.3 }).data;
    for (let pixel = 0; pixel < 16; pixel++)
      images[image * 16 + pixel] = noise[pixel] + (pixel % 4 === labels40[image] ? 0.7 : 0);
  }
  return new Dataset({ images, labels: labels40, shape: [1, 4, 4], classNames: ["a", "b", "c", "d"] });
}

interface Try {
  stream: Stream;
  seeds: readonly number[];
  rates: readonly number[];
  showing?: RunOptions["showing"];
}

async function learn({ stream, seeds, rates, showing }: Try) {
  const gpu = await sharedGpu();
  const models = seeds.map((seed) =>
    buildModel(gpu, [dense(16, 8), activation("relu"), dense(8, stream.outputs)], { seed }),
  );
  const model = stackModels(models);
  const learningRates = zeros(gpu, [seeds.length]);
  const learner = new Learner(model, {
    rule: ruleNamed("backpropagation"),
    inputShape: [seeds.length, 1, 16],
    learningRate: learningRates,
    momentum: 0,
    seed: seeds,
  });
  try {
    const evaluate = Array.from({ length: 8 }, (_, i) => 32 + i);
    const result = await runStream(gpu, {
      stream,
      data: pictures(),
      seeds,
      train: train40,
      evaluate,
      epochs: 3,
      batchSize: 4,
      showing,
      model,
      learner,
      learningRates,
      rateOf: (member, step) => rates[member] / (1 + step / 50),
    });
    return { ...result, weights: await model.parameters["0.weight"].data() };
  } finally {
    for (const part of [learner, model, learningRates, ...models]) part.dispose();
  }
}

continual("many networks on a stream are what each is alone", async () => {
  for (const stream of [
    splitStream("task", { tasks: 2, classes: 4 }),
    permutedStream({ tasks: 2, classes: 4 }),
    rotatedStream({ tasks: 2, classes: 4 }),
  ]) {
    const [seeds, rates] = [
      [4, 9],
      [0.5, 0.2],
    ] as const;
    const both = await learn({ stream, seeds, rates });
    assert.equal(both.diverged, []);
    for (const member of [0, 1]) {
      const alone = await learn({ stream, seeds: [seeds[member]], rates: [rates[member]] });
      const own = both.weights.slice(member * 128, (member + 1) * 128);
      for (const [i, value] of own.entries())
        near(value, alone.weights[i], `${stream.kind}, weight ${i}`, 1e-5);
      assert.equal(both.R[member], alone.R[0]);
      assert.equal(both.untrained[member], alone.untrained[0]);
    }
  }
});

continual("a stream is learnt; what diverges is named and harms nobody", async () => {
  const stream = permutedStream({ tasks: 2, classes: 4 });
  const { R, diverged } = await learn({ stream, seeds: [1, 2], rates: [0.5, 1e30] });
  assert.equal(diverged, [1]);
  assert.ok(R[0][0][0] >= 0.9 && R[0][1][1] >= 0.9, `${R[0]}`);
  const joint = await learn({ stream, seeds: [1], rates: [0.5], showing: "joint" });
  assert.is(joint.R[0].length, 1);
  assert.ok(joint.R[0][0].every((accuracy) => accuracy >= 0.9));
  const masked = await learn({
    stream: splitStream("task", { tasks: 2, classes: 4 }),
    seeds: [1],
    rates: [0.5],
  });
  assert.ok(masked.R[0][1][0] >= 0.9, "with the task known the first is not lost");
  await assertRejects(
    () => learn({ stream: permutedStream({ tasks: 2 }), seeds: [1], rates: [1] }),
    ValueError,
    /of 10 classes, and the data have 4/,
  );
});

continual("EWC and SI: gradients by their formulas", async () => {
  const gpu = await sharedGpu();
  const make = (values: number[]) => ({ "0.weight": tensor(gpu, values) });
  const parameters = make([1, -2, 0.5]);
  const ewc = new ElasticConsolidation(parameters, 10);
  const squares = make([0.1, 0.2, 0]);
  ewc.taskDone(squares);
  parameters["0.weight"].write([2, -2, 0]);
  ewc.taskDone(squares);
  const grads = make([0.5, 0.5, 0.5]);
  parameters["0.weight"].write([3, 1, 1]);
  ewc.add(grads);
  const actual = await grads["0.weight"].data();
  // λ Σ over two tasks of F (θ - θ_task)
  const wanted = [0.5 + 10 * 0.1 * (2 + 1), 0.5 + 10 * 0.2 * (3 + 3), 0.5];
  for (const [i, expected] of wanted.entries()) near(actual[i], expected, `EWC ${i}`, 1e-5);
  const start = [1, 1];
  const theta = { "0.weight": tensor(gpu, start) };
  const si = new SynapticIntelligence(theta, { strength: 0.5, damping: 0.1 });
  const optimizer = new PenaltySgd(theta, { learningRate: 0.1 }, si);
  const path = [0, 0];
  const now = [...start];
  for (const own of [
    [1, -2],
    [3, 0.5],
  ]) {
    const given = { "0.weight": tensor(gpu, own) };
    optimizer.step(given);
    own.forEach((g, i) => {
      now[i] -= 0.1 * g;
      path[i] += 0.1 * g * g;
    });
    given["0.weight"].dispose();
  }
  si.taskDone();
  const importance = path.map((gain, i) => gain / ((now[i] - start[i]) ** 2 + 0.1));
  const moved = [now[0] + 1, now[1] - 1];
  theta["0.weight"].write(moved);
  const pull = { "0.weight": zeros(gpu, [2]) };
  si.add(pull);
  const force = await pull["0.weight"].data();
  for (const [i, omega] of importance.entries())
    near(force[i], 2 * 0.5 * omega * (moved[i] - now[i]), `SI ${i}`, 1e-5);
  assert.throws(() => new ElasticConsolidation(parameters, -1), /strength is -1/);
  for (const part of [
    ewc,
    si,
    optimizer,
    ...[parameters, squares, grads, theta, pull].map((one) => one["0.weight"]),
  ])
    part.dispose();
});

continual("the Fisher information is of each sample's own gradient", async () => {
  const gpu = await sharedGpu();
  const stream = splitStream("domain", { tasks: 2, classes: 4 });
  const single = buildModel(gpu, [dense(16, 2)], { seed: 1 });
  const model = stackModels([single]);
  const kept = zeros(gpu, [1, 16, 2]);
  const learningRates = zeros(gpu, [1]);
  const data = pictures();
  await runStream(gpu, {
    stream,
    data,
    seeds: [1],
    train: train40,
    evaluate: [32, 33, 34, 35],
    epochs: 1,
    batchSize: 4,
    model,
    // Nothing learns: the information is that of the first weights.
    learner: { step: () => {} },
    learningRates,
    rateOf: () => 0,
    penalty: {
      wantsSquares: true,
      add: () => {},
      taskDone: (squares) => {
        copy(squares["0.weight"], { out: kept });
      },
      dispose: () => {},
    },
  });
  const images = data.images as Float32Array;
  const expected = new Float64Array(32);
  const own = train40.filter((image) => image % 4 < 2);
  const [weight, bias] = [
    await single.parameters["0.weight"].data(),
    await single.parameters["0.bias"].data(),
  ];
  for (const image of own) {
    const x = images.slice(image * 16, (image + 1) * 16);
    const z = [0, 1].map((j) => x.reduce((sum, value, i) => sum + value * weight[2 * i + j], bias[j]));
    const p = Math.exp(z[0]) / (Math.exp(z[0]) + Math.exp(z[1]));
    const g = [p, 1 - p].map((share, j) => share - (j === labels40[image] % 2 ? 1 : 0));
    for (let i = 0; i < 16; i++)
      for (const j of [0, 1]) expected[2 * i + j] += (x[i] * g[j]) ** 2 / own.length;
  }
  for (const [i, value] of (await kept.data()).entries()) near(value, expected[i], `F ${i}`, 1e-5);
  for (const part of [single, model, learningRates, kept]) part.dispose();
});

continual.run();
