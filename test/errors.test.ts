import {
  clear,
  copy,
  DeviceLostError,
  DisposedError,
  defineKernel,
  fromBuffer,
  gridFor,
  HandgradError,
  KernelError,
  type KernelRecord,
  ShapeError,
  sizeOf,
  tensor,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { packed, unpacked } from "../src/spade/packing.js";
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
  withGpu,
} from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";

const errors = suite("errors");

function record(name: string, body: string, changes: Partial<KernelRecord> = {}): KernelRecord {
  return {
    name,
    wgsl: `@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  ${body}
}
`,
    bindings: { x: "read", y: "write" },
    shape: ({ x }) => ({ y: x }),
    grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
    ...changes,
  };
}

const broken = defineKernel(record("test_broken", "y[id.x] = missing(x[id.x]);"));
const alsoBroken = defineKernel(record("test_also_broken", "y[id.x] = 1.5;"));

errors("all kinds are HandgradErrors under their own name", () => {
  for (const Kind of [DeviceLostError, KernelError, ShapeError]) {
    const error = new Kind("text", { cause: 3 });
    assert.instance(error, HandgradError);
    assert.instance(error, Error);
    assert.equal([error.name, error.message, error.cause], [Kind.name, "text", 3]);
  }
});

errors("the first error and the count of the others come with the next read-back, once", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    broken.run({ x });
    alsoBroken.run({ x });
    broken.run({ x });
    await assertRejects(
      () => x.data(),
      KernelError,
      /^kernel test_broken did not compile:[\s\S]*\(and 1 more error after it\)$/,
    );
    assertExact(await x.data(), counting(8), "then it is forgotten");
    assertExact(await affine(x, 2, 1).data(), affineOf(counting(8), 2, 1), "and later ops work");
  });
});

errors("flush and finish throw it too", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    broken.run({ x });
    await assertRejects(() => gpu.flush(), KernelError, /test_broken/);
    await gpu.flush();
    broken.run({ x });
    await assertRejects(() => gpu.finish(), KernelError, /test_broken/);
    await gpu.finish();
  });
});

errors("every read-back that was pending is rejected, not only the first", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    const { y } = broken.run({ x });
    const flushed = gpu.flush().catch(() => {});
    const readings = await Promise.allSettled([y.data(), y.data(), y.data()]);
    await flushed;
    for (const { status } of readings) assert.is(status, "rejected");
    assertExact(await x.data(), counting(8));
  });
});

errors("other ops of a list run although one did not compile", async () => {
  const withUniforms = defineKernel<undefined>({
    ...record("test_broken", "y[id.x] = params.missing;"),
    wgsl: `struct Params { count: u32 }
      ${record("", "y[id.x] = params.missing;").wgsl}
      @group(0) @binding(2) var<uniform> params: Params;`,
    uniforms: () => ({ count: 8 }),
  });
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    const before = affine(x, 2, 1);
    withUniforms.run({ x });
    x.write(counting(8, 5));
    const after = affine(x, 2, 1);
    await assertRejects(() => gpu.flush(), KernelError, /test_broken/);
    assertExact(await before.data(), affineOf(counting(8), 2, 1));
    assertExact(await after.data(), affineOf(counting(8, 5), 2, 1));
  });
});

