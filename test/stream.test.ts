import { clear, copy, defineKernel, fromBuffer, gridFor, tensor, zeros } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { STORAGE_USAGE } from "../src/gpu/buffers.js";
import { assertExact } from "./helpers/compare.js";
import {
  accumulate,
  affine,
  affineOf,
  combine,
  counting,
  gateCompilation,
  intercept,
  moment,
  spy,
  withGpu,
} from "./helpers/core.js";
import { sharedGpu } from "./helpers/gpu.js";

const stream = suite("command stream");

stream("every dispatch of a list has its own uniforms", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(70, 5, 3));
  const before = gpu.stream.submits;
  const results = Array.from({ length: 40 }, (_, i) => affine(x, i + 1, 1000 * i));
  assert.is(gpu.stream.submits, before, "one list, so that the uniforms could overwrite each other");
  const values = await Promise.all(results.map((result) => result.data()));
  values.forEach((value, i) => {
    assertExact(value, affineOf(counting(70, 5, 3), i + 1, 1000 * i), `op ${i}`);
  });
  for (const t of [x, ...results]) t.dispose();
});

stream("what is computed again makes no bind groups, and sees its own uniforms and buffers", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(60));
    const compute = async (offset: number): Promise<Float32Array[]> => {
      const results = Array.from({ length: 5 }, (_, i) => affine(x, i + 2, offset));
      const sum = combine(results[3], results[4]);
      const values = await Promise.all(
        [...results, sum].map((result) => result.data() as Promise<Float32Array>),
      );
      // Released in another order each time.
      for (const result of offset % 2 ? results : results.reverse()) result.dispose();
      sum.dispose();
      return values;
    };
    await compute(0);
    const made = spy(gpu.device, "createBindGroup");
    for (const offset of [1, 2, 3]) {
      const values = await compute(offset);
      for (let i = 0; i < 5; i++) assertExact(values[i], affineOf(counting(60), i + 2, offset), `op ${i}`);
    }
    assert.is(made.calls.length, 0);
    const other = tensor(gpu, counting(60, 3));
    assertExact(await affine(other, 2, 0).data(), affineOf(counting(60, 3), 2, 0), "another tensor");
    assert.is(made.calls.length, 1);
    const own = gpu.device.createBuffer({ size: 240, usage: STORAGE_USAGE });
    const view = fromBuffer(gpu, own, [60], { dtype: "u32" });
    for (let i = 0; i < 2; i++) affine(view, 2, 0).dispose();
    await gpu.flush();
    assert.is(made.calls.length, 3, "those with a caller's own buffer are not kept");
    own.destroy();
  });
});

stream("uniforms of a list do not reach into the lists before it", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(50));
  const results = [];
  for (let list = 0; list < 5; list++) {
    results.push(affine(x, 2 + list, list), affine(x, 100 + list, list));
    void gpu.flush();
  }
  for (const [i, result] of results.entries()) {
    const list = Math.floor(i / 2);
    assertExact(await result.data(), affineOf(counting(50), (i % 2 ? 100 : 2) + list, list), `op ${i}`);
  }
  for (const t of [x, ...results]) t.dispose();
});

stream("writes between the ops of one list keep their place", async () => {
  const gpu = await sharedGpu();
  const [first, second, third] = [counting(33, 1), counting(33, 7), counting(33, 11, 4)];
  const x = tensor(gpu, first);
  const a = affine(x, 2, 1);
  x.write(second);
  const b = affine(x, 2, 1);
  const reused = third.slice();
  x.write(reused);
  reused.fill(0); // the caller's array is free as soon as write() returns
  const c = affine(x, 2, 1);
  assertExact(await a.data(), affineOf(first, 2, 1), "before the write");
  assertExact(await b.data(), affineOf(second, 2, 1), "after the first write");
  assertExact(await c.data(), affineOf(third, 2, 1), "after the second write");
  for (const t of [x, a, b, c]) t.dispose();
});

stream("a write does not overtake a clear or a copy that is recorded", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(40, 3, 1));
  const kept = copy(x);
  x.write(counting(40, 5));
  const again = copy(x);
  clear(x);
  const cleared = copy(x);
  x.write(counting(40, 9));
  assertExact(await kept.data(), counting(40, 3, 1), "first copy");
  assertExact(await again.data(), counting(40, 5), "second copy");
  assertExact(await cleared.data(), new Uint32Array(40), "cleared");
  assertExact(await x.data(), counting(40, 9), "written last");
  for (const t of [x, kept, again, cleared]) t.dispose();
});

