/** A detector made of a backbone and a score of its features or of its logits. */
import { ShapeError, ValueError } from "../../gpu/errors.js";
import { mul } from "../../ops/elementwise.js";
import type { Tensor } from "../../tensor.js";
import { outputsOf, type Rows } from "../backbone.js";
import type { Backbone, Detector, FitData, FitOptions } from "../detector.js";

/** What a score is fitted to: outputs of the backbone for the in-distribution images. */
export interface HeadData extends Rows {
  readonly labels: Uint32Array;
}

/** A score of rows, with its gradient. */
export interface ScoreHead {
  readonly name: string;
  /** What the rows are. */
  readonly reads: "features" | "logits";
  /** Missing where there is nothing to fit. Throws before it changes anything. */
  fit?(data: HeadData, gpu: Tensor["gpu"]): void;
  /** Whether `forward` may be called. */
  readonly fitted: boolean;
  /** [n, width] to scores [n]. */
  forward(rows: Tensor): { readonly score: Tensor; readonly saved: unknown };
  /** ∂L/∂rows from dscore [n]. */
  inputGrad(dscore: Tensor, saved: unknown): Tensor;
  dispose?(): void;
}

/** What most scores save: ∂score/∂rows, which is then only scaled. */
export function scaleRows(slopes: Tensor, dscore: Tensor): Tensor {
  return slopes.gpu.scope(() => mul(slopes, dscore.reshape([dscore.size, 1])));
}

interface SavedPass {
  readonly features: unknown;
  readonly head: unknown;
  readonly score: unknown;
}

const DEFAULT_BATCH = 256;

/** Joins a backbone and a score. */
export class HeadDetector implements Detector {
  readonly name: string;

  constructor(
    readonly backbone: Backbone,
    readonly scoreHead: ScoreHead,
  ) {
    this.name = scoreHead.name;
  }

  get fitted(): boolean {
    return this.scoreHead.fitted;
  }

  async fit(data: FitData, { batch = DEFAULT_BATCH, onProgress }: FitOptions = {}): Promise<void> {
    const { scoreHead } = this;
    checkFitData(this.name, data, batch);
    if (!scoreHead.fit) return;
    const { x } = data;
    const model = { forward: (images: Tensor) => this.rowsOf(images) };
    const rows = await outputsOf(model, x, batch, (done) => onProgress?.(done / x.shape[0]));
    checkFinite(this.name, scoreHead.reads, rows);
    const labels = (await data.labels.data()) as Uint32Array;
    scoreHead.fit({ ...rows, labels }, x.gpu);
  }

  score(x: Tensor): Tensor {
    return x.gpu.scope(() => this.forward(x).y);
  }

  forward(x: Tensor): { y: Tensor; saved: SavedPass } {
    checkFitted(this);
    const { y, features, head } = this.rowsOf(x);
    const { score, saved } = this.scoreHead.forward(y);
    return { y: score, saved: { features, head, score: saved } };
  }

  inputGrad(dy: Tensor, saved: SavedPass): Tensor {
    const { backbone, scoreHead } = this;
    return dy.gpu.scope(() => {
      const slopes = scoreHead.inputGrad(dy, saved.score);
      const below = scoreHead.reads === "logits" ? backbone.head.inputGrad(slopes, saved.head) : slopes;
      return backbone.features.inputGrad(below, saved.features);
    });
  }

  dispose(): void {
    this.scoreHead.dispose?.();
  }

  private rowsOf(x: Tensor): { y: Tensor; features: unknown; head: unknown } {
    const below = this.backbone.features.forward(x);
    if (this.scoreHead.reads === "features") return { y: below.y, features: below.saved, head: undefined };
    const above = this.backbone.head.forward(below.y);
    return { y: above.y, features: below.saved, head: above.saved };
  }
}

/** @throws ValueError */
export function checkFitted({ name, fitted }: Pick<Detector, "name" | "fitted">): void {
  if (!fitted) throw new ValueError(`${name}: it is not fitted; call fit({ x, labels }) first`);
}

/** @throws ShapeError, ValueError */
export function checkFitData(name: string, { x, labels }: FitData, batch: number): void {
  if (x.rank < 2 || x.shape[0] === 0)
    throw new ShapeError(`${name}: x has shape [${x.shape}], and images [n, …] are taken, one at least`);
  if (labels.rank !== 1 || labels.shape[0] !== x.shape[0] || labels.dtype !== "u32") {
    throw new ShapeError(
      `${name}: labels are ${labels.dtype} of shape [${labels.shape}], and u32 of shape [${x.shape[0]}], ` +
        `one an image, is taken`,
    );
  }
  if (!(Number.isInteger(batch) && batch >= 1))
    throw new ValueError(`${name}: batch is ${batch}, and a whole number of at least 1 is taken`);
}

function checkFinite(name: string, what: string, { values, width }: Rows): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  throw new ValueError(
    `${name}: the ${what} of image ${Math.floor(at / width)} have a value of ${values[at]}, and finite ` +
      `ones are taken; look for what made the network give it`,
  );
}
