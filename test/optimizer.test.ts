import {
  Adam,
  AdamW,
  adam,
  adamW,
  advance,
  advanceSchedule,
  clipGradientNorm,
  clipGradientValue,
  dropout,
  dropoutGrad,
  matmul,
  randomNormal,
  type Schedule,
  Sgd,
  ShapeError,
  scheduleRate,
  sgd,
  type Tensor,
  tensor,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { type GoldenFiles, goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, array64 } from "./reference/array64.js";
import * as reference from "./reference/index.js";

const optimizers = suite("optimizer");

async function upload(x: Array64): Promise<Tensor> {
  return tensor(await sharedGpu(), x.data, x.shape);
}

type OptimizerCase = GoldenFiles["optimisers"];

/** The class that a golden case names, with the case's options. */
function optimizerOf({ name, params }: OptimizerCase, p: Tensor): Sgd | Adam {
  const { lr: learningRate, momentum, weightDecay, nesterov, betas, eps } = params;
  if (/^(sgd|nesterov)/.test(name)) return new Sgd([p], { learningRate, momentum, weightDecay, nesterov });
  const options = { learningRate, betas, eps, weightDecay };
  return /^adamw/i.test(name) ? new AdamW([p], options) : new Adam([p], options);
}

optimizers("golden cases: SGD, Nesterov, Adam and AdamW", async () => {
  const gpu = await sharedGpu();
  const cases = [...goldenCases("optimisers"), ...goldenCases("optimizerVariants")] as OptimizerCase[];
  let checked = 0;
  for (const goldenCase of cases) {
    const { name, inputs, outputs } = goldenCase;
    if (name.startsWith("clip")) continue;
    const p = await upload(inputs.p);
    const optimizer = optimizerOf(goldenCase, p);
    const [steps, size] = inputs.grads.shape;
    for (let step = 0; step < steps; step++) {
      const gradient = tensor(gpu, inputs.grads.data.slice(step * size, (step + 1) * size));
      optimizer.step([gradient]);
    }
    assertClose(await p.data(), outputs.p.data, { tolerance: 1e-6, what: name });
    optimizer.dispose();
    checked++;
  }
  assert.is(checked, 6);
});

optimizers("one step on random odd shapes", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(1);
  const step = tensor(gpu, [6], { dtype: "u32" });
  const rate = tensor(gpu, [0.03]);
  for (const shape of [[1], [3, 5], [2, 4, 6], [7, 1, 129], [1030]]) {
    const [p, g, m] = [random.array(shape), random.array(shape), random.array(shape)];
    const v = random.array(shape, { low: 0 });
    for (const learningRate of [0.03, rate]) {
      for (const nesterov of [false, true]) {
        const [parameter, velocity] = [await upload(p), await upload(m)];
        const options = { momentum: 0.9, weightDecay: 0.1, nesterov };
        assert.is(sgd(parameter, await upload(g), { ...options, learningRate, velocity }), parameter);
        const expected = reference.sgdStep(p, g, m, { ...options, learningRate: 0.03 });
        assertClose(await parameter.data(), expected.parameter.data);
        assertClose(await velocity.data(), expected.velocity.data);
      }
      const plain = await upload(p);
      sgd(plain, await upload(g), { learningRate, weightDecay: 0.1 });
      const { parameter } = reference.sgdStep(p, g, undefined, { learningRate: 0.03, weightDecay: 0.1 });
      assertClose(await plain.data(), parameter.data);
      for (const [op, referenceOp] of [
        [adam, reference.adamStep],
        [adamW, reference.adamWStep],
      ] as const) {
        const [parameter, first, second] = [await upload(p), await upload(m), await upload(v)];
        op(parameter, await upload(g), { first, second, step, learningRate, weightDecay: 0.2 });
        const before = { step: 5, first: m, second: v };
        const expected = referenceOp(p, g, before, { learningRate: 0.03, weightDecay: 0.2 });
        assertClose(await parameter.data(), expected.parameter.data);
        assertClose(await first.data(), expected.state.first.data);
        assertClose(await second.data(), expected.state.second.data);
      }
    }
  }
});

