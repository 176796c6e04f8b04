/** Sparse weights on a device: trainable values, and what the kernels need to know of their places. */
import { ShapeError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { type Tensor, tensor } from "../tensor.js";
import { type BlockIndex, blockIndex, indexTensors } from "./sparse_blocks.js";
import { chooseSparseForm, type SparseCosts } from "./sparse_form.js";
import type { KeepOptions } from "./sparse_keep.js";
import {
  type BlockSize,
  checkSparseMatrix,
  compressWeights,
  decompressWeights,
  type SparseForm,
  type SparseMatrix,
  sparsityOf,
} from "./sparse_matrix.js";
import {
  groupedPlaces,
  type UnstructuredIndex,
  unstructuredIndex,
  unstructuredTensors,
} from "./sparse_unstructured.js";

export interface SparseWeightsOptions extends KeepOptions {
  /** Default: the form that costs least on this adapter (`chooseSparseForm`). */
  readonly form?: SparseForm;
  /** Inputs × outputs of a block, multiples of 4 up to 64. Default [8, 8], or what costs least if no form is given. */
  readonly block?: BlockSize;
  /** Measured costs in place of the built-in ones, where no form is given. */
  readonly costs?: SparseCosts;
}

/** Made by `sparseWeights`; used by `maskedMatmul`, `maskedConv1x1` and their gradients. */
export class SparseWeights {
  readonly form: SparseForm;
  readonly inputs: number;
  readonly outputs: number;
  readonly block: BlockSize;
  /** The share of the weights that is not kept. */
  readonly sparsity: number;
  /**
   * What training updates, with a gradient of the same shape: `masked` [inputs, outputs], `blocks` [blocks, in, out],
   * `unstructured` [groups, 4]. Places that no weight has are 0 and get gradient 0.
   */
  readonly values: Tensor;
  /** 1 for each of `values` that is kept; left out where all of them are, and for `unstructured`. */
  readonly mask?: Tensor;
  readonly blocks?: BlockIndex;
  readonly lists?: UnstructuredIndex;

  constructor(
    gpu: Gpu,
    private readonly matrix: SparseMatrix,
  ) {
    const { form, inputs, outputs, block, values, mask, rows } = matrix;
    this.form = form;
    this.inputs = inputs;
    this.outputs = outputs;
    this.block = block;
    this.sparsity = sparsityOf(matrix);
    if (form === "unstructured") {
      this.lists = unstructuredIndex(gpu, matrix);
      const filled = new Float32Array(4 * this.lists.groups);
      groupedPlaces(matrix.starts).forEach((place, i) => {
        filled[place] = values[i];
      });
      this.values = tensor(gpu, filled, [this.lists.groups, 4]);
      return;
    }
    const shape = form === "blocks" ? [rows.length, ...block] : [inputs, outputs];
    if (form === "blocks") this.blocks = blockIndex(gpu, matrix);
    this.values = tensor(gpu, values, shape);
    if (mask) this.mask = tensor(gpu, Float32Array.from(mask), shape);
  }

  /** Reads the values back: plain data, to be stored and given to `sparseWeights` again. */
  async toMatrix(): Promise<SparseMatrix> {
    const data = (await this.values.data()) as Float32Array<ArrayBuffer>;
    if (this.form !== "unstructured") return { ...this.matrix, values: data };
    return {
      ...this.matrix,
      values: Float32Array.from(groupedPlaces(this.matrix.starts), (place) => data[place]),
    };
  }

  /** Reads the weights back as [inputs][outputs], with zeros where nothing is kept. */
  async toDense(): Promise<Float32Array> {
    return decompressWeights(await this.toMatrix());
  }

  /** Releases all tensors. Idempotent. */
  dispose(): void {
    const index = this.blocks ? indexTensors(this.blocks) : this.lists ? unstructuredTensors(this.lists) : [];
    for (const held of [this.values, this.mask, ...index]) held?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Sparse weights on a device, from dense weights of which some are kept, or from stored data.
 * @param weights [inputs][outputs] with their shape, finite; or what `compressWeights` or `toMatrix` gave
 * @throws ShapeError, ValueError as `compressWeights`; FormatError for stored data that does not fit together
 * @example
 * const weights = sparseWeights(gpu, values, [784, 256], { form: "blocks", sparsity: 0.95 });
 * const y = maskedMatmul(x, weights, { bias, activation: "relu" });
 */
export function sparseWeights(gpu: Gpu, matrix: SparseMatrix): SparseWeights;
export function sparseWeights(
  gpu: Gpu,
  weights: ArrayLike<number>,
  shape: readonly [inputs: number, outputs: number],
  options?: SparseWeightsOptions,
): SparseWeights;
export function sparseWeights(
  gpu: Gpu,
  weights: SparseMatrix | ArrayLike<number>,
  shape?: readonly [inputs: number, outputs: number],
  options: SparseWeightsOptions = {},
): SparseWeights {
  if ("form" in weights) return new SparseWeights(gpu, checkSparseMatrix(weights));
  if (!shape) throw new ShapeError("sparseWeights: dense weights need their shape, [inputs, outputs]");
  const { form, block, costs } = options;
  if (form) return new SparseWeights(gpu, compressWeights(weights, shape, { ...options, form, block }));
  return new SparseWeights(gpu, chooseSparseForm(gpu, weights, shape, options, costs));
}
