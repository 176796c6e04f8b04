import {
  ACTIVATION_KEEPS,
  type ActivationName,
  activate,
  activationGrad,
  conv2d,
  gelu,
  geluGrad,
  leakyRelu,
  leakyReluGrad,
  matmul,
  relu,
  reluGrad,
  ShapeError,
  sigmoid,
  sigmoidGrad,
  silu,
  siluGrad,
  tanh,
  tanhGrad,
  type Tensor,
  tensor,
  ValueError,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import * as reference from "./reference/activations.js";
import { array64 } from "./reference/array64.js";

const activations = suite("activations");

const NAMES = Object.keys(ACTIVATION_KEEPS) as ActivationName[];

const forward: Record<ActivationName, (x: Tensor, options?: { slope?: number; out?: Tensor }) => Tensor> = {
  relu,
  leakyRelu,
  tanh,
  sigmoid,
  gelu,
  silu,
};

const backward: Record<
  ActivationName,
  (dy: Tensor, kept: Tensor, options?: { slope?: number; out?: Tensor }) => Tensor
> = {
  relu: reluGrad,
  leakyRelu: leakyReluGrad,
  tanh: tanhGrad,
  sigmoid: sigmoidGrad,
  gelu: geluGrad,
  silu: siluGrad,
};

/** What the gradient takes: the output or the input. */
function kept(name: ActivationName, x: Tensor, y: Tensor): Tensor {
  return ACTIVATION_KEEPS[name] === "output" ? y : x;
}

for (const { name, params, inputs, outputs } of goldenCases("activations")) {
  activations(`${name} and its gradient agree with PyTorch`, async () => {
    const gpu = await sharedGpu();
    const [x, dy] = [upload(gpu, inputs.x), upload(gpu, inputs.dy)];
    const y = forward[name as ActivationName](x, params);
    assertClose(await download(y), outputs.y);
    const dx = backward[name as ActivationName](dy, kept(name as ActivationName, x, y), params);
    assertClose(await download(dx), outputs.dx);
  });
}

for (const name of NAMES) {
  activations(`${name} and its gradient agree with the reference, in place as well`, async () => {
    const gpu = await sharedGpu();
    const random = seededRandom(name.length);
    for (const shape of [random.shape(3, 9), [3, 20]]) {
      const x = random.array(shape, { low: -6, high: 6 });
      const dy = random.array(shape);
      const expected = reference.activate(x, name, { slope: 0.3 });
      const expectedGrad = reference.activateGrad(x, dy, name, { slope: 0.3 });
      const input = upload(gpu, x);
      const y = activate(input, name, { slope: 0.3 });
      const dx = activationGrad(upload(gpu, dy), kept(name, input, y), name, { slope: 0.3 });
      assertClose(await download(y), expected);
      assertClose(await download(dx), expectedGrad);

      const above = upload(gpu, dy);
      assert.is(activationGrad(above, kept(name, input, y), name, { slope: 0.3, out: above }), above);
      assertExact(await download(above), await download(dx));
      assert.is(activate(input, name, { slope: 0.3, out: input }), input);
      assertExact(await download(input), await download(y));
    }
  });

  activations(`${name} and its gradient are finite far from 0`, async () => {
    const gpu = await sharedGpu();
    const values = [-3e38, -1e4, -104, -88, 88, 104, 1e4, 3e38].map(Math.fround);
    const x = tensor(gpu, values);
    const y = activate(x, name);
    const dx = activationGrad(
      tensor(
        gpu,
        values.map(() => 1),
      ),
      kept(name, x, y),
      name,
    );
    const expected = reference.activate(array64([8], values), name);
    const ones = array64(
      [8],
      values.map(() => 1),
    );
    const expectedGrad = reference.activateGrad(array64([8], values), ones, name);
    const [got, gotGrad] = [await y.data(), await dx.data()];
    for (let i = 0; i < values.length; i++) {
      assert.ok(
        Math.abs(got[i] - expected.data[i]) <= 1e-6 * Math.abs(expected.data[i]) + 1e-30,
        `y(${values[i]}): ${got[i]}`,
      );
      assert.ok(Math.abs(gotGrad[i] - expectedGrad.data[i]) <= 1e-6, `dx(${values[i]}): ${gotGrad[i]}`);
    }
  });
}

activations(
  "each element of gelu, silu, tanh and sigmoid has its own digits right, near 0 and in the tails",
  async () => {
    const gpu = await sharedGpu();
    const values = [1e-30, 1e-8, 3e-4, 0.01, 0.3, 0.649, 0.651, 1, 2.5, 4, 7].flatMap((v) => [v, -v]);
    const x = array64([values.length], values.map(Math.fround));
    for (const name of ["gelu", "silu", "tanh", "sigmoid"] as const) {
      const got = await activate(upload(gpu, x), name).data();
      // The reference takes 1 - erf in the lower tail; what that loses there stays within the bound.
      const expected = reference.activate(x, name).data;
      for (let i = 0; i < values.length; i++) {
        const error = Math.abs(got[i] - expected[i]);
        assert.ok(
          error <= 2e-6 * Math.abs(expected[i]) + 1e-15,
          `${name}(${values[i]}): ${got[i]}, expected ${expected[i]}`,
        );
      }
    }
  },
);

activations("relu's gradient at 0 is 0, leaky relu's the slope", async () => {
  const gpu = await sharedGpu();
  const [dy, y] = [tensor(gpu, [1, 1, 1]), tensor(gpu, [-0, 0, 1e-37])];
  assertExact(await reluGrad(dy, y).data(), [0, 0, 1]);
  assertExact(await leakyReluGrad(dy, y, { slope: 0.5 }).data(), [0.5, 0.5, 1]);
  assertExact(await leakyRelu(tensor(gpu, [-4, 0, 2]), { slope: 0 }).data(), [0, 0, 2]);
});

activations("wrong arguments are named", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, [1, 2, 3, 4]);
  await assertRejects(() => leakyRelu(x, { slope: -1 }), ValueError, /leakyRelu: slope is -1/);
  await assertRejects(
    () => activate(x, "swish" as "silu"),
    ValueError,
    /activate: no activation is named "swish"/,
  );
  await assertRejects(
    () => reluGrad(x, tensor(gpu, [1, 2])),
    ShapeError,
    /activation_grad\(relu\): "kept" has shape \[2\] and "dy" has \[4\]/,
  );
  await assertRejects(() => tanhGrad(x, x, { out: x }), ShapeError, /shares its buffer/);
  const y = tanh(x);
  await assertRejects(() => tanhGrad(x, y, { out: y }), ShapeError, /shares its buffer with "kept"/);
});

activations("NaN goes through, so that a network that diverged does not look healthy", async () => {
  const gpu = await sharedGpu();
  const bad = [Number.NaN, 1, Number.NaN, -1, Number.NaN];
  const x = tensor(gpu, Float32Array.from(bad), { checkFinite: false });
  for (const name of NAMES) {
    if (name === "tanh") continue; // Its clamp drops a NaN on some drivers.
    const y = await activate(x, name).data();
    assert.equal([...y].map(Number.isNaN), bad.map(Number.isNaN), name);
  }
  const [row, column] = [tensor(gpu, [[Number.NaN]], { checkFinite: false }), tensor(gpu, [[1, 2, 3]])];
  const image = row.reshape([1, 1, 1, 1]);
  const filter = tensor(gpu, [[[[2]]]]);
  for (const activation of ["relu", "leakyRelu"] as const) {
    assert.ok(
      (await matmul(row, column, { activation }).data()).every(Number.isNaN),
      `matmul, ${activation}`,
    );
    assert.ok(
      (await conv2d(image, filter, { activation }).data()).every(Number.isNaN),
      `conv2d, ${activation}`,
    );
  }
});

activations.run();