errors(
  "what a failed op was to make is missing, also from what was made of it, until it is made anew",
  async () => {
    await withGpu(async (gpu) => {
      const x = tensor(gpu, counting(8));
      const total = tensor(gpu, counting(8, 100));
      const { y } = broken.run({ x });
      const sum = combine(affine(y, 1, 1), x);
      const copied = copy(sum);
      accumulate(total, copied);
      affine(x, 1, 5, x);
      const program = gpu.program(() => [combine(y, x), affine(x, 2, 0)]);
      await assertRejects(() => gpu.finish(), KernelError, /test_broken did not compile/);
      for (const missing of [y, sum, copied, y.reshape([2, 4]), program.result[0]]) {
        for (let i = 0; i < 2; i++)
          await assertRejects(() => missing.data(), KernelError, /test_broken did not compile/);
      }
      assertExact(await x.data(), affineOf(counting(8), 1, 5), "ops on other tensors ran");
      assertExact(await program.result[1].data(), affineOf(counting(8), 2, 10), "also in a program");
      assertExact(await total.data(), counting(8, 100), "an update that could not be made was not made");
      await assertRejects(() => combine(y, x).data(), KernelError, /test_broken/);
      const skipped = combine(y, x);
      y.write(counting(8, 7)); // waits in the list, behind the op that still misses it
      assertExact(await combine(y, y).data(), counting(8, 28), "made anew by a write in a list");
      await assertRejects(() => skipped.data(), KernelError, /test_broken/);
      affine(x, 1, 0, y);
      assertExact(await combine(y, x).data(), affineOf(counting(8), 4, 20), "made anew by an op");
      assertExact(await program.run()[0].data(), affineOf(counting(8), 4, 20), "and by the program");
      copied.write(counting(8));
      clear(sum);
      accumulate(total, copied);
      assertExact(await total.data(), counting(8, 101), "by a write");
      assertExact(await sum.data(), new Uint32Array(8), "by a clear");
    });
  },
);

errors(
  "what is packed of several tensors is missing if one of them is, and made anew with them",
  async () => {
    await withGpu(async (gpu) => {
      const x = tensor(gpu, counting(8));
      const { y } = broken.run({ x });
      await assertRejects(() => gpu.finish(), KernelError, /test_broken did not compile/);
      for (const parts of [
        [y, x],
        [x, y],
        [x, y, x],
      ])
        await assertRejects(() => packed(parts).data(), KernelError, /test_broken/);
      const whole = packed([x, x]);
      assertExact(await whole.data(), [...counting(8), ...counting(8)]);
      assertExact(await unpacked(whole, 4, x).data(), [...counting(8).slice(4), ...counting(8).slice(0, 4)]);
      y.write(counting(8, 7));
      assertExact(await packed([x, y]).data(), [...counting(8), ...counting(8, 7)]);
      x.dispose();
      assert.throws(
        () => packed([y, x]),
        (error: Error) => error instanceof DisposedError,
      );
    });
  },
);

errors(
  "so is what a refused submit was to make, and what was computed before the refusal was known",
  async () => {
    await withGpu(async (gpu) => {
      const { device } = gpu;
      const buffer = device.createBuffer({ size: 64, usage: 0x0080 | 0x0004 | 0x0008 });
      const foreign = fromBuffer(gpu, buffer, [16], { dtype: "u32" });
      const x = tensor(gpu, counting(16));
      const [total, weights] = [tensor(gpu, counting(16, 10)), tensor(gpu, counting(16, 20))];
      accumulate(total, combine(affine(foreign, 2, 1), x));
      await gpu.finish();
      const after = await total.data();
      buffer.destroy();
      const made = affine(foreign, 2, 1);
      const innocent = affine(x, 3, 0);
      affine(weights, 1, 1, weights);
      x.write(counting(16, 2));
      void gpu.flush().catch(() => {});
      const sum = combine(made, x); // in the next list, before the device has answered for the first
      accumulate(total, sum);
      const good = affine(x, 3, 0);
      await gpu.flush().catch(() => {});
      await gpu.finish().catch(() => {});
      for (const missing of [made, innocent, sum, total])
        await assertRejects(() => missing.data(), KernelError, /the device refused a submit of/);
      assertExact(await good.data(), counting(16, 6), "what did not need it");
      assertExact(await x.data(), counting(16, 2), "written in the refused list, but not by the submit");
      assertExact(await weights.data(), counting(16, 20), "to be updated in the refused submit");
      total.write(after as Uint32Array);
      accumulate(total, good);
      assertExact(
        await total.data(),
        affineOf(after as Uint32Array, 1, 0).map((value, i) => value + 6 * i),
      );
    });
  },
);

