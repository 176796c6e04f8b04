import {
  clear,
  copy,
  DisposedError,
  defineKernel,
  empty,
  fromBuffer,
  type Gpu,
  ProgramError,
  ShapeError,
  sizeOf,
  type Tensor,
  tensor,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertExact } from "./helpers/compare.js";
import {
  accumulate,
  affine,
  affineOf,
  combine,
  counting,
  gateCompilation,
  moment,
  spy,
  withGpu,
} from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";

const programs = suite("programs");

/** x ← x - rate · x², with the rate on the device, so that rounding shows in the bits. */
const shrinkKernel = defineKernel({
  name: "test_shrink",
  wgsl: `
    struct Params { count: u32 }
    @group(0) @binding(0) var<storage, read> rate: array<f32>;
    @group(0) @binding(1) var<storage, read_write> x: array<f32>;
    @group(0) @binding(2) var<uniform> params: Params;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < params.count) { x[id.x] -= rate[0] * x[id.x] * x[id.x]; }
    }`,
  bindings: { rate: "read", x: "readWrite" },
  shape: () => ({}),
  uniforms: ({ x }) => ({ count: sizeOf(x) }),
  grid: ({ x }) => [Math.ceil(sizeOf(x) / 64)],
});

/** What "allocates nothing, looks nothing up" is measured by. */
function costs(gpu: Gpu): number[] {
  const { tensors, bytesUsed, bytesPooled, buffersCreated } = gpu.memory();
  return [tensors, bytesUsed, bytesPooled, buffersCreated, gpu.pipelines.lookups];
}

programs("the recording is the first step, and each run is one more", async () => {
  const gpu = await sharedGpu();
  const total = zeros(gpu, [10], { dtype: "u32" });
  const x = tensor(gpu, counting(10, 3, 1));
  let calls = 0;
  const program = gpu.program(() => {
    calls++;
    accumulate(total, affine(x, 2, 0));
  });
  assertExact(await total.data(), affineOf(counting(10, 3, 1), 2, 0), "after recording");
  for (let i = 0; i < 4; i++) program.run();
  assertExact(await total.data(), affineOf(counting(10, 3, 1), 10, 0), "after four runs");
  assert.is(calls, 1);
  assert.is(program.dispatches, 2);
  program.dispose();
  for (const t of [total, x]) t.dispose();
});

programs("replays give the bits of the unrecorded steps, and allocate and look up nothing", async () => {
  const gpu = await sharedGpu();
  const start = Float32Array.from({ length: 100 }, (_, i) => Math.fround(1 / (i + 3)));
  const rate = tensor(gpu, [0.1]);
  const plain = tensor(gpu, start);
  for (let i = 0; i < 6; i++) shrinkKernel.run({ rate, x: plain });
  const recorded = tensor(gpu, start);
  const program = gpu.program(() => {
    shrinkKernel.run({ rate, x: recorded });
  });
  await gpu.finish();
  const before = costs(gpu);
  const created = spy(gpu.device, "createBuffer");
  const groups = spy(gpu.device, "createBindGroup");
  for (let i = 0; i < 5; i++) program.run();
  await gpu.finish();
  created.restore();
  groups.restore();
  assert.equal(costs(gpu), before);
  assert.equal([created.calls.length, groups.calls.length], [0, 0]);
  const bits = async (t: Tensor) => new Uint32Array((await t.data()).buffer);
  assertExact(await bits(recorded), await bits(plain));
  program.dispose();
  for (const t of [rate, plain, recorded]) t.dispose();
});

programs("writes between runs are seen by the runs behind them", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(20));
  const program = gpu.program(() => affine(x, 2, 1));
  const kept = [copy(program.result)];
  for (let i = 2; i < 6; i++) {
    x.write(counting(20, i));
    kept.push(copy(program.run()));
  }
  x.write(counting(20, 99));
  for (const [i, result] of kept.entries()) {
    assertExact(await result.data(), affineOf(counting(20, i + 1), 2, 1), `run ${i}`);
  }
  program.dispose();
  for (const t of [x, ...kept]) t.dispose();
});

