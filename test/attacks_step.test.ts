import { abs, copy, full, mul, square as squared, sub, sum, type Tensor, tensor } from "handgrad";
import {
  type Attack,
  type AttackLoss,
  adamPgd,
  apgd,
  crossEntropyLoss,
  type Differentiable,
  dlrLoss,
  FLAGS,
  gaussianNoise,
  marginLoss,
  miFgsm,
  perturb,
  pgd,
  scoreLoss,
  square,
  uniformNoise,
} from "handgrad/attacks";
import { activation, buildModel, conv2d, dense, flatten } from "handgrad/layers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { goldenCases } from "./helpers/golden.js";
import { centralDifference } from "./helpers/gradient.js";
import { sharedGpu } from "./helpers/gpu.js";
import { type Random, seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { type Array64, array64 } from "./reference/array64.js";
import * as reference from "./reference/attacks.js";

const steps = suite("attacks: steps");

type Norm = reference.Norm;
const NORMS: readonly Norm[] = ["linf", "l2", "l1"];

/** The score Σ x, with whatever is given as its gradient. */
function sumWith(gradient: Tensor): Differentiable {
  return {
    forward: (x) => ({ y: sum(x, { axes: [1] }), saved: undefined }),
    inputGrad: () => mul(gradient, 1),
  };
}

/** Pixels from 0 to 1, many of them at or beside the ends and where float32 has bits below 2^-24. */
function pixels(random: Random, shape: readonly number[]): Array64 {
  const corners = [0, 1, 1 - 2 ** -24, 2 ** -24, 1e-8, 1e-40, 0.3, 0.1, 0.5, 1 / 255, 254 / 255];
  const x = random.array(shape, { low: 0, high: 1 });
  return array64(
    shape,
    x.data.map((value) => Math.fround(random.uniform() < 0.4 ? random.pick(corners) : value)),
  );
}

/** Slopes of all sizes; rows of zeros, and NaN and infinity among the others. */
function roughGradient(random: Random, [count, size]: readonly number[]): Float32Array {
  const slopes = new Float32Array(count * size);
  for (let row = 0; row < count; row++) {
    const kind = random.integer(0, 9);
    const scale = random.pick([1, 1, 1e-38, 1e-30, 1e-5, 1e30, 3e38]);
    for (let i = 0; i < size; i++) {
      let slope = scale * (2 * random.uniform() - 1);
      if (kind === 0) slope = 0;
      if (kind === 1) slope = scale;
      if (kind === 2 && i % 3 === 0) slope = random.pick([Number.NaN, Infinity, -Infinity]);
      if (kind === 3) slope = Number.NaN;
      if (kind === 4) slope = 1e-42;
      slopes[row * size + i] = slope;
    }
  }
  return slopes;
}

function checkInside(x: Array64, delta: ArrayLike<number>, norm: Norm, epsilon: number, what: string): void {
  const [count, size] = x.shape;
  for (let row = 0; row < count; row++) {
    const values = Array.from({ length: size }, (_, i) => delta[row * size + i]);
    const length = reference.normOf(values, norm);
    if (!(length <= epsilon + 1e-6))
      throw new Error(`${what}: sample ${row} has norm ${length} over ${epsilon}`);
    for (let i = 0; i < size; i++) {
      const image = x.data[row * size + i] + values[i];
      if (!(image >= 0 && image <= 1)) {
        throw new Error(
          `${what}: sample ${row}, pixel ${i}: ${x.data[row * size + i]} + ${values[i]} = ${image}`,
        );
      }
    }
  }
}

/** Attacks of each kind that move by a gradient or at random. */
function everyAttack(norm: Norm, epsilon: number): Attack[] {
  const loss = scoreLoss();
  const common = { norm, epsilon, loss, steps: 3 };
  return [
    pgd({ ...common, keep: "last", relativeStep: 0.7 }),
    pgd({ ...common, keep: "last", randomStart: false, stepSize: 0.4 }),
    adamPgd({ ...common, keep: "last" }),
    miFgsm({ ...common, keep: "last" }),
    uniformNoise({ norm, epsilon, loss }),
    gaussianNoise({ norm, epsilon, loss }),
    ...(norm === "l1" ? [] : [apgd({ ...common, norm, steps: 6 })]),
  ];
}

for (const norm of NORMS) {
  steps(`${norm}: every sample stays in ball and box, whatever the gradient is`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(31);
    let samples = 0;
    for (const [size, count] of [
      [7, 300],
      [33, 250],
    ]) {
      const x = pixels(random, [count, size]);
      const gradient = tensor(gpu, roughGradient(random, x.shape), x.shape, { checkFinite: false });
      const image = upload(gpu, x);
      for (const epsilon of norm === "linf" ? [8 / 255, 1] : [0.5, 3]) {
        for (const how of everyAttack(norm, epsilon)) {
          const { delta, images } = perturb(sumWith(gradient), { x: image }, how);
          const [values, attacked] = [await delta.data(), await images.data()];
          const what = `${how.name} ${norm} ${epsilon}`;
          checkInside(x, values, norm, epsilon, what);
          for (let i = 0; i < values.length; i++) {
            const exact = Math.fround(x.data[i] + values[i]);
            // Software adapters may flush what is subnormal.
            if (!(attacked[i] === exact || Math.abs(exact) < 2 ** -126))
              throw new Error(`${what}: image ${i} is ${attacked[i]}, and x + delta is ${exact}`);
          }
          samples += count;
          delta.dispose();
          images.dispose();
        }
      }
      gradient.dispose();
      image.dispose();
    }
    assert.ok(samples > 5000, `${samples} samples`);
  });

  steps(`${norm}: a step agrees with the reference`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(5);
    for (const size of [3, 12, 101]) {
      const x = random.array([9, size], { low: 0, high: 1 });
      // Some pixels have no room on one side.
      x.data.forEach((_, i) => {
        if (random.uniform() < 0.3) x.data[i] = random.integer(0, 1);
      });
      // No two slopes of one size, which the reference could not tell apart.
      const sizes = random.permutation(9 * size).map((rank) => (rank + 1) / 64);
      const gradient = array64(
        x.shape,
        sizes.map((slope) => (random.uniform() < 0.5 ? -slope : slope)),
      );
      // In the ball, so that it is taken as it is but for the box.
      const reach = Math.min(0.02, 0.5 / size);
      const start = random.array([9, size], { low: -reach, high: reach });
      const [epsilon, step] = norm === "linf" ? [0.05, 0.03] : norm === "l2" ? [0.3, 0.25] : [0.6, 0.5];
      const sparsity = 0.8;
      const kept = Math.max(1, Math.round((1 - sparsity) * size));
      const boxed = start.data.map((d, i) => Math.min(Math.max(d, -x.data[i]), 1 - x.data[i]));
      const delta = array64(x.shape, boxed);
      const expected = reference.pgdStep({ x, delta, gradient }, { norm, epsilon, step, kept });
      const how = pgd({ norm, epsilon, stepSize: step, sparsity, steps: 1, keep: "last", loss: scoreLoss() });
      const result = perturb(
        sumWith(upload(gpu, gradient)),
        { x: upload(gpu, x), start: upload(gpu, delta) },
        how,
      );
      assertClose(await download(result.delta), expected, { tolerance: 2e-5, what: `${norm} ${size}` });
    }
  });
}

