import {
  Adam,
  full,
  type Gpu,
  mul,
  sum,
  softmaxCrossEntropy,
  type Tensor,
  tensor,
  ValueError,
} from "handgrad";
import {
  adaptiveAttacks,
  atd,
  attackSides,
  type Backbone,
  backboneOf,
  type Detector,
  energy,
  entropy,
  type EvaluationRow,
  evaluateDetector,
  evaluationRows,
  fitWeibull,
  knn,
  mahalanobis,
  maxLogit,
  msp,
  odin,
  openGan,
  openMax,
  outputsOf,
  relativeMahalanobis,
  type SideScores,
} from "handgrad/atd";
import { attack, normalized, pgd, scoreLoss } from "handgrad/attacks";
import { detectionMetrics } from "handgrad/metrics";
import { activation, buildModel, conv2d, dense, flatten, type Sequential } from "handgrad/layers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { centralDifference } from "./helpers/gradient.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, array64 } from "./reference/array64.js";
import * as reference from "./reference/detectors.js";
import { forwardNetwork } from "./reference/network.js";

const detectors = suite("detectors");

const CLASSES = 4;
const WIDTH = 8;
const SIDE = 5;
const NORMALIZATION = { mean: 0.4, std: 0.5 };
const ARCHITECTURE = [
  conv2d(1, 3, 3, { stride: 2, padding: 1 }),
  activation("leakyRelu", { slope: 0.3 }),
  flatten(),
  dense(27, WIDTH),
  activation("leakyRelu", { slope: 0.3 }),
  dense(WIDTH, CLASSES),
];

interface SetUp {
  readonly gpu: Gpu;
  readonly model: Sequential;
  readonly backbone: Backbone;
  readonly x: Tensor;
  readonly labels: Tensor;
  readonly labelList: number[];
  /** Features and logits of single images [25], in float64. */
  featuresOf(image: ArrayLike<number>): Float64Array;
  logitsOf(image: ArrayLike<number>): Float64Array;
  readonly images: Float32Array[];
}

const COUNT = 90;
let prepared: Promise<SetUp> | undefined;

/** A small trained classifier with its normalization, and the same network in float64. */
async function setUp(): Promise<SetUp> {
  prepared ??= prepare(await sharedGpu());
  return prepared;
}

async function prepare(gpu: Gpu): Promise<SetUp> {
  const random = seededRandom(11);
  const patterns = Array.from({ length: CLASSES }, () =>
    Array.from({ length: SIDE ** 2 }, () => random.uniform()),
  );
  const labelList = Array.from({ length: COUNT }, (_, i) => i % CLASSES);
  const images = labelList.map((label) =>
    Float32Array.from(patterns[label], (v) => Math.min(1, Math.max(0, v + 0.5 * random.uniform() - 0.25))),
  );
  const x = tensor(gpu, Float32Array.from(images.flatMap((image) => [...image])), [COUNT, 1, SIDE, SIDE]);
  const labels = tensor(gpu, labelList, { dtype: "u32" });
  const model = buildModel(gpu, ARCHITECTURE, { seed: 4 });
  const parts = backboneOf(model);
  const whole = normalized(gpu, model, NORMALIZATION);
  const optimizer = new Adam(model.parameters, { learningRate: 0.02 });
  const step = gpu.program(() => {
    const { y, saved } = whole.forward(x);
    optimizer.step(model.backward(softmaxCrossEntropy(y, labels).dlogits, saved as never).grads);
  });
  for (let i = 1; i < 40; i++) step.run();
  step.dispose();
  optimizer.dispose();
  const state: Record<string, Array64> = {};
  for (const [name, parameter] of Object.entries(model.parameters))
    state[name] = array64(parameter.shape, await parameter.data());
  const run = (image: ArrayLike<number>, from: number, to: number): Float64Array => {
    const { mean, std } = NORMALIZATION;
    const scaled = array64(
      [1, 1, SIDE, SIDE],
      Array.from(image, (v) => (v - mean) / std),
    );
    const named = Object.fromEntries(Object.entries(state));
    return forwardNetwork(ARCHITECTURE.slice(from, to), named, scaled).data;
  };
  return {
    gpu,
    model,
    backbone: { features: normalized(gpu, parts.features, NORMALIZATION), head: parts.head },
    x,
    labels,
    labelList,
    images,
    featuresOf: (image) => run(image, 0, 5),
    logitsOf: (image) => run(image, 0, 6),
  };
}