programs("what the body returns is overwritten by each run", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(8));
  const program = gpu.program(() => ({ y: affine(x, 2, 0), list: [affine(x, 3, 0)] }));
  const { y, list } = program.result;
  assertExact(await y.data(), counting(8, 2));
  x.write(counting(8, 10));
  const again = program.run();
  assert.is(again.y, y);
  assert.is(again.list[0], list[0]);
  assertExact(await y.data(), counting(8, 20));
  assertExact(await list[0].data(), counting(8, 30));
  program.dispose();
  x.dispose();
});

programs("temporaries serve again inside the body and do not go to others", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(256));
    const start = gpu.memory();
    const program = gpu.program(() => {
      let y = affine(x, 1, 0);
      for (let i = 0; i < 20; i++) y = gpu.scope(() => affine(affine(y, 3, 1), 5, 2));
      return y;
    });
    const held = (gpu.memory().bytesUsed - start.bytesUsed) / 1024;
    assert.ok(held >= 2 && held <= 22, `${held} buffers`);
    const recycling = gpu.program(() => {
      let y = affine(x, 1, 0);
      for (let i = 0; i < 20; i++) {
        const next = affine(y, 3, 1);
        y.dispose();
        y = next;
      }
      return y;
    });
    assert.is((gpu.memory().bytesUsed - start.bytesUsed) / 1024, held + 2, "two buffers by turns");
    const noise = Array.from({ length: 8 }, (_, i) => tensor(gpu, counting(256, i)));
    program.run();
    recycling.run();
    let [a, b] = [counting(256), counting(256)];
    for (let i = 0; i < 20; i++) {
      a = affineOf(affineOf(a, 3, 1), 5, 2);
      b = affineOf(b, 3, 1);
    }
    assertExact(await program.result.data(), a);
    assertExact(await recycling.result.data(), b);
    for (const [i, t] of noise.entries()) assertExact(await t.data(), counting(256, i), `tensor ${i}`);
  });
});

programs("dispose gives everything back once, and what was returned is disposed with it", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(256));
    await affine(x, 1, 0).data();
    const before = gpu.memory();
    const program = gpu.program(() => [combine(affine(x, 2, 0), affine(x, 3, 0)), x.reshape([16, 16])]);
    const [y, view] = program.result;
    const held = gpu.memory();
    assert.is(held.tensors, before.tensors + 2);
    program.dispose();
    program.dispose();
    program[Symbol.dispose]();
    const after = gpu.memory();
    assert.equal([after.tensors, after.bytesUsed], [before.tensors, before.bytesUsed]);
    assert.is(after.bytesPooled, before.bytesPooled + held.bytesUsed - before.bytesUsed);
    assert.ok(y.disposed && view.disposed && !x.disposed);
    y.dispose();
    assert.is(gpu.memory().tensors, before.tensors);
    await assertRejects(() => program.run(), DisposedError, /record it anew/);
    await assertRejects(() => y.data(), DisposedError, /program/);
    await assertRejects(() => affine(y, 1, 1), DisposedError, /"x" was disposed/);
    await assertRejects(() => copy(y), DisposedError, /disposed/);
    await assertRejects(() => clear(y), DisposedError, /disposed/);
    assertExact(await x.data(), counting(256), "the view did not take its source along");
  });
});

