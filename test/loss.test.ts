import {
  add,
  bceWithLogits,
  correctCount,
  empty,
  meanSquaredError,
  ShapeError,
  softmaxCrossEntropy,
  tensor,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { array64, map } from "./reference/array64.js";
import { sub } from "./reference/elementwise.js";
import * as reference from "./reference/losses.js";
import { argmax, sum } from "./reference/reductions.js";

const losses = suite("losses");

const REDUCTIONS = ["mean", "sum", "none"] as const;

for (const { name, inputs, outputs } of goldenCases("losses")) {
  losses(`${name} agrees with PyTorch`, async () => {
    const gpu = await sharedGpu();
    const logits = upload(gpu, inputs.logits);
    const { loss, dlogits } = inputs.labels
      ? softmaxCrossEntropy(logits, upload(gpu, inputs.labels, "u32"))
      : bceWithLogits(logits, upload(gpu, inputs.targets));
    assertClose(await download(loss), outputs.loss);
    assertClose(await download(dlogits), outputs.dlogits);
  });
}

losses("cross-entropy agrees with the reference under each reduction", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(31);
  for (const [samples, classes] of [
    [1, 1],
    [7, 2],
    [65, 10],
    [130, 251],
    [3, 5000],
  ]) {
    const logits = random.array([samples, classes], { low: -5, high: 5 });
    const labels = random.integers([samples], 0, classes - 1);
    for (const reduction of REDUCTIONS) {
      const { loss, dlogits } = softmaxCrossEntropy(upload(gpu, logits), upload(gpu, labels, "u32"), {
        reduction,
      });
      const expected = reference.softmaxCrossEntropy(logits, labels, { reduction });
      assertClose(await download(loss), expected.loss);
      assertClose(await download(dlogits), expected.dlogits);
    }
  }
});

losses("pointwise losses agree with the reference under each reduction", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(32);
  for (const shape of [[5, 7], [4, 3, 8], [12001]]) {
    const [z, t] = [random.array(shape, { low: -6, high: 6 }), random.array(shape, { low: 0, high: 1 })];
    for (const reduction of REDUCTIONS) {
      const bce = bceWithLogits(upload(gpu, z), upload(gpu, t), { reduction });
      const expected = reference.bceWithLogits(z, t, { reduction });
      assertClose(await download(bce.loss), expected.loss);
      assertClose(await download(bce.dlogits), expected.dlogits);

      const { loss, dpredictions } = meanSquaredError(upload(gpu, z), upload(gpu, t), { reduction });
      const difference = sub(z, t);
      const squares = map(difference, (v) => v * v);
      const weight = reduction === "mean" ? 1 / z.data.length : 1;
      const total = reduction === "none" ? squares : map(sum(squares), (v) => v * weight);
      assertClose(await download(loss), total);
      assertClose(
        await download(dpredictions),
        map(difference, (v) => 2 * weight * v),
      );
    }
  }
});

losses("finite and right at logits of ±10,000", async () => {
  const gpu = await sharedGpu();
  const logits = array64([4, 3], [1e4, -1e4, 0, 1e4, -1e4, 0, -1e4, -1e4, -1e4, 1e4, 1e4, -1e4]);
  const labels = array64([4], [0, 1, 2, 0]);
  const got = softmaxCrossEntropy(upload(gpu, logits), upload(gpu, labels, "u32"), { reduction: "none" });
  const expected = reference.softmaxCrossEntropy(logits, labels, { reduction: "none" });
  assertClose(await download(got.loss), expected.loss);
  assertClose(await download(got.dlogits), expected.dlogits);

  const z = array64([6], [1e4, 1e4, -1e4, -1e4, 1e4, -1e4]);
  const t = array64([6], [1, 0, 1, 0, 0.25, 0.25]);
  const bce = bceWithLogits(upload(gpu, z), upload(gpu, t), { reduction: "none" });
  assertClose(await download(bce.loss), reference.bceWithLogits(z, t, { reduction: "none" }).loss);
  assertClose(await bce.dlogits.data(), [0, 1, -1, 0, 0.75, -0.25]);
});

losses("sure and right predictions keep their digits in loss and gradient", async () => {
  const gpu = await sharedGpu();
  const logits = array64([2, 3], [22, 0, 1, -3, 15, -2]);
  const labels = array64([2], [0, 1]);
  const { loss, dlogits } = softmaxCrossEntropy(upload(gpu, logits), upload(gpu, labels, "u32"), {
    reduction: "none",
  });
  // e^-22 + e^-21 and e^-18 + e^-17, of which 1 minus a float32 probability shows nothing or little.
  const rest = [Math.exp(-22) + Math.exp(-21), Math.exp(-18) + Math.exp(-17)];
  assertClose((await loss.data()).slice(0, 1), [Math.log1p(rest[0])]);
  assertClose((await loss.data()).slice(1), [Math.log1p(rest[1])]);
  assertClose((await dlogits.data()).slice(0, 1), [-rest[0] / (1 + rest[0])]);
  const z = upload(gpu, array64([2], [20, -20]));
  const bce = bceWithLogits(z, upload(gpu, array64([2], [1, 0])), { reduction: "none" });
  const small = Math.exp(-20) / (1 + Math.exp(-20));
  assertClose(await bce.dlogits.data(), [-small, small]);
  assertClose(await bce.loss.data(), [Math.log1p(Math.exp(-20)), Math.log1p(Math.exp(-20))]);
});

