import { type Gpu, ShapeError, type Tensor, tensor, ValueError } from "handgrad";
import {
  type AttributeOptions,
  type AttributionName,
  attribute,
  attributionNames,
  noiseTunnel,
  upTo,
} from "handgrad/explain";
import {
  activation,
  batchNorm,
  buildModel,
  conv2d,
  dense,
  globalAvgPool2d,
  type LayerRecord,
  maxPool2d,
  residual,
  type Sequential,
} from "handgrad/layers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { gaussLegendre } from "../src/explain/quadrature.js";
import { assertClose } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, array64 } from "./reference/array64.js";
import {
  back,
  deconvolutionRule,
  deepLiftMultipliers,
  guidedRule,
  lrpRules,
  outputOf,
  pass,
  type Unit,
  unroll,
} from "./reference/explain.js";
import type { State } from "./reference/network.js";

const explain = suite("explain");

const SHAPE = [2, 7, 6];
const RECORDS: LayerRecord[] = [
  conv2d(2, 3, 3, { padding: 1, bias: false }),
  batchNorm(3),
  activation("relu"),
  maxPool2d(2),
  residual(
    [conv2d(3, 4, 3, { padding: 1 }), activation("leakyRelu", { slope: 0.1 }), conv2d(4, 4, 1)],
    [conv2d(3, 4, 1)],
  ),
  activation("relu"),
  residual([batchNorm(4), activation("tanh")]),
  conv2d(4, 5, 2),
  activation("relu"),
  globalAvgPool2d(),
  dense(5, 3),
];
const TARGETS = [2, 0, 1];

interface Setting {
  readonly gpu: Gpu;
  readonly model: Sequential;
  readonly x: Tensor;
  readonly images: Float64Array[];
  readonly units: Unit[];
}

let made: Promise<Setting> | undefined;

/** One network of random weights, with its reference. */
function setting(): Promise<Setting> {
  made ??= make();
  return made;
}

async function make(): Promise<Setting> {
  const gpu = await sharedGpu();
  const random = seededRandom(5);
  const model = buildModel(gpu, RECORDS, { seed: 3 });
  const draw = (shape: readonly number[], low = -0.7, high = 0.8): Float32Array =>
    Float32Array.from(random.array([...shape], { low, high }).data);
  for (const parameter of Object.values(model.parameters)) parameter.write(draw(parameter.shape));
  for (const [name, buffer] of Object.entries(model.buffers))
    buffer.write(draw(buffer.shape, name.endsWith("Var") ? 0.4 : -0.5, name.endsWith("Var") ? 2 : 0.5));
  const x = tensor(gpu, draw([3, ...SHAPE], -1, 1), [3, ...SHAPE]);
  const state: Record<string, Array64> = {};
  for (const [name, held] of Object.entries({ ...model.parameters, ...model.buffers }))
    state[name] = array64([...held.shape], await held.data());
  const values = await x.data();
  const size = values.length / 3;
  const images = [0, 1, 2].map((n) => Float64Array.from(values.slice(n * size, (n + 1) * size)));
  return { gpu, model, x, images, units: unroll(RECORDS, state as State, SHAPE).units };
}

const oneHot = (target: number, value = 1): Float64Array =>
  Float64Array.from({ length: 3 }, (_, i) => (i === target ? value : 0));

async function mapsOf({ model, x }: Setting, options: object): Promise<Float32Array> {
  const keep = { target: TARGETS, sign: "signed", channels: "keep" } as const;
  const maps = await attribute(model, x, { ...keep, ...options } as unknown as AttributeOptions);
  const values = (await maps.data()) as Float32Array;
  maps.dispose();
  return values;
}

/** By a reference that takes one image. */
function expected({ images }: Setting, one: (image: Float64Array, target: number) => Float64Array): number[] {
  return images.flatMap((image, n) => [...one(image, TARGETS[n])]);
}

explain("saliency and input x gradient against float64, neuron by neuron", async () => {
  const at = await setting();
  const gradient = (image: Float64Array, target: number) => back(pass(at.units, image), oneHot(target));
  assertClose(await mapsOf(at, { method: "saliency" }), expected(at, gradient));
  const product = expected(at, (image, target) =>
    gradient(image, target).map((value, i) => value * image[i]),
  );
  assertClose(await mapsOf(at, { method: "inputXGradient" }), product);
});

