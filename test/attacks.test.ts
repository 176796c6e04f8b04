import {
  add,
  advance,
  argmax,
  broadcastTo,
  type Gpu,
  mul,
  ShapeError,
  sum,
  type Tensor,
  tensor,
  ValueError,
  zeros,
} from "handgrad";
import {
  type Attack,
  adamPgd,
  apgd,
  apgdTargeted,
  type AttackLoss,
  attack,
  attackAtEach,
  bim,
  type Differentiable,
  dlrLoss,
  fgsm,
  gaussianNoise,
  marginLoss,
  miFgsm,
  normalized,
  perturb,
  pgd,
  scoreLoss,
  square,
  uniformNoise,
} from "handgrad/attacks";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { spy } from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { CLASSES, trainVictim, type Victim } from "./helpers/victim.js";

const attacks = suite("attacks");

let trained: Promise<Victim> | undefined;

/** One trained network for all tests of this file. */
async function setUp(): Promise<Victim & { gpu: Gpu }> {
  const gpu = await sharedGpu();
  trained ??= Promise.resolve(trainVictim(gpu));
  return { gpu, ...(await trained) };
}

const EPSILON = 0.1;

function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((total, value) => total + value, 0) / values.length;
}

/** How many images the model takes for another class than their label. */
async function mistakes({ model, labels }: Victim, images: Tensor): Promise<number> {
  const classes = await argmax(model.forward(images).y, { axes: [1] }).data();
  return classes.filter((found, i) => found !== labels[i]).length;
}

attacks("every white-box attack fools the model far more often than noise does", async () => {
  const victim = await setUp();
  const { model, x, labels } = victim;
  const found: Record<string, number> = {};
  const run = async (how: Attack): Promise<void> => {
    const result = await attack(model, x, how, { labels });
    const { counts, success } = result;
    const { name } = how;
    found[name] = counts.success;
    assert.is(
      await mistakes(victim, result.images),
      counts.success,
      `${name}: the mask is what the model says`,
    );
    assert.is(counts.success, mean(success) * labels.length);
    assert.is(counts.nonFinite + counts.zeroGradient, 0, name);
    assert.is(counts.robust, labels.length - counts.success, name);
    for (let i = 0; i < labels.length; i++) assert.ok(result.success[i] >= result.cleanSuccess[i], name);
    result.dispose();
  };
  const epsilon = EPSILON;
  for (const how of [
    fgsm({ epsilon }),
    bim({ epsilon, steps: 10 }),
    miFgsm({ epsilon, steps: 10 }),
    pgd({ epsilon, steps: 10 }),
    adamPgd({ epsilon, steps: 10 }),
    apgd({ epsilon, steps: 20, loss: dlrLoss }),
    square({ epsilon, queries: 100 }),
    gaussianNoise({ epsilon }),
    uniformNoise({ epsilon, restarts: 3 }),
  ]) {
    await run(how);
  }
  const text = JSON.stringify(found);
  const white = [found.bim, found.miFgsm, found.pgd, found.adamPgd, found.apgd];
  assert.ok(Math.min(...white) >= found.fgsm, text);
  assert.ok(Math.min(...white) >= 25 && Math.min(...white) < labels.length, text);
  assert.ok(found.square <= Math.min(...white), `a black box beat a white one: ${text}`);
  assert.ok(found.square > found.uniformNoise + 5, text);
  assert.ok(found.gaussianNoise <= 10 && found.uniformNoise <= 10, text);
});

attacks("epsilon 0 is the clean image bit by bit, and more epsilon is never worse", async () => {
  const { model, x, labels } = await setUp();
  const epsilons = [0, 0.02, 0.05, 0.1, 1];
  const results = await attackAtEach(model, x, pgd({ epsilon: 1, steps: 10 }), epsilons, { labels });
  const [none] = results;
  assert.ok((await none.delta.data()).every((value) => value === 0));
  assertExact(await none.images.data(), await x.data());
  assertExact(none.loss, none.cleanLoss);
  assertExact(none.success, none.cleanSuccess);
  results.forEach(({ counts, epsilon }, i) => {
    assert.is(epsilon, epsilons[i]);
    if (i > 0) assert.ok(counts.success >= results[i - 1].counts.success, `${counts.success} at ${epsilon}`);
  });
  assert.is(results[4].counts.robust, 0);
  for (const result of results) result.dispose();
});

