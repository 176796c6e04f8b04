import { type AdapterKind, adapterKind, adapterText } from "../gpu/adapter.js";
import { NoAdapterError } from "../gpu/errors.js";
import type { HostAdapter } from "../gpu/open.js";
import {
  driverFolders,
  driverVariables,
  installedChromiumDrivers,
  installedDrivers,
  userChoseDrivers,
} from "./drivers.js";
import { type Dawn, loadDawn } from "./dawn.js";
import { chromiumPackage, loadDawnWithSwiftShader } from "./swiftshader.js";

/** One place an adapter may come from. */
interface Source {
  driver: string;
  open(): Promise<Dawn>;
  /** A driver file for Dawn's Vulkan loader; absent: whatever the loader finds. */
  driverFile?: string;
}

interface Found {
  driver: string;
  adapter: GPUAdapter;
  kind: AdapterKind;
}

/** One line of the search for an adapter, for reports. */
export interface AdapterAttempt {
  /** Where was looked: "system drivers", a Vulkan driver file, or "swiftshader (bundled)". */
  driver: string;
  /** The adapters that answered there, by name. */
  found: string[];
  /** Why nothing was taken from here; empty when something could be. */
  problem: string;
}

/**
 * Finds an adapter for Node: hardware, else a lavapipe that Dawn accepts, else SwiftShader. A driver that answers
 * "no adapter" is passed over.
 * @param wanted "hardware", "software", "swiftshader", "lavapipe", or a part of the driver's path or of the
 *   adapter's description; undefined takes the environment variable HANDGRAD_ADAPTER, else the best there is.
 * @throws NoAdapterError with each place that was tried and the next step.
 */
export async function findNodeAdapter(
  wanted = process.env.HANDGRAD_ADAPTER || undefined,
): Promise<HostAdapter> {
  const { best, attempts } = await search(wanted, false);
  if (!best) throw new NoAdapterError(explain(wanted, attempts));
  return best;
}

/**
 * Looks in every place that `openGpu` would know, without stopping at the first that serves, and tells what was
 * found; `openGpu` itself stops early. For `npm run doctor` and bug reports.
 */
export async function listAdapters(): Promise<AdapterAttempt[]> {
  return (await search(undefined, true)).attempts;
}

/** Hardware before software; SwiftShader last, since lavapipe is two to three times as fast. */
function rank({ kind, adapter }: Found): number {
  if (kind === "hardware") return 3;
  return /swiftshader/i.test(adapterText(adapter.info)) ? 1 : 2;
}

/** From this rank on, looking further could bring nothing better: hardware would have answered first. */
const goodEnough = 2;

async function search(
  wanted: string | undefined,
  everywhere: boolean,
): Promise<{ best?: Found; attempts: AdapterAttempt[] }> {
  const attempts: AdapterAttempt[] = [];
  let best: Found | undefined;
  for (const source of sources(wanted, attempts)) {
    const attempt: AdapterAttempt = { driver: source.driver, found: [], problem: "" };
    attempts.push(attempt);
    const found = await probe(source, wanted, attempt);
    if (found && (!best || rank(found) > rank(best))) best = found;
    if (best && rank(best) >= goodEnough && !everywhere) break;
    if (best && wanted === "swiftshader") break;
  }
  return { best, attempts };
}

/** The places to look, in order. Nothing is loaded before its turn comes. */
function sources(wanted: string | undefined, attempts: AdapterAttempt[]): Source[] {
  const bundled: Source = {
    driver: "swiftshader (bundled)",
    open: async () => loadDawnWithSwiftShader(),
  };
  const system: Source = { driver: "system drivers", open: loadDawn };
  if (process.platform !== "linux") return [system, bundled];
  const single = (file: string): Source => ({ driver: file, open: loadDawn, driverFile: file });
  const installed = installedDrivers();
  const loaderFindsOthers = userChoseDrivers();
  if (installed.length === 0 && !loaderFindsOthers) {
    const problem = `no Vulkan driver is installed (looked in ${driverFolders().join(", ")})`;
    attempts.push({ driver: system.driver, found: [], problem });
  }
  // One driver alone is what the loader finds anyway; of several, a refused one may hide those behind it.
  const singles = installed.length > 1 || loaderFindsOthers ? installed.map(single) : [];
  const vulkan = installed.length > 0 || loaderFindsOthers ? [system, ...singles] : [];
  const chromium = installedChromiumDrivers().map(single);
  if (wanted === "swiftshader") return [bundled, ...chromium, ...vulkan];
  return [...vulkan, bundled, ...chromium];
}

