/**
 * Whether maps hang on what a network has learned (Adebayo et al., "Sanity checks for saliency maps", NeurIPS
 * 2018): layers get new weights from the output down, and maps that stay the same show the image, not the
 * network.
 */
import { buildModel } from "../layers/build.js";
import { Sequential } from "../layers/sequential.js";
import type { Tensor } from "../tensor.js";
import { type AttributeOptions, attribute } from "./attribute.js";

export interface RandomizationStep {
  /** This layer and all behind it have new weights. */
  readonly layer: string;
  /**
   * Spearman's rank correlation of each image's map with its map by the whole network, -1 to 1; 0 for a map
   * of one value.
   */
  readonly correlations: Float64Array;
}

/**
 * A method's maps while the layers lose their weights one after the other, from the output down.
 * @param model built of the library's layers
 * @param x images [n, c, h, w]
 * @param options the method and its options; take sign "absolute" to compare sizes
 * @param draw `seed` of the new weights, default 1
 * @returns a row a layer that has weights (or a block), from the output down
 * @throws FormatError for layers that cannot be built anew; what `attribute` throws
 * @example
 * const rows = await modelRandomization(model, images, { method: "lrp", target: 3, sign: "absolute" });
 */
export async function modelRandomization(
  model: Sequential,
  x: Tensor,
  options: AttributeOptions,
  { seed = 1 }: { readonly seed?: number } = {},
): Promise<RandomizationStep[]> {
  const random = buildModel(x.gpu, model.config.layers, { seed });
  try {
    const [count] = x.shape;
    const valuesOf = async (network: Sequential): Promise<ArrayLike<number>[]> => {
      const maps = await attribute(network, x, { channels: "sum", ...options });
      try {
        const values = await maps.data();
        const size = values.length / count;
        return Array.from({ length: count }, (_, image) => values.subarray(image * size, (image + 1) * size));
      } finally {
        maps.dispose();
      }
    };
    const whole = await valuesOf(model);
    const steps: RandomizationStep[] = [];
    for (let index = model.layers.length - 1; index >= 0; index--) {
      if (Object.keys(model.layers[index].parameters).length === 0) continue;
      const mixed = new Sequential([...model.layers.slice(0, index), ...random.layers.slice(index)]);
      const maps = await valuesOf(mixed);
      const correlations = Float64Array.from(maps, (map, image) => rankCorrelation(map, whole[image]));
      steps.push({ layer: `${index}`, correlations });
    }
    return steps;
  } finally {
    random.dispose();
  }
}

/**
 * Spearman's rank correlation, equal values sharing the mean of their ranks.
 * @returns -1 to 1; 0 where one side has one value only
 */
export function rankCorrelation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [x, y] = [midRanks(a), midRanks(b)];
  const middle = (a.length - 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    xy += (x[i] - middle) * (y[i] - middle);
    xx += (x[i] - middle) ** 2;
    yy += (y[i] - middle) ** 2;
  }
  return xx === 0 || yy === 0 ? 0 : xy / Math.sqrt(xx * yy);
}

function midRanks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((i, j) => values[i] - values[j]);
  const ranks = new Float64Array(values.length);
  for (let first = 0; first < order.length; ) {
    let last = first;
    while (last + 1 < order.length && values[order[last + 1]] === values[order[first]]) last++;
    for (let i = first; i <= last; i++) ranks[order[i]] = (first + last) / 2;
    first = last + 1;
  }
  return ranks;
}