programs("a program that is disposed before its run is submitted still runs", async () => {
  await withGpu(
    async (gpu) => {
      const x = tensor(gpu, counting(64));
      const target = empty(gpu, [64], { dtype: "u32" });
      const gate = gateCompilation(gpu.device);
      const program = gpu.program(() => {
        affine(affine(x, 2, 1), 3, 2, target);
      });
      x.write(counting(64, 7));
      program.run();
      program.dispose();
      const intruders = [0, 1, 2].map((i) => tensor(gpu, counting(64, 50 + i)));
      const reading = target.data();
      await moment();
      gate.open();
      assertExact(await reading, affineOf(counting(64, 7), 6, 5));
      for (const [i, t] of intruders.entries()) assertExact(await t.data(), counting(64, 50 + i));
    },
    { poolBytes: 0 },
  );
});

programs("result tensors disposed of by hand do not stop the runs", async () => {
  const gpu = await sharedGpu();
  const start = gpu.memory().tensors;
  const x = tensor(gpu, counting(8));
  const total = zeros(gpu, [8], { dtype: "u32" });
  const program = gpu.program(() => {
    const y = affine(x, 2, 0);
    accumulate(total, y);
    return y;
  });
  program.result.dispose();
  program.result.dispose();
  const other = tensor(gpu, counting(8, 77)); // would be given the buffer if the program had let it go
  program.run();
  assertExact(await total.data(), counting(8, 4));
  assertExact(await other.data(), counting(8, 77));
  program.dispose();
  for (const t of [x, total, other]) t.dispose();
  assert.is(gpu.memory().tensors, start);
});

programs("an input that was disposed stops the run", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(8));
  const y = tensor(gpu, counting(8, 5));
  const program = gpu.program(() => combine(x, y));
  const view = y.reshape([2, 4]);
  y.dispose();
  assertExact(await program.run().data(), counting(8, 16), "a view keeps the buffer");
  view.dispose();
  const intruder = tensor(gpu, counting(8, 1000));
  await assertRejects(() => program.run(), ProgramError, /a tensor that its body used was disposed/);
  program.dispose();
  for (const t of [x, intruder]) t.dispose();
});

programs("the result of one program is an input of another", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(8));
  const first = gpu.program(() => affine(x, 2, 0));
  const second = gpu.program(() => affine(first.result, 10, 1));
  x.write(counting(8, 3));
  first.run();
  assertExact(await second.run().data(), affineOf(counting(8, 3), 20, 1));
  first.dispose();
  await assertRejects(() => second.run(), ProgramError, /disposed/);
  second.dispose();
  x.dispose();
});

programs(
  "bodies may not wait, upload, nest, run or dispose of programs, or dispose of outer tensors",
  async () => {
    await withGpu(async (gpu) => {
      const x = tensor(gpu, counting(8));
      const other = gpu.program(() => affine(x, 1, 1));
      const start = gpu.memory();
      const forbidden: [RegExp, () => unknown][] = [
        [/promise/, async () => affine(x, 2, 0)],
        [/promise/, async () => (await affine(x, 2, 0).data())[0]],
        [/read-back/, () => void affine(x, 2, 0).data()],
        [/read-back/, () => affine(x, 2, 0).item()],
        [/upload/, () => tensor(gpu, [1, 2])],
        [/upload/, () => x.write(counting(8))],
        [/another program/, () => gpu.program(() => affine(x, 2, 0))],
        [/another program/, () => other.run()],
        [/another program/, () => other.dispose()],
        [/outside this program/, () => x.dispose()],
        [/flush/, () => gpu.flush()],
        [/finish/, () => gpu.finish()],
        [/profile/, () => gpu.profile(() => {})],
      ];
      for (const [message, body] of forbidden) {
        await assertRejects(() => gpu.program(body), ProgramError, message);
        await assertRejects(() => gpu.program(() => gpu.scope(body)), ProgramError, /./);
        assert.is(gpu.recording, undefined);
        const { tensors, bytesUsed } = gpu.memory();
        assert.equal([tensors, bytesUsed], [start.tensors, start.bytesUsed], String(message));
      }
      assertExact(await other.run().data(), affineOf(counting(8), 1, 1), "and all is as before");
    });
  },
);