explain("guided backpropagation and deconvolution against float64", async () => {
  const at = await setting();
  for (const [method, rule] of [
    ["guidedBackprop", guidedRule],
    ["deconvolution", deconvolutionRule],
  ] as const) {
    const wanted = expected(at, (image, target) => back(pass(at.units, image), oneHot(target), rule));
    assertClose(await mapsOf(at, { method }), wanted, { what: method });
  }
});

explain("integrated gradients against float64, at the points of the rule", async () => {
  const at = await setting();
  const steps = 7;
  const { points, weights } = gaussLegendre(steps);
  const wanted = expected(at, (image, target) => {
    const sum = new Float64Array(image.length);
    points.forEach((alpha, k) => {
      const point = image.map((value) => 0.25 + alpha * (value - 0.25));
      back(pass(at.units, point), oneHot(target)).forEach((value, i) => {
        sum[i] += weights[k] * value * (image[i] - 0.25);
      });
    });
    return sum;
  });
  // Some points lie near where an activation bends, and float32 may see the other side.
  assertClose(await mapsOf(at, { method: "integratedGradients", steps, baseline: 0.25 }), wanted, {
    tolerance: 1e-3,
  });
});

explain("Gauss and Legendre's rule is exact up to degree 2 n - 1", () => {
  for (const count of [1, 2, 5, 32, 101]) {
    const { points, weights } = gaussLegendre(count);
    for (const degree of [0, 1, Math.min(2 * count - 1, 40)]) {
      const sum = points.reduce((total, point, i) => total + weights[i] * point ** degree, 0);
      assert.ok(Math.abs(sum - 1 / (degree + 1)) <= 1e-13, `${count} points, degree ${degree}`);
    }
  }
});

const LRP = {
  zPlus: () => ({ plain: 0, positive: 1, epsilon: 1e-6 }),
  epsilon: () => ({ plain: 1, positive: 0, epsilon: 0.05 }),
  gamma: () => ({ plain: 1, positive: 0.4, epsilon: 1e-6 }),
  epsilonPlus: (kind: string) =>
    kind === "dense" ? { plain: 1, positive: 0, epsilon: 1e-6 } : { plain: 0, positive: 1, epsilon: 1e-6 },
} as const;

for (const [rule, sharesOf] of Object.entries(LRP)) {
  explain(`lrp by ${rule} against float64`, async () => {
    const at = await setting();
    const rules = lrpRules(sharesOf);
    const wanted = expected(at, (image, target) => {
      const passed = pass(at.units, image);
      return back(passed, oneHot(target, outputOf(passed)[target]), rules.rule, rules.fork);
    });
    const epsilon = rule === "epsilon" ? 0.05 : 1e-6;
    assertClose(await mapsOf(at, { method: "lrp", rule, gamma: 0.4, epsilon }), wanted, { tolerance: 1e-4 });
  });
}

explain("deepLift against float64, and complete", async () => {
  const at = await setting();
  for (const [baseline, value] of [
    [0, 0],
    [0.3, 0.3],
  ]) {
    const reference = pass(at.units, new Float64Array(at.images[0].length).fill(value));
    const wanted = expected(at, (image, target) =>
      deepLiftMultipliers(pass(at.units, image), reference, oneHot(target)).map(
        (multiplier, i) => multiplier * (image[i] - value),
      ),
    );
    const found = await mapsOf(at, { method: "deepLift", baseline });
    assertClose(found, wanted, { tolerance: 1e-4 });
    at.images.forEach((image, n) => {
      const change = outputOf(pass(at.units, image))[TARGETS[n]] - outputOf(reference)[TARGETS[n]];
      const sum = found.slice(n * image.length, (n + 1) * image.length).reduce((a, b) => a + b, 0);
      assert.ok(Math.abs(sum - change) <= 1e-4, `adds up to ${sum}, and the logit changes by ${change}`);
    });
  }
});

explain("deepLift with a baseline of its own for each image is the same as one by one", async () => {
  const at = await setting();
  const random = seededRandom(8);
  const values = Float32Array.from(random.array([3, ...SHAPE], { low: 0, high: 1 }).data);
  const baselines = tensor(at.gpu, values, [3, ...SHAPE]);
  const found = await mapsOf(at, { method: "deepLift", baseline: baselines });
  const size = values.length / 3;
  const wanted = at.images.flatMap((image, n) => {
    const base = Float64Array.from(values.slice(n * size, (n + 1) * size));
    const multipliers = deepLiftMultipliers(pass(at.units, image), pass(at.units, base), oneHot(TARGETS[n]));
    return [...multipliers.map((multiplier, i) => multiplier * (image[i] - base[i]))];
  });
  assertClose(found, wanted, { tolerance: 1e-4 });
  baselines.dispose();
});

