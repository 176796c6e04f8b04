import {
  advance,
  bernoulli,
  dropout,
  dropoutGrad,
  dropoutMask,
  randomNormal,
  randomPermutation,
  randomUniform,
  ShapeError,
  slice,
  tensor,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import dropoutWgsl from "../shaders/dropout.wgsl";
import choiceWgsl from "../shaders/random_choice.wgsl";
import keysWgsl from "../shaders/random_keys.wgsl";
import normalWgsl from "../shaders/random_normal.wgsl";
import uniformWgsl from "../shaders/random_uniform.wgsl";
import { philoxPermutation, philoxUniform } from "../src/random.js";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { draws24, normal, uniform } from "./reference/random.js";

const random = suite("random");

const SEEDS = [{ seed: 0 }, { seed: 7, stream: 3 }, { seed: 2 ** 52 + 12345, stream: 2 ** 32 - 1 }] as const;

random("uniform draws are those of the host, bit by bit", async () => {
  const gpu = await sharedGpu();
  for (const { seed, ...rest } of SEEDS) {
    const stream = "stream" in rest ? rest.stream : 0;
    for (const shape of [[1], [3, 7], [1022], [5, 4, 513]]) {
      const draws = await randomUniform(gpu, shape, { seed, stream }).data();
      assertExact(draws, philoxUniform(draws.length, seed, stream), `seed ${seed}, shape [${shape}]`);
    }
  }
});

random("more elements than one row of workgroups holds", async () => {
  const gpu = await sharedGpu();
  // Four elements an invocation, 64 invocations a workgroup, 65,535 workgroups in a row.
  const start = 4 * 64 * 65535;
  const draws = randomUniform(gpu, [start + 259], { seed: 1 });
  const tail = slice(draws, [start - 1000], [start + 259]);
  draws.dispose();
  const expected = draws24(1259, { seed: 1 }, (start - 1000) / 4).map((draw) => draw * 2 ** -24);
  assertExact(await tail.data(), expected);
});

random("other ranges are rounded twice on every adapter, and never reach the upper end", async () => {
  const gpu = await sharedGpu();
  for (const [low, high] of [
    [-1, 1],
    [-0.3, 0.1],
    [1000, 1001],
    [-5, 0],
    [0, 1e-3],
  ]) {
    const draws = await randomUniform(gpu, [20001], { seed: 3, low, high }).data();
    const expected = uniform(20001, { seed: 3 }, low, high).map((draw) => (draw < high ? draw : NaN));
    const differing = draws.findIndex((draw, i) => draw !== expected[i] && !Number.isNaN(expected[i]));
    assert.is(differing, -1, `[${low}, ${high})`);
    assert.ok(draws.every((draw) => draw >= Math.fround(low) && draw < Math.fround(high)));
  }
});

random("normal draws agree with float64 to 1e-5, each of them", async () => {
  const gpu = await sharedGpu();
  for (const which of SEEDS) {
    const draws = await randomNormal(gpu, [30003], which).data();
    const expected = normal(30003, which);
    const off = draws.findIndex((draw, i) => !(Math.abs(draw - expected[i]) <= 1e-5));
    assert.is(off, -1);
    assertClose(draws, expected);
  }
  const scaled = await randomNormal(gpu, [999], { seed: 7, mean: -3, std: 0.25 }).data();
  assertClose(
    scaled,
    normal(999, { seed: 7 }).map((z) => -3 + 0.25 * z),
  );
});

random("normal draws have the moments of a normal distribution", async () => {
  const gpu = await sharedGpu();
  const draws = Float64Array.from(await randomNormal(gpu, [1 << 16], { seed: 11 }).data());
  const moment = (power: number) => draws.reduce((sum, z) => sum + z ** power, 0) / draws.length;
  // Five standard errors: the variances of z, z², z³ and z⁴ are 1, 2, 15 and 96.
  [0, 1, 0, 3].forEach((expected, i) => {
    const error = Math.sqrt([1, 2, 15, 96][i] / draws.length);
    assert.ok(Math.abs(moment(i + 1) - expected) <= 5 * error, `moment ${i + 1}: ${moment(i + 1)}`);
  });
});

random("permutations are those of the host, short and long", async () => {
  const gpu = await sharedGpu();
  for (const count of [0, 1, 2, 100, 257, 10000]) {
    const order = await randomPermutation(gpu, count, { seed: 5, stream: 2 }).data();
    assertExact(order, philoxPermutation(count, 5, 2), `permutation of ${count}`);
  }
});

random("a counter tensor makes each draw a new one, with a carry into its second word", async () => {
  const gpu = await sharedGpu();
  const counter = tensor(gpu, [0xfffffffe, 4], { dtype: "u32" });
  for (const draw of [
    [0xfffffffe, 4],
    [0xffffffff, 4],
    [0, 5],
    [1, 5],
  ] as const) {
    assertExact(await counter.data(), draw);
    const which = { seed: 9, stream: 1, draw };
    assertExact(await randomUniform(gpu, [37], { seed: 9, stream: 1, counter }).data(), uniform(37, which));
    assertClose(await randomNormal(gpu, [37], { seed: 9, stream: 1, counter }).data(), normal(37, which));
    advance(counter);
  }
  const single = zeros(gpu, [1], { dtype: "u32" });
  assertExact(
    await randomUniform(gpu, [8], { seed: 9, counter: advance(single) }).data(),
    uniform(8, { seed: 9, draw: [1, 0] }),
  );
});

random("bernoulli and dropout draw by the same numbers as uniform", async () => {
  const gpu = await sharedGpu();
  const draws = draws24(1003, { seed: 2, stream: 6 });
  const which = { seed: 2, stream: 6 };
  for (const share of [0, 0.25, 0.7, 1]) {
    const threshold = Math.round(share * 2 ** 24);
    const scale = share === 1 ? 0 : Math.fround(1 / (1 - share));
    const mask = draws.map((draw) => (draw < threshold ? 0 : scale));
    const coins = await bernoulli(gpu, [1003], { ...which, probability: share }).data();
    assertExact(
      coins,
      draws.map((draw) => Number(draw < threshold)),
      `bernoulli ${share}`,
    );
    assertExact(await dropoutMask(gpu, [1003], { ...which, rate: share }).data(), mask, `mask ${share}`);
    const x = randomNormal(gpu, [17, 59], { seed: 1 });
    const dropped = dropout(x, { ...which, rate: share });
    assertExact(await dropped.mask.data(), mask, `dropout's mask ${share}`);
    const values = await x.data();
    assertExact(
      await dropped.y.data(),
      values.map((v, i) => v * mask[i]),
      `dropout ${share}`,
    );
    const dx = dropoutGrad(x, dropped.mask);
    assertExact(
      await dx.data(),
      values.map((v, i) => v * mask[i]),
      `dropoutGrad ${share}`,
    );
    dropout(x, { ...which, rate: share, out: { y: x } });
    assertExact(
      await x.data(),
      values.map((v, i) => v * mask[i]),
      `dropout in place ${share}`,
    );
  }
});

random("a replayed program draws anew, as unrecorded calls do", async () => {
  const gpu = await sharedGpu();
  const draw = (counter: ReturnType<typeof zeros>) => {
    const result = randomNormal(gpu, [50], { seed: 4, counter });
    const order = randomPermutation(gpu, 300, { seed: 4, stream: 1, counter });
    advance(counter);
    return { result, order };
  };
  const [recorded, direct] = [0, 1].map(() => zeros(gpu, [1], { dtype: "u32" }));
  const program = gpu.program(() => draw(recorded));
  let before: ArrayLike<number> | undefined;
  for (let run = 0; run < 3; run++) {
    const { result, order } = run === 0 ? program.result : program.run();
    const data = await result.data();
    const expected = draw(direct);
    assertExact(data, await expected.result.data(), `run ${run}`);
    assertExact(await order.data(), await expected.order.data(), `order of run ${run}`);
    if (before) assert.throws(() => assertExact(data, before as ArrayLike<number>));
    before = data;
  }
  program.dispose();
});

random("options out of range are refused, and nothing is leaked", async () => {
  const gpu = await sharedGpu();
  const counter = zeros(gpu, [3], { dtype: "u32" });
  const floats = zeros(gpu, [1]);
  const { tensors } = gpu.memory();
  await assertRejects(() => randomUniform(gpu, [4], { seed: -1 }), ValueError, /seed is -1/);
  for (const draw of [randomUniform, randomNormal, bernoulli, dropoutMask])
    await assertRejects(() => draw(gpu, [4], undefined as never), ValueError, /options is undefined/);
  await assertRejects(() => dropout(floats, undefined as never), ValueError, /options is undefined/);
  await assertRejects(
    () => randomUniform(gpu, [4], { seed: 0, stream: 2 ** 32 }),
    ValueError,
    /stream is 4294967296/,
  );
  await assertRejects(
    () => randomUniform(gpu, [4], { seed: 0, low: 1, high: 1 }),
    ValueError,
    /low is 1 and high is 1/,
  );
  await assertRejects(() => randomNormal(gpu, [4], { seed: 0, std: -1 }), ValueError, /std is -1/);
  await assertRejects(() => randomNormal(gpu, [4], { seed: 0, mean: NaN }), ValueError, /mean is NaN/);
  await assertRejects(
    () => bernoulli(gpu, [4], { seed: 0, probability: 1.5 }),
    ValueError,
    /probability is 1.5/,
  );
  await assertRejects(() => dropoutMask(gpu, [4], { seed: 0, rate: NaN }), ValueError, /rate is NaN/);
  await assertRejects(() => dropout(floats, { seed: 0, rate: -0.1 }), ValueError, /rate is -0.1/);
  await assertRejects(() => dropout(floats, { seed: 0.5, rate: 0.1 }), ValueError, /seed is 0.5/);
  await assertRejects(() => randomPermutation(gpu, 1.5, { seed: 0 }), ValueError, /count is 1.5/);
  await assertRejects(
    () => randomUniform(gpu, [4], { seed: 0, counter }),
    ShapeError,
    /counter has shape \[3\]/,
  );
  await assertRejects(
    () => randomUniform(gpu, [4], { seed: 0, counter: floats }),
    ShapeError,
    /"counter" is f32/,
  );
  await assertRejects(
    () => randomUniform(gpu, [4], { seed: 0, out: floats }),
    ShapeError,
    /out "y" has shape \[1\]/,
  );
  await assertRejects(() => advance(counter), ShapeError, /counter has shape \[3\]/);
  await assertRejects(() => dropoutGrad(floats, zeros(gpu, [1, 1])), ShapeError, /dy \[1\] and mask \[1,1\]/);
  assert.is(gpu.memory().tensors, tensors + 1);
});

random("all kernels have the same generator", () => {
  const generatorOf = (wgsl: string) => {
    const start = wgsl.indexOf("fn multiply_high");
    const end = wgsl.indexOf("}", wgsl.indexOf("fn counter_of", start));
    assert.ok(start >= 0 && end > start);
    return wgsl.slice(start, wgsl.indexOf("return vec4u(block", start));
  };
  for (const wgsl of [normalWgsl, choiceWgsl, keysWgsl, dropoutWgsl]) {
    assert.is(generatorOf(wgsl), generatorOf(uniformWgsl));
  }
});

random.run();