attacks("200 steps find what 100 steps find", async () => {
  const { model, x, labels } = await setUp();
  const [short, long] = [100, 200].map((steps) => pgd({ epsilon: EPSILON, steps }));
  const results = [await attack(model, x, short, { labels }), await attack(model, x, long, { labels })];
  const [few, many] = results.map(({ loss }) => mean(loss));
  assert.ok(Math.abs(many - few) < 0.01 * Math.abs(many), `${few} and ${many}`);
  assert.ok(Math.abs(results[0].counts.success - results[1].counts.success) <= 1);
  assert.is(results[1].lossCurve.length, 201);
  assert.ok(results[1].lossCurve[200] > results[1].lossCurve[0]);
  for (const result of results) result.dispose();
});

attacks("the same seed gives the same delta, run by run and whatever the batch is", async () => {
  const { model, x, labels } = await setUp();
  const how = pgd({ epsilon: EPSILON, steps: 5, restarts: 2, seed: 5 });
  const deltas: ArrayLike<number>[] = [];
  for (const batch of [128, 128, 60, 17, 7]) {
    const result = await attack(model, x, how, { labels, batch });
    deltas.push(await result.delta.data());
    result.dispose();
  }
  assertExact(deltas[1], deltas[0], "again");
  for (const delta of deltas.slice(2)) {
    // The model's own sums may round differently in another batch; random numbers may not.
    const off = Array.from(delta).filter((value, i) => Math.abs(value - deltas[0][i]) > 1e-5).length;
    assert.ok(off <= 0.001 * delta.length, `${off} entries of delta differ`);
  }
  const other = await attack(model, x, pgd({ epsilon: EPSILON, steps: 5, restarts: 2, seed: 6 }), { labels });
  assert.ok((await other.delta.data()).some((value, i) => value !== deltas[0][i]));
  other.dispose();
});

attacks("a part of a set is attacked as in the whole", async () => {
  const { gpu, model, x, labels } = await setUp();
  const how = uniformNoise({ epsilon: EPSILON });
  const whole = await attack(model, x, how, { labels, judge: marginLoss });
  const pixels = (await x.data()).slice(64 * 20, 64 * 30) as Float32Array<ArrayBuffer>;
  const some = tensor(gpu, pixels, [10, 1, 8, 8]);
  const part = await attack(model, some, how, {
    labels: labels.slice(20, 30),
    firstSample: 20,
    judge: marginLoss,
  });
  assertExact(await part.delta.data(), (await whole.delta.data()).slice(64 * 20, 64 * 30));
  for (const held of [whole, part, some]) held.dispose();
});

attacks("restarts keep the best result of each sample", async () => {
  const { model, x, labels } = await setUp();
  const run = (restarts: number) =>
    attack(model, x, uniformNoise({ epsilon: EPSILON, restarts, loss: marginLoss }), { labels });
  const [one, ten] = [await run(1), await run(10)];
  let better = 0;
  for (let i = 0; i < labels.length; i++) {
    assert.ok(
      ten.success[i] > one.success[i] || (ten.success[i] === one.success[i] && ten.loss[i] >= one.loss[i]),
    );
    if (ten.loss[i] > one.loss[i]) better++;
  }
  assert.ok(better > 30, `${better} samples gained`);
  for (const result of [one, ten]) result.dispose();
});

attacks("early stop leaves a sample alone once it is lost", async () => {
  const { gpu, model, x, labels } = await setUp();
  const classes = tensor(gpu, labels);
  const options = { epsilon: EPSILON, steps: 8, randomStart: false };
  const stopped = perturb(model, { x, labels: classes }, pgd({ ...options, earlyStop: true }));
  const going = perturb(model, { x, labels: classes }, pgd(options));
  const [short, long] = [await stopped.curve.data(), await going.curve.data()];
  const margins = marginLoss(model.forward(stopped.images).y, { labels: classes }).loss;
  const lost = Array.from(await margins.data(), (margin) => margin > 0);
  let frozen = 0;
  for (let row = 0; row < labels.length; row++) {
    const [mine, theirs] = [short, long].map((curve) => Array.from(curve.slice(9 * row, 9 * row + 9)));
    const from = mine.findIndex((loss, i) => loss !== theirs[i]);
    if (from < 0) continue;
    frozen++;
    assert.ok(lost[row], `sample ${row} stopped before it was lost`);
    assert.ok(
      mine.slice(from).every((loss) => loss === mine[from - 1]),
      `sample ${row} went on: ${mine}`,
    );
  }
  assert.ok(frozen > 10, `${frozen} samples stopped`);
});

