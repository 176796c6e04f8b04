import { type Gpu, openGpu } from "handgrad";

let opened: Promise<Gpu> | undefined;

/** The GPU that the suites of a host share: opened by the first that asks, disposed of by the runner. */
export function sharedGpu(): Promise<Gpu> {
  opened ??= openGpu();
  return opened;
}

/** For the runner, after the last suite. */
export async function disposeSharedGpu(): Promise<void> {
  const gpu = await opened?.catch(() => undefined);
  gpu?.dispose();
  opened = undefined;
}
