import {
  copy,
  DeviceLostError,
  DisposedError,
  empty,
  fromBuffer,
  type Gpu,
  openGpu,
  ShapeError,
  type Tensor,
  tensor,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openGpuWith } from "../src/gpu/open.js";
import { assertExact } from "./helpers/compare.js";
import {
  affine,
  affineOf,
  combine,
  counting,
  gateCompilation,
  intercept,
  moment,
  spy,
} from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";

const devices = suite("device");

/** A Gpu over a device that is not shared with other tests, as a caller would hand it in. */
async function openOnOwnDevice(): Promise<{ gpu: Gpu; device: GPUDevice; close(): void }> {
  const owner = await openGpu();
  const { device } = owner;
  const gpu = await openGpu({ device });
  const close = () => {
    gpu.dispose();
    owner.dispose();
  };
  return { gpu, device, close };
}

/** Every buffer made on the device from now on, and how many of them were not destroyed. */
function watchBuffers(device: GPUDevice): { alive(): number; made(): number; restore(): void } {
  const alive = new Set<GPUBuffer>();
  let made = 0;
  const restore = intercept(device, "createBuffer", (original) => (descriptor: GPUBufferDescriptor) => {
    const buffer = original(descriptor);
    made++;
    alive.add(buffer);
    intercept(buffer, "destroy", (destroy) => () => {
      alive.delete(buffer);
      destroy();
    });
    return buffer;
  });
  return { alive: () => alive.size, made: () => made, restore };
}

devices("all limits of the adapter are asked for, and the features that help", async () => {
  const owner = await openGpu();
  const asked: GPUDeviceDescriptor[] = [];
  const limits = { maxBufferSize: 12345678, maxStorageBuffersPerShaderStage: 13, maxBindGroups: 4 };
  const adapter = {
    limits,
    features: new Set(["timestamp-query", "depth-clip-control"]),
    info: { vendor: "v", architecture: "a", device: "d", description: "swiftshader" },
    requestDevice: async (descriptor: GPUDeviceDescriptor) => {
      asked.push(descriptor);
      if (asked.length > 1) throw new Error("refused");
      return owner.device;
    },
  } as unknown as GPUAdapter;
  const find = async () => ({ adapter, driver: "pretended", kind: "software" as const });
  const gpu = await openGpuWith(find);
  assert.equal(asked[0], { requiredLimits: limits, requiredFeatures: ["timestamp-query"] });
  assert.equal([gpu.info.vendor, gpu.info.driver, gpu.info.kind], ["v", "pretended", "software"]);
  gpu.dispose();
  gpu.dispose();
  await assertRejects(() => openGpuWith(find), Error, /refused/);
  owner.dispose();
});

devices("info tells what was taken", async () => {
  const { info, device, limits } = await sharedGpu();
  assert.ok(info.kind === "hardware" || info.kind === "software");
  assert.ok(
    [info.vendor, info.architecture, info.device, info.description].some(Boolean),
    JSON.stringify(info),
  );
  assert.ok(info.driver);
  assert.equal([...info.features], [...device.features].sort());
  assert.is(info.limits.maxStorageBufferBindingSize, limits.maxStorageBufferBindingSize);
  assert.ok(Object.keys(info.limits).length > 10);
  const over = await openGpu({ device });
  assert.equal([over.info.kind, over.info.vendor], [info.kind, info.vendor]);
  over.dispose();
});

