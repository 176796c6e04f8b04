import { tensor, ValueError, ShapeError } from "handgrad";
import { visualize } from "handgrad/explain";
import { activation, buildModel, conv2d, dense, globalAvgPool2d } from "handgrad/layers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Parametrization, realWaves } from "../src/explain/parametrization.js";
import { warp, warpGrad } from "../src/explain/warp.js";
import { assertClose } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";

const visual = suite("explain: visualization");

visual("waves are an orthonormal basis, of rising frequency", () => {
  for (const size of [1, 2, 5, 8, 13]) {
    const basis = realWaves(size);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        let dot = 0;
        for (let k = 0; k < size; k++) dot += basis[i * size + k] * basis[j * size + k];
        assert.ok(Math.abs(dot - Number(i === j)) <= 1e-6, `${size}: ${i} · ${j} = ${dot}`);
      }
    }
  }
});

for (const kind of ["fourier", "pixels"] as const) {
  for (const channels of [1, 3]) {
    visual(`${kind}, ${channels} channels: the way back is the transpose of the way there`, async () => {
      const gpu = await sharedGpu();
      const random = seededRandom(4);
      const shape = [2, channels, 5, 6];
      const made = new Parametrization(gpu, shape, { kind, decorrelate: true, range: [-1, 2] });
      const draw = () => Float32Array.from(random.array(shape).data);
      const [at, step, dy] = [draw(), draw(), draw()];
      const h = 1 / 64;
      const images = await Promise.all(
        [h, -h].map(async (share) => {
          const x = tensor(
            gpu,
            at.map((value, i) => value + share * step[i]),
            shape,
          );
          const { image } = gpu.scope(() => made.forward(x));
          const values = await image.data();
          x.dispose();
          image.dispose();
          return values;
        }),
      );
      const x = tensor(gpu, at, shape);
      const out = tensor(gpu, dy, shape);
      const { dx, image } = gpu.scope(() => {
        const { image, share } = made.forward(x);
        return { dx: made.backward(out, share), image };
      });
      const gradient = Float32Array.from(await dx.data());
      const along = gradient.reduce((sum, value, i) => sum + value * step[i], 0);
      const change = dy.reduce((sum, value, i) => sum + (value * (images[0][i] - images[1][i])) / (2 * h), 0);
      assert.ok(
        Math.abs(along - change) <= 1e-3 * Math.max(1, Math.abs(change)),
        `${along} against ${change}`,
      );
      assert.ok((await image.data()).every((value) => value > -1 && value < 2));
      for (const held of [x, out, dx, image, made]) held.dispose();
    });
  }
}

visual("warps against bilinear sampling, and their gradient is the transpose", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(12);
  const [count, channels, height, width] = [3, 2, 7, 5];
  const shape = [count, channels, height, width];
  const values = Float32Array.from(random.array(shape).data);
  const turn = (degrees: number, scale: number, dx: number, dy: number): number[] => {
    const [c, s] = [Math.cos((degrees * Math.PI) / 180) / scale, Math.sin((degrees * Math.PI) / 180) / scale];
    return [c, -s, dx, s, c, dy];
  };
  const moves = [turn(0, 1, 0, 0), turn(20, 1.2, 0.7, -1.3), turn(-75, 0.8, 2.5, 0.25)];
  const transforms = tensor(gpu, Float32Array.from(moves.flat()), [count, 6]);
  const x = tensor(gpu, values, shape);
  const y = warp(x, transforms, 0.5);
  const wanted = values.map((_, i) => {
    const [n, plane] = [Math.floor(i / (channels * height * width)), Math.floor(i / (height * width))];
    const [row, column] = [Math.floor((i % (height * width)) / width), i % width];
    const [a, b, tx, c, d, ty] = moves[n];
    const [qx, qy] = [column - (width - 1) / 2, row - (height - 1) / 2];
    const [px, py] = [a * qx + b * qy + (width - 1) / 2 + tx, c * qx + d * qy + (height - 1) / 2 + ty];
    let sum = 0.5;
    for (let r = 0; r < height; r++)
      for (let k = 0; k < width; k++)
        sum +=
          Math.max(0, 1 - Math.abs(px - k)) *
          Math.max(0, 1 - Math.abs(py - r)) *
          (values[plane * height * width + r * width + k] - 0.5);
    return sum;
  });
  assertClose(await y.data(), wanted);
  assertClose((await y.data()).slice(0, 70), values.slice(0, 70), { what: "no move" });
  const back = Float32Array.from(random.array(shape).data);
  const dy = tensor(gpu, back, shape);
  const dx = warpGrad(dy, transforms);
  // <dy, W x> = <Wᵀ dy, x>, image by image, W the warp without fill.
  const plain = warp(x, transforms, 0);
  const [there, here] = [await plain.data(), await dx.data()];
  const size = channels * height * width;
  for (let n = 0; n < count; n++) {
    let [left, right] = [0, 0];
    for (let i = n * size; i < (n + 1) * size; i++) {
      left += back[i] * there[i];
      right += here[i] * values[i];
    }
    assert.ok(Math.abs(left - right) <= 1e-4, `${left} against ${right}`);
  }
  for (const held of [transforms, x, y, dy, dx, plain]) held.dispose();
});

