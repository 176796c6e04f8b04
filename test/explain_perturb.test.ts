import { type Gpu, ShapeError, type Tensor, tensor, ValueError } from "handgrad";
import {
  type AttributeOptions,
  attribute,
  deletion,
  insertion,
  maskAuc,
  measureMaps,
  modelRandomization,
  outputChange,
  pointingGame,
  randomMaps,
  rankCorrelation,
  sobelMaps,
} from "handgrad/explain";
import {
  activation,
  buildModel,
  conv2d,
  dense,
  flatten,
  globalAvgPool2d,
  type Sequential,
} from "handgrad/layers";
import { meanInterval, pairedInterval } from "handgrad/metrics";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ridge } from "../src/explain/ridge.js";
import { assertClose } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";

const perturb = suite("explain by perturbation");

const [HEIGHT, WIDTH] = [5, 6];
const PIXELS = HEIGHT * WIDTH;

interface LinearCase {
  readonly model: Sequential;
  readonly x: Tensor;
  /** What each pixel of the two images adds to class 1: x w, both channels together. */
  readonly parts: number[][];
}

/** A linear network, of which every method by perturbation must find the weights. */
async function linearCase(gpu: Gpu): Promise<LinearCase> {
  const random = seededRandom(3);
  const model = buildModel(gpu, [flatten(), dense(2 * PIXELS, 3)], { seed: 1 });
  const weights = Float32Array.from(random.array([2 * PIXELS, 3], { low: -1, high: 1 }).data);
  model.parameters["1.weight"].write(weights);
  model.parameters["1.bias"].write([0.3, -0.2, 0.1]);
  const values = Float32Array.from(random.array([2, 2, HEIGHT, WIDTH], { low: 0.2, high: 1 }).data);
  const parts = [0, 1].map((n) =>
    Array.from({ length: PIXELS }, (_, p) =>
      [0, 1].reduce(
        (sum, c) => sum + values[(n * 2 + c) * PIXELS + p] * weights[(c * PIXELS + p) * 3 + 1],
        0,
      ),
    ),
  );
  return { model, x: tensor(gpu, values, [2, 2, HEIGHT, WIDTH]), parts };
}

async function mapsOf({ model, x }: LinearCase, options: object): Promise<number[]> {
  const maps = await attribute(model, x, { target: 1, ...options } as unknown as AttributeOptions);
  const values = Array.from(await maps.data());
  maps.dispose();
  return values;
}

perturb("feature ablation and lime find the weights of a linear network", async () => {
  const gpu = await sharedGpu();
  const linear = await linearCase(gpu);
  // Uneven segments, one of them apart.
  const segments = Array.from(
    { length: PIXELS },
    (_, p) => [0, 3, 1, 2, 3, 0][p % WIDTH] + (p >= 18 ? 4 : 0),
  );
  const wanted = linear.parts.flatMap((parts) =>
    segments.map((segment) =>
      parts.reduce((sum, part, p) => (segments[p] === segment ? sum + part : sum), 0),
    ),
  );
  assertClose(await mapsOf(linear, { method: "featureAblation", segments }), wanted);
  assertClose(await mapsOf(linear, { method: "lime", segments, samples: 100, ridge: 1e-9 }), wanted, {
    tolerance: 1e-4,
  });
  linear.x.dispose();
  linear.model.dispose();
});

perturb("the grid of segments covers images that it does not divide", async () => {
  const gpu = await sharedGpu();
  const linear = await linearCase(gpu);
  const cellOf = (p: number): number => Math.floor(p / WIDTH / 4) * 2 + Math.floor((p % WIDTH) / 4);
  const wanted = linear.parts.flatMap((parts) =>
    parts.map((_, at) => parts.reduce((sum, part, p) => (cellOf(p) === cellOf(at) ? sum + part : sum), 0)),
  );
  assertClose(await mapsOf(linear, { method: "featureAblation", cell: 4 }), wanted);
  linear.x.dispose();
  linear.model.dispose();
});