errors("a compile error quotes the line of the file and its number", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    broken.run({ x });
    await assertRejects(
      () => x.data(),
      KernelError,
      /test_broken\.wgsl:4: .*missing[\s\S]*\n {4}y\[id\.x\] = missing\(x\[id\.x\]\);/,
    );
    const inPlace = defineKernel({
      ...record("test_in_place", "y[id.x] = x[id.x] + wrong;"),
      inPlace: { y: "x" },
    });
    inPlace.run({ x }, undefined, { out: { y: x } });
    await assertRejects(() => x.data(), KernelError, /test_in_place\.wgsl:4: .*wrong/);
  });
});

errors("also in a loop that was unrolled, and behind it", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    const loop = (inside: string, behind: string) => `// @scalars
  var sum: array<u32, 3>;
  // @unroll
  for (var i = 0u; i < 3u; i++) {
    sum[i] = x[id.x] + i;
    ${inside}
  }
  y[id.x] = sum[0] + sum[1] + sum[2];
  ${behind}`;
    assertExact(
      await defineKernel(record("test_unrolled", loop("", "")))
        .run({ x })
        .y.data(),
      affineOf(counting(8), 3, 3),
    );
    defineKernel(record("test_inside", loop("sum[i] = nothing(i);", ""))).run({ x });
    await assertRejects(
      () => x.data(),
      KernelError,
      /test_inside\.wgsl:9: .*nothing[\s\S]*\n {4}sum_0 = nothing\(0u\);/,
    );
    defineKernel(record("test_behind", loop("", "y[0] = later;"))).run({ x });
    await assertRejects(
      () => x.data(),
      KernelError,
      /test_behind\.wgsl:12: .*later[\s\S]*\n {4}y\[0\] = later;/,
    );
  });
});

errors("a compile that failed is forgotten and tried again", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    let attempts = 0;
    const restore = intercept(gpu.device, "createComputePipelineAsync", (original) => {
      return async (descriptor: GPUComputePipelineDescriptor) => {
        if (++attempts === 1) throw new Error("out of registers (simulated)");
        return original(descriptor);
      };
    });
    try {
      await assertRejects(
        () => affine(x, 2, 1).data(),
        KernelError,
        /kernel test_affine did not compile: out of registers/,
      );
      assertExact(await affine(x, 2, 1).data(), affineOf(counting(8), 2, 1));
      await affine(x, 3, 1).data();
      assert.is(attempts, 2);
    } finally {
      restore();
    }
  });
});

errors("a compilation in flight is shared, one for each set of constants and bindings", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    const made: unknown[] = [];
    const undo = intercept(gpu.device, "createComputePipelineAsync", (original) => {
      return (descriptor: GPUComputePipelineDescriptor) => {
        made.push(descriptor.label);
        return original(descriptor);
      };
    });
    const gate = gateCompilation(gpu.device);
    const results = Array.from({ length: 30 }, (_, i) => affine(x, i, 0));
    void gpu.flush();
    results.push(affine(x, 30, 0));
    assert.equal(made, ["test_affine"]);
    affine(x, 1, 0, x);
    affine(x, 1, 0, x);
    assert.equal(made.length, 2, "in place is another text");
    combine(x, x);
    combine(x, x, x);
    combine(x, x);
    assert.equal(made.length, 4, "an optional input is another constant");
    gate.open();
    undo();
    for (const [i, result] of results.entries()) assertExact(await result.data(), counting(8, i));
  });
});

errors("a program whose kernel does not compile says so at each run", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    const program = gpu.program(() => broken.run({ x }).y);
    await assertRejects(() => program.result.data(), KernelError, /test_broken did not compile/);
    program.run();
    await assertRejects(() => program.result.data(), KernelError, /after it|test_broken did not compile/);
    program.run();
    program.run();
    await assertRejects(() => gpu.finish(), KernelError, /test_broken did not compile/);
    program.dispose();
    assertExact(await x.data(), counting(8));
  });
});

