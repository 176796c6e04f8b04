/** The readers and writers that need no host. */
export type { HostArray, NumberArray } from "./array.js";
export { toFloat32 } from "./array.js";
export type { DecodeOptions } from "./idx.js";
export { decodeIdx } from "./idx.js";
export { decodeNpy, encodeNpy } from "./npy.js";
export type { Pixels } from "./pixels.js";
export { arrayToPixels, pixelsToArray } from "./pixels.js";
export type { DecodePngOptions, PngHeader } from "./png.js";
export { readPngHeader } from "./png.js";
export type { Safetensors } from "./safetensors.js";
export { decodeSafetensors, encodeSafetensors } from "./safetensors.js";