perturb("occlusion is the mean fall over the windows that cover a pixel", async () => {
  const gpu = await sharedGpu();
  const linear = await linearCase(gpu);
  const [window, stride] = [
    [2, 3],
    [2, 2],
  ];
  const tops = [0, 2, 3];
  const lefts = [0, 2, 3];
  const wanted = linear.parts.flatMap((parts) =>
    parts.map((_, at) => {
      const falls = tops.flatMap((top) =>
        lefts.flatMap((left) => {
          const isInside = (p: number): boolean => {
            const [y, x] = [Math.floor(p / WIDTH), p % WIDTH];
            return y >= top && y < top + window[0] && x >= left && x < left + window[1];
          };
          return isInside(at) ? [parts.reduce((sum, part, p) => (isInside(p) ? sum + part : sum), 0)] : [];
        }),
      );
      return falls.reduce((sum, fall) => sum + fall, 0) / falls.length;
    }),
  );
  assertClose(await mapsOf(linear, { method: "occlusion", window, stride }), wanted);
  linear.x.dispose();
  linear.model.dispose();
});

perturb("weighted ridge regression against its normal equations", () => {
  const random = seededRandom(9);
  const truth = [2, -1, 0.5];
  const rows = Array.from({ length: 40 }, () => {
    const values = Float64Array.from({ length: 3 }, () => random.uniform());
    return {
      values,
      weight: random.uniform(),
      result: 3 + values.reduce((sum, v, i) => sum + v * truth[i], 0),
    };
  });
  assertClose(ridge(rows, 1e-12), truth, { tolerance: 1e-9 });
  const shrunk = ridge(rows, 1);
  // The gradient of the penalized sum is 0 at its least.
  const total = rows.reduce((sum, { weight }) => sum + weight, 0);
  const rest = rows.map(
    ({ values, result }) => result - shrunk.reduce((sum, w, i) => sum + w * values[i], 0),
  );
  const intercept = rest.reduce((sum, value, r) => sum + rows[r].weight * value, 0) / total;
  for (let i = 0; i < 3; i++) {
    const slope = rows.reduce(
      (sum, { values, weight }, r) => sum - 2 * weight * (rest[r] - intercept) * values[i],
      2 * shrunk[i],
    );
    assert.ok(Math.abs(slope) <= 1e-9, `${slope}`);
  }
});

perturb("areas against masks: ties and maps of one value score exactly half", async () => {
  const gpu = await sharedGpu();
  const mask = [1, 0, 0, 1, 0, 0];
  for (const value of [0, 1, -3]) assert.is(maskAuc(new Float32Array(6).fill(value), mask), 0.5);
  assert.is(maskAuc([5, 1, 1, 4, 0, 2], mask), 1);
  assert.is(maskAuc([0, 1, 1, 0, 1, 1], mask), 0);
  assert.is(maskAuc([1, 1, 0, 0, 0, 0], mask), 0.625);
  assert.is(pointingGame([0, 0, 0, 9, 1, 1], mask), 1);
  assert.is(pointingGame([0, 2, 0, 1, 1, 1], mask), 0);
  assert.is(pointingGame(new Float32Array(6), mask), 1 / 3);
  assert.is(pointingGame([7, 7, 0, 0, 0, 0], mask), 0.5);
  const maps = tensor(gpu, new Float32Array([5, 1, 1, 4, 0, 2, 0, 0, 0, 0, 0, 0]), [2, 2, 3]);
  assert.equal(await measureMaps(maps, [...mask, ...mask], maskAuc), Float64Array.from([1, 0.5]));
  await assertRejects(() => measureMaps(maps, mask, maskAuc), ShapeError, /masks 6 numbers/);
  await assertRejects(() => maskAuc([1, Number.NaN], [0, 1]), ValueError, /nan/);
  maps.dispose();
});

