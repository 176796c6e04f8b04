/**
 * Any method at noisy copies of an image: SmoothGrad (Smilkov et al. 2017), its squares (Hooker et al. 2019)
 * and its variance (Adebayo et al. 2018).
 */
import type { Sequential } from "../layers/sequential.js";
import { sub, square } from "../ops/elementwise.js";
import { concat, slice } from "../ops/movement.js";
import type { Tensor } from "../tensor.js";
import { checkChoice, checkCount, checkNumber, type ExplainOptions } from "./definition.js";
import { checkCommon, type Core, joined, runPasses } from "./passes.js";
import { type PassMethodName, passMethodNames, passMethodOf } from "./pass_methods.js";

export interface NoiseTunnelOptions extends ExplainOptions {
  /** What is run at each copy; default "saliency", whose signed gradient is taken. */
  readonly base?: PassMethodName;
  /** The mean of the maps, of their squares, or their variance; default "smoothGrad". */
  readonly kind?: "smoothGrad" | "smoothGradSquared" | "varGrad";
  /** Noisy copies of each image; default 32. */
  readonly samples?: number;
  /** Of the noise, as a share of the image's range; default 0.15. */
  readonly std?: number;
}

/**
 * The mean of a method's maps at noisy copies of each image, or that of their squares, or their variance.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, c, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await noiseTunnel(model, images, { target: 3, base: "guidedBackprop", samples: 16 });
 */
export async function noiseTunnel(
  model: Sequential,
  x: Tensor,
  { base = "saliency", kind = "smoothGrad", samples = 32, std = 0.15, ...options }: NoiseTunnelOptions,
  name = "noiseTunnel",
): Promise<Tensor> {
  checkCommon(name, x, options);
  checkChoice(name, "base", base, passMethodNames);
  checkChoice(name, "kind", kind, ["smoothGrad", "smoothGradSquared", "varGrad"]);
  checkCount(name, "samples", samples);
  checkNumber(name, "std", std, 0);
  const { core, mapChannels = x.shape[1], dispose } = passMethodOf(name, base, model, x);
  const draws = { count: samples, std };
  try {
    if (kind !== "varGrad") {
      const squares: Core = (pass) => square(core(pass));
      const method = { core: kind === "smoothGrad" ? core : squares, mapChannels, draws };
      return joined(await runPasses(name, model, x, method, options), options);
    }
    const both: Core = (pass) => {
      const map = core(pass);
      return concat([map, square(map)], 1);
    };
    const method = { core: both, mapChannels: 2 * mapChannels, draws };
    const moments = await runPasses(name, model, x, method, options);
    return joined(varianceOf(moments), options);
  } finally {
    dispose?.();
  }
}

/** E a² - (E a)² of [n, 2 c, h, w]; the moments are released. */
function varianceOf(moments: Tensor): Tensor {
  const [count, doubled, height, width] = moments.shape;
  const half = doubled / 2;
  try {
    return moments.gpu.scope(() => {
      const mean = slice(moments, [0, 0, 0, 0], [count, half, height, width]);
      const squares = slice(moments, [0, half, 0, 0], [count, doubled, height, width]);
      return sub(squares, square(mean));
    });
  } finally {
    moments.dispose();
  }
}