steps("a step along tiny and huge slopes is the step along ordinary ones", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(6);
  const x = random.array([2, 20], { low: 0.4, high: 0.6 });
  const gradient = array64(
    x.shape,
    Array.from({ length: 40 }, () => (0.1 + random.uniform()) * random.pick([-1, 1])),
  );
  for (const norm of NORMS) {
    const how = pgd({
      norm,
      epsilon: 0.1,
      stepSize: 0.05,
      steps: 1,
      randomStart: false,
      keep: "last",
      loss: scoreLoss(),
    });
    const deltas: ArrayLike<number>[] = [];
    for (const scale of [1, 1e-36, 1e37]) {
      const scaled = upload(gpu, { shape: gradient.shape, data: gradient.data.map((g) => g * scale) });
      const { delta, flags } = perturb(sumWith(scaled), { x: upload(gpu, x) }, how);
      deltas.push(await delta.data());
      assertExact(await flags.data(), [0, 0]);
    }
    assertClose(deltas[1], deltas[0], { what: `${norm}, tiny` });
    assertClose(deltas[2], deltas[0], { what: `${norm}, huge` });
  }
});

steps("gradients that are zero or not finite are flagged for their own samples only", async () => {
  const gpu = await sharedGpu();
  const slopes = new Float32Array(5 * 6).fill(0.5);
  slopes.fill(0, 6, 12);
  slopes[13] = Number.NaN;
  slopes.fill(Infinity, 18, 24);
  slopes.fill(1e-42, 24, 30);
  const gradient = tensor(gpu, slopes, [5, 6], { checkFinite: false });
  const x = full(gpu, [5, 6], 0.5);
  const { zeroGradient, nonFinite } = FLAGS;
  for (const make of [pgd, miFgsm, adamPgd]) {
    for (const norm of NORMS) {
      const how = make({ norm, epsilon: 0.2, steps: 2, loss: scoreLoss() });
      const { flags } = perturb(sumWith(gradient), { x }, how);
      const expected = [0, zeroGradient, nonFinite, nonFinite, zeroGradient];
      // Non-finite slopes stand still, so a sample that has no others does not see where to go.
      const got = Array.from(await flags.data(), (flag, row) => (row === 3 ? flag & nonFinite : flag));
      assert.equal(got, expected, `${how.name} ${norm}`);
    }
  }
});