perturb("a network without an answer gives maps of zeros, which score half", async () => {
  const gpu = await sharedGpu();
  const model = buildModel(gpu, [
    conv2d(1, 2, 3, { padding: 1 }),
    activation("relu"),
    globalAvgPool2d(),
    dense(2, 2),
  ]);
  model.parameters["0.weight"].write(new Float32Array(18));
  const x = randomMaps(gpu, [1, 6, 6], { seed: 1 }).reshape([1, 1, 6, 6]);
  const mask = Array.from({ length: 36 }, (_, i) => Number(i < 4));
  for (const method of ["saliency", "lrp", "deepLift", "gradCam", "guidedBackprop"] as const) {
    const maps = await attribute(model, x, { method, target: 1 });
    assert.equal(await measureMaps(maps, mask, maskAuc), Float64Array.of(0.5), method);
    maps.dispose();
  }
  model.dispose();
});

perturb("insertion and deletion by the order of the map", async () => {
  const gpu = await sharedGpu();
  const linear = await linearCase(gpu);
  const { model, x, parts } = linear;
  const order = tensor(gpu, Float32Array.from(parts.flat()), [2, HEIGHT, WIDTH]);
  const options = { target: 1, baseline: 0, steps: 10, score: "logit" } as const;
  const [put, taken] = [await insertion(model, x, order, options), await deletion(model, x, order, options)];
  parts.forEach((own, n) => {
    const sorted = [...own].sort((a, b) => b - a);
    for (let step = 0; step <= 10; step++) {
      const first = sorted.slice(0, 3 * step).reduce((sum, part) => sum + part, 0);
      const rest = sorted.slice(3 * step).reduce((sum, part) => sum + part, 0);
      assert.ok(Math.abs(put.curves[n][step] - (first - 0.2)) <= 1e-4);
      assert.ok(Math.abs(taken.curves[n][step] - (rest - 0.2)) <= 1e-4);
    }
    const area = put.curves[n].reduce((sum, value, i) => sum + (i % 10 === 0 ? value / 2 : value), 0) / 10;
    assert.ok(Math.abs(put.areas[n] - area) <= 1e-9);
  });
  const others = randomMaps(gpu, [2, HEIGHT, WIDTH], { seed: 4 });
  const chance = await insertion(model, x, others, { target: 1 });
  const informed = await insertion(model, x, order, { target: 1 });
  assert.ok(informed.areas.every((area, n) => area > chance.areas[n] && area <= 1));
  for (const baseline of ["blur", "mean"] as const) {
    const { curves } = await deletion(model, x, order, { target: 1, baseline });
    assert.ok(curves[0][0] !== curves[0][32]);
  }
  await assertRejects(
    () => insertion(model, x, x, { target: 1 }),
    ShapeError,
    /maps has shape \[2,2,5,6\], and \[2,5,6\]/,
  );
  for (const held of [order, others, x]) held.dispose();
  model.dispose();
});

perturb("paired intervals cancel what examples share", () => {
  const random = seededRandom(2);
  const hard = Array.from({ length: 60 }, () => random.uniform());
  const a = hard.map((value) => value + 0.02 + 0.01 * random.uniform());
  const paired = pairedInterval(a, hard, { seed: 1 });
  assert.ok(paired.low > 0.02 && paired.high < 0.03 && paired.low < paired.mean && paired.mean < paired.high);
  const alone = meanInterval(a, { seed: 1 });
  assert.ok(alone.high - alone.low > 10 * (paired.high - paired.low));
  assert.equal(pairedInterval(a, hard, { seed: 1 }), paired);
});

