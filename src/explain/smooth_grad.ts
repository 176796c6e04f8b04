/** SmoothGrad (Smilkov, Thorat, Kim, Viégas and Wattenberg, "Removing noise by adding noise", 2017). */
import type { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import { type NoiseTunnelOptions, noiseTunnel } from "./noise_tunnel.js";

export type SmoothGradOptions = Omit<NoiseTunnelOptions, "base" | "kind">;

/**
 * The mean gradient at noisy copies of each image: `noiseTunnel` of the signed gradient. Its sign says which
 * way a pixel should go, not whether it speaks for the class; sign "absolute" is what papers show.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await smoothGrad(model, images, { target: 3, sign: "absolute", samples: 32, std: 0.15 });
 */
export function smoothGrad(model: Sequential, x: Tensor, options: SmoothGradOptions): Promise<Tensor> {
  return noiseTunnel(model, x, { ...options, base: "saliency", kind: "smoothGrad" }, "smoothGrad");
}
