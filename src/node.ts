import type { Gpu } from "./gpu/gpu.js";
import { type OpenGpuOptions, openGpuWith } from "./gpu/open.js";
import { findNodeAdapter } from "./node/adapter.js";
import { paceWaits } from "./node/pace.js";
import { nodeTuningStore } from "./node/tuning_store.js";

export * from "./index.js";
export { type AdapterAttempt, listAdapters } from "./node/adapter.js";

/**
 * Opens a GPU on Node: hardware if there is any, else a software adapter that works (a lavapipe that Dawn accepts,
 * else SwiftShader out of the optional package `@sparticuz/chromium`). `gpu.info` tells which it is.
 *
 * The process stays alive until `gpu.dispose()`, and exits by itself after it. While something waits for a software
 * adapter, each turn of the event loop pauses, for up to a millisecond, and leaves the adapter the core.
 *
 * @param options `device`: the caller's own device, which is used and never destroyed; `adapter`: "hardware",
 *   "software", "swiftshader", "lavapipe" or a part of the adapter's description (the environment variable
 *   HANDGRAD_ADAPTER does the same where the option is absent).
 * @throws NoAdapterError with what was tried and the next step.
 * @example
 * const gpu = await openGpu();
 * console.log(gpu.info.kind, gpu.info.vendor);
 * gpu.dispose();
 */
export async function openGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  const gpu = await openGpuWith(findNodeAdapter, { tuning: nodeTuningStore(), ...options });
  if (gpu.info.kind === "software") paceWaits(gpu.lifetime);
  return gpu;
}
