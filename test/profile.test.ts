import { type Gpu, KernelError, ProgramError, type Profile, tensor, zeros } from "handgrad";
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
  intercept,
  moment,
  withGpu,
} from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";

const profiles = suite("profile");

/** Runs `body` as on an adapter without timestamps. */
async function withoutTimestamps(gpu: Gpu, body: () => Promise<void>): Promise<void> {
  const { device } = gpu;
  const own = Object.getOwnPropertyDescriptor(device, "features");
  const features = new Set([...device.features].filter((feature) => feature !== "timestamp-query"));
  Object.defineProperty(device, "features", { value: features, configurable: true });
  try {
    await body();
  } finally {
    delete (device as { features?: unknown }).features;
    if (own) Object.defineProperty(device, "features", own);
  }
}

/** Runs `body` on both clocks, each with a Gpu of its own. */
async function onBothClocks(body: (gpu: Gpu, clock: Profile["clock"]) => Promise<void>): Promise<void> {
  await withGpu(async (gpu) => {
    if (gpu.device.features.has("timestamp-query")) await body(gpu, "timestamp-query");
  });
  await withGpu((gpu) => withoutTimestamps(gpu, () => body(gpu, "wall clock")));
}

const callsOf = (profile: Profile) =>
  Object.fromEntries(profile.kernels.map(({ kernel, calls }) => [kernel, calls]));

profiles("calls and times of each kernel, longest first, those of programs too", async () => {
  await onBothClocks(async (gpu, clock) => {
    const x = tensor(gpu, counting(5000));
    const total = zeros(gpu, [5000], { dtype: "u32" });
    const program = gpu.program(() => accumulate(total, affine(x, 2, 0)));
    const result = await gpu.profile(() => {
      for (let i = 0; i < 3; i++) combine(x, x);
      program.run();
      program.run();
      x.write(counting(5000, 2));
      zeros(gpu, [4]);
    });
    assert.is(result.clock, clock);
    assert.equal(callsOf(result), { test_combine: 3, test_affine: 2, test_accumulate: 2 });
    for (const { milliseconds } of result.kernels) assert.ok(milliseconds >= 0 && milliseconds < 1e4);
    const times = result.kernels.map(({ milliseconds }) => milliseconds);
    assert.equal(
      times,
      times.toSorted((a, b) => b - a),
    );
    const sum = times.reduce((a, b) => a + b, 0);
    assert.ok(sum > 0 && sum <= 1.5 * result.totalMilliseconds, `${sum} of ${result.totalMilliseconds} ms`);
    assertExact(await total.data(), counting(5000, 6), "and the work is done");
    assertExact(await x.data(), counting(5000, 2));
  });
});

profiles("the order of ops, writes and disposals holds in a profile", async () => {
  await onBothClocks(async (gpu) => {
    const results = await gpu.profile(async () => {
      const x = tensor(gpu, counting(64));
      const a = affine(x, 2, 1);
      x.write(counting(64, 7));
      const program = gpu.program(() => affine(x, 3, 2));
      const b = affine(program.result, 1, 0);
      program.dispose();
      x.dispose();
      const intruder = tensor(gpu, counting(64, 1000));
      assertExact(await a.data(), affineOf(counting(64), 2, 1), "read inside the profile");
      assertExact(await b.data(), affineOf(counting(64, 7), 3, 2));
      assertExact(await intruder.data(), counting(64, 1000));
    });
    assert.equal(callsOf(results), { test_affine: 3 });
  });
});

profiles("work from before and after is not counted", async () => {
  await onBothClocks(async (gpu) => {
    const x = tensor(gpu, counting(64));
    affine(x, 2, 1);
    assert.equal(callsOf(await gpu.profile(() => combine(x, x))), { test_combine: 1 });
    affine(x, 2, 1);
    assert.equal(callsOf(await gpu.profile(() => {})), {});
    assert.equal(callsOf(await gpu.profile(() => affine(x, 2, 1))), { test_affine: 1 });
    const before = gpu.stream.submits;
    for (let i = 0; i < 5; i++) affine(x, 2, 1);
    await gpu.finish();
    assert.is(gpu.stream.submits - before, 1, "no more waiting for each");
  });
});

profiles("ops that others record meanwhile keep their order", async () => {
  await onBothClocks(async (gpu) => {
    const x = tensor(gpu, counting(64));
    const gate = gateCompilation(gpu.device);
    const profile = gpu.profile(() => {
      for (let i = 0; i < 20; i++) affine(x, 3, 1, x);
    });
    await moment();
    gate.open();
    await moment(0);
    const y = affine(x, 5, 0);
    x.write(counting(64, 2));
    let expected = counting(64);
    for (let i = 0; i < 20; i++) expected = affineOf(expected, 3, 1);
    assertExact(await y.data(), affineOf(expected, 5, 0));
    assertExact(await x.data(), counting(64, 2));
    await profile;
  });
});

profiles("more dispatches than one set of timestamps holds", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(4));
    const total = zeros(gpu, [4], { dtype: "u32" });
    const result = await gpu.profile(() => {
      for (let i = 0; i < 2100; i++) accumulate(total, x);
    });
    assert.equal(callsOf(result), { test_accumulate: 2100 });
    assertExact(await total.data(), counting(4, 2100));
  });
});

profiles("an error in the body comes through, and what it recorded is not counted later", async () => {
  await onBothClocks(async (gpu) => {
    const x = tensor(gpu, counting(64));
    const sets = new Set<GPUQuerySet>();
    const restore = intercept(
      gpu.device,
      "createQuerySet",
      (original) => (descriptor: GPUQuerySetDescriptor) => {
        const set = original(descriptor);
        sets.add(set);
        intercept(set, "destroy", (destroy) => () => {
          sets.delete(set);
          destroy();
        });
        return set;
      },
    );
    const fail = () => {
      affine(x, 1, 1, x);
      throw new Error("of the caller");
    };
    await assertRejects(() => gpu.profile(fail), Error, /of the caller/);
    const broken = gpu.kernel({
      name: "test_broken",
      wgsl: "@group(0) @binding(0) var<storage, read> x: array<u32>; @compute @workgroup_size(1) fn main() { nothing(); }",
      bindings: { x: "read" },
      shape: () => ({}),
      grid: () => [1],
    });
    await assertRejects(() => gpu.profile(() => broken.run({ x })), KernelError, /test_broken/);
    assert.equal(callsOf(await gpu.profile(() => combine(x, x))), { test_combine: 1 });
    restore();
    assert.is(sets.size, 0, "timestamp sets that were left behind");
    assertExact(await x.data(), affineOf(counting(64), 1, 1));
  });
});

profiles("one at a time, and not in a program body", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(64));
    const first = gpu.profile(() => affine(x, 1, 1));
    await assertRejects(() => gpu.profile(() => {}), ProgramError, /another profile/);
    assert.equal(callsOf(await first), { test_affine: 1 });
    await assertRejects(() => gpu.program(() => gpu.profile(() => {})), ProgramError, /program body/);
  });
});

profiles.run();
