import {
  logSoftmax,
  logSoftmaxGrad,
  type SoftmaxOptions,
  ShapeError,
  softmax,
  softmaxGrad,
  type Tensor,
  tensor,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { absolute, type Array64, array64, map } from "./reference/array64.js";
import * as reference from "./reference/losses.js";

const softmaxes = suite("softmax");

interface Form {
  forward: (x: Tensor, options?: SoftmaxOptions) => Tensor;
  grad: (dy: Tensor, y: Tensor, options?: SoftmaxOptions) => Tensor;
  expected: (x: Array64, options: { axis?: number }) => Array64;
  expectedGrad: (y: Array64, dy: Array64, options: { axis?: number }) => Array64;
}

const FORMS: Record<string, Form> = {
  softmax: {
    forward: softmax,
    grad: softmaxGrad,
    expected: reference.softmax,
    expectedGrad: reference.softmaxGrad,
  },
  logSoftmax: {
    forward: logSoftmax,
    grad: logSoftmaxGrad,
    expected: reference.logSoftmax,
    expectedGrad: reference.logSoftmaxGrad,
  },
};

softmaxes("both forms and their gradients agree with PyTorch along any axis", async () => {
  const gpu = await sharedGpu();
  for (const { params, inputs, outputs } of goldenCases("softmaxAxes")) {
    const [x, dy] = [upload(gpu, inputs.x), upload(gpu, inputs.dy)];
    const [y, logY] = [softmax(x, params), logSoftmax(x, params)];
    assertClose(await download(y), outputs.softmax);
    assertClose(await download(logY), outputs.logSoftmax);
    assertClose(await download(softmaxGrad(dy, y, params)), outputs.softmaxGrad);
    assertClose(await download(logSoftmaxGrad(dy, logY, params)), outputs.logSoftmaxGrad);
  }
});

for (const [name, { forward, grad, expected, expectedGrad }] of Object.entries(FORMS)) {
  softmaxes(`${name} and its gradient agree with the reference, short lines and long ones`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(name.length);
    const shapes = [random.shape(2, 65), random.shape(4, 7), [3, 2500], [2, 2100, 3]];
    for (const shape of shapes) {
      const axis = shape.length > 2 ? random.pick([1, -2]) : -1;
      const x = random.array(shape, { low: -9, high: 9 });
      const dy = random.array(shape);
      const y = forward(upload(gpu, x), { axis });
      assertClose(await download(y), expected(x, { axis }), { what: `[${shape}]` });
      const sizes = expectedGrad(
        map(expected(x, { axis }), (v) => v),
        absolute(dy),
        { axis },
      );
      const dx = await download(grad(upload(gpu, dy), y, { axis }));
      assertClose(dx, expectedGrad(expected(x, { axis }), dy, { axis }), {
        absolute: sizes,
        what: `[${shape}]`,
      });
    }
  });

  softmaxes(`${name} goes in place, and its gradient over dy but not over y`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(4);
    for (const shape of [
      [5, 7],
      [2, 2060],
    ]) {
      const [x, dy] = [upload(gpu, random.array(shape)), upload(gpu, random.array(shape))];
      const y = forward(x);
      const dx = await download(grad(dy, y));
      await assertRejects(() => grad(dy, y, { out: y }), ShapeError, /shares its buffer with "?y/);
      assert.is(grad(dy, y, { out: dy }), dy);
      assertExact(await download(dy), dx);
      const kept = await download(y);
      assert.is(forward(x, { out: x }), x);
      assertExact(await download(x), kept);
    }
  });
}

softmaxes("finite and right at logits of ±10,000, and among equals", async () => {
  const gpu = await sharedGpu();
  const x = array64([4, 3], [1e4, -1e4, 0, -1e4, -1e4, -1e4, 1e4, 1e4, -1e4, 30, 0, -30]);
  const input = upload(gpu, x);
  const [y, logY] = [softmax(input), logSoftmax(input)];
  assertClose(await download(y), reference.softmax(x));
  assertClose(await download(logY), reference.logSoftmax(x));
  // Of 1 + e^-30 + e^-60 the logarithm is e^-30, which 1 + e^-30 does not show.
  const last = (await logY.data())[9];
  assert.ok(Math.abs(last + Math.exp(-30)) <= 1e-5 * Math.exp(-30), `${last}`);
  const dy = tensor(gpu, new Float32Array(12).fill(1), [4, 3]);
  for (const dx of [softmaxGrad(dy, y), logSoftmaxGrad(dy, logY)]) {
    assert.ok((await dx.data()).every((v) => Math.abs(v) < 3.1));
  }
});

softmaxes("wrong arguments are named", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, [
    [1, 2],
    [3, 4],
  ]);
  await assertRejects(
    () => softmax(x, { axis: 2 }),
    ShapeError,
    /softmax: axis 2 does not exist in shape \[2,2\]/,
  );
  await assertRejects(
    () => logSoftmaxGrad(x, tensor(gpu, [1, 2])),
    ShapeError,
    /logSoftmaxGrad: dy has shape \[2,2\] and y has \[2\]/,
  );
  assert.equal(softmax(tensor(gpu, new Float32Array(0), [0, 3])).shape, [0, 3]);
});

softmaxes.run();