optimizers("the bias corrections of Adam keep their digits at every step", async () => {
  const gpu = await sharedGpu();
  for (const betas of [
    [0.9, 0.999],
    [0, 0.99999],
    [0.5, 0.9],
  ] as const) {
    for (const step of [1, 2, 7, 100, 693, 5000, 10 ** 6, 4 * 10 ** 9]) {
      const start = { shape: [4], data: Float64Array.of(0, 0, 0, 0) };
      const state = {
        step: step - 1,
        first: array64([4], [1, -2, 0.5, 3]),
        second: array64([4], [1, 4, 0.5, 2]),
      };
      const zero = zeros(gpu, [4]);
      const [parameter, first, second] = [
        zeros(gpu, [4]),
        await upload(state.first),
        await upload(state.second),
      ];
      const count = tensor(gpu, [step], { dtype: "u32" });
      adam(parameter, zero, { first, second, step: count, learningRate: 0.5, betas });
      const expected = reference.adamStep(start, start, state, { learningRate: 0.5, betas });
      const what = `step ${step}, betas [${betas}]`;
      assertClose(await parameter.data(), expected.parameter.data, { tolerance: 2e-6, what });
    }
  }
});

optimizers("ten thousand steps of Adam and of AdamW stay with float64", async () => {
  const gpu = await sharedGpu();
  const [size, cycle, steps] = [24, 100, 10000];
  const random = seededRandom(2);
  const start = random.array([size]);
  const gradients = Array.from({ length: cycle }, () => random.array([size], { low: -1, high: 1.25 }));
  const tensors = await Promise.all(gradients.map(upload));
  const options = { learningRate: 1e-3, weightDecay: 0.1 };
  const parameters = [await upload(start), await upload(start)];
  const pair = [new Adam([parameters[0]], options), new AdamW([parameters[1]], options)];
  const program = gpu.program(() => {
    for (const gradient of tensors) for (const optimizer of pair) optimizer.step([gradient]);
  });
  for (let done = cycle; done < steps; done += cycle) program.run();
  for (const [i, referenceStep] of [reference.adamStep, reference.adamWStep].entries()) {
    let [parameter, state] = [start, reference.adamState([size])];
    for (let step = 0; step < steps; step++) {
      ({ parameter, state } = referenceStep(parameter, gradients[step % cycle], state, options));
    }
    assert.is(await pair[i].stepCount.item(), steps);
    assertClose(await parameters[i].data(), parameter.data);
    assertClose(await pair[i].state["first.0"].data(), state.first.data);
    assertClose(await pair[i].state["second.0"].data(), state.second.data);
  }
  program.dispose();
});

optimizers("golden schedules, on the host and on the device", async () => {
  const gpu = await sharedGpu();
  for (const { name, params, outputs } of goldenCases("schedules")) {
    const schedules: Record<string, Schedule> = {
      step: { kind: "step", learningRate: params.lr, stepSize: params.step_size, gamma: params.gamma },
      cosine: { kind: "cosine", learningRate: params.lr, steps: params.T_max, minimum: params.eta_min },
      linear: {
        kind: "linearWarmup",
        learningRate: params.lr,
        warmupSteps: params.total_iters,
        startFactor: params.start_factor,
      },
      oneCycle: { kind: "oneCycle", maximum: params.max_lr, steps: params.total_steps },
      oneCycleOdd: {
        kind: "oneCycle",
        maximum: params.max_lr,
        steps: params.total_steps,
        riseShare: params.pct_start,
        startDivisor: params.div_factor,
        endDivisor: params.final_div_factor,
      },
    };
    const schedule = schedules[name];
    const rates = outputs.rates.data;
    assertClose(
      Array.from(rates, (_, step) => scheduleRate(schedule, step)),
      rates,
      { tolerance: 1e-9, what: name },
    );
    const [step, rate] = [zeros(gpu, [1], { dtype: "u32" }), zeros(gpu, [1])];
    for (const expected of rates) {
      advanceSchedule(step, rate, schedule);
      assertClose(await rate.data(), [expected], { tolerance: 1e-6, what: name });
    }
    assert.is(await step.item(), rates.length);
  }
});

