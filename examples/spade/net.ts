// The networks of the experiment.
import {
  activation,
  batchNorm,
  conv2d,
  dense,
  globalAvgPool2d,
  type LayerRecord,
  maxPool2d,
} from "handgrad/layers";
import type { NetSize } from "./nets.js";

export const CLASSES = 10;

/**
 * Three stages of 3 × 3 convolutions with batch norm, of width, 2 width and 4 width channels, the first convolution with
 * stride 2, max pooling behind the first two stages, the mean of each channel, and a dense layer.
 * @param depth convolutions a stage
 */
export function sceneNet({ width, depth }: NetSize): LayerRecord[] {
  const block = (inputs: number, outputs: number, stride = 1): LayerRecord[] => [
    conv2d(inputs, outputs, 3, { padding: 1, stride, bias: false }),
    batchNorm(outputs),
    activation("relu"),
  ];
  const stage = (inputs: number, outputs: number, stride = 1): LayerRecord[] =>
    Array.from({ length: depth }, (_, at) =>
      at === 0 ? block(inputs, outputs, stride) : block(outputs, outputs),
    ).flat();
  return [
    ...stage(1, width, 2),
    maxPool2d(2),
    ...stage(width, 2 * width),
    maxPool2d(2),
    ...stage(2 * width, 4 * width),
    globalAvgPool2d(),
    dense(4 * width, CLASSES),
  ];
}
