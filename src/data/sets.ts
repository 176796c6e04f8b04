/** The datasets that need no host. */
export type { Batch, DatasetParts, SplitOptions } from "./dataset.js";
export { Dataset } from "./dataset.js";
export { dnaFromText } from "./dna.js";
export type { DecodePng, ReadFile, TrainAndTest } from "./fashion.js";
export { fashionClassNames, fashionFromIdx, fashionFromSheets } from "./fashion.js";
export type { IdxPair } from "./idx_dataset.js";
export { datasetFromIdx } from "./idx_dataset.js";
export { digitsFromJson } from "./mnist.js";
export { batchesOf, type DeviceBatch, DeviceSet } from "./device_set.js";