devices("a caller's device is left as it was found", async () => {
  const { device, gpu: first, close } = await openOnOwnDevice();
  first.dispose();
  const buffers = watchBuffers(device);
  const listening = spy(device, "addEventListener");
  const destroyed = spy(device, "destroy");
  const gpu = await openGpu({ device, debug: true, poolBytes: 4096 });
  const x = tensor(gpu, counting(64));
  const kept = affine(x, 2, 1);
  const program = gpu.program(() => affine(kept, 3, 0));
  zeros(gpu, [100]).dispose();
  zeros(gpu, [5000]).dispose();
  assertExact(await program.run().data(), affineOf(counting(64), 6, 3));
  await gpu.profile(() => program.run());
  affine(x, 1, 1); // recorded and never submitted
  assert.ok(buffers.alive() >= 4, `${buffers.alive()}`);
  gpu.dispose();
  assert.is(buffers.alive(), 0, `buffers of ${buffers.made()} that were left behind`);
  assert.equal([listening.calls.length, destroyed.calls.length], [0, 0]);
  for (const each of [buffers, listening, destroyed]) each.restore();
  for (const t of [x, kept]) t.dispose();
  program.dispose();
  const own = device.createBuffer({ size: 64, usage: 0x0080 | 0x0004 | 0x0008 });
  const again = await openGpu({ device });
  const y = fromBuffer(again, own, [16], { dtype: "u32" });
  y.write(counting(16, 4));
  assertExact(await affine(y, 2, 1).data(), affineOf(counting(16, 4), 2, 1), "the device still computes");
  again.dispose();
  own.destroy();
  close();
});

devices("read-backs leave no buffers, failed ones neither", async () => {
  const { gpu, device, close } = await openOnOwnDevice();
  const x = tensor(gpu, counting(64));
  await affine(x, 1, 1).data();
  const buffers = watchBuffers(device);
  for (let i = 0; i < 5; i++) await x.data();
  assert.equal([buffers.made(), buffers.alive()], [5, 0]);
  const pending = x.data();
  gpu.dispose();
  await assertRejects(() => pending, DisposedError, /pending/);
  assert.is(buffers.alive(), 0);
  close();
});

devices("two gpus at once do not disturb each other", async () => {
  const [one, two] = await Promise.all([openGpu(), openGpu()]);
  const [a, b] = [tensor(one, counting(40)), tensor(two, counting(40, 7))];
  let [x, y] = [a, b];
  for (let i = 0; i < 10; i++) [x, y] = [affine(x, 3, 1), affine(y, 5, 2)];
  const [left, right] = await Promise.all([x.data(), y.data()]);
  let [expectedLeft, expectedRight] = [counting(40), counting(40, 7)];
  for (let i = 0; i < 10; i++) {
    expectedLeft = affineOf(expectedLeft, 3, 1);
    expectedRight = affineOf(expectedRight, 5, 2);
  }
  assertExact(left, expectedLeft);
  assertExact(right, expectedRight);
  await assertRejects(() => combine(x, y), ShapeError, /another gpu/);
  await assertRejects(() => copy(x, { out: y }), ShapeError, /another gpu/);
  one.scope(() => y.reshape([40]).dispose()); // the scope is the other's
  one.dispose();
  assertExact(await affine(b, 2, 0).data(), counting(40, 14), "the other works on");
  two.dispose();
});

devices("use after dispose() throws, disposal does not", async () => {
  const gpu = await openGpu();
  const x = tensor(gpu, counting(8));
  const program = gpu.program(() => affine(x, 2, 1));
  gpu.dispose();
  gpu.dispose();
  gpu[Symbol.dispose]();
  await assertRefused(gpu, x, program, DisposedError, /^gpu: it was disposed/);
  program.dispose();
  x.dispose();
  x.dispose();
});

devices("dispose() rejects what is pending, on a device of its own and on the caller's", async () => {
  const { gpu: over, close } = await openOnOwnDevice();
  for (const gpu of [await openGpu(), over]) {
    const x = tensor(gpu, counting(8));
    await affine(x, 1, 1).data();
    const submitted = affine(x, 2, 1).data();
    await moment(0);
    const gate = gateCompilation(gpu.device);
    const waiting = combine(x, x).data();
    const finishing = gpu.finish();
    const profiling = gpu.profile(() => affine(x, 5, 5));
    const outcomes = Promise.allSettled([submitted, waiting, finishing, profiling]);
    await moment(0);
    gpu.dispose();
    const [first, ...others] = await outcomes;
    if (first.status === "fulfilled") assertExact(first.value, affineOf(counting(8), 2, 1));
    else assert.instance(first.reason, DisposedError);
    for (const [i, outcome] of others.entries()) {
      assert.is(outcome.status, "rejected", `${i}`);
      assert.instance((outcome as PromiseRejectedResult).reason, DisposedError, `${i}`);
    }
    gate.open();
    await moment();
  }
  close();
});