type Score = (image: ArrayLike<number>) => number;

const K = 7;
const ODIN = { temperature: 30, epsilon: 0.02 };
const SHRINKAGE = 0.1;
const TAIL = 12;
const ALPHA = 3;

/** Every detector with its reference, made of the training images. */
const CASES: Record<string, { make(b: Backbone): Detector; reference(s: SetUp): Score; tolerance?: number }> =
  {
    msp: { make: (b) => msp(b), reference: (s) => (x) => reference.odds(s.logitsOf(x)) },
    "msp, temperature 2": {
      make: (b) => msp(b, { temperature: 2 }),
      reference: (s) => (x) => reference.odds(s.logitsOf(x), 2),
    },
    maxLogit: { make: (b) => maxLogit(b), reference: (s) => (x) => reference.maximum(s.logitsOf(x)) },
    energy: { make: (b) => energy(b), reference: (s) => (x) => reference.energy(s.logitsOf(x)) },
    entropy: { make: (b) => entropy(b), reference: (s) => (x) => reference.entropy(s.logitsOf(x)) },
    odin: {
      make: (b) => odin(b, ODIN),
      reference: (s) => (x) => {
        const score = (image: ArrayLike<number>) => reference.odds(s.logitsOf(image), ODIN.temperature);
        const slopes = centralDifference((image) => score(image.data), array64([x.length], x)).data;
        return score(Array.from(x, (v, i) => v + ODIN.epsilon * Math.sign(slopes[i])));
      },
    },
    mahalanobis: {
      make: (b) => mahalanobis(b, { shrinkage: SHRINKAGE }),
      reference: (s) => featureScore(s, { shrinkage: SHRINKAGE, relative: false }),
    },
    "mahalanobis, Ledoit-Wolf": {
      make: (b) => mahalanobis(b),
      reference: (s) => featureScore(s, { shrinkage: "ledoitWolf", relative: false }),
    },
    relativeMahalanobis: {
      make: (b) => relativeMahalanobis(b),
      reference: (s) => featureScore(s, { shrinkage: "ledoitWolf", relative: true }),
    },
    knn: {
      make: (b) => knn(b, { k: K }),
      reference: (s) => {
        const score = reference.neighbor(s.images.map(s.featuresOf), K);
        return (x) => score(s.featuresOf(x));
      },
    },
    openMax: {
      make: (b) => openMax(b, { tail: TAIL, alpha: ALPHA }),
      reference: (s) => {
        const rows = s.images.map(s.logitsOf);
        const classes = Array.from({ length: CLASSES }, (_, c) =>
          rows.filter((z, i) => s.labelList[i] === c && z.indexOf(Math.max(...z)) === c),
        );
        const means = classes.map((own) =>
          Array.from(own[0], (_, j) => own.reduce((sum, z) => sum + z[j], 0) / own.length),
        );
        const tails = classes.map((own, c) =>
          fitWeibull(
            own
              .map((z) => Math.hypot(...Array.from(z, (v, j) => v - means[c][j])))
              .sort((a, b) => b - a)
              .slice(0, TAIL),
          ),
        );
        return (x) => reference.openMax(s.logitsOf(x), means, tails, ALPHA);
      },
    },
  };

function featureScore(s: SetUp, how: Parameters<typeof reference.mahalanobis>[2]): Score {
  const score = reference.mahalanobis(s.images.map(s.featuresOf), s.labelList, how);
  return (x) => score(s.featuresOf(x));
}

/** Images of the set and noise. */
function mixed(s: SetUp, count: number): Float32Array[] {
  const random = seededRandom(5);
  return Array.from({ length: count }, (_, i) =>
    i % 2 === 0 ? s.images[i] : Float32Array.from({ length: SIDE ** 2 }, () => random.uniform()),
  );
}

function toTensor(gpu: Gpu, images: readonly Float32Array[]): Tensor {
  return tensor(gpu, Float32Array.from(images.flatMap((image) => [...image])), [
    images.length,
    1,
    SIDE,
    SIDE,
  ]);
}

