/**
 * Sparse weights on the host: which weights are kept, in which form they are stored, and back. Weights are
 * [inputs][outputs], as the layers have them.
 */
import { FormatError, ShapeError, ValueError } from "../gpu/errors.js";
import { keptBlocks, keptWeights, type KeepOptions } from "./sparse_keep.js";

/**
 * - `masked`: all weights, zero where the mask is; products cost what dense ones do
 * - `blocks`: only the blocks in which a weight is kept
 * - `unstructured`: each kept weight with its position
 */
export type SparseForm = "masked" | "blocks" | "unstructured";

/** Inputs × outputs of a block. */
export type BlockSize = readonly [inputs: number, outputs: number];

/** A sparse matrix as plain data, to be stored; `sparseWeights` brings it to a device. */
export interface SparseMatrix {
  readonly form: SparseForm;
  readonly inputs: number;
  readonly outputs: number;
  /** [1, 1] unless the form is `blocks`. */
  readonly block: BlockSize;
  /**
   * `masked`: [inputs][outputs]. `blocks`: the stored blocks, by block column and then by block row, each
   * [in][out]. `unstructured`: the kept weights, by output and then by input. Zero where the mask is.
   */
  readonly values: Float32Array;
  /** The block row of each stored block; the input of each kept weight. Empty if the form is `masked`. */
  readonly rows: Uint32Array;
  /** Where in `rows` each block column (each output) starts, and last their number. Empty if it is `masked`. */
  readonly starts: Uint32Array;
  /** 1 for each of `values` that is kept; left out where all of them are. */
  readonly mask?: Uint8Array;
}

export interface CompressOptions extends KeepOptions {
  readonly form: SparseForm;
  /** Inputs × outputs of a block, multiples of 4 up to 64; default [8, 8]. */
  readonly block?: BlockSize;
}

const DEFAULT_BLOCK: BlockSize = [8, 8];
const LARGEST_SIDE = 64;

/**
 * The weights that `mask`, `threshold` or `sparsity` keep, in compressed form.
 * With `threshold` or `sparsity`, blocks are kept or dropped as a whole, by their root mean square; with `mask` (or
 * none of the three: the weights that are not 0) every block that holds a kept weight is stored, and what is not
 * kept in it stays 0, in training too.
 * @param weights [inputs][outputs], finite
 * @throws ShapeError for a wrong number of weights or a size below 1; ValueError for a weight that is not finite or
 *   options out of range
 * @example
 * const matrix = compressWeights(values, [784, 256], { form: "blocks", sparsity: 0.9 });
 * sparsityOf(matrix); // what was achieved
 */
export function compressWeights(
  weights: ArrayLike<number>,
  [inputs, outputs]: readonly [inputs: number, outputs: number],
  options: CompressOptions,
): SparseMatrix {
  checkSizes("compressWeights", inputs, outputs);
  if (weights.length !== inputs * outputs) {
    throw new ShapeError(
      `compressWeights: there are ${weights.length} weights, and [${inputs}, ${outputs}] takes ${inputs * outputs}`,
    );
  }
  const { form, block = DEFAULT_BLOCK } = options;
  const dense = { weights, inputs, outputs };
  if (form === "blocks") {
    checkBlock("compressWeights", block);
    return storeBlocks(weights, inputs, outputs, block, keptBlocks(dense, block, options));
  }
  const mask = keptWeights(dense, options);
  if (form === "unstructured") return storeUnstructured(weights, inputs, outputs, mask);
  if (form !== "masked") {
    throw new ValueError(
      `compressWeights: form "${String(form)}" is not known; it is "masked", "blocks" or "unstructured"`,
    );
  }
  const values = Float32Array.from(mask, (kept, i) => (kept ? weights[i] : 0));
  const none = new Uint32Array(0);
  return { form, inputs, outputs, block: [1, 1], values, rows: none, starts: none, mask };
}