attacks("with early stop, restarts go on with the samples that are left", async () => {
  const { model, x, labels } = await setUp();
  const options = { epsilon: EPSILON, steps: 2, relativeStep: 0.5, earlyStop: true };
  const samples: number[] = [];
  const one = await attack(model, x, pgd({ ...options, restarts: 1 }), { labels });
  const two = await attack(model, x, pgd({ ...options, restarts: 2 }), {
    labels,
    onProgress: (at) => samples.push(at.samples),
  });
  const clean = mean(one.cleanSuccess) * labels.length;
  assert.ok(one.counts.success > clean, "the first try finds something");
  assert.equal(samples, [Math.round(labels.length - clean), labels.length - one.counts.success]);
  for (const result of [one, two]) result.dispose();
});

attacks("targeted attacks reach their class, and no other counts", async () => {
  const { model, x, labels } = await setUp();
  const epsilon = 0.25;
  const counts: Record<string, number> = {};
  const check = async (name: string, how: Attack, targets?: number | Uint32Array): Promise<Uint32Array> => {
    const result = await attack(model, x, how, { labels, targets });
    const aims = result.targets as Uint32Array;
    const classes = await argmax(model.forward(result.images).y, { axes: [1] }).data();
    result.success.forEach((hit, i) => {
      assert.is(hit === 1, classes[i] === aims[i], `${name} ${i}`);
    });
    counts[name] = result.counts.success;
    result.dispose();
    return aims;
  };
  const steps = 10;
  const logits = await model.forward(x).y.data();
  const ranked = Array.from(labels, (label, row) =>
    Array.from({ length: CLASSES }, (_, i) => i)
      .filter((i) => i !== label)
      .sort((a, b) => logits[row * CLASSES + b] - logits[row * CLASSES + a]),
  );
  const next = await check("nextLikely", pgd({ epsilon, steps, target: "nextLikely" }));
  assertExact(
    next,
    ranked.map((classes) => classes[0]),
  );
  const least = await check("leastLikely", pgd({ epsilon, steps, target: "leastLikely", loss: marginLoss }));
  assertExact(
    least,
    ranked.map((classes) => classes[CLASSES - 2]),
  );
  const random = await check("random", apgd({ epsilon, steps, target: "random", loss: dlrLoss, seed: 8 }));
  assert.ok(random.every((target, i) => target !== labels[i] && target < CLASSES));
  assert.is(new Set(random).size, CLASSES);
  await check("one class", pgd({ epsilon, steps }), 3);
  await check(
    "custom",
    pgd({ epsilon, steps }),
    labels.map((label) => (label + 2) % CLASSES),
  );
  const text = JSON.stringify(counts);
  assert.ok(counts.nextLikely >= counts.leastLikely && counts.leastLikely > 10, text);
  assert.ok(counts.random > 10 && counts.custom > 10 && counts["one class"] > 10, text);
});

attacks("a chain goes on with survivors only, and finds at least what its attacks find", async () => {
  const { model, x, labels } = await setUp();
  const epsilon = EPSILON;
  const chain = [
    uniformNoise({ epsilon }),
    bim({ epsilon, steps: 3, relativeStep: 0.2 }),
    apgd({ epsilon, steps: 15 }),
    apgdTargeted({ epsilon, steps: 15, restarts: 2 }),
    square({ epsilon, queries: 60 }),
  ];
  const heard: string[] = [];
  const result = await attack(model, x, chain, {
    labels,
    batch: 16,
    onProgress: ({ stage, restart, done, samples }) => heard.push(`${stage} ${restart} ${done}/${samples}`),
  });
  const { stages, counts, cleanSuccess } = result;
  let left = labels.length - mean(cleanSuccess) * labels.length;
  for (const { name, attacked, succeeded } of stages) {
    assert.is(attacked, Math.round(left), `${name} attacks the survivors`);
    left -= succeeded;
  }
  assert.is(counts.success, Math.round(labels.length - left));
  assert.ok(
    stages[1].succeeded > 0 && stages[2].succeeded > 0,
    JSON.stringify(stages.map((s) => s.succeeded)),
  );
  assert.ok(heard.includes(`bim 0 ${stages[1].attacked}/${stages[1].attacked}`), heard.join());
  for (const how of chain.slice(0, 2)) {
    const alone = await attack(model, x, how, { labels });
    alone.success.forEach((hit, i) => {
      assert.ok(hit <= result.success[i], `${how.name}, sample ${i}`);
    });
    alone.dispose();
  }
  // What survived lost no ground to its clean image.
  const clean = await attack(model, x, uniformNoise({ epsilon: 0 }), { labels, judge: marginLoss });
  result.loss.forEach((loss, i) => {
    assert.ok(loss >= clean.loss[i] - 1e-6);
  });
  for (const held of [clean, result]) held.dispose();
});

