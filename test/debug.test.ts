import { defineKernel, gridFor, sizeOf, type Tensor, tensor, ValueError } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertExact } from "./helpers/compare.js";
import { affine, counting, withGpu } from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";

const debugging = suite("debug mode");

const body = (expression: string) => `
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read> x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform> params: Params;
  @compute @workgroup_size(64)
  fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.x + id.y * groups.x * 64u;
    if (i < params.count) { y[i] = ${expression}; }
  }`;

function pointwise(name: string, expression: string) {
  const kernel = defineKernel({
    name,
    wgsl: body(expression),
    bindings: { x: "read", y: "write" },
    inPlace: { y: "x" },
    shape: ({ x }) => ({ y: x }),
    uniforms: ({ x }) => ({ count: sizeOf(x) }),
    grid: ({ x }, limits) => gridFor(sizeOf(x), 64, limits),
  });
  return (x: Tensor, out?: Tensor) => kernel.run({ x }, undefined, { out: { y: out } }).y;
}

const negate = pointwise("test_negate", "-x[i]");
const invert = pointwise("test_invert", "1.0 / x[i]");

const updateKernel = defineKernel({
  name: "test_update",
  wgsl: body("y[i] / x[i]"),
  bindings: { x: "read", y: "readWrite" },
  shape: () => ({}),
  uniforms: ({ x }) => ({ count: sizeOf(x) }),
  grid: ({ x }) => [sizeOf(x)],
});

debugging("the op whose result is not finite is named, with output and shape", async () => {
  await withGpu(
    async (gpu) => {
      assert.ok(gpu.debug);
      const x = tensor(gpu, [
        [4, 2],
        [1, 0],
      ]);
      const y = negate(invert(negate(x)));
      await assertRejects(
        () => y.data(),
        ValueError,
        /^debug: NaN or infinity in "y" of test_invert, shape \[2,2\]; look at what went into that op$/,
      );
      assertExact(await negate(x).data(), [-4, -2, -1, -0], "told once");
      const finite = negate(invert(negate(tensor(gpu, [1, 2]))));
      assertExact(await finite.data(), [1, 0.5]);
    },
    { debug: true },
  );
});

debugging("without debug mode nothing is scanned", async () => {
  await withGpu(async (gpu) => {
    assert.not(gpu.debug);
    const y = invert(tensor(gpu, [1, 0]));
    const before = gpu.stream.dispatches;
    await y.data();
    assert.is(gpu.stream.dispatches - before, 1);
  });
});

debugging("the first op in time is named, also when programs run again", async () => {
  await withGpu(
    async (gpu) => {
      const x = tensor(gpu, [1, 2]);
      const y = tensor(gpu, [1, 2]);
      const program = gpu.program(() => negate(y));
      await program.result.data();
      const named = invert(x);
      await named.data();
      x.write([0, 1]);
      invert(x, y); // recorded after the program, runs before it
      program.run();
      await assertRejects(() => program.result.data(), ValueError, /of test_invert/);
      program.run();
      await assertRejects(() => program.result.data(), ValueError, /of test_negate/);
      y.write([3, 4]);
      assertExact(await program.run().data(), [-3, -4]);
    },
    { debug: true },
  );
});

debugging(
  "tensors that are read and written are scanned, also in place, in programs and when large",
  async () => {
    await withGpu(
      async (gpu) => {
        const weights = tensor(gpu, [1, 2]);
        updateKernel.run({ x: tensor(gpu, [1, 0]), y: weights });
        await assertRejects(() => weights.data(), ValueError, /"y" of test_update/);
        const x = tensor(gpu, [1, 0]);
        invert(x, x);
        await assertRejects(() => x.data(), ValueError, /"y" of test_invert/);
        const count = 64 * gpu.limits.maxComputeWorkgroupsPerDimension + 3;
        const values = new Float32Array(count).fill(1);
        values[count - 1] = 0;
        const large = tensor(gpu, values);
        const program = gpu.program(() => invert(large));
        await assertRejects(() => program.result.data(), ValueError, /of test_invert, shape \[\d{5,}\]/);
        program.dispose();
      },
      { debug: true },
    );
  },
);

debugging("u32 results are not taken for floats", async () => {
  await withGpu(
    async (gpu) => {
      const x = tensor(gpu, counting(4, 0, 0x7f800000));
      assertExact(await affine(x, 1, 1).data(), counting(4, 0, 0x7f800001));
    },
    { debug: true },
  );
});

debugging("the scans leave no trace in memory() and work through thousands of ops", async () => {
  await withGpu(
    async (gpu) => {
      assert.equal([gpu.memory().tensors, gpu.memory().bytesUsed], [0, 0]);
      const x = tensor(gpu, [1, 2, 3]);
      for (let i = 0; i < 1500; i++) negate(x, x);
      assertExact(await x.data(), [1, 2, 3]);
      x.write([1, 0, 1]);
      negate(invert(x));
      await assertRejects(() => gpu.finish().then(() => x.data()), ValueError, /of test_invert/);
      assert.is(gpu.memory().tensors, 3);
    },
    { debug: true },
  );
});

debugging.run();