visual(
  "a class, a layer, a channel and a neuron are raised; same seed, same image; nothing is left",
  async () => {
    const gpu = await sharedGpu();
    const model = buildModel(
      gpu,
      [conv2d(1, 6, 3, { padding: 1 }), activation("relu"), conv2d(6, 4, 3), globalAvgPool2d(), dense(4, 3)],
      { seed: 5 },
    );
    const shape = [1, 10, 10];
    const before = gpu.memory().tensors;
    const logitOf = async (images: Awaited<ReturnType<typeof visualize>>): Promise<number> => {
      const { y } = gpu.scope(() => ({ y: model.forward(images).y }));
      const values = await y.data();
      y.dispose();
      images.dispose();
      return values[1];
    };
    const told: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }) => told.push(done / total);
    const options = { shape, target: 1, seed: 3, transforms: false } as const;
    const [start, end] = [
      await logitOf(await visualize(model, { ...options, steps: 1 })),
      await logitOf(await visualize(model, { ...options, steps: 40, onProgress })),
    ];
    assert.ok(end > start + 0.01, `${start} to ${end}`);
    assert.is(told.at(-1), 1);
    for (const other of [
      { layer: 1 },
      { layer: "2", channel: 3 },
      { layer: 0, channel: 2, neuron: [4, 5] as const, parametrization: "pixels" as const },
    ]) {
      const [a, b] = await Promise.all(
        [0, 1].map(async () => {
          const images = await visualize(model, { shape, steps: 6, count: 2, seed: 8, ...other });
          const values = await images.data();
          images.dispose();
          return values;
        }),
      );
      assert.equal(a, b);
      assert.ok(a.every((value) => value > 0 && value < 1));
    }
    assert.is(gpu.memory().tensors, before);
    for (const [wrong, message] of [
      [{}, /both given or both missing/],
      [{ target: 1, layer: 2 }, /both given or both missing/],
      [{ target: 3 }, /target is 3.*0 to 2/],
      [{ layer: 9 }, /layer "9" does not exist/],
      [{ layer: 0, channel: 6 }, /channel is 6.*0 to 5/],
      [{ layer: 0, channel: 0, neuron: [10, 0] }, /neuron is \[10,0\]/],
      [{ target: 0, range: [1, 0] }, /range is/],
      [{ target: 0, steps: 0 }, /steps is 0/],
    ] as const)
      await assertRejects(() => visualize(model, { shape, ...wrong } as never), ValueError, message);
    await assertRejects(
      () => visualize(model, { shape: [10, 10], target: 0 }),
      ShapeError,
      /shape is \[10,10\]/,
    );
    model.dispose();
  },
);

visual.run();
