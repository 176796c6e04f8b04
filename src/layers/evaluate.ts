/** What a network says of a data set. */
import type { DeviceSet } from "../data/device_set.js";
import { argmax } from "../ops/reduce.js";
import { type Tensor, tensor } from "../tensor.js";
import type { Sequential } from "./sequential.js";

/** Images a forward pass; bounds the memory that a whole data set's activations take. */
const CHUNK = 500;

/**
 * The class with the largest logit for every image, in evaluation mode.
 * @returns one class an image
 */
export async function predictClasses(model: Sequential, set: DeviceSet): Promise<Uint32Array> {
  const { gpu } = set.images;
  const classes = new Uint32Array(set.count);
  const pending: { start: number; best: Tensor }[] = [];
  for (let start = 0; start < set.count; start += CHUNK) {
    const size = Math.min(CHUNK, set.count - start);
    const indices = tensor(
      gpu,
      Uint32Array.from({ length: size }, (_, i) => start + i),
    );
    const best = gpu.scope(() => {
      const { x } = set.batch(indices);
      return argmax(model.forward(x).y, { axes: [1] });
    });
    indices.dispose();
    pending.push({ start, best });
  }
  for (const { start, best } of pending) {
    classes.set(await best.data(), start);
    best.dispose();
  }
  return classes;
}
