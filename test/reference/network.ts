import type { LayerRecord } from "../../src/layers/layer.js";
import { type ActivationName, activate } from "./activations.js";
import { type Array64, reshape, sizeOf } from "./array64.js";
import { batchNormEval, batchNormTrain } from "./batch_norm.js";
import { conv2d, convTranspose2d } from "./convolution.js";
import { zip } from "./elementwise.js";
import { matmul } from "./matmul.js";
import { averagePool2d, globalAveragePool2d, maxPool2d } from "./pooling.js";

/** Parameters and running statistics by name, as `Sequential` names them. */
export type State = Readonly<Record<string, Array64>>;

/** The forward pass of an architecture, layer by layer in float64. Dropout is not here: it draws. */
export function forwardNetwork(
  records: readonly LayerRecord[],
  state: State,
  x: Array64,
  { training = false, prefix = "" }: { training?: boolean; prefix?: string } = {},
): Array64 {
  return records.reduce(
    (value, record, index) => forwardLayer(record, state, value, training, `${prefix}${index}.`),
    x,
  );
}

// biome-ignore lint/suspicious/noExplicitAny: a record's options are those of its kind
function forwardLayer(record: any, state: State, x: Array64, training: boolean, prefix: string): Array64 {
  const own = (name: string): Array64 => state[prefix + name];
  switch (record.kind) {
    case "dense":
      return matmul(x, own("weight"), { bias: own("bias") });
    case "conv2d":
      return conv2d(x, own("weight"), { ...record, bias: own("bias") });
    case "convTranspose2d":
      return convTranspose2d(x, own("weight"), { ...record, bias: own("bias") });
    case "batchNorm": {
      const [mean, variance] = [own("runningMean"), own("runningVar")];
      return training
        ? batchNormTrain(x, own("weight"), own("bias"), mean, variance, record).y
        : batchNormEval(x, own("weight"), own("bias"), mean, variance, record);
    }
    case "activation":
      return activate(x, record.name as ActivationName, { slope: record.slope });
    case "maxPool2d":
      return maxPool2d(x, poolOptions(record)).y;
    case "avgPool2d":
      return averagePool2d(x, poolOptions(record));
    case "globalAvgPool2d":
      return globalAveragePool2d(x);
    case "flatten":
      return reshape(x, [x.shape[0], sizeOf(x.shape.slice(1))]);
    case "residual": {
      const body = forwardNetwork(record.body, state, x, { training, prefix: `${prefix}body.` });
      const skip = record.shortcut
        ? forwardNetwork(record.shortcut, state, x, { training, prefix: `${prefix}shortcut.` })
        : x;
      return zip(body, skip, (p, q) => p + q);
    }
    default:
      throw new Error(`the reference has no layer ${record.kind}`);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: as above
function poolOptions({ kernel, stride, padding }: any) {
  return { kernelSize: kernel, stride, padding };
}
