/** Which weights a sparse matrix keeps: by a mask, by a threshold or by a share. */
import { ShapeError, ValueError } from "../gpu/errors.js";

/** At most one of the three; without any, the weights that are not 0 are kept. */
export interface KeepOptions {
  /** Not 0 (or true) for each weight that is kept, [inputs][outputs]. */
  readonly mask?: ArrayLike<number | boolean>;
  /** Weights of at least this magnitude (blocks of at least this root mean square) are kept; at least 0. */
  readonly threshold?: number;
  /** The share that is dropped, 0 to 1: the smallest magnitudes, of equal ones the later. */
  readonly sparsity?: number;
}

interface Dense {
  readonly weights: ArrayLike<number>;
  readonly inputs: number;
  readonly outputs: number;
}

/**
 * 1 for each weight that is kept.
 * @throws ValueError, ShapeError
 */
export function keptWeights({ weights, inputs, outputs }: Dense, options: KeepOptions): Uint8Array {
  checkOptions(options, inputs, outputs);
  const { mask, threshold, sparsity } = options;
  for (let i = 0; i < weights.length; i++) {
    if (!Number.isFinite(Math.fround(weights[i])))
      throw new ValueError(`compressWeights: weight ${weights[i]} at index ${i} is not a finite float32`);
  }
  if (mask) return Uint8Array.from(mask, (value) => (value ? 1 : 0));
  if (threshold === undefined && sparsity === undefined)
    return Uint8Array.from(weights, (w) => (w !== 0 ? 1 : 0));
  return largest(Float64Array.from(weights, Math.abs), options);
}

/**
 * Which blocks are stored, [block rows][block columns], and which weights are kept in them where not all are.
 * @throws ValueError, ShapeError
 */
export function keptBlocks(
  dense: Dense,
  [height, width]: readonly [number, number],
  options: KeepOptions,
): { stored: Uint8Array; mask?: Uint8Array } {
  const { weights, inputs, outputs } = dense;
  const byMagnitude = options.threshold !== undefined || options.sparsity !== undefined;
  const mask = keptWeights(dense, options);
  const columns = Math.ceil(outputs / width);
  const blocks = Math.ceil(inputs / height) * columns;
  const sums = new Float64Array(blocks);
  const counts = new Float64Array(blocks);
  const stored = new Uint8Array(blocks);
  for (let input = 0, at = 0; input < inputs; input++) {
    for (let output = 0; output < outputs; output++, at++) {
      const block = Math.floor(input / height) * columns + Math.floor(output / width);
      sums[block] += weights[at] ** 2;
      counts[block]++;
      if (mask[at]) stored[block] = 1;
    }
  }
  if (!byMagnitude) return { stored, mask };
  return {
    stored: largest(
      sums.map((sum, i) => Math.sqrt(sum / counts[i])),
      options,
    ),
  };
}

function checkOptions({ mask, threshold, sparsity }: KeepOptions, inputs: number, outputs: number): void {
  const given = [mask, threshold, sparsity].filter((option) => option !== undefined).length;
  if (given > 1)
    throw new ValueError("compressWeights: give one of mask, threshold and sparsity, not several");
  if (mask && mask.length !== inputs * outputs) {
    throw new ShapeError(
      `compressWeights: mask has ${mask.length} entries, and [${inputs}, ${outputs}] takes ${inputs * outputs}`,
    );
  }
  if (threshold !== undefined && !(threshold >= 0))
    throw new ValueError(`compressWeights: threshold ${threshold} must be at least 0`);
  if (sparsity !== undefined && !(sparsity >= 0 && sparsity <= 1))
    throw new ValueError(`compressWeights: sparsity ${sparsity} must be from 0 to 1`);
}

/** 1 for the magnitudes that threshold or sparsity keep. */
function largest(magnitudes: Float64Array, { threshold = 0, sparsity }: KeepOptions): Uint8Array {
  if (sparsity === undefined) return Uint8Array.from(magnitudes, (value) => (value >= threshold ? 1 : 0));
  const count = Math.round((1 - sparsity) * magnitudes.length);
  if (count === 0) return new Uint8Array(magnitudes.length);
  const limit = magnitudes.slice().sort()[magnitudes.length - count];
  const kept = Uint8Array.from(magnitudes, (value) => (value > limit ? 1 : 0));
  let missing = count - kept.reduce((sum, value) => sum + value, 0);
  for (let i = 0; missing > 0; i++) {
    if (magnitudes[i] !== limit) continue;
    kept[i] = 1;
    missing--;
  }
  return kept;
}
