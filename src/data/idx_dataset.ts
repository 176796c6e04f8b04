import { FormatError } from "../gpu/errors.js";
import { type DecodeOptions, decodeIdx } from "../io/idx.js";
import { Dataset } from "./dataset.js";

/** Two IDX files that belong together, compressed or not. */
export interface IdxPair {
  /** Rank 3: [count, height, width] of bytes. */
  images: Uint8Array;
  /** Rank 1: [count] of bytes. */
  labels: Uint8Array;
}

/**
 * A dataset out of an IDX file of images and one of labels, as MNIST, Fashion-MNIST and their relatives have.
 *
 * @param files the bytes of both files
 * @param classNames the names of labels 0, 1, …
 * @param options `name` for messages, `maxBytes` a file
 * @throws FormatError if a file is damaged, of another rank or type, or the two do not belong together
 * @example
 * const test = await datasetFromIdx({ images, labels }, fashionClassNames, { name: "t10k" });
 */
export async function datasetFromIdx(
  files: IdxPair,
  classNames: readonly string[],
  options: DecodeOptions = {},
): Promise<Dataset> {
  const { name = "files" } = options;
  const images = await decodeIdx(files.images, { ...options, name: `${name}: images` });
  const labels = await decodeIdx(files.labels, { ...options, name: `${name}: labels` });
  const [count, height, width] = images.shape;
  if (images.shape.length !== 3 || !(images.data instanceof Uint8Array) || !height || !width) {
    throw new FormatError(
      `${name}: images has shape [${images.shape}], but [count, height, width] of bytes is taken`,
    );
  }
  if (labels.shape.length !== 1 || !(labels.data instanceof Uint8Array) || labels.shape[0] !== count) {
    throw new FormatError(`${name}: labels has shape [${labels.shape}], but [${count}] of bytes is taken`);
  }
  const wrong = labels.data.find((label) => label >= classNames.length);
  if (wrong !== undefined) {
    throw new FormatError(`${name}: labels holds ${wrong}, but there are ${classNames.length} classes`);
  }
  return new Dataset({
    images: images.data,
    labels: new Uint32Array(labels.data),
    shape: [1, height, width],
    classNames,
  });
}