optimizers("all schedules are on the device what they are on the host, for long runs too", async () => {
  const gpu = await sharedGpu();
  const schedules: Schedule[] = [
    { kind: "constant", learningRate: 0.3 },
    { kind: "step", learningRate: 0.3, stepSize: 7 },
    { kind: "exponential", learningRate: 0.3, gamma: 0.9999 },
    { kind: "exponential", learningRate: 1e-6, gamma: 1.0001 },
    { kind: "cosine", learningRate: 0.3, steps: 100000 },
    { kind: "linearWarmup", learningRate: 0.3, warmupSteps: 500, startFactor: 0 },
    {
      kind: "warmupCosine",
      learningRate: 0.3,
      warmupSteps: 10,
      steps: 90000,
      minimum: 0.001,
      startFactor: 0.01,
    },
    { kind: "oneCycle", maximum: 1, steps: 99999 },
    { kind: "oneCycle", maximum: 1, steps: 10, riseShare: 0 },
    { kind: "oneCycle", maximum: 1, steps: 10, riseShare: 1 },
  ];
  const [step, rate] = [zeros(gpu, [1], { dtype: "u32" }), zeros(gpu, [1])];
  for (const schedule of schedules) {
    for (const n of [0, 1, 9, 10, 11, 499, 33333, 89999, 99997, 200000]) {
      step.write([n]);
      advanceSchedule(step, rate, schedule);
      const what = `${JSON.stringify(schedule)} at ${n}`;
      // Below the smallest normal float32 the device has 0.
      const expected = scheduleRate(schedule, n);
      assertClose(await rate.data(), [expected < 1e-37 ? 0 : expected], { what });
    }
  }
});

optimizers("warm-up and cosine: linear to the rate, half a cosine to the minimum, and there it stays", () => {
  const schedule = {
    kind: "warmupCosine",
    learningRate: 0.4,
    warmupSteps: 4,
    steps: 12,
    minimum: 0.1,
  } as const;
  const rates = [0, 2, 4, 8, 12, 99].map((step) => scheduleRate({ ...schedule, startFactor: 0.5 }, step));
  assertClose(rates, [0.2, 0.3, 0.4, 0.25, 0.1, 0.1], { tolerance: 1e-12 });
  assertClose([scheduleRate({ kind: "exponential", learningRate: 2, gamma: 0.5 }, 3)], [0.25], {
    tolerance: 1e-12,
  });
});

optimizers("clipping: golden cases", async () => {
  for (const { name, params, inputs, outputs } of goldenCases("optimizerVariants")) {
    if (!name.startsWith("clip")) continue;
    const gradients = [await upload(inputs.a), await upload(inputs.b)];
    if (name === "clipValue") clipGradientValue(gradients, params.limit);
    else {
      const norm = clipGradientNorm(gradients, params.limit);
      assertClose(await norm.data(), outputs.norm.data, { tolerance: 1e-6, what: `${name}: norm` });
    }
    assertClose(await gradients[0].data(), outputs.a.data, { tolerance: 1e-6, what: name });
    assertClose(await gradients[1].data(), outputs.b.data, { tolerance: 1e-6, what: name });
  }
});

optimizers("clipping many tensors of odd sizes, large ones among them", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(4);
  const shapes = [[3], [70001], [8, 16], [1], [200000], [0], [5, 7, 9]];
  const gradients = shapes.map((shape) => random.array(shape, { low: -0.5 }));
  const expected = reference.clipGradientNorm(gradients, 2);
  const tensors = await Promise.all(gradients.map(upload));
  const out = zeros(gpu, [1]);
  const { tensors: live } = gpu.memory();
  assert.is(clipGradientNorm(tensors, 2, { out }), out);
  assert.is(gpu.memory().tensors, live);
  assertClose(await out.data(), [expected.norm]);
  for (const [i, gradient] of expected.gradients.entries()) {
    assertClose(await tensors[i].data(), gradient.data, { what: `[${shapes[i]}]` });
  }
});

