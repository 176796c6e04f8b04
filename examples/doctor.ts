// `npm run doctor`: which adapters this machine has, which one openGpu() takes, and whether it computes.
import { parseArgs } from "node:util";
import { type Gpu, type GpuInfo, HandgradError, listAdapters, matmul, openGpu, tensor } from "handgrad";

const HELP = `npm run doctor -- [options]

Prints the adapters of this machine, the one that openGpu() takes, and the result of a self-check of a second.

  --adapter NAME   hardware, software, swiftshader, lavapipe or part of a name (default: the best there is)
  --help           this text`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { adapter: { type: "string" }, help: { type: "boolean", default: false } },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  console.log(`handgrad on Node ${process.version}, ${process.platform} ${process.arch}\n`);
  await printAdapters();
  const start = performance.now();
  const gpu = await openGpu({ adapter: values.adapter });
  try {
    printChoice(gpu.info, performance.now() - start);
    return (await selfCheck(gpu)) ? 0 : 1;
  } finally {
    gpu.dispose();
  }
}

async function printAdapters(): Promise<void> {
  console.log("looked for adapters in");
  for (const { driver, found, problem } of await listAdapters()) {
    console.log(`  ${problem ? "-" : "+"} ${driver}: ${found.join("; ")}${problem}`);
  }
}

function printChoice(info: GpuInfo, milliseconds: number): void {
  const { vendor, architecture, device, description, kind, driver, features, limits } = info;
  console.log(`\nopenGpu() took, in ${milliseconds.toFixed(0)} ms`);
  const rows = { driver, kind, vendor, architecture, device, description, features: features.join(", ") };
  for (const [name, value] of Object.entries(rows))
    console.log(`  ${name.padEnd(14)} ${value || "(not told)"}`);
  console.log("  limits");
  for (const [name, value] of Object.entries(limits))
    console.log(`    ${name.padEnd(43)} ${readable(value)}`);
  if (kind === "software") {
    console.log(
      "  (a software adapter computes on the CPU: right for trying out and for tests, slow for large models;\n" +
        "  if this machine has a GPU, install its Vulkan driver)",
    );
  }
}

/** Sizes of a mebibyte and more in a unit that can be read at a glance. */
function readable(value: number): string {
  return value >= 2 ** 20 && value % 2 ** 20 === 0 ? `${value / 2 ** 20} Mi` : String(value);
}

/** Uploads, multiplies and reads back for a second, and compares with the CPU. */
async function selfCheck(gpu: Gpu): Promise<boolean> {
  const deadline = performance.now() + 1000;
  let worst = 0;
  let rounds = 0;
  do {
    const [rows, inner, columns] = [33 + rounds, 65 + 3 * rounds, 17 + 2 * rounds];
    const error = await matmulError(gpu, rows, inner, columns);
    worst = Number.isNaN(error) ? Number.NaN : Math.max(worst, error);
    rounds++;
  } while (performance.now() < deadline && rounds < 100);
  const ok = worst <= 1e-5;
  const verdict = ok ? "passed" : "FAILED: this adapter computes wrong numbers; try another with --adapter";
  console.log(`\nself-check ${verdict}`);
  console.log(
    `  ${rounds} rounds of upload, matmul, read-back; largest relative error ${worst.toExponential(1)}`,
  );
  return ok;
}

/** The largest difference of a product from the one of the CPU, relative to the largest element. */
async function matmulError(gpu: Gpu, rows: number, inner: number, columns: number): Promise<number> {
  // Positive numbers, so that nothing cancels and the rounding errors stay small beside the sums.
  const a = Float32Array.from({ length: rows * inner }, (_, i) => (i * 0.618) % 1);
  const b = Float32Array.from({ length: inner * columns }, (_, i) => (i * 0.414) % 1);
  const actual = await onGpu(gpu, a, [rows, inner], b, [inner, columns]);
  let difference = 0;
  let largest = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let expected = 0;
      for (let k = 0; k < inner; k++) expected += a[row * inner + k] * b[k * columns + column];
      const off = Math.abs(actual[row * columns + column] - expected);
      if (!(off <= difference)) difference = off; // NaN is kept
      largest = Math.max(largest, Math.abs(expected));
    }
  }
  return difference / largest;
}

async function onGpu(gpu: Gpu, a: Float32Array, aShape: number[], b: Float32Array, bShape: number[]) {
  const inputs = [tensor(gpu, a, aShape), tensor(gpu, b, bShape)];
  const y = matmul(inputs[0], inputs[1]);
  try {
    return await y.data();
  } finally {
    for (const each of [...inputs, y]) each.dispose();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof HandgradError)) throw error;
  console.error(`\n${error.name}: ${error.message}`);
  process.exitCode = 1;
}
