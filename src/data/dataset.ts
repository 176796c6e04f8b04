import { ShapeError, ValueError } from "../gpu/errors.js";
import type { HostArray } from "../io/array.js";
import { philoxPermutation } from "../random.js";

/** What a Dataset is made of. */
export interface DatasetParts {
  /** All images in order, each [channels, height, width]: bytes 0 to 255, or floats. */
  images: Uint8Array | Float32Array;
  /** The class of each image, an index into `classNames`. */
  labels: Uint32Array;
  /** [channels, height, width] of one image. */
  shape: readonly [number, number, number];
  classNames: readonly string[];
}

/** Images and labels as they go into a network. */
export interface Batch {
  /** Shape [n, channels, height, width]. */
  images: HostArray;
  labels: Uint32Array;
}

/** How `split` orders the images before it cuts. */
export interface SplitOptions {
  /** Shuffles with this seed first; without it the parts follow each other in the dataset's order. */
  seed?: number;
  /** Gives each part the dataset's shares of the classes, to within one image a class. */
  stratified?: boolean;
}

/**
 * Labelled images in memory. Every method leaves its dataset as it is and gives a new one.
 *
 * @example
 * const [train, test] = digits.split([8000, 2000], { seed: 7 });
 * const { images, labels } = train.normalize([0.1307], [0.3081]).batch([0, 1, 2]);
 */
export class Dataset {
  readonly images: Uint8Array | Float32Array;
  readonly labels: Uint32Array;
  readonly shape: readonly [number, number, number];
  readonly classNames: readonly string[];
  readonly count: number;
  /** Numbers in one image. */
  readonly imageSize: number;

  /** @throws ShapeError if images, labels and shape disagree; ValueError if a label names no class */
  constructor({ images, labels, shape, classNames }: DatasetParts) {
    const [channels, height, width] = shape;
    this.imageSize = channels * height * width;
    if (shape.length !== 3 || !shape.every((size) => Number.isInteger(size) && size > 0)) {
      throw new ShapeError(`shape is [${shape}], but [channels, height, width] of positive sizes is taken`);
    }
    if (images.length !== labels.length * this.imageSize) {
      throw new ShapeError(
        `images has ${images.length} numbers, but ${labels.length} labels and shape [${shape}] need ` +
          `${labels.length * this.imageSize}`,
      );
    }
    const wrong = labels.findIndex((label) => label >= classNames.length);
    if (wrong >= 0) {
      throw new ValueError(
        `labels holds ${labels[wrong]} at ${wrong}, but there are ${classNames.length} class names`,
      );
    }
    this.images = images;
    this.labels = labels;
    this.shape = shape;
    this.classNames = classNames;
    this.count = labels.length;
  }