/** The weights as [inputs][outputs], with zeros where nothing is stored. */
export function decompressWeights(matrix: SparseMatrix): Float32Array {
  const dense = new Float32Array(matrix.inputs * matrix.outputs);
  forEachStored(matrix, (index, at) => {
    dense[at] = matrix.values[index];
  });
  return dense;
}

/** 1 for each of the [inputs][outputs] weights that is kept, else 0. */
export function maskOf(matrix: SparseMatrix): Uint8Array {
  const mask = new Uint8Array(matrix.inputs * matrix.outputs);
  forEachStored(matrix, (index, at) => {
    mask[at] = matrix.mask ? matrix.mask[index] : 1;
  });
  return mask;
}

/** The share of the weights that is not kept, exactly: 0 is dense, 1 is nothing left. */
export function sparsityOf(matrix: SparseMatrix): number {
  let kept = matrix.values.length;
  if (matrix.mask) kept = matrix.mask.reduce((sum, value) => sum + value, 0);
  return 1 - kept / (matrix.inputs * matrix.outputs);
}

/**
 * Checks a matrix that came from outside, a file for instance.
 * @throws FormatError naming what does not fit
 */
export function checkSparseMatrix(matrix: SparseMatrix): SparseMatrix {
  const { form, inputs, outputs, block, values, rows, starts, mask } = matrix;
  const fail = (what: string): never => {
    throw new FormatError(
      `sparse matrix of ${inputs} × ${outputs}: ${what}; store what compressWeights gave`,
    );
  };
  checkSizes("sparse matrix", inputs, outputs);
  if (form !== "masked" && form !== "blocks" && form !== "unstructured")
    fail(`form "${String(form)}" is not known`);
  if (form === "blocks") checkBlock("sparse matrix", block);
  else if (block[0] !== 1 || block[1] !== 1) fail(`block [${block}] is taken by the form "blocks" only`);
  const columns = Math.ceil(outputs / block[1]);
  const height = Math.ceil(inputs / block[0]);
  if (form === "masked") {
    if (rows.length + starts.length > 0) fail(`the form "masked" has no rows or starts`);
    if (!mask) fail(`the form "masked" needs a mask`);
  } else {
    if (starts.length !== columns + 1)
      fail(`starts has ${starts.length} entries, and ${columns + 1} are taken`);
    if (starts[0] !== 0 || starts[columns] !== rows.length) fail(`starts must lead from 0 to ${rows.length}`);
    for (let c = 0; c < columns; c++) {
      if (starts[c + 1] < starts[c]) fail(`starts falls at ${c + 1}`);
      for (let i = starts[c]; i < starts[c + 1]; i++) {
        if (!(rows[i] < height)) fail(`row ${rows[i]} at ${i} is not below ${height}`);
        if (i > starts[c] && rows[i] <= rows[i - 1]) fail(`rows do not rise at ${i}`);
      }
    }
  }
  const count = form === "masked" ? inputs * outputs : rows.length * block[0] * block[1];
  if (values.length !== count) fail(`there are ${values.length} values, and ${count} are taken`);
  if (mask && mask.length !== count) fail(`the mask has ${mask.length} entries, and ${count} are taken`);
  for (let i = 0; i < count; i++) {
    if (!Number.isFinite(values[i])) fail(`value ${values[i]} at ${i} is not finite`);
    if (mask && mask[i] > 1) fail(`mask entry ${mask[i]} at ${i} is neither 0 nor 1`);
    if (mask && mask[i] === 0 && values[i] !== 0)
      fail(`value ${values[i]} at ${i} is not 0 where the mask is`);
  }
  if (form === "blocks") {
    forEachEdge(matrix, (index) => {
      if (mask?.[index] !== 0) fail(`the mask must be 0 past the edge, at ${index}`);
    });
  }
  return matrix;
}

