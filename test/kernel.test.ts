import {
  DisposedError,
  defineKernel,
  empty,
  fromBuffer,
  gridFor,
  KernelError,
  type KernelRecord,
  LimitError,
  openGpu,
  ShapeError,
  sizeOf,
  tensor,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertExact } from "./helpers/compare.js";
import {
  accumulateKernel,
  affine,
  affineKernel,
  affineOf,
  combine,
  combineKernel,
  counting,
  spy,
  withGpu,
} from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";

const kernels = suite("kernels");

/** The record of `KernelRecord`'s example, with what a test changes. */
function record(changes: Partial<KernelRecord> = {}): KernelRecord {
  return {
    name: "test_small",
    wgsl: `
      @group(0) @binding(0) var<storage, read> x: array<f32>;
      @group(0) @binding(1) var<storage, read_write> y: array<f32>;
      @compute @workgroup_size(64)
      fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
        let i = id.x + id.y * groups.x * 64;
        if (i < arrayLength(&x)) { y[i] = 2 * x[i]; }
      }`,
    bindings: { x: "read", y: "write" },
    shape: ({ x }) => ({ y: x }),
    grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
    ...changes,
  };
}

kernels("a user's record makes a kernel that runs", async () => {
  const gpu = await sharedGpu();
  const double = gpu.kernel(record());
  const x = tensor(gpu, [
    [1, 2],
    [3, 4],
  ]);
  const { y } = double.run({ x });
  assert.equal(y.shape, [2, 2]);
  assertExact(await y.data(), [2, 4, 6, 8]);
  for (const t of [x, y]) t.dispose();
});

kernels("a record that does not fit its WGSL is refused when the kernel is made", async () => {
  const gpu = await sharedGpu();
  const typed = (type: string) => record().wgsl.replace("x: array<f32>", `x: ${type}`);
  const uniform = (struct: string, declared = "Params") =>
    `${struct}\n@group(0) @binding(2) var<uniform> params: ${declared};\n${record().wgsl}`;
  const wrong: [RegExp, Partial<KernelRecord>][] = [
    [/bindings are \[y\].*declares \[x, y\]/, { bindings: { y: "write" } }],
    [/bindings are \[x, z\].*declares \[x, y\]/, { bindings: { x: "read", z: "write" } }],
    [/bindings are \[y, x\].*same order/, { bindings: { y: "write", x: "read" } }],
    [/bindings are \[x, y, z\]/, { bindings: { x: "read", y: "write", z: "optional" } }],
    [/"x" is "write" in the record and "read" in the WGSL/, { bindings: { x: "write", y: "write" } }],
    [/"y" is "read" in the record and "read_write"/, { bindings: { x: "read", y: "read" } }],
    [/"y" is "optional" in the record/, { bindings: { x: "read", y: "optional" } }],
    [/declares \[\]/, { wgsl: "@compute @workgroup_size(1) fn main() {}" }],
    [/binding "x" is array<i32>, and an array of f32, u32/, { wgsl: typed("array<i32>") }],
    [/binding "x" is array<f16>/, { wgsl: typed("array<f16>") }],
    [/binding "x" is array<Pair>/, { wgsl: `struct Pair { a: f32, b: f32 } ${typed("array<Pair>")}` }],
    [/takesF16 has "y", and the name of a "read" or "optional" binding/, { takesF16: ["y"] }],
    [/takesF16 has "z"/, { takesF16: ["z"] }],
    [/inPlace has \{ z: "x" \}/, { inPlace: { z: "x" } }],
    [/inPlace has \{ y: "y" \}/, { inPlace: { y: "y" } }],
    [/must be a struct/, { wgsl: uniform("", "u32") }],
    [/uniform field "v: vec3f" must be/, { wgsl: uniform("struct Params { n: u32, v: vec3f }") }],
    [
      /takes 272 bytes, and at most 256/,
      { wgsl: uniform(`struct Params { ${Array.from({ length: 17 }, (_, i) => `v${i}: vec4u`)} }`) },
    ],
  ];
  for (const [message, changes] of wrong) {
    await assertRejects(() => gpu.kernel(record(changes)), KernelError, message);
    await assertRejects(() => defineKernel(record(changes)), KernelError, /kernel test_small/);
  }
});