devices("a lost device rejects what is pending and refuses what comes", async () => {
  const { gpu, device, close } = await openOnOwnDevice();
  const x = tensor(gpu, counting(8));
  const program = gpu.program(() => affine(x, 2, 1));
  await program.result.data();
  const pending = [x.data(), program.run().data(), gpu.finish(), gpu.profile(() => program.run())];
  device.destroy();
  const gate = gateCompilation(device);
  const late = [combine(x, x).data(), gpu.flush()];
  const outcomes = await Promise.allSettled([...pending, ...late]);
  for (const [i, outcome] of outcomes.entries()) {
    if (i < 4 && outcome.status === "fulfilled") continue; // done before the loss was noticed
    assert.is(outcome.status, "rejected", `${i}`);
    const { reason } = outcome as PromiseRejectedResult;
    assert.instance(reason, DeviceLostError, `${i}: ${reason}`);
    assert.match(reason.message, /the device was lost \(.*open a new one with openGpu\(\)/);
  }
  gate.open();
  await assertRefused(gpu, x, program, DeviceLostError, /^gpu: the device was lost/);
  program.dispose();
  x.dispose();
  close();
  await assertRejects(() => x.data(), DisposedError, /disposed/);
});

devices("read-backs that were pending on a lost device never come out as zeros", async () => {
  for (const wait of [0, 1, 3]) {
    const { gpu, device, close } = await openOnOwnDevice();
    const x = tensor(gpu, counting(1000, 3, 1));
    await affine(x, 1, 0).data();
    const readings = Array.from({ length: 4 }, (_, i) => affine(x, i + 1, 0).data());
    await moment(wait);
    device.destroy();
    for (const [i, outcome] of (await Promise.allSettled(readings)).entries()) {
      if (outcome.status === "fulfilled")
        assertExact(outcome.value, affineOf(counting(1000, 3, 1), i + 1, 0));
      else assert.instance(outcome.reason, DeviceLostError);
    }
    close();
  }
});

devices("nothing of a read-back stays behind in a gpu that lives on", async () => {
  const { gpu, close } = await openOnOwnDevice();
  const x = tensor(gpu, counting(8));
  for (let i = 0; i < 20; i++) await Promise.all([x.data(), gpu.flush(), gpu.finish()]);
  await moment();
  assert.is(gpu.lifetime.pending, 0);
  close();
});

devices("a device that is lost already is refused at the first use", async () => {
  const owner = await openGpu();
  owner.dispose();
  const gpu = await openGpu({ device: owner.device });
  await owner.device.lost;
  await moment();
  await assertRejects(() => zeros(gpu, [2]), DeviceLostError, /lost/);
  gpu.dispose();
});

/** Everything that uses the device throws, or rejects with, this error. */
async function assertRefused(
  gpu: Gpu,
  x: Tensor,
  program: { run(): unknown },
  kind: new (message: string) => Error,
  message: RegExp,
): Promise<void> {
  const uses: (() => unknown)[] = [
    () => x.data(),
    () => x.write(counting(8)),
    () => affine(x, 1, 1),
    () => affine(x, 1, 1, x),
    () => copy(x),
    () => tensor(gpu, [1]),
    () => empty(gpu, [1]),
    () => zeros(gpu, [1]),
    () => fromBuffer(gpu, x.buffer, [1]),
    () => gpu.flush(),
    () => gpu.finish(),
    () => gpu.profile(() => {}),
    () => gpu.scope(() => 1),
    () => gpu.program(() => 1),
    () => program.run(),
  ];
  for (const use of uses) await assertRejects(use, kind, message);
}

devices.run();