attacks("gradients that are masked or not finite are reported and never count as robustness", async () => {
  const { gpu, model, x, labels } = await setUp();
  // A model so sure that its cross-entropy has no gradient in float32.
  const sure: Differentiable = {
    forward(images) {
      const { y, saved } = model.forward(images);
      return { y: mul(y, 1e4), saved };
    },
    inputGrad: (dy, saved) => model.inputGrad(mul(dy, 1e4), saved as never),
  };
  const masked = await attack(sure, x, pgd({ epsilon: EPSILON, steps: 5 }), { labels });
  assert.ok(masked.counts.zeroGradient > 30, `${masked.counts.zeroGradient} zero gradients`);
  masked.robust.forEach((robust, i) => {
    assert.ok(!(robust && masked.success[i]));
  });
  assert.is(masked.counts.robust, labels.length - masked.counts.success - masked.counts.zeroGradient);
  const seen = await attack(sure, x, pgd({ epsilon: EPSILON, steps: 10, loss: dlrLoss }), { labels });
  assert.is(seen.counts.zeroGradient, 0);
  assert.ok(
    seen.counts.success > masked.counts.success + 10,
    "the DLR loss sees what cross-entropy does not",
  );

  const poison = new Float32Array(labels.length).fill(1);
  poison[3] = poison[4] = Number.NaN;
  poison[5] = Infinity;
  const factor = tensor(gpu, poison, [labels.length, 1], { checkFinite: false });
  const broken: Differentiable = {
    forward(images) {
      const { y, saved } = model.forward(images);
      return { y: mul(y, factor), saved };
    },
    inputGrad: (dy, saved) => model.inputGrad(dy, saved as never),
  };
  const result = await attack(broken, x, pgd({ epsilon: EPSILON, steps: 3 }), {
    labels,
    batch: labels.length,
  });
  assert.is(result.counts.nonFinite, 3);
  assert.equal(Array.from(result.robust.slice(3, 6)), [0, 0, 0]);
  assert.equal(Array.from(result.success.slice(3, 6)), [0, 0, 0]);
  assert.equal(Array.from(result.loss.slice(3, 6), Number.isNaN), [true, true, true]);
  assert.equal(Array.from(result.cleanLoss.slice(3, 6), Number.isNaN), [true, true, true]);
  for (const held of [masked, seen, result, factor]) held.dispose();
});

attacks("no attack computes a weight gradient or reads back inside its steps", async () => {
  const { gpu, model, x, labels } = await setUp();
  const classes = tensor(gpu, labels);
  const spies = model.layers.map((layer) => spy(layer, "weightGrads"));
  const steps = 6;
  for (const how of [pgd({ epsilon: EPSILON, steps }), apgd({ epsilon: EPSILON, steps })]) {
    const program = gpu.program(() => perturb(model, { x, labels: classes }, how).delta);
    const { kernels } = await gpu.profile(() => {
      program.run();
    });
    const calls = (part: string) =>
      kernels.filter(({ kernel }) => kernel.startsWith(part)).reduce((total, row) => total + row.calls, 0);
    // Two products forward for each of steps + 1 points, and two back for each step.
    const products = kernels.filter(({ kernel }) => /^matmul(?!_pad)/.test(kernel));
    assert.is(
      products.reduce((total, { calls }) => total + calls, 0),
      2 * (steps + 1) + 2 * steps,
    );
    assert.is(calls("activation_grad"), steps);
    assert.is(calls("pgd_step"), steps);
    assert.is(calls("reduce"), 0, "sums of bias gradients");
    assert.ok(
      kernels.every(({ kernel }) => !/weight|bias/.test(kernel)),
      kernels.map((row) => row.kernel).join(),
    );
    program.dispose();
  }
  for (const { calls, restore } of spies) {
    assert.is(calls.length, 0);
    restore();
  }
});