losses("a label that is no class makes its own sample NaN and no other", async () => {
  const gpu = await sharedGpu();
  const logits = tensor(gpu, [
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  const labels = tensor(gpu, [1, 2, 0], { dtype: "u32" });
  const { loss, dlogits } = softmaxCrossEntropy(logits, labels, { reduction: "none" });
  assert.equal([...(await loss.data())].map(Number.isNaN), [false, true, false]);
  assert.equal([...(await dlogits.data())].map(Number.isNaN), [false, false, true, true, false, false]);
  const mean = softmaxCrossEntropy(logits, tensor(gpu, [1, 0xffffffff, 0], { dtype: "u32" })).loss;
  assert.ok(Number.isNaN(await mean.item()));
});

losses("correctCount counts the first of equal logits at the label", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(33);
  const logits = random.integers([301, 7], 0, 4);
  const labels = random.integers([301], 0, 7);
  const predicted = argmax(logits, { axes: [1] }).data;
  const expected = predicted.filter((p, n) => p === labels.data[n]).length;
  assert.ok(expected > 0 && expected < 301);
  const input = upload(gpu, logits);
  assert.is(await correctCount(input, upload(gpu, labels, "u32")).item(), expected);
  const total = zeros(gpu, []);
  for (let i = 0; i < 3; i++) {
    const count = correctCount(input, upload(gpu, labels, "u32"));
    add(total, count, { out: total });
  }
  assert.is(await total.item(), 3 * expected);
});

losses("results go into out, gradients over the logits themselves", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(34);
  const logits = random.array([6, 5]);
  const labels = upload(gpu, random.integers([6], 0, 4), "u32");
  const fresh = softmaxCrossEntropy(upload(gpu, logits), labels);
  const [x, loss] = [upload(gpu, logits), empty(gpu, [])];
  const got = softmaxCrossEntropy(x, labels, { out: { loss, dlogits: x } });
  assert.is(got.loss, loss);
  assert.is(got.dlogits, x);
  assertExact(await download(x), await download(fresh.dlogits));
  assertExact(await download(loss), await download(fresh.loss));

  const z = upload(gpu, logits);
  const targets = upload(gpu, random.array([6, 5], { low: 0, high: 1 }));
  const freshBce = await download(bceWithLogits(z, targets).dlogits);
  bceWithLogits(z, targets, { out: { dlogits: z } });
  assertExact(await download(z), freshBce);
  await assertRejects(
    () => bceWithLogits(z, targets, { out: { dlogits: targets } }),
    ShapeError,
    /shares its buffer with "targets"/,
  );
  await assertRejects(
    () => softmaxCrossEntropy(z, labels, { out: { loss: empty(gpu, [6]) } }),
    ShapeError,
    /out "y" has shape \[6\]/,
  );
});

losses("wrong shapes and reductions are named, and nothing is left behind", async () => {
  const gpu = await sharedGpu();
  const logits = empty(gpu, [4, 3]);
  const labels = empty(gpu, [4], { dtype: "u32" });
  const few = empty(gpu, [3], { dtype: "u32" });
  const none = empty(gpu, [0], { dtype: "u32" });
  const nothing = empty(gpu, [0, 3]);
  const before = gpu.memory().tensors;
  await assertRejects(
    () => softmaxCrossEntropy(logits, few),
    ShapeError,
    /softmaxCrossEntropy: labels have shape \[3\], and \[4\], one a row/,
  );
  await assertRejects(() => correctCount(few, few), ShapeError, /"logits" is u32, and f32/);
  await assertRejects(
    () => softmaxCrossEntropy(logits, logits),
    ShapeError,
    /"labels" is f32, and u32 is taken/,
  );
  await assertRejects(() => softmaxCrossEntropy(nothing, none), ShapeError, /no mean of nothing/);
  await assertRejects(
    () => softmaxCrossEntropy(logits, labels, { reduction: "max" as "mean" }),
    ValueError,
    /reduction is "max", and "mean", "sum" or "none" is taken/,
  );
  await assertRejects(
    () => bceWithLogits(logits, nothing),
    ShapeError,
    /pointwise_loss\(bceWithLogits\): "targets" has shape \[0,3\] and "predictions" has \[4,3\]/,
  );
  assert.is(gpu.memory().tensors, before);
});

losses.run();