steps("a success is kept before any greater loss, and the greatest loss among equals", async () => {
  const gpu = await sharedGpu();
  const x = full(gpu, [2, 4], 0.5);
  const up = full(gpu, [2, 4], 1);
  // The steps raise the score, while the loss falls: only success can make a later step better.
  const falling = (threshold: number): AttackLoss => {
    const score = scoreLoss({ threshold });
    return (y, aims) => {
      const { loss, ...rest } = score(y, aims);
      return { ...rest, loss: mul(loss, -1) };
    };
  };
  const options = { epsilon: 0.4, steps: 4, stepSize: 0.1, randomStart: false };
  const lossAt = async (threshold: number, keep: "best" | "last") => {
    const how = pgd({ ...options, keep, loss: falling(threshold) });
    const { loss, flags } = perturb(sumWith(up), { x }, how);
    const [value, flag] = [(await loss.data())[0], (await flags.data())[0]];
    return [Math.round(10 * value) / 10, flag];
  };
  assert.equal(await lossAt(2.7, "best"), [-2.8, FLAGS.success]);
  assert.equal(await lossAt(9, "best"), [-2, 0]);
  assert.equal(await lossAt(2.7, "last"), [-3.6, FLAGS.success]);
});

steps("random starts are uniform in the ball, and their numbers hang on the sample alone", async () => {
  const gpu = await sharedGpu();
  const [count, size] = [3000, 3];
  const x = full(gpu, [count, size], 0.5);
  const epsilon = 0.25;
  for (const norm of NORMS) {
    const how = uniformNoise({ norm, epsilon, seed: 11, loss: scoreLoss() });
    const model = sumWith(x);
    const delta = (await perturb(model, { x }, how).delta.data()) as Float32Array;
    // The radius to the power of the dimension is uniform, and each pixel as often above 0 as below.
    let [radii, above] = [0, 0];
    for (let row = 0; row < count; row++) {
      const values = delta.subarray(row * size, (row + 1) * size);
      radii += (reference.normOf(values, norm) / epsilon) ** size;
      above += values.filter((value) => value > 0).length;
    }
    assert.ok(Math.abs(radii / count - 0.5) < 0.02, `${norm}: mean of the radius cubed ${radii / count}`);
    assert.ok(Math.abs(above / delta.length - 0.5) < 0.02, `${norm}: ${above} above 0`);

    const some = [2999, 17, 0, 1500];
    const samples = tensor(gpu, some, { dtype: "u32" });
    const few = perturb(model, { x: full(gpu, [4, size], 0.5), samples }, how).delta;
    const expected = some.flatMap((row) => Array.from(delta.subarray(row * size, (row + 1) * size)));
    assertExact(await few.data(), expected, `${norm}: starts of some samples`);

    const draw = tensor(gpu, [1], { dtype: "u32" });
    const other = await perturb(model, { x, draw }, how).delta.data();
    assert.ok(
      other.every((value, i) => value !== delta[i]),
      `${norm}: another draw, another start`,
    );
  }
});