kernels("inputs are checked: missing, misnamed, disposed, of another dtype or gpu", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(8));
  const f = tensor(gpu, [1, 2]);
  const gone = tensor(gpu, counting(8));
  gone.dispose();
  const other = await openGpu({ device: gpu.device });
  const foreign = tensor(other, counting(8));
  const start = gpu.memory().tensors;
  await assertRejects(() => combineKernel.run({ a: x }), ShapeError, /input "b" is missing/);
  await assertRejects(() => combineKernel.run({ a: x, b: undefined }), ShapeError, /input "b" is missing/);
  await assertRejects(
    () => combineKernel.run({ a: x, b: x, biass: x }),
    ShapeError,
    /"biass" is not an input; the inputs are "a", "b", "bias"/,
  );
  await assertRejects(() => combineKernel.run({ a: x, b: x, y: x }), ShapeError, /"y" is not an input/);
  await assertRejects(
    () => combineKernel.run({ a: x, b: x, constructor: x } as never),
    ShapeError,
    /"constructor" is not/,
  );
  await assertRejects(() => combine(x, x, gone), DisposedError, /"bias" was disposed/);
  await assertRejects(() => combine(gone, x), DisposedError, /"a" was disposed/);
  await assertRejects(
    () => combine(x, f),
    ShapeError,
    /"b" is f32, and u32 is taken; make it with \{ dtype: "u32" \}/,
  );
  await assertRejects(() => combine(x, foreign), ShapeError, /"b" lives on another gpu/);
  await assertRejects(() => combine(x, x, undefined, foreign), ShapeError, /"out.y" lives on another gpu/);
  await assertRejects(() => combineKernel.run({}), ShapeError, /without inputs needs "out"/);
  assert.is(gpu.memory().tensors, start);
  other.dispose();
  for (const t of [x, f]) t.dispose();
});

kernels("out is checked: name, shape, dtype, and what it shares", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(8));
  const out = empty(gpu, [8], { dtype: "u32" });
  assert.is(affine(x, 2, 1, out), out);
  assertExact(await out.data(), affineOf(counting(8), 2, 1));
  const wrong = [empty(gpu, [7], { dtype: "u32" }), empty(gpu, [2, 4], { dtype: "u32" }), empty(gpu, [8])];
  await assertRejects(
    () => affine(x, 1, 1, wrong[0]),
    ShapeError,
    /out "y" has shape \[7\], and the result has \[8\]/,
  );
  await assertRejects(() => affine(x, 1, 1, wrong[1]), ShapeError, /has shape \[2,4\]/);
  await assertRejects(() => affine(x, 1, 1, wrong[2]), ShapeError, /"out.y" is f32/);
  const misnamed = () => affineKernel.run({ x }, { factor: 1, offset: 0 }, { out: { z: out } });
  await assertRejects(misnamed, ShapeError, /out "z" is not an output; the outputs are "y"/);
  const readWrite = () => accumulateKernel.run({ x, total: out }, undefined, { out: { total: out } });
  await assertRejects(readWrite, ShapeError, /the outputs are none/);
  for (const t of [x, out, ...wrong]) t.dispose();
});

kernels("out may be an input only where the kernel declares it, under whatever view", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(12));
  const z = tensor(gpu, counting(12, 5));
  assert.is(affine(x, 3, 1, x), x);
  const view = x.reshape([3, 4]);
  affine(x.reshape([12]), 2, 0, x);
  assertExact(await view.data(), affineOf(counting(12), 6, 2), "in place, twice");
  const alias = (message: RegExp, run: () => unknown) => assertRejects(run, ShapeError, message);
  await alias(/"y" is written and shares its buffer with "a"/, () => combine(x, z, undefined, x));
  await alias(/shares its buffer with "b"/, () => combine(z, x, undefined, x));
  await alias(/shares its buffer with "bias"/, () => combine(z, z, x, x));
  await alias(/shares its buffer with "a"/, () => combine(x.reshape([12]), z, undefined, x));
  await alias(/"total" is written and shares its buffer with "x"/, () =>
    accumulateKernel.run({ x, total: x }),
  );
  await alias(/"total" is written/, () => accumulateKernel.run({ x: view.reshape([12]), total: x }));
  const both = defineKernel({
    name: "test_two_outputs",
    wgsl: `
      @group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> y: array<u32>;
      @group(0) @binding(2) var<storage, read_write> z: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < arrayLength(&y)) { y[id.x] = x[id.x]; z[id.x] = x[id.x]; }
      }`,
    bindings: { x: "read", y: "write", z: "write" },
    shape: ({ x }) => ({ y: x, z: x }),
    grid: () => [1],
  });
  const out = empty(gpu, [12], { dtype: "u32" });
  await alias(/shares its buffer/, () => both.run({ x }, undefined, { out: { y: out, z: out } }));
  await alias(/shares its buffer/, () =>
    both.run({ x }, undefined, { out: { y: out, z: out.reshape([12]) } }),
  );
  assertExact(await combine(z, z, z).data(), affineOf(counting(12, 5), 5, 0), "inputs may share");
});

