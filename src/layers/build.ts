/** From an architecture (plain records, as JSON holds them) to layers. */
import { FormatError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { Activation, type ActivationRecord } from "./activation.js";
import { BatchNorm, type BatchNormRecord } from "./batch_norm.js";
import { Conv2d, type Conv2dRecord } from "./conv2d.js";
import { ConvTranspose2d, type ConvTranspose2dRecord } from "./conv_transpose2d.js";
import { Dense, type DenseRecord } from "./dense.js";
import { Dropout, type DropoutRecord } from "./dropout.js";
import { Flatten, type FlattenRecord } from "./flatten.js";
import type { Init, Layer, LayerRecord } from "./layer.js";
import { GlobalAvgPool2d, type GlobalAvgPoolRecord, Pool2d, type PoolRecord } from "./pooling.js";
import { Residual, type ResidualRecord, Sequential, type SequentialRecord } from "./sequential.js";

/** Everything that an architecture may name. */
export type Architecture = readonly AnyLayerRecord[];
export type AnyLayerRecord =
  | DenseRecord
  | Conv2dRecord
  | ConvTranspose2dRecord
  | BatchNormRecord
  | ActivationRecord
  | DropoutRecord
  | PoolRecord
  | GlobalAvgPoolRecord
  | FlattenRecord
  | ResidualRecord
  | SequentialRecord;

type Builder = (record: never, init: Init) => Layer;

const BUILDERS: Readonly<Record<AnyLayerRecord["kind"], Builder>> = {
  dense: (record: DenseRecord, init) => new Dense(record, init),
  conv2d: (record: Conv2dRecord, init) => new Conv2d(record, init),
  convTranspose2d: (record: ConvTranspose2dRecord, init) => new ConvTranspose2d(record, init),
  batchNorm: (record: BatchNormRecord, init) => new BatchNorm(record, init),
  activation: (record: ActivationRecord) => new Activation(record),
  dropout: (record: DropoutRecord, init) => new Dropout(record, init),
  maxPool2d: (record: PoolRecord) => new Pool2d(record),
  avgPool2d: (record: PoolRecord) => new Pool2d(record),
  globalAvgPool2d: (record: GlobalAvgPoolRecord) => new GlobalAvgPool2d(record),
  flatten: (record: FlattenRecord) => new Flatten(record),
  sequential: (record: SequentialRecord, init) => buildSequential(record.layers, init),
  residual: (record: ResidualRecord, init) => {
    const body = buildSequential(record.body, init);
    return new Residual(body, record.shortcut && buildSequential(record.shortcut, init));
  },
};

/**
 * Builds a network with initial weights.
 * @param architecture records such as `dense(784, 128)` and `activation("relu")`
 * @param options seed of the initial weights; the same seed gives the same weights on every adapter to within 1e-5
 * @throws FormatError for an unknown kind, ShapeError or ValueError for options that a layer does not take
 */
export function buildModel(
  gpu: Gpu,
  architecture: readonly LayerRecord[],
  { seed = 0 }: { seed?: number } = {},
): Sequential {
  return buildSequential(architecture, { gpu, seed, stream: 0 });
}

function buildSequential(records: readonly LayerRecord[], init: Init): Sequential {
  const layers: Layer[] = [];
  try {
    for (const record of records) layers.push(buildLayer(record, init));
  } catch (error) {
    for (const layer of layers) layer.dispose();
    throw error;
  }
  return new Sequential(layers);
}

function buildLayer(record: LayerRecord, init: Init): Layer {
  const known = typeof record === "object" && record !== null && Object.hasOwn(BUILDERS, record.kind);
  if (!known) {
    throw new FormatError(
      `architecture: layer kind ${JSON.stringify(record?.kind)} is not known; take one of ${Object.keys(BUILDERS).join(", ")}`,
    );
  }
  return BUILDERS[record.kind as AnyLayerRecord["kind"]](record as never, init);
}
