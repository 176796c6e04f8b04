import { clear, empty, LimitError, OutOfMemoryError, ShapeError, tensor, ValueError, zeros } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BufferPool } from "../src/gpu/buffers.js";
import { assertExact } from "./helpers/compare.js";
import {
  affine,
  affineKernel,
  affineOf,
  combine,
  counting,
  intercept,
  spy,
  withGpu,
} from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";

const memory = suite("memory");

memory("memory() counts tensors, their bytes and what is pooled", async () => {
  await withGpu((gpu) => {
    const start = gpu.memory();
    assert.equal(start, { tensors: 0, bytesUsed: 0, bytesPooled: 0, buffersCreated: start.buffersCreated });
    const a = zeros(gpu, [16, 16]);
    const b = tensor(gpu, [1, 2, 3]);
    assert.equal(gpu.memory(), {
      tensors: 2,
      bytesUsed: 1024 + 256,
      bytesPooled: 0,
      buffersCreated: start.buffersCreated + 2,
    });
    a.dispose();
    assert.equal([gpu.memory().tensors, gpu.memory().bytesUsed, gpu.memory().bytesPooled], [1, 256, 1024]);
    const c = zeros(gpu, [255]);
    assert.equal([gpu.memory().bytesPooled, gpu.memory().buffersCreated - start.buffersCreated], [0, 2]);
    b.dispose();
    c.dispose();
    c.dispose();
    assert.equal([gpu.memory().tensors, gpu.memory().bytesUsed, gpu.memory().bytesPooled], [0, 0, 1280]);
  });
});

memory("a buffer is at most a quarter larger than what it holds", async () => {
  await withGpu((gpu) => {
    for (const count of [64, 65, 100, 1000, 4097, 12_345, 100_000]) {
      const before = gpu.memory().bytesUsed;
      const t = empty(gpu, [count]);
      const bytes = gpu.memory().bytesUsed - before;
      assert.ok(
        bytes >= 4 * count && bytes <= Math.max(256, 1.25 * 4 * count),
        `${bytes} bytes for ${count}`,
      );
      assert.is(bytes % 4, 0);
      t.dispose();
    }
  });
});

memory("near the adapter's limit a buffer is no larger than the limit", () => {
  const limits = { maxBufferSize: 1200, maxStorageBufferBindingSize: 1000 } as GPUSupportedLimits;
  const pool = new BufferPool(limits, 0, {} as never, () => {});
  assert.equal([pool.capacityFor(800), pool.capacityFor(990), pool.capacityFor(1000)], [896, 1000, 1000]);
  assert.throws(
    () => pool.capacityFor(1001),
    (error: Error) => error instanceof LimitError,
  );
});

memory("views of one buffer give it back with the last of them", async () => {
  await withGpu((gpu) => {
    const x = zeros(gpu, [8, 8]);
    const view = x.reshape([64]);
    const other = view.reshape([-1, 4]);
    x.dispose();
    other.dispose();
    assert.equal([gpu.memory().tensors, gpu.memory().bytesUsed], [1, 256]);
    view.dispose();
    assert.equal([gpu.memory().tensors, gpu.memory().bytesUsed, gpu.memory().bytesPooled], [0, 0, 256]);
  });
});

memory("the pool keeps to its cap and gives up what was not released for longest", async () => {
  await withGpu(
    async (gpu) => {
      const small = Array.from({ length: 4 }, () => empty(gpu, [256])); // 1 KiB each
      const destroyed = small.map((t) => spy(t.buffer, "destroy"));
      for (const t of small) t.dispose();
      assert.is(gpu.memory().bytesPooled, 4096);
      const medium = empty(gpu, [512]); // 2 KiB
      const large = empty(gpu, [2048]); // 8 KiB: more than the cap
      const largeDestroyed = spy(large.buffer, "destroy");
      medium.dispose();
      assert.is(gpu.memory().bytesPooled, 4096);
      assert.equal(
        destroyed.map((spied) => spied.calls.length),
        [0, 0, 1, 1],
        "room for 2 KiB: of one size those go that were made last",
      );
      large.dispose();
      assert.is(gpu.memory().bytesPooled, 4096);
      assert.is(largeDestroyed.calls.length, 1);
      const createdFor = (count: number) => {
        const { buffersCreated } = gpu.memory();
        empty(gpu, [count]).dispose();
        return gpu.memory().buffersCreated - buffersCreated;
      };
      assert.is(createdFor(512), 0, "2 KiB are still there");
      assert.is(createdFor(256), 0, "so is 1 KiB, which from now on was released last");
      assert.is(createdFor(320), 1, "1.25 KiB take the place of the 2 KiB");
      assert.equal([createdFor(256), createdFor(320), createdFor(512)], [0, 0, 1]);
      for (let count = 64; count < 5000; count += 61) {
        empty(gpu, [count]).dispose();
        assert.ok(gpu.memory().bytesPooled <= 4096, `${gpu.memory().bytesPooled} pooled`);
      }
      assert.is(gpu.memory().bytesUsed, 0);
    },
    { poolBytes: 4096 },
  );
});