steps("Gaussian noise has the deviation asked for", async () => {
  const gpu = await sharedGpu();
  const x = full(gpu, [50, 200], 0.5);
  const how = gaussianNoise({ epsilon: 0.4, deviation: 0.25, loss: scoreLoss() });
  const delta = await perturb(sumWith(x), { x }, how).delta.data();
  const deviation = reference.normOf(delta, "l2") / Math.sqrt(delta.length);
  assert.ok(Math.abs(deviation - 0.1) < 0.002, `${deviation}`);
});

const LOSSES = { crossEntropy: crossEntropyLoss, margin: marginLoss, dlr: dlrLoss } as const;

for (const name of ["crossEntropy", "margin", "dlr"] as const) {
  steps(`${name} and its gradient agree with the reference`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(9);
    for (const classes of [4, 5, 11]) {
      const count = 20;
      const logits = random.distinct([count, classes]);
      const labels = random.integers([count], 0, classes - 1);
      const shifted = labels.data.map((label) => (label + random.integer(1, classes - 1)) % classes);
      for (const targets of [undefined, array64([count], shifted)]) {
        const aims = {
          labels: upload(gpu, labels, "u32"),
          targets: targets && upload(gpu, targets, "u32"),
        };
        const { loss, dy, success } = LOSSES[name](upload(gpu, logits), aims);
        const lossOf = (z: Array64, row: number) =>
          reference.classLoss(
            name,
            z.data.subarray(row * classes, (row + 1) * classes),
            labels.data[row],
            targets?.data[row],
          );
        const rows = Array.from({ length: count }, (_, row) => row);
        assertClose(
          await loss.data(),
          rows.map((row) => lossOf(logits, row)),
          { tolerance: 3e-6 },
        );
        const total = (z: Array64) => rows.reduce((sum, row) => sum + lossOf(z, row), 0);
        assertClose(await dy.data(), centralDifference(total, logits).data, { tolerance: 1e-5 });
        const expected = rows.map((row) => {
          const z = logits.data.subarray(row * classes, (row + 1) * classes);
          const first = z.indexOf(Math.max(...z));
          return Number(targets ? first === targets.data[row] : first !== labels.data[row]);
        });
        assertExact(await (success as Tensor).data(), expected, "success");
      }
    }
  });
}

