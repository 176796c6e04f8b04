/** From an adapter, or a caller's device, to a `Gpu`. */
import { type AdapterKind, adapterKind } from "./adapter.js";
import { Gpu } from "./gpu.js";
import type { TuningStore } from "./tuner.js";

export interface OpenGpuOptions {
  /** The caller's own device: used, never destroyed. */
  readonly device?: GPUDevice;
  /**
   * Which adapter: "hardware", "software", "swiftshader", "lavapipe", or part of a driver's, vendor's or device's
   * name. Default: hardware if there is one, else the fastest software adapter that works.
   */
  readonly adapter?: string;
  /** Scan the results of every op for NaN and infinity and name the op; slow. Default false. */
  readonly debug?: boolean;
  /**
   * Choose kernels and the order of sums by what a single sample looks like, so that the same sample gives the
   * same bits in a batch of any size (on one adapter); tuning results are left aside. Slower. Default false:
   * the same call gives the same bits, and other batches agree to rounding.
   */
  readonly deterministic?: boolean;
  /** How many bytes of released buffers are kept for reuse. Default 256 MiB. */
  readonly poolBytes?: number;
  /** Where tuning results are kept; default: a file in the cache folder on Node, local storage in browsers. */
  readonly tuning?: TuningStore;
}

/** An adapter that a host (Node, a browser) found. */
export interface HostAdapter {
  readonly adapter: GPUAdapter;
  /** Where it came from, for people: "system", "swiftshader (bundled)", … */
  readonly driver: string;
  readonly kind: AdapterKind;
}

/** What `gpu.info` tells of the adapter. */
export interface GpuInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly kind: AdapterKind;
  readonly driver: string;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
}

const WANTED_FEATURES: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16", "subgroups"];

/** Opens the caller's device, or the adapter that the host finds, with all the limits that the adapter has. */
export async function openGpuWith(
  findAdapter: (wanted: string | undefined) => Promise<HostAdapter>,
  options: OpenGpuOptions = {},
): Promise<Gpu> {
  if (options.device) {
    const { device } = options;
    const info = describe(device.adapterInfo, undefined, "the caller's device", device);
    return new Gpu(device, info, false, options);
  }
  const host = await findAdapter(options.adapter);
  let device: GPUDevice | undefined;
  try {
    const { adapter } = host;
    device = await adapter.requestDevice({
      requiredLimits: readLimits(adapter.limits),
      requiredFeatures: WANTED_FEATURES.filter((feature) => adapter.features.has(feature)),
    });
    const info = describe(adapter.info, host.kind, host.driver, device);
    return new Gpu(device, info, true, options);
  } catch (error) {
    device?.destroy();
    throw error;
  }
}

function describe(
  /** Absent on the devices of older browsers. */
  adapter: GPUAdapterInfo | undefined,
  kind: GpuInfo["kind"] | undefined,
  driver: string,
  device: GPUDevice,
): GpuInfo {
  return {
    vendor: adapter?.vendor ?? "",
    architecture: adapter?.architecture ?? "",
    device: adapter?.device ?? "",
    description: adapter?.description ?? "",
    kind: kind ?? (adapter ? adapterKind(adapter) : "hardware"),
    driver,
    limits: readLimits(device.limits),
    features: [...device.features].sort(),
  };
}

function readLimits(limits: GPUSupportedLimits): Record<string, number> {
  const result: Record<string, number> = {};
  for (const name in limits) {
    const value = (limits as unknown as Record<string, unknown>)[name];
    if (typeof value === "number") result[name] = value;
  }
  return result;
}