for (const [name, { make, reference: referenceOf }] of Object.entries(CASES)) {
  detectors(`${name}: score and gradient agree with float64, from the pixels on`, async () => {
    const s = await setUp();
    const detector = make(s.backbone);
    await detector.fit({ x: s.x, labels: s.labels }, { batch: 40 });
    const score = referenceOf(s);
    const images = mixed(s, 6);
    const x = toTensor(s.gpu, images);
    const weights = [1, -2, 0.5, 3, -1, 0.25];
    const dy = tensor(s.gpu, weights);
    const [scores, slopes] = s.gpu.scope(() => {
      const { y, saved } = detector.forward(x);
      return [y, detector.inputGrad(dy, saved)];
    });
    assert.equal([...scores.shape], [6]);
    assert.equal(slopes.shape, x.shape);
    assertClose(await scores.data(), images.map(score), { tolerance: 2e-5 });
    const gradients = await slopes.data();
    for (const [row, image] of images.entries()) {
      const expected = centralDifference(
        (at) => weights[row] * score(at.data),
        array64([SIDE ** 2], image),
        1e-6,
      );
      assertClose(gradients.slice(row * SIDE ** 2, (row + 1) * SIDE ** 2), expected.data, {
        tolerance: 2e-4,
        what: `the gradient of image ${row}`,
      });
    }
    for (const held of [scores, slopes, x, dy, detector]) held.dispose();
  });
}

detectors("scores of logits keep digits and gradients where softmax has none left", async () => {
  const gpu = await sharedGpu();
  const rows = [
    [0, 0, 0, 0, 0],
    [300, 0, 1, -2, 5],
    [-1e3, 1e3, 0, 990, -5],
    [20, 20, 0, 1, 2],
    [0.02, 0, -0.01, 0.03, 0],
    [3, 1, 2, 0, -1],
    [3, 1, 2, 0, -40],
  ];
  const logits = tensor(gpu, rows);
  const identity: Backbone = {
    features: { forward: (x) => ({ y: x, saved: undefined }), inputGrad: (dy) => dy },
    head: { forward: (x) => ({ y: x, saved: undefined }), inputGrad: (dy) => dy },
  };
  const scoresOf: Record<string, [Detector, (z: ArrayLike<number>) => number]> = {
    msp: [msp(identity), (z) => reference.odds(z)],
    "msp, T 1000": [msp(identity, { temperature: 1000 }), (z) => reference.odds(z, 1000)],
    maxLogit: [maxLogit(identity), (z) => reference.maximum(z)],
    energy: [energy(identity), (z) => reference.energy(z)],
    "energy, T 10": [energy(identity, { temperature: 10 }), (z) => reference.energy(z, 10)],
    entropy: [entropy(identity), (z) => reference.entropy(z)],
  };
  const ones = tensor(gpu, new Float32Array(rows.length).fill(1));
  for (const [name, [detector, score]] of Object.entries(scoresOf)) {
    const { y, saved } = detector.forward(logits);
    const scores = await y.data();
    const slopes = await detector.inputGrad(ones, saved).data();
    for (const [row, z] of rows.entries()) {
      const expected = score(z);
      const limit = 2e-6 * Math.max(Math.abs(expected), 1);
      assert.ok(Math.abs(scores[row] - expected) <= limit, `${name} ${z}: ${scores[row]}, not ${expected}`);
      const own = slopes.slice(5 * row, 5 * row + 5);
      const tied = z.filter((v) => v === Math.max(...z)).length > 1;
      if (tied) continue;
      assert.ok(own.some((v) => v !== 0) && own.every(Number.isFinite), `${name} ${z}: slopes ${own}`);
      const difference = centralDifference(
        (at) => score(at.data),
        array64([5], z),
        1e-5 * (1 + Math.abs(z[0])),
      );
      if (name !== "entropy" || Math.max(...z) < 200)
        assertClose(own, difference.data, { tolerance: 1e-4, what: `${name} ${z}` });
    }
  }
  // T ln mean e^(z / T) tends to the mean: nothing of the differences is lost to ln(classes - 1).
  const [hot] = scoresOf["msp, T 1000"];
  const [row5, row6] = (await hot.score(logits).data()).slice(5);
  assert.ok(Math.abs(row5 - 2.5) < 0.01 && Math.abs(row6 - 12.25) < 0.2, `${row5}, ${row6}`);
  for (const held of [logits, ones]) held.dispose();
});