steps("losses stay finite and keep a gradient where probabilities round to 0 and 1", async () => {
  const gpu = await sharedGpu();
  const logits = [
    [1e4, -1e4, 0, 5],
    [-1e4, 1e4, 0, 5],
    [60, 0, 1, 2],
    [0, 0, 0, 0],
  ];
  const labels = tensor(gpu, [0, 0, 0, 0], { dtype: "u32" });
  for (const name of ["crossEntropy", "margin", "dlr"] as const) {
    const { loss, dy } = LOSSES[name](tensor(gpu, logits), { labels });
    const expected = logits.map((row) => reference.classLoss(name, row, 0));
    const [values, slopes] = [await loss.data(), await dy.data()];
    values.forEach((value, row) => {
      const limit = 1e-5 * Math.max(Math.abs(expected[row]), 1e-30);
      assert.ok(Math.abs(value - expected[row]) <= limit, `${name}: ${value}, expected ${expected[row]}`);
    });
    assert.ok(slopes.every(Number.isFinite), `${name}: ${slopes}`);
    assert.ok(slopes[8] < 0, `${name}: a sure sample still has a slope, ${slopes[8]}`);
  }
  const none = crossEntropyLoss(tensor(gpu, logits), { labels: tensor(gpu, [0, 4, 1, 9], { dtype: "u32" }) });
  assert.equal(Array.from(await none.loss.data(), Number.isNaN), [false, true, false, true]);
});

for (const norm of ["linf", "l2"] as const) {
  steps(`APGD in ${norm} follows its schedule as the reference does`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(21);
    const [count, size] = [6, 5];
    const x = random.array([count, size], { low: 0.2, high: 0.8 });
    const start = random.array([count, size], { low: -0.1, high: 0.1 });
    // A concave score with its top in the ball for some samples and outside for others.
    const top = array64(
      x.shape,
      x.data.map((value, i) => Math.fround(value + (i < 15 ? 0.07 : 0.3) * (random.uniform() - 0.5))),
    );
    const weights = random.array([1, size], { low: 0.5, high: 3 });
    const epsilon = norm === "linf" ? 0.1 : 0.15;
    const [tops, weight] = [upload(gpu, top), upload(gpu, weights)];
    const model: Differentiable = {
      forward(images) {
        const rest = sub(images, tops);
        return { y: sum(mul(mul(squared(rest), weight), -1), { axes: [1] }), saved: rest };
      },
      inputGrad: (_dy, rest: Tensor) => mul(mul(rest, weight), -2),
    };
    let halvings = 0;
    for (const number of [7, 40]) {
      const how = apgd({ norm, epsilon, steps: number, loss: scoreLoss() });
      const batch = { x: upload(gpu, x), start: upload(gpu, start) };
      const { loss, delta } = perturb(model, batch, how);
      const [losses, deltas] = [await loss.data(), await delta.data()];
      for (let row = 0; row < count; row++) {
        const part = (of: Array64) => of.data.slice(row * size, (row + 1) * size);
        const peak = part(top);
        const expected = reference.apgd({
          loss: (z) => -z.reduce((total, value, i) => total + weights.data[i] * (value - peak[i]) ** 2, 0),
          gradient: (z) => z.map((value, i) => -2 * weights.data[i] * (value - peak[i])),
          x: part(x),
          start: part(start),
          norm,
          epsilon,
          steps: number,
        });
        halvings += expected.halvings;
        assert.ok(
          Math.abs(losses[row] - expected.loss) < 1e-5,
          `${number} steps: ${losses[row]}, ${expected.loss}`,
        );
        const distance = reference.normOf(
          expected.delta.map((value, i) => value - deltas[row * size + i]),
          "linf",
        );
        assert.ok(distance < 2e-3, `${number} steps: delta of sample ${row} is ${distance} off`);
      }
    }
    assert.ok(halvings > 10, `${halvings} halvings`);
  });
}

