import { adapterKind, adapterText } from "./gpu/adapter.js";
import { NoAdapterError } from "./gpu/errors.js";
import type { Gpu } from "./gpu/gpu.js";
import { type HostAdapter, type OpenGpuOptions, openGpuWith } from "./gpu/open.js";
import type { TuningStore } from "./gpu/tuner.js";

export * from "./index.js";

/**
 * Opens a GPU in a browser, by `navigator.gpu`. The page must be a secure context (https or 127.0.0.1).
 *
 * @param options `device`: the caller's own device, which is used and never destroyed; `adapter`: "hardware",
 *   "software" or a part of the adapter's description.
 * @throws NoAdapterError with what was tried and the next step.
 * @example
 * const gpu = await openGpu();
 * console.log(gpu.info.kind, gpu.info.vendor);
 */
export function openGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  return openGpuWith(findBrowserAdapter, { tuning: localTuningStore, ...options });
}

const requests: GPURequestAdapterOptions[] = [
  { powerPreference: "high-performance" },
  { powerPreference: "low-power" },
  { forceFallbackAdapter: true },
];

async function findBrowserAdapter(wanted: string | undefined): Promise<HostAdapter> {
  if (!globalThis.navigator?.gpu) throw new NoAdapterError(noWebGpu());
  const found: string[] = [];
  for (const request of requests) {
    const adapter = await navigator.gpu.requestAdapter(request);
    if (!adapter) continue;
    const text = adapterText(adapter.info);
    const kind = adapterKind(adapter.info);
    if (wanted === undefined || wanted === kind || text.toLowerCase().includes(wanted.toLowerCase())) {
      return { adapter, driver: "browser", kind };
    }
    if (!found.includes(text)) found.push(text);
  }
  throw new NoAdapterError(noneOf(wanted, found));
}

function noWebGpu(): string {
  if (!globalThis.isSecureContext) {
    return "navigator.gpu is absent because this page is not a secure context: serve it by https or from 127.0.0.1";
  }
  return "this browser has no navigator.gpu: use a browser with WebGPU, or switch it on in the browser's settings";
}

function noneOf(wanted: string | undefined, found: string[]): string {
  if (found.length > 0) return `no adapter matches "${wanted}"; the browser has ${found.join("; ")}`;
  return (
    "navigator.gpu.requestAdapter() found no adapter: switch on hardware acceleration in the browser's settings, or " +
    "for a software adapter start Chromium with --enable-unsafe-webgpu (on Linux also --enable-features=Vulkan)"
  );
}

const storageKey = (adapter: string): string => `handgrad tuning ${adapter}`;

/** Tuning results in the page's local storage; pages without it (workers, blocked storage) remember nothing. */
const localTuningStore: TuningStore = {
  load(adapter) {
    try {
      return globalThis.localStorage?.getItem(storageKey(adapter)) ?? undefined;
    } catch {
      return undefined;
    }
  },
  save(adapter, text) {
    try {
      globalThis.localStorage?.setItem(storageKey(adapter), text);
    } catch {
      // Full or blocked: measured anew on the next visit.
    }
  },
};
