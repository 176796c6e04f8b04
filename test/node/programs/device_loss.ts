// Loses its device with work pending, opens another, and leaves it to Node to end the process.
import { DeviceLostError, matmul, openGpu, ProgramError, tensor } from "handgrad";

const before = Object.keys(globalThis).join();

async function expectError(kind: new (message: string) => Error, body: () => unknown): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (error instanceof kind) return;
    throw error;
  }
  throw new Error(`nothing was thrown; expected ${kind.name}`);
}

const gpu = await openGpu();
const a = tensor(gpu, [[1, 2]]);
const b = tensor(gpu, [[3], [4]]);
const program = gpu.program(() => matmul(a, b));
const pending = [matmul(a, b).data(), program.run().data(), gpu.finish(), gpu.profile(() => matmul(a, b))];
const caught = pending.map((work) => expectError(DeviceLostError, () => work));
gpu.device.destroy();
await Promise.all(caught);
await expectError(DeviceLostError, () => matmul(a, b));
await expectError(DeviceLostError, () => program.run());
await expectError(DeviceLostError, () => a.data());

const next = await openGpu();
const y = matmul(tensor(next, [[1, 2]]), tensor(next, [[3], [4]]));
// Promises that a refused body made are nobody's, and must not end the process as unhandled rejections.
await expectError(ProgramError, () => next.scope(async () => y.data()));
await expectError(ProgramError, () => next.scope(() => void y.item()));
const value = await y.item();
if (value !== 11) throw new Error(`1·3 + 2·4 came out as ${value}`);
gpu.dispose();
next.dispose();
if (Object.keys(globalThis).join() !== before) throw new Error("something was written to globalThis");
await new Promise((resolve) => setTimeout(resolve, 50));
console.log("done");