kernels("two tensors of one foreign buffer are known to share it", async () => {
  const gpu = await sharedGpu();
  const buffer = gpu.device.createBuffer({ size: 64, usage: 0x0080 | 0x0004 | 0x0008 });
  const a = fromBuffer(gpu, buffer, [16], { dtype: "u32" });
  const b = fromBuffer(gpu, buffer, [16], { dtype: "u32" });
  const half = fromBuffer(gpu, buffer, [8], { dtype: "u32" });
  a.write(counting(16));
  const y = affine(a, 2, 0);
  b.write(counting(16, 9)); // must not overtake the op on `a`
  assertExact(await y.data(), counting(16, 2));
  await assertRejects(() => combine(a, y, undefined, b), ShapeError, /shares its buffer/);
  affine(a, 1, 1, b);
  assertExact(await a.data(), affineOf(counting(16, 9), 1, 1));
  for (const t of [a, b]) t.dispose();
  assertExact(await half.data(), affineOf(counting(8, 9), 1, 1));
  for (const t of [half, y]) t.dispose();
  buffer.destroy();
});

kernels("in place needs tensors of one size, which views of a foreign buffer may not have", async () => {
  const gpu = await sharedGpu();
  const buffer = gpu.device.createBuffer({ size: 64, usage: 0x0080 | 0x0004 | 0x0008 });
  const half = fromBuffer(gpu, buffer, [8]);
  const whole = fromBuffer(gpu, buffer, [16]);
  const twice = gpu.kernel(record({ inPlace: { y: "x" }, shape: () => ({ y: [16] }) }));
  const run = () => twice.run({ x: half }, undefined, { out: { y: whole } });
  await assertRejects(run, ShapeError, /"y" is written and shares its buffer with "x"/);
  for (const t of [half, whole]) t.dispose();
  buffer.destroy();
});

kernels("optional inputs switch their flag", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(9));
  const bias = tensor(gpu, counting(9, 100));
  const [without, given] = [combine(x, x), combine(x, x, bias)];
  assertExact(await without.data(), counting(9, 4));
  assertExact(await given.data(), counting(9, 104));
  for (const t of [x, bias, without, given]) t.dispose();
});