optimizers("the classes clip, follow their schedule, and tell the norm and the rate", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(5);
  const schedule = { kind: "step", learningRate: 0.5, stepSize: 2, gamma: 0.1 } as const;
  const start = { weight: random.array([3, 4]), bias: random.array([4]) };
  const parameters = { weight: await upload(start.weight), bias: await upload(start.bias) };
  const optimizer = new Sgd(parameters, { learningRate: schedule, clipNorm: 1, clipValue: 0.8 });
  let expected = [start.weight, start.bias];
  for (let step = 0; step < 5; step++) {
    const gradients = [random.array([3, 4]), random.array([4])];
    optimizer.step({ bias: await upload(gradients[1]), weight: await upload(gradients[0]) });
    const clipped = reference.clipGradientNorm(reference.clipGradientValue(gradients, 0.8), 1);
    const learningRate = scheduleRate(schedule, step);
    expected = expected.map(
      (p, i) => reference.sgdStep(p, clipped.gradients[i], undefined, { learningRate }).parameter,
    );
    assertClose(await (optimizer.gradientNorm as Tensor).data(), [clipped.norm]);
    assertClose(await (optimizer.learningRate as Tensor).data(), [learningRate]);
  }
  assertClose(await parameters.weight.data(), expected[0].data);
  assertClose(await parameters.bias.data(), expected[1].data);
  // A rate of the caller's own, changed between steps.
  const rate = tensor(gpu, [0]);
  const p = tensor(gpu, [1, 2]);
  const manual = new Sgd([p], { learningRate: rate });
  const ones = tensor(gpu, [1, 1]);
  manual.step([ones]);
  assertExact(await p.data(), [1, 2]);
  rate.write([0.25]);
  manual.step([ones]);
  assertExact(await p.data(), [0.75, 1.75]);
  manual.dispose();
  assert.is(rate.disposed, false);
});

/** A small training step with everything that changes from run to run: dropout, a schedule, Adam's step count. */
async function trainer() {
  const gpu = await sharedGpu();
  const x = randomNormal(gpu, [16, 12], { seed: 1 });
  const target = randomNormal(gpu, [16, 5], { seed: 2 });
  const weight = randomNormal(gpu, [12, 5], { seed: 3 });
  const counter = zeros(gpu, [1], { dtype: "u32" });
  const optimizer = new Adam([weight], {
    learningRate: { kind: "warmupCosine", learningRate: 0.05, warmupSteps: 3, steps: 20 },
    clipNorm: 3,
  });
  const step = () => {
    const { y: kept, mask } = dropout(x, { rate: 0.3, seed: 4, counter });
    advance(counter);
    const dy = matmul(kept, weight);
    sgd(dy, target, { learningRate: 1 }); // dy -= target
    const dweight = matmul(kept, dy, { transposeA: true });
    const dx = dropoutGrad(matmul(dy, weight, { transposeB: true }), mask);
    optimizer.step([dweight]);
    return { dx };
  };
  return { gpu, weight, optimizer, step };
}

optimizers("a replayed training step gives the bits of unrecorded calls and allocates nothing", async () => {
  const [recorded, direct] = [await trainer(), await trainer()];
  const { gpu } = recorded;
  const program = gpu.program(recorded.step);
  const runs = 25;
  await gpu.finish();
  const before = gpu.memory();
  for (let run = 1; run < runs; run++) program.run();
  await gpu.finish();
  assert.equal(gpu.memory(), before);
  let last: Tensor | undefined;
  for (let run = 0; run < runs; run++) {
    last?.dispose();
    last = gpu.scope(() => direct.step().dx);
  }
  assertExact(await program.result.dx.data(), await (last as Tensor).data(), "dx");
  assertExact(await recorded.weight.data(), await direct.weight.data(), "weight");
  const [a, b] = [await recorded.optimizer.save(), await direct.optimizer.save()];
  for (const [name, { data }] of b) assertExact(a.get(name)!.data, data, name);
  assertExact(a.get("step")!.data, [runs]);
  program.dispose();
});

optimizers("saved state goes on where it was", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(6);
  const gradients = await Promise.all([0, 1, 2, 3].map(() => upload(random.array([9]))));
  const start = random.array([9]);
  const options = { learningRate: { kind: "cosine", learningRate: 0.1, steps: 4 } } as const;
  const whole = await upload(start);
  const uninterrupted = new AdamW([whole], options);
  for (const gradient of gradients) uninterrupted.step([gradient]);
  const half = await upload(start);
  const first = new AdamW([half], options);
  for (const gradient of gradients.slice(0, 2)) first.step([gradient]);
  const saved = await first.save();
  assert.equal([...saved.keys()], ["step", "first.0", "second.0"]);
  first.dispose();
  const second = new AdamW([half], options);
  second.load(saved);
  for (const gradient of gradients.slice(2)) second.step([gradient]);
  assertExact(await half.data(), await whole.data());
  for (const [name, message] of [
    ["step", /"step" is missing/],
    ["first.0", /"first.0" is missing/],
  ] as const) {
    const less = new Map(saved);
    less.delete(name);
    await assertRejects(() => second.load(less), ValueError, message);
  }
  const wrong = { shape: [3], data: new Float32Array(3) };
  await assertRejects(
    () => second.load(new Map([...saved, ["first.0", wrong]])),
    ShapeError,
    /has shape \[3\]/,
  );
  await assertRejects(
    () => second.load(new Map([...saved, ["velocity.0", wrong]])),
    ValueError,
    /not of this optimizer/,
  );
  const broken = { shape: [9], data: new Float32Array(9).fill(NaN) };
  await assertRejects(() => second.load(new Map([...saved, ["second.0", broken]])), ValueError, /not finite/);
  const fraction = { shape: [1], data: Float32Array.of(1.5) };
  await assertRejects(
    () => second.load(new Map([...saved, ["step", fraction]])),
    ValueError,
    /"step" is 1.5/,
  );
  assertExact(await second.stepCount.data(), [4]);
  const live = gpu.memory().tensors;
  second.dispose();
  second.dispose();
  assert.is(gpu.memory().tensors, live - 4);
});

