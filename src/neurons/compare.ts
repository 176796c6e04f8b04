/** How close two sets of gradients are, layer by layer; in float64 on the host. */
import type { Tensors } from "../layers/layer.js";

export interface Closeness {
  /** The parameter's name, such as "2.weight". */
  readonly layer: string;
  /** ‖local − backpropagation‖ / ‖backpropagation‖. */
  readonly relativeError: number;
  readonly cosine: number;
}

/**
 * Compares the weight gradients (not the biases) of two walks over the same network.
 * A gradient that is zero in both is equal (error 0, cosine 1); NaN stays NaN.
 */
export async function compareGradients(local: Tensors, reference: Tensors): Promise<Closeness[]> {
  const names = Object.keys(reference)
    .filter((name) => name.endsWith("weight"))
    .sort();
  return Promise.all(
    names.map(async (layer) => {
      const [a, b] = await Promise.all([local[layer].data(), reference[layer].data()]);
      let aa = 0;
      let bb = 0;
      let ab = 0;
      let apart = 0;
      for (let i = 0; i < b.length; i++) {
        aa += a[i] * a[i];
        bb += b[i] * b[i];
        ab += a[i] * b[i];
        apart += (a[i] - b[i]) ** 2;
      }
      if (aa === 0 && bb === 0) return { layer, relativeError: 0, cosine: 1 };
      return { layer, relativeError: Math.sqrt(apart / bb), cosine: ab / Math.sqrt(aa * bb) };
    }),
  );
}