stream("the data of a new tensor does not reach the ops on the buffer's last holder", async () => {
  await withGpu(async (gpu) => {
    const old = tensor(gpu, counting(64, 3));
    const { buffer } = old;
    const y = affine(old, 2, 5);
    old.dispose();
    const next = tensor(gpu, counting(64, 13));
    assert.is(next.buffer, buffer, "the pooled buffer serves again");
    assertExact(await y.data(), affineOf(counting(64, 3), 2, 5), "result from the old contents");
    assertExact(await next.data(), counting(64, 13), "the new contents");
  });
});

stream("a result in a buffer that was read before in the same list", async () => {
  await withGpu(async (gpu) => {
    const a = tensor(gpu, counting(64, 3));
    const b = affine(a, 2, 0);
    const { buffer } = a;
    a.dispose();
    const c = affine(b, 2, 0);
    assert.is(c.buffer, buffer);
    const d = combine(b, c);
    assertExact(await d.data(), affineOf(counting(64, 3), 14, 0));
  });
});

stream("a buffer is destroyed only when the ops that use it are submitted", async () => {
  await withGpu(
    async (gpu) => {
      const x = tensor(gpu, counting(64, 3));
      const destroyed = spy(x.buffer, "destroy");
      const y = affine(x, 2, 5);
      x.dispose();
      assert.is(destroyed.calls.length, 0, "not before the submit");
      assertExact(await y.data(), affineOf(counting(64, 3), 2, 5));
      assert.is(destroyed.calls.length, 1, "the pool holds nothing, so it goes after the submit");
    },
    { poolBytes: 0 },
  );
});

stream("everything keeps its order while a list waits for its pipelines", async () => {
  await withGpu(
    async (gpu) => {
      const gate = gateCompilation(gpu.device);
      const x = tensor(gpu, counting(64));
      const destroyed = spy(x.buffer, "destroy");
      const a = affine(x, 2, 1);
      void gpu.flush();
      x.write(counting(64, 5));
      const b = affine(x, 3, 2);
      void gpu.flush();
      const other = tensor(gpu, counting(64, 9));
      const c = combine(x, other);
      other.write(counting(64, 21));
      const total = zeros(gpu, [64], { dtype: "u32" });
      accumulate(total, other);
      accumulate(total, b);
      x.dispose();
      other.dispose();
      const late = tensor(gpu, counting(64, 1000));
      const d = affine(late, 1, 1);
      await moment();
      assert.is(destroyed.calls.length, 0, "a list that waits still uses the buffer");
      gate.open();
      assertExact(await a.data(), affineOf(counting(64), 2, 1), "first list");
      assertExact(await b.data(), affineOf(counting(64, 5), 3, 2), "second list");
      assertExact(await c.data(), affineOf(counting(64, 5 + 27), 1, 0), "third list");
      assertExact(await total.data(), affineOf(counting(64, 15 + 21), 1, 2), "accumulated");
      assertExact(await d.data(), affineOf(counting(64, 1000), 1, 1), "what came last");
      assert.is(destroyed.calls.length, 1);
    },
    { poolBytes: 0 },
  );
});

stream("a compiled kernel waits behind one that still compiles", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(64));
    await affine(x, 1, 0).data();
    const gate = gateCompilation(gpu.device);
    const sum = combine(x, x);
    void gpu.flush();
    const after = affine(sum, 1, 7);
    const encoded = gpu.stream.dispatches;
    const reading = after.data();
    await moment();
    assert.is(gpu.stream.dispatches, encoded, "nothing overtakes");
    gate.open();
    assertExact(await reading, affineOf(counting(64), 4, 7));
  });
});

stream("a read-back gives the values of its moment", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(20));
  const readings = [x.data()];
  for (let i = 0; i < 3; i++) {
    affine(x, 3, 1, x);
    readings.push(x.data());
  }
  x.write(counting(20, 2));
  let expected = counting(20);
  for (const [i, reading] of readings.entries()) {
    assertExact(await reading, expected, `reading ${i}`);
    expected = affineOf(expected, 3, 1);
  }
  x.dispose();
});

stream("more commands than a list holds", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(10, 3, 1));
  const total = zeros(gpu, [10], { dtype: "u32" });
  accumulate(total, x);
  await gpu.finish();
  const before = gpu.stream.submits;
  for (let i = 1; i < 700; i++) accumulate(total, x);
  assert.ok(gpu.stream.submits > before, "the device works while the host records");
  assertExact(await total.data(), affineOf(counting(10, 3, 1), 700, 0));
  for (const t of [x, total]) t.dispose();
});

