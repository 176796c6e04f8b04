// What the command-line programs have in common.
import { type Gpu, HandgradError, openGpu } from "handgrad";

/** Opens the adapter, says which it is, and closes it in any case. `start` is in milliseconds of `performance.now`. */
export async function withGpu(
  adapter: string | undefined,
  use: (gpu: Gpu, start: number) => Promise<void>,
): Promise<void> {
  const start = performance.now();
  const gpu = await openGpu({ adapter });
  try {
    const { description, device, vendor, kind, driver } = gpu.info;
    console.log(`adapter: ${description || device || vendor} (${kind}, ${driver})\n`);
    await use(gpu, start);
  } finally {
    gpu.dispose();
  }
}

/** Ends with code 1. What the user can mend comes as a sentence and the `hint`; anything else with its stack. */
export function failWith(hint: string): (error: unknown) => void {
  return (error) => {
    const usage =
      error instanceof HandgradError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
    console.error(usage ? `${(error as Error).message}\n(${hint})` : error);
    process.exitCode = 1;
  };
}