  /**
   * The images at these indices, in this order; an index may come twice.
   *
   * @throws ValueError if an index is not one of the dataset's
   */
  subset(indices: ArrayLike<number>): Dataset {
    const { imageSize, images } = this;
    const size = indices.length * imageSize;
    const chosen = images instanceof Uint8Array ? new Uint8Array(size) : new Float32Array(size);
    const labels = new Uint32Array(indices.length);
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i];
      this.checkIndex(index, i);
      chosen.set(images.subarray(index * imageSize, (index + 1) * imageSize), i * imageSize);
      labels[i] = this.labels[index];
    }
    return this.with(chosen, labels);
  }

  /** All images in a random order, the permutation of `philoxPermutation(count, seed)`. */
  shuffle(seed: number): Dataset {
    return this.subset(philoxPermutation(this.count, seed));
  }

  /**
   * Parts of the given sizes that have no image in common.
   *
   * @param sizes images in each part, together at most `count`; what is left over is in no part
   * @param options seed and stratification; a part keeps the order of the (shuffled) dataset
   * @throws ValueError if the sizes are not whole numbers or exceed `count`
   * @example
   * const [train, test] = dataset.split([8000, 2000], { seed: 7, stratified: true });
   */
  split(sizes: readonly number[], options: SplitOptions = {}): Dataset[] {
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (!sizes.every((size) => Number.isInteger(size) && size >= 0) || total > this.count) {
      throw new ValueError(
        `sizes is [${sizes}], but whole numbers of together at most ${this.count} are taken`,
      );
    }
    const { seed, stratified = false } = options;
    const order =
      seed === undefined
        ? Uint32Array.from({ length: this.count }, (_, i) => i)
        : philoxPermutation(this.count, seed);
    const positions = stratified ? this.interleaveClasses(order) : order.map((_, i) => i);
    let start = 0;
    return sizes.map((size) => {
      const part = positions.slice(start, start + size).sort();
      start += size;
      return this.subset(part.map((position) => order[position]));
    });
  }

  /**
   * Positions in `order`, arranged so that every prefix holds the classes in their shares: an image whose
   * class has n members, r of them before it, goes to (r + 0.5) / n of the way.
   */
  private interleaveClasses(order: Uint32Array): Uint32Array {
    const sizes = new Uint32Array(this.classNames.length);
    for (const label of this.labels) {
      sizes[label]++;
    }
    const seen = new Uint32Array(sizes.length);
    const ways = Float64Array.from(order, (index) => {
      const label = this.labels[index];
      return (seen[label]++ + 0.5) / sizes[label];
    });
    return order.map((_, position) => position).sort((a, b) => ways[a] - ways[b] || a - b);
  }

  /** The images as floats: bytes become byte / 255, floats stay. */
  toFloat(): Dataset {
    if (this.images instanceof Float32Array) {
      return this;
    }
    return this.with(new Float32Array(this.images).map(scaleByte), this.labels);
  }

  /**
   * The images as floats, (value - mean) / std channel by channel, where bytes count as byte / 255.
   *
   * @param mean one number a channel, in the unit of the floats
   * @param std one positive number a channel
   * @throws ValueError if there is another number of them, or they are not finite or not positive
   */
  normalize(mean: readonly number[], std: readonly number[]): Dataset {
    const [channels, height, width] = this.shape;
    const planeSize = height * width;
    const isFit = mean.length === channels && std.length === channels;
    if (
      !isFit ||
      !mean.every(Number.isFinite) ||
      !std.every((value) => value > 0 && Number.isFinite(value))
    ) {
      throw new ValueError(
        `mean is [${mean}] and std [${std}], but ${channels} finite numbers each, std positive, are taken`,
      );
    }
    const images = new Float32Array(this.toFloat().images);
    for (let plane = 0; plane < this.count * channels; plane++) {
      const channel = plane % channels;
      for (let i = plane * planeSize; i < (plane + 1) * planeSize; i++) {
        images[i] = (images[i] - mean[channel]) / std[channel];
      }
    }
    return this.with(images, this.labels);
  }

  /**
   * Mean and standard deviation (of the population) of each channel, to normalize with; bytes count as
   * byte / 255.
   *
   * @throws ValueError if the dataset is empty
   */
  channelStatistics(): { mean: number[]; std: number[] } {
    if (this.count === 0) {
      throw new ValueError("the dataset is empty, so it has no mean");
    }
    const [channels, height, width] = this.shape;
    const planeSize = height * width;
    const scale = this.images instanceof Uint8Array ? 255 : 1;
    const sums = new Float64Array(channels);
    const squares = new Float64Array(channels);
    for (let plane = 0; plane < this.count * channels; plane++) {
      for (let i = plane * planeSize; i < (plane + 1) * planeSize; i++) {
        const value = this.images[i] / scale;
        sums[plane % channels] += value;
        squares[plane % channels] += value * value;
      }
    }
    const size = this.count * planeSize;
    const mean = Array.from(sums, (sum) => sum / size);
    const std = Array.from(squares, (square, channel) =>
      Math.sqrt(Math.max(0, square / size - mean[channel] ** 2)),
    );
    return { mean, std };
  }

  /**
   * The images at these indices as one array to upload; bytes become byte / 255.
   *
   * @throws ValueError if an index is not one of the dataset's
   */
  batch(indices: ArrayLike<number>): Batch {
    const { images, labels } = this.subset(indices).toFloat();
    return { images: { shape: [indices.length, ...this.shape], data: images as Float32Array }, labels };
  }

  private with(images: Uint8Array | Float32Array, labels: Uint32Array): Dataset {
    return new Dataset({ images, labels, shape: this.shape, classNames: this.classNames });
  }

  private checkIndex(index: number, position: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.count) {
      throw new ValueError(`indices holds ${index} at ${position}, but there are ${this.count} images`);
    }
  }
}

function scaleByte(byte: number): number {
  return byte / 255;
}
