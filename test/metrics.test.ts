import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ShapeError, ValueError } from "../src/gpu/errors.js";
import { bootstrapInterval } from "../src/metrics/bootstrap.js";
import { accuracy, confusionMatrix } from "../src/metrics/classification.js";
import { aurocInterval, detectionMetrics, robustAccuracy } from "../src/metrics/detection.js";
import { auroc, averagePrecision, fprAtTpr } from "../src/metrics/ranking.js";
import { philoxUniform } from "../src/random.js";
import golden from "./golden/metrics.json";
import { assertRejects } from "./helpers/errors.js";

const test = suite("metrics");

const assertNear = (actual: number, expected: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual}, expected ${expected}`);

test("ranking metrics of scikit-learn, ties and all", () => {
  assert.is(golden.cases.length, 4);
  for (const { inputs, outputs } of golden.cases) {
    assertNear(auroc(inputs.scores, inputs.labels), outputs.auroc);
    assertNear(averagePrecision(inputs.scores, inputs.labels), outputs.averagePrecision);
    assertNear(fprAtTpr(inputs.scores, inputs.labels), outputs.fprAt95Tpr);
  }
});

test("AUROC is the share of pairs that are won, ties half", () => {
  for (let seed = 0; seed < 20; seed++) {
    const scores = Array.from(philoxUniform(30, seed), (number) => Math.floor(number * 8));
    const labels = Array.from(philoxUniform(30, seed, 1), (number, i) => (i < 2 ? i : number < 0.4 ? 1 : 0));
    let won = 0;
    let pairs = 0;
    for (let i = 0; i < 30; i++) {
      for (let j = 0; j < 30; j++) {
        if (labels[i] !== 1 || labels[j] !== 0) continue;
        won += scores[i] > scores[j] ? 1 : scores[i] === scores[j] ? 0.5 : 0;
        pairs++;
      }
    }
    assertNear(auroc(scores, labels), won / pairs, 1e-12);
    assertNear(
      auroc(
        scores.map((score) => -score),
        labels,
      ),
      1 - won / pairs,
      1e-12,
    );
  }
});

test("ranking by hand: perfect, reversed, all equal, infinite", () => {
  const labels = [1, 1, 0, 0];
  assert.equal([auroc([4, 3, 2, 1], labels), averagePrecision([4, 3, 2, 1], labels)], [1, 1]);
  assert.is(fprAtTpr([4, 3, 2, 1], labels), 0);
  assert.is(auroc([1, 2, 3, 4], labels), 0);
  assert.equal([auroc([1, 1, 1, 1], labels), averagePrecision([1, 1, 1, 1], labels)], [0.5, 0.5]);
  assert.is(fprAtTpr([1, 1, 1, 1], labels), 1);
  const { POSITIVE_INFINITY: infinity } = Number;
  assert.is(auroc([infinity, 0, -infinity, -infinity], labels), 1);
  assert.is(auroc([infinity, infinity, infinity, -infinity], labels), 0.75);
});

test("a true-positive rate of exactly 0.95 is reached", () => {
  // 20 positives: the 19th is found at the threshold before the first negative.
  const scores = [...Array.from({ length: 19 }, (_, i) => 100 - i), 50, 10];
  const labels = [...new Array(19).fill(1), 0, 1];
  assert.is(fprAtTpr(scores, labels), 0);
  assert.is(fprAtTpr(scores, labels, 0.951), 1);
});

test("ranking refuses what has no answer", async () => {
  for (const metric of [auroc, averagePrecision, fprAtTpr]) {
    await assertRejects(() => metric([1, Number.NaN], [1, 0]), ValueError, /^scores holds nan at index 1/);
    await assertRejects(() => metric([1, 2], [1, 1]), ValueError, /2 ones and 0 zeros/);
    await assertRejects(() => metric([1, 2], [0, 0]), ValueError, /0 ones and 2 zeros/);
    await assertRejects(() => metric([1, 2], [0, 2]), ValueError, /^labels holds 2 at index 1/);
    await assertRejects(() => metric([1, 2], [0]), ShapeError, /^scores has 2 numbers and labels 1/);
    await assertRejects(() => metric([], []), ValueError, /are empty/);
  }
  await assertRejects(() => fprAtTpr([1, 2], [0, 1], 0), ValueError, /^truePositiveRate is 0/);
});

test("accuracy and confusion matrix", async () => {
  const predictions = new Uint32Array([0, 1, 2, 2, 1]);
  const labels = [0, 1, 1, 2, 0];
  assert.is(accuracy(predictions, labels), 0.6);
  assert.equal(confusionMatrix(predictions, labels, 3), [
    [1, 1, 0],
    [0, 1, 1],
    [0, 0, 1],
  ]);
  await assertRejects(() => accuracy([], []), ValueError, /are empty/);
  await assertRejects(() => accuracy([1], [1, 2]), ShapeError, /equally many/);
  await assertRejects(() => accuracy([Number.NaN], [1]), ValueError, /^predictions holds NaN/);
  await assertRejects(
    () => confusionMatrix([3], [1], 3),
    ValueError,
    /^predictions holds 3 at index 0, but .* 0 to 2/,
  );
});

test("a bootstrap interval covers the mean as it should, the same for the same seed", () => {
  const values = philoxUniform(400, 5);
  const mean = (indices: Uint32Array) => indices.reduce((sum, i) => sum + values[i], 0) / indices.length;
  const { low, high } = bootstrapInterval(400, mean, { seed: 1, resamples: 10000 });
  const center = values.reduce((sum, value) => sum + value, 0) / 400;
  const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / 400 / 400);
  // The normal interval is ±1.96 standard errors.
  assertNear(low, center - 1.96 * spread, 0.1 * spread);
  assertNear(high, center + 1.96 * spread, 0.1 * spread);
  assert.equal(bootstrapInterval(400, mean, { seed: 1, resamples: 10000 }), { low, high });
  const narrow = bootstrapInterval(400, mean, { seed: 1, resamples: 10000, confidence: 0.5 });
  assertNear(narrow.high - narrow.low, 2 * 0.6745 * spread, 0.1 * spread);
});

test("groups keep their sizes in every resample", async () => {
  const labels = [1, 0, 0, 0, 0, 0];
  const scores = [1, 2, 3, 0, 0, 0];
  const statistic = (indices: Uint32Array) => {
    assert.is(
      Array.from(indices, (i) => labels[i]).reduce((sum, label) => sum + label, 0),
      1,
    );
    return auroc(
      Array.from(indices, (i) => scores[i]),
      Array.from(indices, (i) => labels[i]),
    );
  };
  const { low, high } = bootstrapInterval(6, statistic, { seed: 2, groups: labels });
  assert.ok(low <= 0.6 && high >= 0.6 && low < high);
  await assertRejects(
    () => bootstrapInterval(6, statistic, { seed: 2, groups: [1] }),
    ValueError,
    /^groups has 1/,
  );
  await assertRejects(
    () => bootstrapInterval(6, () => Number.NaN, { seed: 2 }),
    ValueError,
    /resample 0 is nan/,
  );
  await assertRejects(() => bootstrapInterval(0, () => 0, { seed: 2 }), ValueError, /^count is 0/);
  await assertRejects(
    () => bootstrapInterval(6, () => 0, { seed: 2, confidence: 1 }),
    ValueError,
    /^confidence is 1/,
  );
});

test("detection metrics are the golden ones in both conventions", async () => {
  for (const { inputs, outputs } of golden.cases) {
    const side = (label: number) => inputs.scores.filter((_, i) => inputs.labels[i] === label);
    const found = detectionMetrics(side(1), side(0));
    assertNear(found.auroc, outputs.auroc);
    assertNear(found.auprIn, outputs.averagePrecision);
    assertNear(found.fpr95InPositive, outputs.fprAt95Tpr);
    const turned = detectionMetrics(
      side(0).map((score) => -score),
      side(1).map((score) => -score),
    );
    assertNear(turned.auroc, found.auroc);
    assertNear(turned.auprIn, found.auprOut);
    assertNear(turned.fpr95InPositive, found.fpr95OutPositive);
  }
  // By hand: at 95 % of in, which is all four, the threshold is 1, and two of three out are at or above it.
  const found = detectionMetrics([4, 3, 2, 1], [3, 1, 0]);
  assertNear(found.fpr95InPositive, 2 / 3);
  assertNear(found.fpr95OutPositive, 3 / 4);
  assertNear(found.auroc, (3 + 2.5 + 2 + 1.5) / 12);
  assertNear(found.auprIn, 1 / 4 + (1 / 4) * (2 / 3) + (1 / 4) * (3 / 4) + (1 / 4) * (4 / 6));
  await assertRejects(() => detectionMetrics([], [1]), ValueError, /^inside has 0/);
  await assertRejects(() => detectionMetrics([1, Number.NaN], [1]), ValueError, /nan/);
});

test("the AUROC's interval is that of resampled AUROCs, ties and infinities too", () => {
  const inside = [3, 2, 2, 5, 1, Number.POSITIVE_INFINITY, 4, -1, 2.5];
  const outside = [2, 0, -3, 3, Number.NEGATIVE_INFINITY, 1, 2];
  const scores = [...inside, ...outside];
  const labels = scores.map((_, i) => (i < inside.length ? 1 : 0));
  for (const confidence of [0.95, 0.5]) {
    const slow = bootstrapInterval(
      scores.length,
      (indices) => {
        const pick = (values: number[]) => Array.from(indices, (i) => values[i]);
        return auroc(pick(scores), pick(labels));
      },
      { seed: 7, resamples: 200, confidence, groups: labels },
    );
    const fast = aurocInterval(inside, outside, { seed: 7, resamples: 200, confidence });
    assertNear(fast.low, slow.low, 1e-12);
    assertNear(fast.high, slow.high, 1e-12);
    assert.ok(fast.high > fast.low);
  }
});

test("robust accuracy counts what is right without an attack and under all", async () => {
  assertNear(robustAccuracy([1, 2, 3, 4], [1, 2, 3, 0], [1, 0, 3, 4], [1, 2, 3, 4]), 0.5);
  assertNear(robustAccuracy([1, 2], [1, 2]), 1);
  await assertRejects(() => robustAccuracy([1]), ValueError, /^predictions are missing/);
  await assertRejects(() => robustAccuracy([1], [1], [1, 2]), ShapeError, /^predictions 1 has 2/);
});

test.run();
