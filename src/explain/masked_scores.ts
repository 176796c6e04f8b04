/** What a network says of images of which parts are replaced: one program, many rows of masks. */
import type { Program } from "../gpu/program.js";
import type { Sequential } from "../layers/sequential.js";
import { empty, type Tensor, tensor } from "../tensor.js";
import { checkChoice, checkCount, type ExplainProgress } from "./definition.js";
import { maskSegments } from "./kernels.js";

/** What is read off the logits: the target's own, or its softmax probability. */
export type Score = "logit" | "probability";

/** The masks of a set of images. */
export interface Masks {
  /** Masks an image. */
  readonly count: number;
  /** The segment of each pixel, [h · w]. */
  readonly segments: Uint32Array;
  readonly segmentCount: number;
  /** [1 or n, c, h, w] */
  readonly baselines: Tensor;
  /** Writes how much of each segment is kept, 0 to 1, of an image's mask into `keep`. */
  write(image: number, mask: number, keep: Float32Array): void;
}

export interface MaskedScoresOptions {
  readonly batch?: number;
  readonly score?: Score;
  readonly onProgress?: (progress: ExplainProgress) => void;
}

const DEFAULT_BATCH = 64;

/**
 * The score of each image under each mask.
 * @param targets the class of each image
 * @returns [images · masks], an image's masks side by side
 */
export async function maskedScores(
  name: string,
  model: Pick<Sequential, "forward">,
  x: Tensor,
  targets: Uint32Array,
  masks: Masks,
  { batch = DEFAULT_BATCH, score = "logit", onProgress }: MaskedScoresOptions = {},
): Promise<Float64Array> {
  checkCount(name, "batch", batch);
  checkChoice(name, "score", score, ["logit", "probability"]);
  const { gpu } = x;
  const { count, segmentCount, baselines } = masks;
  const total = x.shape[0] * count;
  const rows = Math.min(batch, total);
  const scores = new Float64Array(total);
  const segments = tensor(gpu, masks.segments);
  const images = empty(gpu, [rows], { dtype: "u32" });
  const keep = empty(gpu, [rows, segmentCount]);
  let program: Program<Tensor> | undefined;
  try {
    const imageWords = new Uint32Array(rows);
    const shares = new Float32Array(rows * segmentCount);
    for (let first = 0; first < total; first += rows) {
      for (let row = 0; row < rows; row++) {
        const index = Math.min(first + row, total - 1);
        imageWords[row] = Math.floor(index / count);
        const own = shares.subarray(row * segmentCount, (row + 1) * segmentCount);
        masks.write(imageWords[row], index % count, own);
      }
      images.write(imageWords);
      keep.write(shares);
      if (program) program.run();
      else {
        program = gpu.program(() => model.forward(maskSegments({ x, baselines, images, keep, segments })).y);
      }
      const logits = (await program.result.data()) as Float32Array;
      const classes = logits.length / rows;
      const done = Math.min(first + rows, total);
      for (let index = first; index < done; index++) {
        const own = logits.subarray((index - first) * classes, (index - first + 1) * classes);
        scores[index] = scoreOf(own, targets[Math.floor(index / count)], score);
      }
      onProgress?.({ method: name, done, total });
    }
    return scores;
  } finally {
    program?.dispose();
    for (const held of [segments, images, keep]) held.dispose();
  }
}

/** The target's logit, or its softmax probability. */
export function scoreOf(logits: ArrayLike<number>, target: number, score: Score): number {
  if (score === "logit") return logits[target];
  const largest = Math.max(...Array.from(logits));
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - largest);
  return Math.exp(logits[target] - largest) / sum;
}
