/** Maps as files: numbers for other programs. */
import { ValueError } from "../gpu/errors.js";
import { encodeNpy } from "../io/npy.js";
import type { Tensor } from "../tensor.js";

/**
 * Maps as the bytes of an npy file, float32, of the tensor's shape.
 * @example
 * await writeFile("maps.npy", await mapsToNpy(maps)); // numpy.load("maps.npy")
 */
export async function mapsToNpy(maps: Tensor): Promise<Uint8Array<ArrayBuffer>> {
  return encodeNpy({ shape: [...maps.shape], data: (await maps.data()) as Float32Array });
}

/** Maps and what belongs to them, as JSON holds them. */
export interface MapsJson {
  readonly shape: readonly number[];
  /** What the caller says of them: method, target, seed, … */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Row-major; six digits. */
  readonly values: readonly number[];
}

/**
 * Maps as a record for `JSON.stringify`.
 * @param facts what belongs to them, such as the options of `attribute`
 * @throws ValueError if a value is not finite, which JSON does not have
 */
export async function mapsToJson(
  maps: Tensor,
  facts: Readonly<Record<string, unknown>> = {},
): Promise<MapsJson> {
  const values = Array.from(await maps.data(), (value) => Number(value.toPrecision(6)));
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at >= 0)
    throw new ValueError(`mapsToJson: maps holds ${values[at]} at index ${at}, which json does not have`);
  return { shape: [...maps.shape], facts, values };
}