attacks("a recorded attack replays: the same bits, and with a counter other starts", async () => {
  const { gpu, model, x, labels } = await setUp();
  const classes = tensor(gpu, labels);
  const draw = zeros(gpu, [1], { dtype: "u32" });
  const how = pgd({ epsilon: EPSILON, steps: 3 });
  const program = gpu.program(() => perturb(model, { x, labels: classes, draw }, how));
  const { buffersCreated } = gpu.memory();
  const first = await program.result.delta.data();
  assertExact(await program.run().delta.data(), first);
  assert.is(gpu.memory().buffersCreated, buffersCreated);
  advance(draw);
  const other = await program.run().delta.data();
  assert.ok(other.some((value, i) => value !== first[i]));
  program.dispose();
});

attacks("scores of detectors are lowered for what is in and raised for what is out", async () => {
  const { gpu, model, x, labels } = await setUp();
  // The sum of the logits, a score a sample.
  const score: Differentiable = {
    forward(images) {
      const { y, saved } = model.forward(images);
      return { y: sum(y, { axes: [1], keepDims: true }), saved: { saved, shape: y.shape } };
    },
    inputGrad(dy, { saved, shape }: { saved: never; shape: readonly number[] }) {
      const ones = tensorOfOnes.reshape(shape);
      const flow = mul(ones, dy);
      return model.inputGrad(flow, saved);
    },
  };
  const tensorOfOnes = tensor(gpu, new Float32Array(labels.length * CLASSES).fill(1));
  const inside = labels.map((label) => label & 1);
  const clean = await score.forward(x).y.data();
  const batch = labels.length;
  const result = await attack(score, x, pgd({ epsilon: EPSILON, steps: 10, loss: scoreLoss() }), {
    labels: inside,
    batch,
  });
  const attacked = await score.forward(result.images).y.data();
  inside.forEach((isIn, i) => {
    assert.ok(isIn ? attacked[i] < clean[i] : attacked[i] > clean[i]);
    assert.ok(Math.abs(result.loss[i] - (isIn ? -1 : 1) * attacked[i]) < 1e-5);
  });
  assert.is(result.counts.success, 0, "without a threshold nothing is a success");
  const threshold = mean(clean);
  const lowered = await attack(
    score,
    x,
    pgd({ epsilon: EPSILON, steps: 10, loss: scoreLoss({ direction: "down", threshold }) }),
    { batch },
  );
  const now = await score.forward(lowered.images).y.data();
  lowered.success.forEach((hit, i) => {
    assert.is(hit === 1, now[i] < threshold);
  });
  for (const held of [result, lowered, tensorOfOnes]) held.dispose();
});

attacks("a loss of one's own is raised", async () => {
  const { gpu, model, x } = await setUp();
  const last = tensor(gpu, [[0, 0, 0, 0, 1]]);
  const lastLogit: AttackLoss = (y) => ({
    loss: sum(mul(y, last), { axes: [1] }),
    dy: broadcastTo(last, y.shape),
  });
  const result = await attack(model, x, pgd({ epsilon: EPSILON, steps: 10, loss: lastLogit }));
  const [before, after] = [await model.forward(x).y.data(), await model.forward(result.images).y.data()];
  result.loss.forEach((loss, i) => {
    assert.ok(Math.abs(loss - after[CLASSES * i + 4]) < 1e-5);
    assert.ok(loss > before[CLASSES * i + 4] + 0.1);
  });
  for (const held of [result, last]) held.dispose();
});

