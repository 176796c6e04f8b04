import {
  gaussianBlur,
  gaussianBlurGrad,
  resizeBilinear,
  resizeBilinearGrad,
  ShapeError,
  type Tensor,
  tensor,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { type Array64, absolute, array64, dot } from "./reference/array64.js";
import * as reference from "./reference/index.js";

const image = suite("image");

async function upload(x: Array64): Promise<Tensor> {
  return tensor(await sharedGpu(), x.data, x.shape);
}

image("resize: golden cases", async () => {
  for (const { name, params, inputs, outputs } of goldenCases("resize")) {
    const y = resizeBilinear(await upload(inputs.x), params.size);
    assertClose({ shape: y.shape, data: await y.data() }, outputs.y, { what: name });
    const dx = resizeBilinearGrad(await upload(inputs.dy), { inputShape: inputs.x.shape });
    assertClose({ shape: dx.shape, data: await dx.data() }, outputs.dx, { what: `${name} dx` });
  }
});

image("resize: random sizes up and down, and their gradients", async () => {
  const random = seededRandom(1);
  for (let i = 0; i < 20; i++) {
    const x = random.array([
      random.integer(1, 2),
      random.integer(1, 3),
      random.dimension(33),
      random.dimension(33),
    ]);
    const size = [random.dimension(65), random.dimension(65)] as const;
    const what = `[${x.shape}] to [${size}]`;
    const y = await resizeBilinear(await upload(x), size).data();
    const magnitude = reference.resizeBilinear(absolute(x), size).data;
    assertClose(y, reference.resizeBilinear(x, size).data, { what, absolute: magnitude });
    const dy = random.array([x.shape[0], x.shape[1], ...size]);
    const options = { inputShape: x.shape };
    const dx = await resizeBilinearGrad(await upload(dy), options).data();
    assertClose(dx, reference.resizeBilinearGrad(dy, options).data, {
      what: `${what}, dx`,
      absolute: reference.resizeBilinearGrad(absolute(dy), options).data,
    });
  }
});

image("resize: positions on long axes keep their digits", async () => {
  const random = seededRandom(2);
  const x = random.array([1, 1, 1, 9973]);
  const y = await resizeBilinear(await upload(x), [1, 7919]).data();
  assertClose(y, reference.resizeBilinear(x, [1, 7919]).data, { tolerance: 1e-6 });
  const dy = random.array([1, 1, 1, 7919]);
  const options = { inputShape: x.shape };
  const dx = await resizeBilinearGrad(await upload(dy), options).data();
  assertClose(dx, reference.resizeBilinearGrad(dy, options).data, { tolerance: 1e-6 });
});

image("resize: images without a batch; the gradient is the transpose", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(3);
  const x = random.array([5, 6]);
  const dy = random.array([9, 4]);
  const y = array64([9, 4], await resizeBilinear(await upload(x), [9, 4]).data());
  const dx = array64([5, 6], await resizeBilinearGrad(await upload(dy), { inputShape: [5, 6] }).data());
  assertClose([dot(x, dx)], [dot(y, dy)], { tolerance: 1e-5, absolute: [10] });
  const out = zeros(gpu, [9, 4]);
  assert.is(resizeBilinear(await upload(x), [9, 4], { out }), out);
  assertClose(await out.data(), y.data, { tolerance: 0 });
});

image("blur: golden cases", async () => {
  for (const { name, params, inputs, outputs } of goldenCases("gaussianBlur")) {
    const { sigma, kernelSize, border } = params;
    const y = gaussianBlur(await upload(inputs.x), { sigma, radius: (kernelSize - 1) / 2, border });
    assertClose({ shape: y.shape, data: await y.data() }, outputs.y, { what: name });
  }
});

