/** Ops that move elements bit by bit, f32 and u32 alike, and their gradients, which move them back. */
export type { MovementGradOptions, MovementOptions } from "./boxes.js";
export { concat, concatGrad } from "./concat.js";
export { gatherRows, gatherRowsGrad } from "./gather.js";
export { type PadOptions, pad, padGrad, slice, sliceGrad } from "./slice.js";
export { transpose, transposeGrad } from "./transpose.js";