kernels("uniforms are checked field by field, and all types arrive", async () => {
  const gpu = await sharedGpu();
  type Fields = Record<string, unknown>;
  const show = defineKernel<Fields>({
    name: "test_uniforms",
    wgsl: `
      struct Params {
        small: u32, // a comment, with a comma
        signed: i32,
        v: vec4u,
        real: f32,
        w: vec4<u32>,
      }
      @group(0) @binding(0) var<storage, read_write> y: array<f32>;
      @group(0) @binding(1) var<uniform> params: Params;
      @compute @workgroup_size(1) fn main() {
        y[0] = f32(params.small);
        y[1] = f32(params.signed);
        for (var i = 0u; i < 4u; i++) { y[2u + i] = f32(params.v[i]); y[7u + i] = f32(params.w[i]); }
        y[6] = params.real;
      }`,
    bindings: { y: "write" },
    shape: () => ({ y: [11] }),
    uniforms: (_shapes, fields) => fields as never,
    grid: () => [1],
  });
  const out = zeros(gpu, [11]);
  const good = { small: 4294967295, signed: -7, v: [1, 2, 3, 4], real: -0.1, w: [5, 6, 7, 8] };
  const run = (changes: Fields) => show.run({}, { ...good, ...changes }, { out: { y: out } }).y;
  const expected = [2 ** 32, -7, 1, 2, 3, 4, Math.fround(-0.1), 5, 6, 7, 8];
  assertExact(await run({}).data(), expected);
  assert.is((await run({ real: Number.POSITIVE_INFINITY }).data())[6], Number.POSITIVE_INFINITY);
  const wrong: [RegExp, Fields][] = [
    [/"small" got undefined, and a whole number from 0/, { small: undefined }],
    [/"small" got -1/, { small: -1 }],
    [/"small" got 1.5/, { small: 1.5 }],
    [/"small" got 4294967296/, { small: 2 ** 32 }],
    [/"small" got true/, { small: true }],
    [/"signed" got 2147483648/, { signed: 2 ** 31 }],
    [/"real" got NaN/, { real: Number.NaN }],
    [/"real" got 1e\+39, and a float32/, { real: 1e39 }],
    [/"real" got undefined/, { real: undefined }],
    [/"v" got 3, and four numbers/, { v: 3 }],
    [/"v" got 1,2,3, and four numbers/, { v: [1, 2, 3] }],
    [/"v\[2\]" got -3/, { v: [1, 2, -3, 4] }],
  ];
  for (const [message, changes] of wrong) await assertRejects(() => run(changes), ValueError, message);
  out.dispose();
});

kernels("a kernel without inputs takes its device from out", async () => {
  const gpu = await sharedGpu();
  const ramp = defineKernel<undefined>({
    name: "test_ramp",
    wgsl: `
      @group(0) @binding(0) var<storage, read_write> y: array<f32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < arrayLength(&y)) { y[id.x] = f32(id.x); }
      }`,
    bindings: { y: "write" },
    shape: () => ({ y: [5] }),
    grid: () => [1],
  });
  const y = empty(gpu, [5]);
  assert.is(ramp.run({}, undefined, { out: { y } }).y, y);
  assertExact(await y.data(), [0, 1, 2, 3, 4]);
  await assertRejects(() => ramp.run({}), ShapeError, /needs "out"/);
  y.dispose();
});

kernels("empty tensors pass through", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, [], { dtype: "u32" });
  const y = affine(x, 2, 1);
  assert.equal([y.shape, (await y.data()).length], [[0], 0]);
  const z = zeros(gpu, [3, 0, 2]);
  assert.equal([z.shape, z.size, (await z.data()).length], [[3, 0, 2], 0, 0]);
  const four = record({ wgsl: record().wgsl.replaceAll("array<f32>", "array<vec4f>") });
  const none = gpu.kernel(four).run({ x: z }).y; // no workgroup, so nothing to bind
  await none.data();
  const always = gpu.kernel({ ...four, name: "test_always", grid: () => [1] }).run({ x: z }).y;
  await always.data(); // a binding of vectors is never smaller than one
  for (const t of [x, y, z, none, always]) t.dispose();
});

kernels("vectors need whole vectors", async () => {
  const gpu = await sharedGpu();
  const four = gpu.kernel(
    record({
      wgsl: record().wgsl.replaceAll("array<f32>", "array<Item>").replace(/^/, "alias Item = vec4<f32>;"),
    }),
  );
  const x = tensor(gpu, [1, 2, 3, 4, 5, 6, 7, 8]);
  assertExact(await four.run({ x }).y.data(), [2, 4, 6, 8, 10, 12, 14, 16]);
  const five = tensor(gpu, [1, 2, 3, 4, 5]);
  await assertRejects(() => four.run({ x: five }), ShapeError, /"x" has 5 values.*vectors of 4/);
  const grown = gpu.kernel(
    record({ wgsl: record().wgsl.replace("y: array<f32>", "y: array<vec4f>"), shape: () => ({ y: [3] }) }),
  );
  const start = gpu.memory().tensors;
  await assertRejects(() => grown.run({ x }), ShapeError, /"y" has 3 values/);
  assert.is(gpu.memory().tensors, start);
  for (const t of [x, five]) t.dispose();
});