programs("a body that throws leaves nothing behind and records nothing", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    await affine(x, 2, 0).data();
    const start = gpu.memory();
    const encoded = gpu.stream.dispatches;
    const problem = new Error("of the caller");
    const body = () => {
      affine(x, 2, 0, x);
      gpu.scope(() => affine(x, 3, 0));
      throw problem;
    };
    await assertRejects(() => gpu.program(body), Error, /of the caller/);
    await gpu.finish();
    const { tensors, bytesUsed } = gpu.memory();
    assert.equal([tensors, bytesUsed], [start.tensors, start.bytesUsed]);
    assert.is(gpu.stream.dispatches, encoded);
    assertExact(await x.data(), counting(8));
    const view = () => {
      const buffer = gpu.device.createBuffer({ size: 64, usage: 0x0080 | 0x0004 | 0x0008 });
      affine(fromBuffer(gpu, buffer, [16], { dtype: "u32" }), 2, 0);
    };
    await assertRejects(() => gpu.program(view), ProgramError, /disposed/);
    assert.equal([gpu.memory().tensors, gpu.memory().bytesUsed], [start.tensors, start.bytesUsed]);
  });
});

programs("copies, clears, zeros and views are part of a program", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(12, 5));
  const log = zeros(gpu, [12], { dtype: "u32" });
  const program = gpu.program(() => {
    const sum = zeros(gpu, [12], { dtype: "u32" });
    accumulate(sum, x);
    const kept = copy(sum);
    clear(sum);
    accumulate(sum, kept.reshape([12]));
    copy(sum, { out: log });
    return kept.reshape([3, 4]);
  });
  x.write(counting(12, 6));
  program.run();
  program.run();
  assertExact(await log.data(), counting(12, 6));
  assert.equal(program.result.shape, [3, 4]);
  assertExact(await program.result.data(), counting(12, 6));
  program.dispose();
  for (const t of [x, log]) t.dispose();
});

programs("a user's kernel, also in place, with the same checks", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, [1, 2, 3, 4]);
  const double = gpu.kernel({
    name: "test_double",
    wgsl: `
      @group(0) @binding(0) var<storage, read> x: array<f32>;
      @group(0) @binding(1) var<storage, read_write> y: array<f32>;
      @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < arrayLength(&x)) { y[id.x] = 2 * x[id.x]; }
      }`,
    bindings: { x: "read", y: "write" },
    inPlace: { y: "x" },
    shape: ({ x }) => ({ y: x }),
    grid: () => [1],
  });
  const program = gpu.program(() => {
    double.run({ x }, undefined, { out: { y: x } });
    return double.run({ x }).y;
  });
  program.run();
  assertExact(await x.data(), [4, 8, 12, 16]);
  assertExact(await program.result.data(), [8, 16, 24, 32]);
  await assertRejects(
    () => gpu.program(() => double.run({ x: program.result.reshape([2, 2]) }).y.reshape([3])),
    ShapeError,
    /does not hold/,
  );
  program.dispose();
  x.dispose();
});

programs("a program made in a scope lives on; its inputs must", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(8));
  const program = gpu.scope(() => gpu.program(() => affine(x, 2, 0)));
  assert.ok(program.result.disposed, "the scope releases the tensor that the program returned");
  const total = zeros(gpu, [8], { dtype: "u32" });
  program.run();
  const broken = gpu.scope(() => {
    const inner = affine(x, 3, 0);
    return gpu.program(() => accumulate(total, inner));
  });
  await assertRejects(() => broken.run(), ProgramError, /disposed/);
  assertExact(await total.data(), counting(8, 3), "the first step was recorded while its input lived");
  broken.dispose();
  gpu.scope(() => program.dispose());
  for (const t of [x, total]) t.dispose();
});

programs("an empty program runs", async () => {
  const gpu = await sharedGpu();
  const program = gpu.program(() => 7);
  assert.is(program.run(), 7);
  await gpu.finish();
  program.dispose();
});

programs.run();