steps("PGD agrees with the golden vectors", async () => {
  const gpu = await sharedGpu();
  let entries = 0;
  let off = 0;
  for (const { name, params, inputs, outputs } of goldenCases("pgd")) {
    const model = buildModel(gpu, [
      conv2d(1, 4, 3, { stride: 2, padding: 1 }),
      activation("relu"),
      flatten(),
      dense(196, 5),
    ]);
    const { data: linear } = inputs.w2;
    const transposed = linear.map((_, i) => linear[(i % 5) * 196 + Math.floor(i / 5)]);
    model.parameters["0.weight"].write(Float32Array.from(inputs.w1.data));
    model.parameters["0.bias"].write(Float32Array.from(inputs.b1.data));
    model.parameters["3.weight"].write(Float32Array.from(transposed));
    model.parameters["3.bias"].write(Float32Array.from(inputs.b2.data));
    const { eps: epsilon, stepSize, steps: number, norm, targeted } = params;
    const classes = upload(gpu, inputs.labels, "u32");
    const batch = {
      x: upload(gpu, inputs.x),
      start: upload(gpu, inputs.delta0),
      ...(targeted ? { targets: classes } : { labels: classes }),
    };
    const how = pgd({ epsilon, stepSize, steps: number, norm, keep: "last" });
    const { delta, curve } = perturb(model, batch, how);
    const [deltas, losses] = [await delta.data(), await curve.data()];
    outputs.loss.data.forEach((expected, row) => {
      const loss = (targeted ? -1 : 1) * losses[row * (number + 1) + number];
      assert.ok(Math.abs(loss - expected) <= 1e-4, `${name}: loss ${loss}, expected ${expected}`);
    });
    entries += deltas.length;
    off += deltas.filter((value, i) => !(Math.abs(value - outputs.delta.data[i]) <= 1e-5)).length;
    model.dispose();
  }
  assert.ok(off <= 0.001 * entries, `${off} of ${entries} entries of delta are off`);
});

steps("Square tries stripes, then windows of one sign a channel, and keeps what is better", async () => {
  const gpu = await sharedGpu();
  const [count, channels, height, width] = [5, 3, 9, 9];
  const x = full(gpu, [count, channels, height, width], 0.5);
  const seen = Array.from({ length: 40 }, () => x.like());
  let asked = 0;
  const model: Differentiable = {
    forward(images) {
      copy(images, { out: seen[asked++] });
      return { y: sum(abs(sub(images, 0.52)), { axes: [1, 2, 3] }), saved: undefined };
    },
    inputGrad() {
      throw new Error("a black-box attack asked for a gradient");
    },
  };
  const how = square({ epsilon: 0.1, queries: 40, loss: scoreLoss(), seed: 3 });
  const { outcome, round } = how.record(model, { x });
  round?.();
  const tries = await Promise.all(seen.map((images) => images.data()));
  assert.is(asked, 40);
  const area = height * width;
  let windows = 0;
  for (let plane = 0; plane < count * channels; plane++) {
    const at = (values: ArrayLike<number>, i: number) => values[plane * area + i] - 0.5;
    for (let i = 0; i < area; i++) {
      assert.is(at(tries[0], i), at(tries[0], i % width), "stripes");
      assert.ok(Math.abs(Math.abs(at(tries[0], i)) - 0.1) < 1e-6);
    }
    // What a query changes against the kept image is one square of one sign.
    const changed = Array.from({ length: area }, (_, i) => i).filter(
      (i) => at(tries[1], i) !== at(tries[0], i),
    );
    if (changed.length === 0) continue;
    windows++;
    const lines = changed.map((i) => Math.floor(i / width));
    const columns = changed.map((i) => i % width);
    assert.is(new Set(changed.map((i) => Math.sign(at(tries[1], i)))).size, 1);
    assert.ok(Math.max(...lines) - Math.min(...lines) < 8 && Math.max(...columns) - Math.min(...columns) < 8);
  }
  assert.ok(windows > 3);
  const lossOf = (images: ArrayLike<number>, row: number) =>
    Array.from({ length: channels * area }, (_, i) =>
      Math.abs(images[row * channels * area + i] - 0.52),
    ).reduce((total, value) => total + value, 0);
  const losses = await outcome.loss.data();
  for (let row = 0; row < count; row++) {
    const best = Math.max(...tries.map((images) => lossOf(images, row)));
    assert.ok(Math.abs(losses[row] - best) < 1e-3, `${losses[row]}, and the best try has ${best}`);
  }
});

steps.run();