image("blur: random sizes and borders, and their gradients", async () => {
  const random = seededRandom(4);
  for (let i = 0; i < 20; i++) {
    const radius = random.integer(0, 5);
    const side = () => radius + random.dimension(23);
    const x = random.array([random.integer(1, 2), random.integer(1, 2), side(), side()]);
    const border = random.pick(["reflect", "replicate", "zero"] as const);
    const sigma = 0.3 + 2 * random.uniform();
    const options = { sigma, radius, border };
    const expected = (image: Array64) =>
      reference.gaussianBlur(image, { sigma, border, kernelSize: 2 * radius + 1 });
    const what = `[${x.shape}], ${JSON.stringify(options)}`;
    const y = await gaussianBlur(await upload(x), options).data();
    assertClose(y, expected(x).data, { what, absolute: expected(absolute(x)).data });
    // The blur is linear: its gradient is fixed by <blur(x), dy> = <x, grad(dy)> for each of the unit images x, and
    // that of random ones stands for them.
    const dy = random.array(x.shape);
    const dx = array64(x.shape, await gaussianBlurGrad(await upload(dy), options).data());
    for (let k = 0; k < 5; k++) {
      const probe = random.array(x.shape, { low: 0 });
      assertClose([dot(probe, dx)], [dot(expected(probe), dy)], {
        what: `${what}, dx`,
        absolute: [100 * dot(expected(probe), absolute(dy))],
      });
    }
    if (i < 6) {
      const columns = Array.from(x.data, (_, at) => {
        const unit = array64(x.shape);
        unit.data[at] = 1;
        return unit;
      });
      const some = columns.filter((_, at) => at % 13 === 0 || at < 20);
      const gradient = some.map((unit) => dot(expected(unit), dy));
      const got = columns.map((_, at) => dx.data[at]).filter((_, at) => at % 13 === 0 || at < 20);
      assertClose(got, gradient, { what: `${what}, single pixels` });
    }
  }
});

image(
  "blur: the default radius is three sigma, larger radii than the image may repeat its edge",
  async () => {
    const random = seededRandom(5);
    const x = random.array([1, 2, 11, 12]);
    const input = await upload(x);
    assertClose(
      await gaussianBlur(input, { sigma: 1.4 }).data(),
      reference.gaussianBlur(x, { sigma: 1.4 }).data,
    );
    const wide = { sigma: 9, border: "replicate" } as const;
    assertClose(await gaussianBlur(input, wide).data(), reference.gaussianBlur(x, wide).data);
    const ones = array64(
      x.shape,
      x.data.map(() => 1),
    );
    const still = await gaussianBlur(await upload(ones), wide).data();
    assertClose(still, ones.data);
    const dx = array64(x.shape, await gaussianBlurGrad(input, wide).data());
    assertClose([dot(ones, dx)], [dot(ones, x)], { absolute: [100] });
  },
);

image("nothing is kept but the result", async () => {
  const gpu = await sharedGpu();
  const x = zeros(gpu, [1, 1, 8, 8]);
  const { tensors } = gpu.memory();
  const results = [
    resizeBilinear(x, [4, 4]),
    resizeBilinearGrad(x, { inputShape: [1, 1, 4, 4] }),
    gaussianBlur(x, { sigma: 1 }),
    gaussianBlurGrad(x, { sigma: 1 }),
  ];
  assert.is(gpu.memory().tensors, tensors + results.length);
});

image("wrong arguments are refused", async () => {
  const gpu = await sharedGpu();
  const x = zeros(gpu, [1, 1, 4, 5]);
  await assertRejects(() => resizeBilinear(zeros(gpu, [4]), [2, 2]), ShapeError, /x has shape \[4\]/);
  await assertRejects(() => resizeBilinear(x, [0, 2]), ShapeError, /size is \[0,2\]/);
  await assertRejects(() => resizeBilinear(x, [4, 5], { out: x }), ShapeError, /shares its buffer with "x"/);
  const elsewhere = { inputShape: [1, 2, 4, 5] };
  await assertRejects(
    () => resizeBilinearGrad(x, elsewhere),
    ShapeError,
    /must be equal before height and width/,
  );
  await assertRejects(
    () => resizeBilinearGrad(x, { inputShape: x.shape, out: x }),
    ShapeError,
    /shares its buffer with dy/,
  );
  await assertRejects(() => gaussianBlur(x, { sigma: 0 }), ValueError, /sigma is 0/);
  await assertRejects(() => gaussianBlur(x, { sigma: 1, radius: 1.5 }), ValueError, /radius is 1.5/);
  await assertRejects(() => gaussianBlur(x, { sigma: 2 }), ShapeError, /mirrored over a radius of 6/);
  await assertRejects(
    () => gaussianBlur(x, { sigma: 1, border: "wrap" as "zero" }),
    ValueError,
    /border is "wrap"/,
  );
  await assertRejects(() => gaussianBlur(x, { sigma: 1, out: x }), ShapeError, /shares its buffer with x/);
});

image.run();