explain("integrated gradients are complete", async () => {
  const at = await setting();
  const found = await mapsOf(at, { method: "integratedGradients", steps: 256 });
  const black = outputOf(pass(at.units, new Float64Array(at.images[0].length)));
  at.images.forEach((image, n) => {
    const change = outputOf(pass(at.units, image))[TARGETS[n]] - black[TARGETS[n]];
    const sum = found.slice(n * image.length, (n + 1) * image.length).reduce((a, b) => a + b, 0);
    assert.ok(Math.abs(sum - change) <= 0.01 * Math.abs(change) + 2e-3, `${sum} against ${change}`);
  });
});

explain("grad-cam weighs the planes of the layer by their mean gradients", async () => {
  const at = await setting();
  // The planes behind the layer before the global mean are [5, 2, 2]; their gradients are a quarter of the weights.
  const maps = await attribute(at.model, at.x, { method: "gradCam", target: TARGETS });
  assert.equal(maps.shape, [3, 7, 6]);
  const found = await maps.data();
  maps.dispose();
  const weights = await at.model.parameters["10.weight"].data();
  at.images.forEach((image, n) => {
    const planes = pass(at.units.slice(0, -2), image);
    const values = outputOf(planes);
    const cam = [0, 1, 2, 3].map((p) =>
      Math.max(
        0,
        [0, 1, 2, 3, 4].reduce((sum, k) => sum + (weights[k * 3 + TARGETS[n]] / 4) * values[k * 4 + p], 0),
      ),
    );
    // The corners of the resized map are those of the small one.
    const corners = [0, 5, 36, 41].map((pixel) => found[n * 42 + pixel]);
    assertClose(corners, cam, { what: `image ${n}` });
  });
  const named = await attribute(at.model, at.x, { method: "gradCam", target: 0, layer: "4.body.0" });
  assert.equal(named.shape, [3, 7, 6]);
  named.dispose();
});

explain("guided grad-cam is the product of both", async () => {
  const at = await setting();
  const [guided, cam, both] = await Promise.all([
    mapsOf(at, { method: "guidedBackprop" }),
    mapsOf(at, { method: "gradCam" }),
    mapsOf(at, { method: "guidedGradCam" }),
  ]);
  assertClose(
    both,
    guided.map((value, i) => value * cam[Math.floor(i / 84) * 42 + (i % 42)]),
  );
});

explain("no method's map hangs on the batch, nothing is left behind, progress is told", async () => {
  const at = await setting();
  const small: Partial<Record<AttributionName, object>> = {
    integratedGradients: { steps: 5 },
    smoothGrad: { samples: 5 },
    gradientShap: { samples: 5, std: 0.1 },
    occlusion: { window: 3 },
    lime: { cell: 3, samples: 20 },
    featureAblation: { cell: 3 },
  };
  for (const method of attributionNames) {
    const before = at.gpu.memory().tensors;
    const told: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }) => told.push(done / total);
    const options = { method, target: TARGETS, seed: 4, ...small[method] } as AttributeOptions;
    const whole = await attribute(at.model, at.x, { ...options, onProgress });
    const parts = await attribute(at.model, at.x, { ...options, batch: 2 });
    assert.equal(whole.shape, [3, 7, 6], method);
    assert.equal(told.at(-1), 1, method);
    assertClose(await parts.data(), await whole.data(), { tolerance: 2e-4, what: method });
    whole.dispose();
    parts.dispose();
    assert.is(at.gpu.memory().tensors, before, method);
  }
});

explain("noise hangs on an image's number: a part of a set gets the set's", async () => {
  const at = await setting();
  const size = at.images[0].length;
  const whole = await mapsOf(at, { method: "smoothGrad", samples: 3, seed: 9 });
  const last = tensor(at.gpu, Float32Array.from(at.images[2]), [1, ...SHAPE]);
  const options = { target: TARGETS[2], channels: "keep", samples: 3, seed: 9, firstImage: 2 } as const;
  const alone = await noiseTunnel(at.model, last, options);
  assertClose(await alone.data(), whole.slice(2 * size));
  const other = await noiseTunnel(at.model, last, { ...options, firstImage: 1 });
  assert.not.equal(await other.data(), await alone.data());
  for (const held of [last, alone, other]) held.dispose();
});