detectors("a Weibull fit solves the likelihood equations and finds the parameters of a sample", async () => {
  const random = seededRandom(3);
  const [shape, scale] = [2.5, 7];
  const values = Array.from(
    { length: 20000 },
    () => scale * (-Math.log(1 - random.uniform())) ** (1 / shape),
  );
  const fit = fitWeibull(values);
  assert.ok(Math.abs(fit.shape - shape) < 0.05 && Math.abs(fit.scale - scale) < 0.1, JSON.stringify(fit));
  for (const count of [3, 20]) {
    for (const factor of [1e-8, 1, 1e8]) {
      const few = values.slice(0, count).map((value) => factor * value);
      const best = fitWeibull(few);
      const likelihood = ({ shape: k, scale: l }: typeof best): number =>
        few.reduce((sum, v) => sum + Math.log(k / l) + (k - 1) * Math.log(v / l) - (v / l) ** k, 0);
      for (const [k, l] of [
        [1.001, 1],
        [0.999, 1],
        [1, 1.001],
        [1, 0.999],
      ]) {
        const other = { shape: k * best.shape, scale: l * best.scale };
        assert.ok(likelihood(other) < likelihood(best), `${count} values, ${k}, ${l}`);
      }
    }
  }
  for (const [bad, what] of [
    [[1, 1, 1], /equal/],
    [[1, 0], /hold 0/],
    [[1, Number.NaN], /hold NaN/],
  ] as const)
    await assertRejects(() => fitWeibull(bad), ValueError, what);
});

detectors("attacks through every detector lower scores of in and raise those of out", async () => {
  const s = await setUp();
  const { gpu } = s;
  const count = 24;
  const sides = Uint32Array.from({ length: count }, (_, i) => 1 - (i % 2));
  const x = toTensor(gpu, mixed(s, count));
  for (const [name, { make }] of Object.entries(CASES)) {
    const detector = make(s.backbone);
    await detector.fit({ x: s.x, labels: s.labels });
    const clean = await detector.score(x).data();
    const how = pgd({ epsilon: 0.1, steps: 5, loss: scoreLoss() });
    const result = await attack(detector, x, how, { labels: sides });
    const attacked = await detector.score(result.images).data();
    assert.is(result.counts.nonFinite + result.counts.zeroGradient, 0, name);
    let moved = 0;
    clean.forEach((score, i) => {
      const gain = (attacked[i] - score) * (sides[i] === 1 ? -1 : 1);
      assert.ok(
        gain >= -1e-5 * Math.max(1, Math.abs(score)),
        `${name}, image ${i}: ${score}, ${attacked[i]}`,
      );
      if (gain > 0) moved++;
    });
    assert.ok(moved > 0.9 * count, `${name}: ${moved} of ${count} moved`);
    for (const held of [result, detector]) held.dispose();
  }
  x.dispose();
});