kernels("the grid is checked against the adapter", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, [1, 2]);
    const most = gpu.limits.maxComputeWorkgroupsPerDimension;
    const start = gpu.memory();
    const run = (...grid: number[]) => gpu.kernel(record({ grid: () => grid as never })).run({ x }).y;
    await assertRejects(
      () => run(most + 1),
      LimitError,
      new RegExp(`${most + 1} × 1 × 1 workgroups passes the adapter's ${most}.*gridFor`),
    );
    await assertRejects(() => run(1, most + 1), LimitError, /workgroups/);
    await assertRejects(() => run(1, 1, most + 1), LimitError, /workgroups/);
    for (const grid of [[Number.NaN], [1.5], [-1], [1, Number.POSITIVE_INFINITY]])
      await assertRejects(() => run(...grid), KernelError, /whole numbers of workgroups/);
    assert.equal([gpu.memory().tensors, gpu.memory().bytesUsed], [start.tensors, start.bytesUsed]);
    assertExact(await run(1).data(), [2, 4]);
  });
});

kernels("more bindings than the adapter has are a LimitError", async () => {
  await withGpu(async (gpu) => {
    const count = gpu.limits.maxStorageBuffersPerShaderStage + 1;
    const names = Array.from({ length: count }, (_, i) => `t${i}`);
    const many = defineKernel({
      name: "test_many",
      wgsl: `${names.map((name, i) => `@group(0) @binding(${i}) var<storage, read> ${name}: array<f32>;`).join("\n")}
        @compute @workgroup_size(1) fn main() {}`,
      bindings: Object.fromEntries(names.map((name) => [name, "read"])),
      shape: () => ({}),
      grid: () => [1],
    });
    const x = tensor(gpu, [1]);
    const inputs = Object.fromEntries(names.map((name) => [name, x]));
    await assertRejects(
      () => many.run(inputs),
      LimitError,
      new RegExp(`binds ${count} tensors.*takes ${count - 1}`),
    );
    assertExact(await x.data(), [1]);
  });
});

kernels("work() must return a number of operations", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, [1, 2]);
  const start = gpu.memory().tensors;
  for (const work of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
    const run = () => gpu.kernel(record({ work: () => work })).run({ x });
    await assertRejects(run, KernelError, /work\(\) returned/);
  }
  assert.is(gpu.memory().tensors, start);
  x.dispose();
});

kernels("shape() must return a shape for every output", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, [1, 2]);
  const start = gpu.memory().tensors;
  await assertRejects(
    () => gpu.kernel(record({ shape: () => ({}) })).run({ x }),
    KernelError,
    /no shape for output "y"/,
  );
  await assertRejects(
    () => gpu.kernel(record({ shape: () => ({ y: [1.5] }) })).run({ x }),
    ShapeError,
    /whole numbers/,
  );
  assert.is(gpu.memory().tensors, start);
  x.dispose();
});

kernels("constants come from the record; new shapes compile nothing", async () => {
  await withGpu(async (gpu) => {
    const compiled = spy(gpu.device, "createComputePipelineAsync");
    try {
      for (const count of [1, 64, 65, 1000]) {
        const x = tensor(gpu, counting(count));
        assertExact(await affine(x, 3, count).data(), affineOf(counting(count), 3, count));
      }
      assert.is(compiled.calls.length, 1);
      const scale = (factor: number) =>
        record({
          constants: { FACTOR: factor },
          wgsl: record()
            .wgsl.replace("2 *", "FACTOR *")
            .replace(/^/, "// @constants\nconst FACTOR: f32 = 2.0;\n// @end\n"),
        });
      const x = tensor(gpu, [1, 2]);
      for (const factor of [0.5, 3, -1.25e-7, 1e21]) {
        const expected = [1, 2].map((value) => Math.fround(Math.fround(factor) * value));
        assertExact(await gpu.kernel(scale(factor)).run({ x }).y.data(), expected, String(factor));
      }
      const before = compiled.calls.length;
      await gpu.kernel(scale(3)).run({ x }).y.data();
      assert.is(compiled.calls.length, before, "the same text and constants are compiled once");
      const undeclared = gpu.kernel(record({ constants: { TILE: 4 } }));
      await assertRejects(() => undeclared.run({ x }), KernelError, /TILE is not declared/);
    } finally {
      compiled.restore();
    }
  });
});

kernels.run();
