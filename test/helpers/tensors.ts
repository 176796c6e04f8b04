import { type Gpu, type Tensor, tensor } from "handgrad";
import type { Array64 } from "../reference/array64.js";

/** A reference's array as a tensor. */
export function upload(gpu: Gpu, { data, shape }: Array64, dtype: "f32" | "u32" = "f32"): Tensor {
  return tensor(gpu, dtype === "u32" ? Uint32Array.from(data) : Float32Array.from(data), shape, { dtype });
}

/** A tensor's values with its shape, as the comparisons take them. */
export async function download(x: Tensor): Promise<{ shape: readonly number[]; data: ArrayLike<number> }> {
  return { shape: x.shape, data: await x.data() };
}