detectors("a second fit takes the place of the first, and nothing leaks", async () => {
  const s = await setUp();
  const { gpu } = s;
  const half = tensor(gpu, Float32Array.from(s.images.slice(0, 60).flatMap((image) => [...image])), [
    60,
    1,
    SIDE,
    SIDE,
  ]);
  const halfLabels = tensor(gpu, s.labelList.slice(0, 60), { dtype: "u32" });
  for (const name of ["mahalanobis", "relativeMahalanobis", "knn", "openMax"]) {
    const { make } = CASES[name];
    const before = gpu.memory().tensors;
    const detector = make(s.backbone);
    assert.is(detector.fitted, false);
    await assertRejects(() => detector.score(s.x), ValueError, /fit\(/);
    const shares: number[] = [];
    await detector.fit(
      { x: s.x, labels: s.labels },
      { batch: 32, onProgress: (share) => shares.push(share) },
    );
    assert.is(shares.at(-1), 1);
    assert.ok(detector.fitted && shares.length === 3);
    const first = await scoresOf(detector, s.x);
    await detector.fit({ x: half, labels: halfLabels });
    const second = await scoresOf(detector, s.x);
    assert.ok(
      first.some((value, i) => value !== second[i]),
      name,
    );
    await detector.fit({ x: s.x, labels: s.labels });
    assert.equal([...(await scoresOf(detector, s.x))], [...first], name);
    detector.dispose();
    detector.dispose();
    assert.is(gpu.memory().tensors, before, name);
  }
  for (const held of [half, halfLabels]) held.dispose();
});

async function scoresOf(detector: Detector, x: Tensor): Promise<Float32Array> {
  const scores = detector.score(x);
  const values = (await scores.data()) as Float32Array;
  scores.dispose();
  return values;
}

detectors("what does not fit is named", async () => {
  const s = await setUp();
  const { gpu, backbone } = s;
  const few = toTensor(gpu, s.images.slice(0, 3));
  const fewLabels = tensor(gpu, [0, 1, 2], { dtype: "u32" });
  await assertRejects(() => msp(backbone, { temperature: 0 }), ValueError, /temperature is 0/);
  await assertRejects(() => odin(backbone, { epsilon: -1 }), ValueError, /epsilon is -1/);
  await assertRejects(() => mahalanobis(backbone, { shrinkage: 2 }), ValueError, /shrinkage is 2/);
  await assertRejects(() => knn(backbone, { k: 0 }), ValueError, /k is 0/);
  await assertRejects(() => openMax(backbone, { tail: 2 }), ValueError, /tail is 2/);
  await assertRejects(() => backboneOf(s.model, 6), ValueError, /headLayers is 6/);
  const data = { x: few, labels: fewLabels };
  await assertRejects(() => knn(backbone).fit(data), ValueError, /k is 50 and there are 3/);
  await assertRejects(() => openMax(backbone).fit(data), ValueError, /class \d/);
  await assertRejects(() => mahalanobis(backbone, { shrinkage: 0 }).fit(data), ValueError, /singular/);
  await assertRejects(
    () => msp(backbone).fit({ x: s.x, labels: fewLabels }),
    Error,
    /labels are u32 of shape \[3\]/,
  );
  for (const held of [few, fewLabels]) held.dispose();
});

detectors("outputs of a whole set are those of its batches", async () => {
  const s = await setUp();
  const whole = await outputsOf(s.backbone.features, s.x, 1000);
  const parts = await outputsOf(s.backbone.features, s.x, 7);
  assert.equal([whole.count, whole.width], [COUNT, WIDTH]);
  assertClose(parts.values, whole.values, { tolerance: 1e-6 });
  const expected = array64(
    [COUNT, WIDTH],
    s.images.flatMap((image) => [...s.featuresOf(image)]),
  );
  assertClose(whole.values, expected.data, { tolerance: 1e-6 });
});

detectors(
  "the matrix of settings and epsilon: what an attack costs, resumed to the same numbers",
  async () => {
    const s = await setUp();
    const { gpu } = s;
    const inside = toTensor(gpu, s.images.slice(0, 30));
    const outside = toTensor(
      gpu,
      mixed(s, 60).filter((_, i) => i % 2 === 1),
    );
    const detector = knn(s.backbone, { k: K });
    await detector.fit({ x: s.x, labels: s.labels });
    const attacks = adaptiveAttacks({ steps: 4 });
    const made: SideScores[] = [];
    const shares: number[] = [];
    const options = { epsilons: [0.1, 0.02], attacks, batch: 16, seed: 1, resamples: 50 };
    const rows = await evaluateDetector(detector, inside, outside, {
      ...options,
      onSide: (side) =>
        made.push(JSON.parse(JSON.stringify({ ...side, scores: [...Array.from(side.scores)] }))),
      onProgress: (share) => shares.push(share),
    });
    assert.equal(
      rows.map(({ setting, epsilon }) => `${setting} ${epsilon}`),
      ["clean 0", "in 0.02", "out 0.02", "both 0.02", "in 0.1", "out 0.1", "both 0.1"],
    );
    assert.ok(
      shares.at(-1) === 1 && shares.every((share, i) => i === 0 || share >= shares[i - 1]),
      `${shares}`,
    );
    assert.equal(
      made.map(({ side, epsilon }) => `${side} ${epsilon}`),
      ["in 0", "out 0", "in 0.02", "out 0.02", "in 0.1", "out 0.1"],
    );
    const row = (setting: string, epsilon: number) =>
      rows.find((entry) => entry.setting === setting && entry.epsilon === epsilon) as EvaluationRow;
    for (const epsilon of [0.02, 0.1]) {
      const [clean, both] = [row("clean", 0), row("both", epsilon)];
      for (const setting of ["in", "out"]) {
        assert.ok(row(setting, epsilon).auroc <= clean.auroc, setting);
        assert.ok(both.auroc <= row(setting, epsilon).auroc, setting);
      }
      assert.ok(both.ci[0] <= both.auroc && both.auroc <= both.ci[1]);
      assert.equal(both.n, [30, 30]);
      assert.is(both.nonFinite + both.zeroGradient, 0);
    }
    assert.ok(
      row("both", 0.1).auroc < row("both", 0.02).auroc && row("both", 0.02).auroc < row("clean", 0).auroc,
    );

    // Each image has the better result of both attacks, and of more images none is worse off than without.
    const [clean, attacked] = [made[0], made[4]].map(({ scores }) => scores);
    for (const how of attacks({ epsilon: 0.1, loss: scoreLoss({ direction: "down" }) })) {
      const alone = await attack(detector, inside, how, { batch: 16 });
      alone.loss.forEach((loss, i) => {
        assert.ok(attacked[i] <= -loss + 1e-6 && attacked[i] <= clean[i], `${how.name} ${i}`);
      });
      alone.dispose();
    }

    // From what was kept of an interrupted call the rest is made, and all numbers are the same.
    const again: string[] = [];
    const resumed = await evaluateDetector(detector, inside, outside, {
      ...options,
      done: made.slice(0, 3),
      onSide: ({ side, epsilon }) => again.push(`${side} ${epsilon}`),
    });
    assert.equal(again, ["out 0.02", "in 0.1", "out 0.1"]);
    assert.equal(resumed, rows);
    await assertRejects(
      () => evaluationRows(made.slice(0, 3), { seed: 1 }),
      ValueError,
      /"out" at epsilon 0.02/,
    );
    for (const held of [inside, outside, detector]) held.dispose();
  },
);

detectors("a score without a gradient is reported and not taken for robust", async () => {
  const s = await setUp();
  const { gpu } = s;
  const flat: Detector = {
    name: "flat",
    fitted: true,
    fit: async () => {},
    score: (x) => gpu.scope(() => flat.forward(x).y),
    forward: (x) => ({ y: mul(sum(x, { axes: [1, 2, 3] }), 0), saved: x.shape }),
    inputGrad: (_dy, saved) => full(gpu, saved as number[], 0),
    dispose() {},
  };
  const some = toTensor(gpu, s.images.slice(0, 5));
  const sides = await attackSides(flat, some, some, {
    epsilons: [0.1],
    attacks: adaptiveAttacks({ steps: 2 }),
  });
  assert.equal(
    sides.map(({ zeroGradient }) => zeroGradient),
    [0, 0, 5, 5],
  );
  const both = evaluationRows(sides, { seed: 1, resamples: 10 }).at(-1);
  assert.equal([both?.auroc, both?.zeroGradient], [0.5, 10]);
  some.dispose();
});

detectors(
  "OpenGAN and ATD: fit trains a discriminator, and its logit is a detector like the others",
  async () => {
    const s = await setUp();
    const { gpu } = s;
    const random = seededRandom(21);
    const noise = (count: number) =>
      Array.from({ length: count }, () =>
        Float32Array.from({ length: SIDE ** 2 }, () => (random.uniform() < 0.5 ? 0.05 : 0.95)),
      );
    const [outliers, unseen] = [toTensor(gpu, noise(60)), toTensor(gpu, noise(30))];
    const inside = toTensor(gpu, s.images.slice(0, 30));
    const before = gpu.memory().tensors;
    const options = { epochs: 12, batchSize: 30, learningRate: 0.01, seed: 1 };
    for (const detector of [openGan(s.backbone, options), atd(s.backbone, { ...options, epsilon: 0.05 })]) {
      await assertRejects(() => detector.score(inside), ValueError, /fit\(/);
      const shares: number[] = [];
      await detector.fit(
        { x: s.x, labels: s.labels, outliers },
        { onProgress: (share) => shares.push(share) },
      );
      assert.is(shares.at(-1), 1);
      const { auroc } = detectionMetrics(await scoresOf(detector, inside), await scoresOf(detector, unseen));
      assert.ok(auroc > 0.9, `${detector.name}: ${auroc}`);
      const how = pgd({ epsilon: 0.1, steps: 3, loss: scoreLoss({ direction: "down" }) });
      const { loss, cleanLoss, counts, dispose } = await attack(detector, inside, how);
      assert.ok(
        loss.every((value, i) => value >= cleanLoss[i]) && loss.some((value, i) => value > cleanLoss[i]),
      );
      assert.is(counts.zeroGradient + counts.nonFinite, 0);
      dispose();
      detector.dispose();
      assert.is(detector.fitted, false);
      assert.is(gpu.memory().tensors, before, detector.name);
    }
    for (const held of [outliers, unseen, inside]) held.dispose();
  },
);

detectors.run();
