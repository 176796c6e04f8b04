/**
 * Saved networks: one safetensors file with the parameters and running statistics by name and, in its metadata, the
 * architecture as JSON. Weights keep handgrad's layouts (dense [in][out], convolution OIHW).
 */
import { FormatError, ShapeError, ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import type { HostArray } from "../io/array.js";
import { decodeSafetensors, encodeSafetensors } from "../io/safetensors.js";
import type { Tensor } from "../tensor.js";
import { buildModel } from "./build.js";
import type { LayerRecord, Tensors } from "./layer.js";
import type { Sequential } from "./sequential.js";

const ARCHITECTURE_KEY = "architecture";
/** No tensor of these networks comes near it; an architecture that asks for more is damaged. */
const MAX_ELEMENTS = 2 ** 28;

/**
 * The bytes of a safetensors file.
 * @param metadata further texts to store, such as the command and seed that made the weights
 * @throws the first error of the ops recorded before
 */
export async function saveModel(
  model: Sequential,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const entries: [string, HostArray][] = await Promise.all(
    Object.entries(stateOf(model)).map(async ([name, tensor]) => {
      const values = await tensor.data();
      // Counters are u32 on the device and small; f32 holds them exactly below 2^24.
      return [name, { shape: [...tensor.shape], data: Float32Array.from(values) }] as [string, HostArray];
    }),
  );
  return encodeSafetensors(entries, { ...metadata, [ARCHITECTURE_KEY]: JSON.stringify(model.config.layers) });
}

export interface LoadedModel {
  readonly model: Sequential;
  /** The file's other texts. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads what `saveModel` wrote.
 * @param architecture for a file without one in its metadata (saved by other software, weights in handgrad's layouts)
 * @throws FormatError if the file is damaged, or its tensors are not those of the architecture; nothing stays allocated
 */
export function loadModel(
  gpu: Gpu,
  bytes: Uint8Array,
  { architecture, name = "model" }: { architecture?: readonly LayerRecord[]; name?: string } = {},
): LoadedModel {
  const { tensors, metadata } = decodeSafetensors(bytes, { name });
  const { [ARCHITECTURE_KEY]: text, ...rest } = metadata;
  const records = architecture ?? parseArchitecture(text, name);
  const available = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  checkSizes(records, available, name);
  const model = buildFrom(gpu, records, name);
  try {
    const state = stateOf(model);
    const missing = Object.keys(state).filter((key) => !tensors.has(key));
    const unknown = [...tensors.keys()].filter((key) => !(key in state));
    if (missing.length > 0 || unknown.length > 0) {
      throw new FormatError(
        `${name}: its tensors are not those of the architecture` +
          `${missing.length > 0 ? `; missing: ${missing.join(", ")}` : ""}` +
          `${unknown.length > 0 ? `; not taken: ${unknown.join(", ")}` : ""}`,
      );
    }
    for (const [key, tensor] of Object.entries(state)) {
      const stored = tensors.get(key);
      if (stored?.shape.join() !== tensor.shape.join()) {
        throw new FormatError(
          `${name}: tensor ${key} has shape [${stored?.shape}], and the architecture takes [${tensor.shape}]`,
        );
      }
    }
    for (const [key, tensor] of Object.entries(state))
      write(tensor, tensors.get(key)?.data as Float32Array, `${name}: ${key}`);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return { model, metadata: rest };
}

/** What a layer refuses is the file's fault here. */
function buildFrom(gpu: Gpu, records: readonly LayerRecord[], name: string): Sequential {
  try {
    return buildModel(gpu, records);
  } catch (cause) {
    if (!(cause instanceof ShapeError || cause instanceof ValueError)) throw cause;
    throw new FormatError(`${name}: a layer of its architecture cannot be made: ${cause.message}`, { cause });
  }
}

function stateOf(model: Sequential): Tensors {
  return { ...model.parameters, ...model.buffers };
}

function write(tensor: Tensor, data: Float32Array, what: string): void {
  const wrong = data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0)
    throw new FormatError(
      `${what} holds ${data[wrong]} at ${wrong}; the file is damaged or its training diverged`,
    );
  tensor.write(tensor.dtype === "u32" ? Uint32Array.from(data) : data);
}

function parseArchitecture(text: string | undefined, name: string): readonly LayerRecord[] {
  if (text === undefined) {
    throw new FormatError(
      `${name}: it holds no architecture in its metadata; pass { architecture } beside the file`,
    );
  }
  try {
    const records: unknown = JSON.parse(text);
    if (Array.isArray(records)) return records as LayerRecord[];
  } catch {
    // Reported below, as anything else that is no list.
  }
  throw new FormatError(
    `${name}: its architecture is not a JSON list of layers; save the model anew with saveModel()`,
  );
}

/** Looks at every layer's sizes before anything is allocated: together they cannot exceed what the file holds. */
function checkSizes(records: readonly LayerRecord[], available: number, name: string): void {
  let elements = 0;
  // A negative size must not make room for another layer's.
  const count = (size: number): void => {
    elements += size >= 0 ? size : Number.NaN;
  };
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if (Array.isArray(value)) {
      for (const item of value) visit(item);
      return;
    }
    const { inputs, outputs, kernel, groups, channels, layers, body, shortcut } = value as Record<
      string,
      unknown
    >;
    const area = [kernel].flat().map(Number);
    if (typeof inputs === "number" && typeof outputs === "number") {
      const window = kernel === undefined ? 1 : area[0] * (area[1] ?? area[0]);
      count((inputs * outputs * window) / (typeof groups === "number" ? groups : 1));
    }
    if (typeof channels === "number") count(2 * channels);
    for (const nested of [layers, body, shortcut]) visit(nested);
  };
  visit(records);
  if (!(elements <= Math.min(available, MAX_ELEMENTS))) {
    throw new FormatError(
      `${name}: its architecture has ${elements} weights, and the file holds ${available} numbers`,
    );
  }
}
