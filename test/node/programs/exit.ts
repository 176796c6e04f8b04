// Opens a GPU, uses it as the argument says, disposes of it, and leaves it to Node to end the process.
import { matmul, openGpu, tensor } from "handgrad";

const gpu = await openGpu();
const collectGarbage = (globalThis as { gc?: () => void }).gc ?? (() => {});

async function multiply(): Promise<void> {
  const y = matmul(tensor(gpu, [[1, 2]]), tensor(gpu, [[3], [4]]));
  collectGarbage();
  const [value] = await y.data();
  if (value !== 11) throw new Error(`1·3 + 2·4 came out as ${value}`);
}

const uses: Record<string, () => Promise<void>> = {
  async idle() {},
  work: multiply,
  async pending() {
    const reading = multiply();
    gpu.dispose();
    await reading.then(
      () => Promise.reject(new Error("a read-back that dispose() cut short came to an end")),
      (error: Error) => {
        if (error.name !== "DisposedError") throw error;
      },
    );
  },
  async reopened() {
    await multiply();
    const second = await openGpu();
    second.dispose();
  },
};

await uses[process.argv[2]]();
gpu.dispose();
collectGarbage();
console.log("done");