optimizers("wrong arguments are refused", async () => {
  const gpu = await sharedGpu();
  const [p, g] = [zeros(gpu, [3]), zeros(gpu, [3])];
  const [first, second, step] = [zeros(gpu, [3]), zeros(gpu, [3]), zeros(gpu, [1], { dtype: "u32" })];
  const state = { first, second, step };
  const { tensors } = gpu.memory();
  await assertRejects(
    () => sgd(p, zeros(gpu, [4]), { learningRate: 0.1 }),
    ShapeError,
    /gradient has shape \[4\]/,
  );
  await assertRejects(() => sgd(p, p, { learningRate: 0.1 }), ShapeError, /shares its buffer/);
  await assertRejects(() => sgd(p, g, { learningRate: -1 }), ValueError, /learningRate is -1/);
  await assertRejects(
    () => sgd(p, g, { learningRate: zeros(gpu, [2]) }),
    ShapeError,
    /learning_rate has shape \[2\]/,
  );
  await assertRejects(
    () => sgd(p, g, { learningRate: 1, momentum: 0.9 }),
    ValueError,
    /there is no velocity/,
  );
  await assertRejects(() => sgd(p, g, { learningRate: 1, nesterov: true }), ValueError, /nesterov is set/);
  await assertRejects(() => adam(p, g, { ...state, betas: [0.9, 1] }), ValueError, /betas are \[0.9,1\]/);
  await assertRejects(() => adam(p, g, { ...state, eps: 0 }), ValueError, /eps is 0/);
  await assertRejects(
    () => adam(p, g, { ...state, first: zeros(gpu, [2]) }),
    ShapeError,
    /first has shape \[2\]/,
  );
  await assertRejects(() => adamW(p, g, { ...state, step: g }), ShapeError, /"step" is f32/);
  await assertRejects(() => clipGradientNorm([], 1), ShapeError, /gradients is empty/);
  await assertRejects(() => clipGradientNorm([g], 0), ValueError, /maxNorm is 0/);
  await assertRejects(() => clipGradientValue([g], NaN), ValueError, /limit is NaN/);
  await assertRejects(() => new Sgd([], { learningRate: 1 }), ShapeError, /parameters is empty/);
  await assertRejects(() => new Adam([p], { betas: [-1, 0] }), ValueError, /Adam: betas/);
  const steps = 0;
  await assertRejects(
    () => new Sgd([p], { learningRate: { kind: "cosine", learningRate: 1, steps } }),
    ValueError,
    /schedule cosine: steps is 0/,
  );
  const schedule = { kind: "warmupCosine", learningRate: 1, warmupSteps: 5, steps: 5 } as const;
  await assertRejects(() => scheduleRate(schedule, 0), ValueError, /more than warmupSteps/);
  await assertRejects(
    () => scheduleRate({ kind: "linear" } as unknown as Schedule, 0),
    ValueError,
    /kind "linear"/,
  );
  await assertRejects(
    () => scheduleRate({ kind: "cosine" } as Schedule, 0),
    ValueError,
    /a parameter is missing/,
  );
  const optimizer = new Sgd({ weight: p }, { learningRate: 1 });
  await assertRejects(() => optimizer.step({}), ShapeError, /gradients has no "weight"/);
  await assertRejects(
    () => optimizer.step({ weight: g, bias: g }),
    ShapeError,
    /"bias", which is no parameter/,
  );
  optimizer.dispose();
  assert.is(gpu.memory().tensors, tensors + 3);
});

optimizers.run();