function checkSizes(what: string, inputs: number, outputs: number): void {
  if (Number.isInteger(inputs) && Number.isInteger(outputs) && inputs >= 1 && outputs >= 1) return;
  throw new ShapeError(
    `${what}: inputs ${inputs} and outputs ${outputs} must be whole numbers of at least 1`,
  );
}

function checkBlock(what: string, block: BlockSize): void {
  const valid =
    block.length === 2 && block.every((side) => side % 4 === 0 && side >= 4 && side <= LARGEST_SIDE);
  if (valid) return;
  throw new ValueError(`${what}: block [${block}] must be two multiples of 4 from 4 to ${LARGEST_SIDE}`);
}

function storeBlocks(
  weights: ArrayLike<number>,
  inputs: number,
  outputs: number,
  block: BlockSize,
  { stored, mask: kept }: { stored: Uint8Array; mask?: Uint8Array },
): SparseMatrix {
  const [height, width] = [Math.ceil(inputs / block[0]), Math.ceil(outputs / block[1])];
  const rows: number[] = [];
  const starts = new Uint32Array(width + 1);
  for (let column = 0; column < width; column++) {
    for (let row = 0; row < height; row++) if (stored[row * width + column]) rows.push(row);
    starts[column + 1] = rows.length;
  }
  const count = rows.length * block[0] * block[1];
  const empty = { form: "blocks", inputs, outputs, block, rows: Uint32Array.from(rows), starts } as const;
  const values = new Float32Array(count);
  const mask = new Uint8Array(count);
  let whole = true;
  forEachPlace({ ...empty, values }, (index, at) => {
    mask[index] = at >= 0 && (!kept || kept[at]) ? 1 : 0;
    if (mask[index]) values[index] = weights[at];
    else whole = false;
  });
  return whole ? { ...empty, values } : { ...empty, values, mask };
}

function storeUnstructured(
  weights: ArrayLike<number>,
  inputs: number,
  outputs: number,
  mask: Uint8Array,
): SparseMatrix {
  const starts = new Uint32Array(outputs + 1);
  for (let at = 0; at < mask.length; at++) starts[(at % outputs) + 1] += mask[at];
  for (let output = 0; output < outputs; output++) starts[output + 1] += starts[output];
  const next = starts.slice(0, outputs);
  const rows = new Uint32Array(starts[outputs]);
  const values = new Float32Array(starts[outputs]);
  for (let input = 0, at = 0; input < inputs; input++) {
    for (let output = 0; output < outputs; output++, at++) {
      if (!mask[at]) continue;
      rows[next[output]] = input;
      values[next[output]++] = weights[at];
    }
  }
  return { form: "unstructured", inputs, outputs, block: [1, 1], values, rows, starts };
}

/** Visits what is stored of the weights themselves: the index in `values` and that in [inputs][outputs]. */
function forEachStored(matrix: SparseMatrix, visit: (index: number, at: number) => void): void {
  forEachPlace(matrix, (index, at) => {
    if (at >= 0) visit(index, at);
  });
}

/** Visits the values that lie past the edge of the weights. */
function forEachEdge(matrix: SparseMatrix, visit: (index: number) => void): void {
  forEachPlace(matrix, (index, at) => {
    if (at < 0) visit(index);
  });
}

/** Visits all values; past the edge of the weights `at` is -1. */
function forEachPlace(matrix: SparseMatrix, visit: (index: number, at: number) => void): void {
  const { form, inputs, outputs, rows, starts, values } = matrix;
  if (form === "masked") {
    for (let i = 0; i < values.length; i++) visit(i, i);
    return;
  }
  const [height, width] = matrix.block;
  let index = 0;
  for (let column = 0; column + 1 < starts.length; column++) {
    for (let i = starts[column]; i < starts[column + 1]; i++) {
      for (let p = 0; p < height; p++) {
        const input = rows[i] * height + p;
        for (let j = 0; j < width; j++) {
          const output = column * width + j;
          visit(index++, input < inputs && output < outputs ? input * outputs + output : -1);
        }
      }
    }
  }
}