perturb("what became of the outputs where one network stands for another", async () => {
  const gpu = await sharedGpu();
  const { model, x } = await linearCase(gpu);
  const other = buildModel(gpu, [flatten(), dense(2 * PIXELS, 3)], { seed: 1 });
  other.parameters["1.weight"].write(await model.parameters["1.weight"].data());
  other.parameters["1.bias"].write([0.3, -1.2, 0.1]);
  const same = await outputChange(model, model, x, [0, 1]);
  assert.equal(same, { agreement: Float64Array.of(1, 1), targetLogitChange: Float64Array.of(0, 0) });
  const { targetLogitChange } = await outputChange(model, other, x, 1);
  assert.ok(targetLogitChange.every((change) => Math.abs(change + 1) <= 1e-5));
  other.parameters["1.bias"].write([900, 0, 0]);
  const moved = await outputChange(model, other, x, 1);
  const logits = model.forward(x).y;
  const values = await logits.data();
  logits.dispose();
  const isFirst = [0, 1].map((n) => Number(values[3 * n] >= Math.max(values[3 * n + 1], values[3 * n + 2])));
  assert.equal([...moved.agreement], isFirst);
  x.dispose();
  for (const network of [model, other]) network.dispose();
});

perturb("floors: Sobel's edges against a loop, random maps by the image's number", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(6);
  const values = Float32Array.from(random.array([2, 2, 4, 5]).data);
  const x = tensor(gpu, values, [2, 2, 4, 5]);
  const at = (n: number, c: number, row: number, column: number): number =>
    values[((n * 2 + c) * 4 + Math.min(3, Math.max(0, row))) * 5 + Math.min(4, Math.max(0, column))];
  const wanted = Array.from({ length: 40 }, (_, i) => {
    const [n, row, column] = [Math.floor(i / 20), Math.floor((i % 20) / 5), i % 5];
    return Math.max(
      ...[0, 1].map((c) => {
        let [gx, gy] = [0, 0];
        for (const [step, weight] of [
          [-1, 1],
          [0, 2],
          [1, 1],
        ]) {
          gx += weight * (at(n, c, row + step, column + 1) - at(n, c, row + step, column - 1));
          gy += weight * (at(n, c, row + 1, column + step) - at(n, c, row - 1, column + step));
        }
        return Math.hypot(gx, gy);
      }),
    );
  });
  const edges = sobelMaps(x);
  assertClose(await edges.data(), wanted);
  const [all, last] = [
    randomMaps(gpu, [3, 2, 2], { seed: 5 }),
    randomMaps(gpu, [1, 2, 2], { seed: 5, firstImage: 2 }),
  ];
  assert.equal(await last.data(), (await all.data()).slice(8));
  for (const held of [x, edges, all, last]) held.dispose();
});

perturb("maps forget a network whose weights are drawn anew", async () => {
  const gpu = await sharedGpu();
  assert.is(rankCorrelation([1, 2, 3, 3], [2, 4, 9, 9]), 1);
  assert.is(rankCorrelation([1, 2, 3], [3, 2, 1]), -1);
  assert.is(rankCorrelation([1, 1, 1], [3, 2, 1]), 0);
  const model = buildModel(
    gpu,
    [conv2d(1, 8, 3), activation("relu"), conv2d(8, 8, 3), activation("relu"), flatten(), dense(512, 4)],
    { seed: 11 },
  );
  const x = randomMaps(gpu, [4, 12, 12], { seed: 2 }).reshape([4, 1, 12, 12]);
  const before = gpu.memory().tensors;
  const rows = await modelRandomization(model, x, { method: "saliency", target: 2 });
  assert.is(gpu.memory().tensors, before);
  assert.equal(
    rows.map(({ layer }) => layer),
    ["5", "2", "0"],
  );
  for (const { correlations } of rows)
    for (const value of correlations) assert.ok(Math.abs(value) <= 0.5, `${[...correlations]}`);
  // With the same weights again nothing changes.
  const kept = await modelRandomization(model, x, { method: "saliency", target: 2 }, { seed: 11 });
  for (const { correlations } of kept) for (const value of correlations) assert.ok(value >= 1 - 1e-9);
  x.dispose();
  model.dispose();
});

perturb.run();