stream("more workgroups than one dimension takes are folded into a second", async () => {
  const gpu = await sharedGpu();
  const count = 64 * gpu.limits.maxComputeWorkgroupsPerDimension + 65;
  if (4 * count > gpu.limits.maxStorageBufferBindingSize) return;
  const x = tensor(gpu, counting(count, 3));
  const y = affine(x, 2, 1);
  const values = await y.data();
  let wrong = 0;
  for (let i = 0; i < count; i++) if (values[i] !== (Math.imul(i, 6) + 1) >>> 0) wrong++;
  assert.is(wrong, 0);
  for (const t of [x, y]) t.dispose();
});

stream("gridFor covers all invocations within the limit, without waste of more than a row", () => {
  const limits = { maxComputeWorkgroupsPerDimension: 100 } as GPUSupportedLimits;
  for (const invocations of [0, 1, 63, 64, 65, 6399, 6400, 6401, 12_801, 640_000]) {
    const [x, y = 1, z = 1] = gridFor(invocations, 64, limits);
    const groups = Math.ceil(invocations / 64);
    assert.ok(x <= 100 && y <= 100 && z === 1, `${x} × ${y} × ${z}`);
    assert.ok(x * y >= groups && x * y < groups + y + 1, `${x} × ${y} for ${groups}`);
  }
});

/** y = x + 1, with work that its record makes up. */
const heavyKernel = defineKernel<number>({
  name: "test_heavy",
  wgsl: `
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(1) fn main() { x[0] = 3u * x[0] + 1u; }`,
  bindings: { x: "readWrite" },
  shape: () => ({}),
  grid: () => [1],
  work: (_shapes, work) => work,
});

stream("long lists are split by their estimated work, and their order holds", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, Uint32Array.of(1));
    heavyKernel.run({ x }, 1);
    await gpu.finish();
    const count = async (dispatches: number, work: number) => {
      const program = gpu.program(() => {
        for (let i = 0; i < dispatches; i++) heavyKernel.run({ x }, work);
      });
      const before = gpu.stream.submits;
      program.run();
      void gpu.flush();
      const submits = gpu.stream.submits - before;
      program.dispose();
      await gpu.finish();
      return submits;
    };
    assert.is(await count(6, 1), 1, "light work goes in one submit");
    const hours = gpu.info.kind === "hardware" ? 1e16 : 1e14;
    assert.is(await count(6, hours), 6, "each hour of work in a submit of its own");
    let expected = 1;
    for (let i = 0; i < 25; i++) expected = (Math.imul(3, expected) + 1) >>> 0;
    assertExact(await x.data(), Uint32Array.of(expected));
  });
});

stream("the estimate learns from the time that submits take", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, Uint32Array.of(1));
    const program = gpu.program(() => {
      for (let i = 0; i < 8; i++) heavyKernel.run({ x }, 2e11); // thought to take long, done at once
    });
    await gpu.finish();
    const submitsOfRun = async () => {
      const before = gpu.stream.submits;
      program.run();
      await gpu.finish();
      return gpu.stream.submits - before;
    };
    const atFirst = await submitsOfRun();
    for (let i = 0; i < 10; i++) await submitsOfRun();
    assert.ok(atFirst > 1, `${atFirst} submits at first`);
    assert.is(await submitsOfRun(), 1);
  });
});

stream("after flush() the caller's own commands see the results", async () => {
  const gpu = await sharedGpu();
  const { device } = gpu;
  const x = tensor(gpu, counting(16, 3));
  const y = affine(x, 2, 1);
  await gpu.flush();
  const target = device.createBuffer({ size: 64, usage: 0x0001 | 0x0008 });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(y.buffer, 0, target, 0, 64);
  device.queue.submit([encoder.finish()]);
  await target.mapAsync(1);
  assertExact(new Uint32Array(target.getMappedRange().slice(0)), affineOf(counting(16, 3), 2, 1));
  target.destroy();
  for (const t of [x, y]) t.dispose();
});

stream("an upload that nothing recorded stands in the way of is not delayed", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(16));
    const before = gpu.stream.submits;
    x.write(counting(16, 2));
    let writes = 0;
    const restore = intercept(gpu.device.queue, "writeBuffer", (original) => {
      return (...args: Parameters<GPUQueue["writeBuffer"]>) => {
        writes++;
        return original(...args);
      };
    });
    x.write(counting(16, 3));
    restore();
    assert.is(writes, 1);
    assertExact(await x.data(), counting(16, 3));
    assert.is(gpu.stream.submits, before + 1, "the read-back alone");
  });
});

stream.run();
