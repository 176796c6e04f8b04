import { conv2d as convolution, type Gpu, matmul, openGpu, type Tensor, tensor } from "handgrad";
import { attack, dlrLoss, pgd } from "handgrad/attacks";
import {
  activation,
  avgPool2d,
  batchNorm,
  buildModel,
  conv2d,
  dense,
  flatten,
  type Sequential,
} from "handgrad/layers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertExact } from "./helpers/compare.js";
import { withGpu } from "./helpers/core.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { matmulPlans } from "../src/ops/matmul_plan.js";

const deterministic = suite("deterministic mode");

const COUNT = 64;

/** A convolutional network whose products are small for one sample and large for 64. */
function network(gpu: Gpu): Sequential {
  return buildModel(
    gpu,
    [
      conv2d(1, 8, 4, { stride: 2, padding: 1 }),
      activation("relu"),
      conv2d(8, 16, 3, { padding: 1 }),
      batchNorm(16),
      activation("tanh"),
      avgPool2d(2),
      flatten(),
      dense(16 * 9, 70),
      activation("relu"),
      dense(70, 5),
    ],
    { seed: 3 },
  );
}

function imagesOf(gpu: Gpu): Tensor {
  const random = seededRandom(8);
  return tensor(
    gpu,
    Float32Array.from({ length: COUNT * 144 }, () => random.uniform()),
    [COUNT, 1, 12, 12],
  );
}

deterministic("a sample has the same logits and the same delta, bit by bit, in a batch of any size", () =>
  withGpu(
    async (gpu) => {
      const model = network(gpu);
      const x = imagesOf(gpu);
      const labels = Uint32Array.from({ length: COUNT }, (_, i) => i % 5);
      const how = pgd({ epsilon: 0.1, steps: 5, seed: 5, loss: dlrLoss });
      const found: { delta: ArrayLike<number>; loss: ArrayLike<number> }[] = [];
      for (const batch of [64, 1, 7]) {
        const result = await attack(model, x, how, { labels, batch });
        found.push({ delta: await result.delta.data(), loss: result.loss });
        result.dispose();
      }
      const [whole, ...others] = found;
      assert.ok(Array.from(whole.delta).filter((value) => value !== 0).length > 5000);
      for (const [i, { delta, loss }] of others.entries()) {
        assertExact(loss, whole.loss, `loss in batches of ${[1, 7][i]}`);
        assertExact(delta, whole.delta, `delta in batches of ${[1, 7][i]}`);
      }
      const logits = await model.forward(x).y.data();
      const one = tensor(gpu, (await x.data()).slice(144 * 37, 144 * 38) as Float32Array, [1, 1, 12, 12]);
      assertExact(await model.forward(one).y.data(), logits.slice(5 * 37, 5 * 38), "logits");
    },
    { deterministic: true },
  ),
);

deterministic("products and convolutions of a row do not depend on the rows beside it", () =>
  withGpu(
    async (gpu) => {
      const random = seededRandom(2);
      for (const [k, n] of [
        [3, 5],
        [70, 33],
        [300, 64],
        [1030, 12],
      ]) {
        const rows = 130;
        const values = random.array([rows, k]).data;
        const weights = tensor(gpu, Float32Array.from(random.array([k, n]).data), [k, n]);
        const productOf = async (first: number, count: number) => {
          const part = Float32Array.from(values.slice(first * k, (first + count) * k));
          return matmul(tensor(gpu, part, [count, k]), weights).data();
        };
        const whole = await productOf(0, rows);
        for (const [first, count] of [
          [99, 1],
          [97, 5],
          [64, 64],
        ]) {
          assertExact(
            await productOf(first, count),
            whole.slice(first * n, (first + count) * n),
            `${k}×${n}`,
          );
        }
      }
      const images = random.array([40, 8, 10, 10]).data;
      const filters = tensor(gpu, Float32Array.from(random.array([16, 8, 3, 3]).data), [16, 8, 3, 3]);
      const some = (first: number, count: number) =>
        tensor(gpu, Float32Array.from(images.slice(first * 800, (first + count) * 800)), [count, 8, 10, 10]);
      const all = await convolution(some(0, 40), filters, { padding: 1 }).data();
      for (const [first, count] of [
        [39, 1],
        [20, 7],
      ]) {
        const part = await convolution(some(first, count), filters, { padding: 1 }).data();
        assertExact(part, all.slice(first * 1600, (first + count) * 1600), "convolution");
      }
    },
    { deterministic: true },
  ),
);

deterministic("the plan of a product is one for all numbers of rows, and without slices", async () => {
  for (const software of [true, false]) {
    for (const lanes of [0, 4, 8, 16, 32]) {
      const names = [1, 3, 64, 5000].map((m) => {
        const shape = { m, n: 12, k: 4096, batch: 1, transposeA: false, transposeB: false };
        const plans = matmulPlans({ software, lanes, deterministic: true }, shape);
        assert.is(plans.length, 1);
        assert.is(plans[0].slices, 1);
        return plans[0].name;
      });
      assert.is(new Set(names).size, 1);
    }
  }
  const { device } = await sharedGpu();
  const gpu = await openGpu({ device, deterministic: true });
  assert.is(gpu.deterministic, true);
  gpu.dispose();
  assert.is((await sharedGpu()).deterministic, false);
});

deterministic.run();