attacks("behind a normalization epsilon is in pixels, and delta is that of the bare model", async () => {
  const { gpu, model, x, labels } = await setUp();
  for (const [mean, std] of [
    [0.4, 0.25],
    [[0.4], [0.25]],
  ] as const) {
    const inner: Differentiable = {
      forward: (z) => model.forward(add(mul(z, 0.25), 0.4)),
      inputGrad: (dy, saved) => mul(model.inputGrad(dy, saved as never), 0.25),
    };
    const whole = normalized(gpu, inner, { mean, std });
    const how = pgd({ epsilon: EPSILON, steps: 3 });
    const results = [await attack(whole, x, how, { labels }), await attack(model, x, how, { labels })];
    const [delta, bare] = [await results[0].delta.data(), await results[1].delta.data()];
    const off = delta.filter((value, i) => Math.abs(value - bare[i]) > 1e-5).length;
    assert.ok(off <= 0.005 * delta.length, `${off} entries differ`);
    assertClose(results[0].loss, results[1].loss, { tolerance: 1e-3 });
    for (const held of [...results, whole]) held.dispose();
  }
  await assertRejects(() => normalized(gpu, model, { mean: 0, std: 0 }), ValueError, /std is 0/);
  await assertRejects(() => normalized(gpu, model, { mean: [0, 0], std: [1] }), ShapeError, /channels/);
});

attacks("wrong arguments are refused by name", async () => {
  const { gpu, model, x, labels } = await setUp();
  const how = pgd({ epsilon: 0.1 });
  for (const value of [1.001, -0.001, 255]) {
    const pixels = new Float32Array(128).fill(0.5);
    pixels[77] = value;
    const bad = tensor(gpu, pixels, [2, 1, 8, 8]);
    await assertRejects(() => attack(model, bad, how), ValueError, /outside 0 to 1.*normalized/);
    bad.dispose();
  }
  await assertRejects(() => attack(model, x, how, { labels: [1, 2] }), ShapeError, /labels has 2 values/);
  await assertRejects(() => attack(model, x, []), ValueError, /empty/);
  await assertRejects(() => attack(model, x, how, { labels, batch: 0 }), ValueError, /batch is 0/);
  await assertRejects(() => pgd({ epsilon: -1 }), ValueError, /epsilon is -1/);
  await assertRejects(() => pgd({ epsilon: Number.NaN }), ValueError, /epsilon is NaN/);
  await assertRejects(() => pgd({ epsilon: 1, norm: "l0" as never }), ValueError, /norm is l0/);
  await assertRejects(() => pgd({ epsilon: 1, steps: 0 }), ValueError, /steps is 0/);
  await assertRejects(() => apgd({ epsilon: 1, norm: "l1" as never }), ValueError, /pgd takes l1/);
  await assertRejects(() => square({ epsilon: 1, queries: 0.5 }), ValueError, /queries/);
  await assertRejects(() => fgsm({ epsilon: 1, target: "best" as never }), ValueError, /target is best/);
  const score = pgd({ epsilon: 0.1, loss: scoreLoss() });
  await assertRejects(() => attack(model, x, score, { labels }), ShapeError, /one score a sample/);
  await assertRejects(() => attack(model, x, [how, score], { labels }), ValueError, /judge/);
  const others = [pgd({ epsilon: 0.2 }), pgd({ epsilon: 0.1, norm: "l2" })];
  await assertRejects(() => attack(model, x, [how, others[0]], { labels }), ValueError, /epsilon 0.1, 0.2/);
  await assertRejects(() => attack(model, x, [how, others[1]], { labels }), ValueError, /norms linf, l2/);
  const mixed = [pgd({ epsilon: 0.1, target: "random" }), how];
  await assertRejects(() => attack(model, x, mixed, { labels }), ValueError, /different targets/);
});

attacks("nothing is left behind on the device, by errors neither", async () => {
  const { gpu, model, x, labels } = await setUp();
  const { tensors } = gpu.memory();
  const result = await attack(
    model,
    x,
    [apgd({ epsilon: 0.1, steps: 3 }), apgdTargeted({ epsilon: 0.1, steps: 2 })],
    {
      labels,
      batch: 32,
    },
  );
  result.dispose();
  await attack(model, x, pgd({ epsilon: 0.1, loss: scoreLoss() }), { labels }).catch(() => {});
  await attack(model, x, pgd({ epsilon: 0.1, steps: 2, target: "random" })).then((done) => done.dispose());
  assert.is(gpu.memory().tensors, tensors);
});

attacks.run();