memory("a buffer that was made first serves again first, in whatever order they were released", async () => {
  await withGpu(async (gpu) => {
    const made = Array.from({ length: 5 }, () => empty(gpu, [300]));
    const buffers = made.map((t) => t.buffer);
    for (const index of [3, 0, 4, 1, 2]) made[index].dispose();
    const again = Array.from({ length: 6 }, () => empty(gpu, [300]));
    assert.ok(buffers.every((buffer, index) => again[index].buffer === buffer));
    assert.not(buffers.includes(again[5].buffer));
  });
});

memory("values of the host rather go into a buffer that no unsubmitted command uses", async () => {
  await withGpu(async (gpu) => {
    const [first, second] = [empty(gpu, [300]), empty(gpu, [300])];
    const idle = second.buffer;
    clear(first);
    first.dispose();
    second.dispose();
    const submits = spy(gpu.device.queue, "submit");
    const uploaded = tensor(gpu, new Float32Array(300).fill(7));
    assert.is(uploaded.buffer, idle);
    assert.equal((await uploaded.data())[299], 7);
    assert.is(submits.calls.length, 1, "the upload did not split the list");
  });
});

memory("a tensor that the adapter cannot bind is refused before anything is allocated", async () => {
  await withGpu(async (gpu) => {
    const limit = Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize);
    const x = tensor(gpu, counting(4));
    const start = gpu.memory();
    const created = spy(gpu.device, "createBuffer");
    try {
      for (const count of [Math.floor(limit / 4) + 1, 2 ** 40, 1e200]) {
        await assertRejects(
          () => empty(gpu, [count]),
          LimitError,
          /larger than this adapter can bind.*split it/,
        );
        await assertRejects(() => zeros(gpu, [1, count, 1]), LimitError, new RegExp(`\\(${limit} bytes\\)`));
      }
      await assertRejects(() => gpu.program(() => empty(gpu, [limit])), LimitError, /can bind/);
      assert.is(created.calls.length, 0);
      assert.equal(gpu.memory(), start);
    } finally {
      created.restore();
    }
    assertExact(await affine(x, 2, 0).data(), counting(4, 2), "and everything still works");
  });
});

memory("a call that throws leaves nothing allocated", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(12));
    const y = tensor(gpu, counting(13));
    const start = gpu.memory();
    const failing: (() => unknown)[] = [
      () => combine(x, y),
      () => affine(x, 1, 1, y),
      () => affine(x, Number.NaN, 1),
      () => affine(x, 0.5, 1),
      () => combine(x, x, undefined, x),
      () => affineKernel.run({ x, z: x }, { factor: 1, offset: 0 }),
      () => tensor(gpu, [1, Number.NaN]),
      () => tensor(gpu, [1, 2, 3], [2, 2]),
      () => tensor(gpu, [-1], { dtype: "u32" }),
      () => gpu.scope(() => tensor(gpu, [1])),
      () => gpu.scope(() => [affine(x, 2, 2), combine(x, y)]),
      () => gpu.program(() => [affine(x, 2, 2), combine(x, y)]),
      () => x.reshape([5]),
    ];
    for (const [i, fail] of failing.entries()) {
      assert.throws(fail, (error: Error) => /Error$/.test(error.name) && error.name !== "TypeError", `${i}`);
      const { tensors, bytesUsed } = gpu.memory();
      assert.equal([tensors, bytesUsed], [start.tensors, start.bytesUsed], `call ${i}: ${fail}`);
    }
    await assertRejects(failing[0], ShapeError, /same/);
    await assertRejects(failing[2], ValueError, /"factor" got NaN/);
  });
});

memory("an allocation that fails is told, and its buffer is never used again", async () => {
  await withGpu(async (gpu) => {
    const { device } = gpu;
    const pooled = empty(gpu, [777]);
    pooled.dispose();
    let failing = false;
    const undo = [
      intercept(device, "createBuffer", (original) => (descriptor: GPUBufferDescriptor) => {
        failing = descriptor.size >= 4096;
        return original(descriptor);
      }),
      intercept(device, "popErrorScope", (original) => () => {
        const answer = original();
        if (!failing) return answer;
        failing = false;
        return answer.then(() => ({ message: "no room (simulated)" }));
      }),
    ];
    const big = empty(gpu, [1024]);
    for (const restore of undo) restore();
    const { buffer } = big;
    const x = tensor(gpu, counting(5));
    await assertRejects(() => x.data(), OutOfMemoryError, /4096 bytes: no room.*smaller batches/);
    assert.is(gpu.memory().bytesPooled, 0, "the pool makes room");
    assertExact(await x.data(), counting(5), "told once, and later reads work");
    big.dispose();
    assert.is(gpu.memory().bytesPooled, 0, "the buffer that failed is not kept");
    const again = tensor(gpu, counting(1024));
    assert.is.not(again.buffer, buffer);
    assertExact(await affine(again, 3, 1).data(), affineOf(counting(1024), 3, 1));
  });
});

memory("hundreds of ops in a loop with a scope take no more memory than one", async () => {
  const gpu = await sharedGpu();
  const x = tensor(gpu, counting(300));
  const step = () => gpu.scope(() => combine(affine(x, 2, 1), affine(x, 3, 1), affine(x, 5, 5)));
  step().dispose();
  const start = gpu.memory();
  for (let i = 0; i < 300; i++) step().dispose();
  assert.equal(gpu.memory(), start);
  x.dispose();
});

memory.run();
