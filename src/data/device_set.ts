/** A data set on the device, and batches gathered there. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { gatherRows } from "../ops/movement.js";
import { type Tensor, tensor } from "../tensor.js";
import type { Dataset } from "./dataset.js";

export interface DeviceBatch {
  /** [n, channels, height, width], or [n, features] if flat. */
  readonly x: Tensor;
  /** u32 [n]. */
  readonly labels: Tensor;
}

/** Images and labels that stay on the device; `batch` records two gathers, so it works inside programs. */
export class DeviceSet {
  readonly images: Tensor;
  readonly labels: Tensor;
  readonly count: number;

  /** @param options flat: images as [count, features], for dense networks */
  constructor(
    gpu: Gpu,
    { images, labels, shape, count }: Dataset,
    { flat = false }: { flat?: boolean } = {},
  ) {
    const values = images instanceof Float32Array ? images : Float32Array.from(images, (byte) => byte / 255);
    this.count = count;
    this.images = tensor(gpu, values, flat ? [count, shape[0] * shape[1] * shape[2]] : [count, ...shape]);
    this.labels = tensor(gpu, labels, { dtype: "u32" });
  }

  /**
   * The images at `indices`.
   * @param indices u32 [n], each less than `count`
   */
  batch(indices: Tensor): DeviceBatch {
    if (indices.dtype !== "u32" || indices.rank !== 1) {
      throw new ShapeError(`batch: indices is ${indices.dtype} [${indices.shape}], and u32 [n] is taken`);
    }
    return { x: gatherRows(this.images, indices), labels: gatherRows(this.labels, indices) };
  }

  dispose(): void {
    this.images.dispose();
    this.labels.dispose();
  }
}

/**
 * The batches of one pass over `count` images, in the order given; the last, shorter one is left out, since a program
 * has one shape.
 * @throws ValueError if there is not even one batch
 */
export function batchesOf(order: Uint32Array, batchSize: number): Uint32Array[] {
  const batches = Math.floor(order.length / batchSize);
  if (!(batches >= 1 && Number.isInteger(batchSize))) {
    throw new ValueError(
      `batchSize is ${batchSize}, and a whole number from 1 to ${order.length} images is taken`,
    );
  }
  return Array.from({ length: batches }, (_, index) =>
    order.slice(index * batchSize, (index + 1) * batchSize),
  );
}