/** Asks one source. Whatever goes wrong there is noted and passed over. */
async function probe(
  source: Source,
  wanted: string | undefined,
  attempt: AdapterAttempt,
): Promise<Found | undefined> {
  try {
    const dawn = await source.open();
    for await (const adapter of adaptersOf(dawn, source, wanted !== undefined)) {
      const found: Found = { driver: source.driver, adapter, kind: adapterKind(adapter.info) };
      const text = adapterText(adapter.info);
      if (!attempt.found.includes(text)) attempt.found.push(text);
      if (/\bnull\b/i.test(text)) continue; // Dawn's null backend answers everything and computes nothing
      if (matches(found, wanted)) return found;
    }
    attempt.problem = attempt.found.length > 0 ? "not the adapter that is wanted" : "answers: no adapter";
  } catch (error) {
    attempt.problem = (error as Error).message;
  }
  return undefined;
}

/** The adapters of one source: the preferred one, and where a particular one is wanted the others too. */
async function* adaptersOf(dawn: Dawn, source: Source, all: boolean): AsyncGenerator<GPUAdapter> {
  const requests: GPURequestAdapterOptions[] = [{ powerPreference: "high-performance" }];
  if (all) requests.push({ powerPreference: "low-power" }, { forceFallbackAdapter: true });
  const instance = instanceOf(dawn, source);
  for (const request of requests) {
    // The drivers are loaded during the first call of requestAdapter, before its promise is waited for.
    const answer = withDriverFile(source.driverFile, () => instance.requestAdapter(request));
    const adapter = await answer;
    if (adapter) yield adapter;
  }
}

/**
 * Dawn's instances, one a source, kept until the process ends. Dawn aborts or hangs when one is collected while a
 * device lives, and also shortly after: a callback that it has queued then finds the instance gone. Kept, they do
 * not hinder the process from ending once the devices are destroyed, and a second `openGpu` need not load the
 * drivers again.
 */
const instances = new Map<string, GPU>();

function instanceOf(dawn: Dawn, { driver }: Source): GPU {
  // Without a root outside of this module the engine may collect the map itself.
  if (instances.size === 0) process.once("exit", () => instances.clear());
  const key = [driver, ...driverVariables.map((name) => process.env[name])].join("\n");
  const instance = instances.get(key) ?? dawn.create([]);
  instances.set(key, instance);
  return instance;
}

/** Runs `body` with the Vulkan loader pointed at one driver file, and puts the environment back. */
function withDriverFile<T>(file: string | undefined, body: () => T): T {
  if (file === undefined) return body();
  const before = driverVariables.map((name) => [name, process.env[name]] as const);
  for (const name of driverVariables) process.env[name] = file;
  try {
    return body();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

function matches(found: Found, wanted: string | undefined): boolean {
  if (wanted === undefined) return true;
  if (wanted === "hardware" || wanted === "software") return found.kind === wanted;
  const text = `${found.driver} ${adapterText(found.adapter.info)}`.toLowerCase();
  const word = wanted.toLowerCase();
  return text.includes(word === "lavapipe" ? "llvmpipe" : word);
}

function explain(wanted: string | undefined, attempts: AdapterAttempt[]): string {
  const tried = attempts.map(({ driver, found, problem }) => {
    return `\n  - ${driver}: ${problem}${found.length > 0 ? ` (has ${found.join("; ")})` : ""}`;
  });
  const what = wanted === undefined ? "no WebGPU adapter was found" : `no adapter matches "${wanted}"`;
  const { name, version } = chromiumPackage;
  return (
    `${what}; tried:${tried.join("")}\nnext step: \`npm i -D ${name}@${version}\` brings a software adapter for ` +
    "Linux on x64 that needs no root; elsewhere, or for speed, install the Vulkan driver of the machine's GPU"
  );
}