errors("what the device refuses is told with the kernel's name, and the next ops work", async () => {
  await withGpu(async (gpu) => {
    const { device } = gpu;
    const buffer = device.createBuffer({ size: 64, usage: 0x0080 | 0x0004 | 0x0008 });
    const foreign = fromBuffer(gpu, buffer, [16], { dtype: "u32" });
    await affine(foreign, 2, 1).data();
    buffer.destroy(); // the caller's mistake
    const y = affine(foreign, 2, 1);
    const readings = await Promise.allSettled([y.data(), y.data()]);
    for (const reading of readings) {
      assert.is(reading.status, "rejected");
      const { reason } = reading as PromiseRejectedResult;
      assert.instance(reason, KernelError);
      assert.match(reason.message, /the device refused a submit of test_affine: .*destroyed/s);
    }
    foreign.write(counting(16));
    await assertRejects(() => gpu.finish(), KernelError, /an upload|test_affine|copy/);
    const x = tensor(gpu, counting(8));
    assertExact(await affine(x, 2, 1).data(), affineOf(counting(8), 2, 1));
  });
});

errors("what throws while a list is encoded comes with the next read-back", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    await affine(x, 2, 1).data();
    const restore = intercept(gpu.device, "createBindGroup", () => () => {
      throw new TypeError("not a buffer (simulated)");
    });
    affine(x, 2, 1);
    const flushing = gpu.flush();
    restore();
    await assertRejects(() => flushing, HandgradError, /not a buffer/);
    assertExact(await affine(x, 2, 1).data(), affineOf(counting(8), 2, 1));
  });
});

errors("also where the device answers error scopes late", async () => {
  await withGpu(async (gpu) => {
    const { device } = gpu;
    const buffer = device.createBuffer({ size: 64, usage: 0x0080 | 0x0004 | 0x0008 });
    const foreign = fromBuffer(gpu, buffer, [16], { dtype: "u32" });
    await affine(foreign, 2, 1).data();
    buffer.destroy();
    const restore = intercept(device, "popErrorScope", (original) => async () => {
      const answer = await original();
      await moment(30);
      return answer;
    });
    const reading = affine(foreign, 2, 1).data();
    restore();
    await assertRejects(() => reading, KernelError, /the device refused a submit/);
    const again = intercept(device, "popErrorScope", (original) => async () => {
      const answer = await original();
      await moment(30);
      return answer;
    });
    affine(foreign, 2, 1);
    const finishing = gpu.finish();
    again();
    await assertRejects(() => finishing, KernelError, /the device refused a submit/);
  });
});

errors("the caller's own mistakes on a shared device are the caller's", async () => {
  await withGpu(async (gpu) => {
    const { device } = gpu;
    const x = tensor(gpu, counting(8));
    device.pushErrorScope("validation");
    device.createBuffer({ size: 16, usage: 0 });
    const y = affine(x, 2, 1);
    assertExact(await y.data(), affineOf(counting(8), 2, 1));
    const error = await device.popErrorScope();
    assert.ok(error, "the caller's scope got it");
    device.pushErrorScope("validation");
    broken.run({ x });
    const own = await Promise.allSettled([y.data()]);
    assert.is(own[0].status, "rejected");
    assert.is(await device.popErrorScope(), null, "ours does not get into the caller's scope");
  });
});

errors("an error between two flushes does not stop the lists behind it", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    const gate = gateCompilation(gpu.device);
    const a = affine(x, 2, 0);
    const flushes = [gpu.flush()];
    broken.run({ x });
    flushes.push(gpu.flush());
    const b = combine(a, x);
    flushes.push(gpu.flush());
    await moment();
    gate.open();
    const settled = await Promise.allSettled(flushes);
    assert.ok(settled.some(({ status }) => status === "rejected"));
    assertExact(await b.data(), counting(8, 5));
  });
});

errors.run();