explain("noise tunnels: squares and variance go with the mean", async () => {
  const at = await setting();
  const found = await Promise.all(
    (["smoothGrad", "smoothGradSquared", "varGrad"] as const).map(async (kind) => {
      const maps = await noiseTunnel(at.model, at.x, {
        target: TARGETS,
        kind,
        samples: 6,
        std: 0.2,
        channels: "keep",
      });
      const values = await maps.data();
      maps.dispose();
      return values;
    }),
  );
  const [mean, squares, variance] = found;
  assertClose(
    variance,
    squares.map((value, i) => value - mean[i] ** 2),
    { tolerance: 1e-4 },
  );
  assert.ok(variance.every((value) => value >= -1e-6));
  assert.ok(variance.some((value) => value > 1e-4));
});

explain("signs and channels", async () => {
  const at = await setting();
  const raw = await mapsOf(at, { method: "inputXGradient" });
  const pixels = 42;
  for (const sign of ["signed", "absolute", "positive", "negative"] as const) {
    for (const channels of ["sum", "max"] as const) {
      const wanted = Array.from({ length: 3 * pixels }, (_, i) => {
        const [a, b] = [0, 1].map((c) => raw[(Math.floor(i / pixels) * 2 + c) * pixels + (i % pixels)]);
        const joined = channels === "sum" ? a + b : Math.abs(b) > Math.abs(a) ? b : a;
        return {
          signed: joined,
          absolute: Math.abs(joined),
          positive: Math.max(joined, 0),
          negative: Math.max(-joined, 0),
        }[sign];
      });
      assertClose(await mapsOf(at, { method: "inputXGradient", sign, channels }), wanted, {
        what: `${sign} ${channels}`,
      });
    }
  }
});

explain("a layer's part of a network, by names as parameters have them", async () => {
  const { model, x, images, units } = await setting();
  const { y } = upTo(model, "4.body.1").forward(x);
  assert.equal(y.shape, [3, 4, 3, 3]);
  y.dispose();
  const planes = upTo(model, 8).forward(x).y;
  assertClose(
    await planes.data(),
    images.flatMap((image) => [...outputOf(pass(units.slice(0, -2), image))]),
  );
  planes.dispose();
  for (const path of ["11", "4.side.0", "4.body.7", "x", "", "4.body.0.1"])
    await assertRejects(() => upTo(model, path), ValueError, /does not exist; the model has 0 conv2d/);
});

explain("what is refused", async () => {
  const { gpu, model, x } = await setting();
  const flat = tensor(gpu, [[1, 2]]);
  const run = (options: object, images = x) =>
    attribute(model, images, { target: 0, ...options } as AttributeOptions);
  await assertRejects(() => run({ method: "magic" }), ValueError, /method is "magic".*saliency/);
  await assertRejects(() => run({ method: "saliency" }, flat), ShapeError, /x has shape \[1,2\]/);
  await assertRejects(() => run({ method: "saliency", target: 3 }), ValueError, /target is 3.*0 to 2/);
  await assertRejects(() => run({ method: "saliency", target: [0, 1] }), ShapeError, /2 classes.*3 images/);
  await assertRejects(() => run({ method: "saliency", sign: "up" }), ValueError, /sign is "up"/);
  await assertRejects(() => run({ method: "saliency", batch: 0 }), ValueError, /batch is 0/);
  await assertRejects(() => run({ method: "integratedGradients", steps: 1.5 }), ValueError, /steps is 1.5/);
  await assertRejects(
    () => run({ method: "integratedGradients", baseline: x.reshape([1, 6, 7, 6]) }),
    ShapeError,
    /baseline/,
  );
  await assertRejects(() => run({ method: "lrp", gamma: -1 }), ValueError, /gamma is -1/);
  await assertRejects(() => run({ method: "gradCam", layer: 10 }), ValueError, /layer 10 gives \[3,3\]/);
  await assertRejects(() => run({ method: "occlusion", window: 8 }), ValueError, /window is 8/);
  await assertRejects(() => run({ method: "lime", segments: [0, 1] }), ShapeError, /segments has 2 numbers/);
  flat.dispose();
});

explain.run();
