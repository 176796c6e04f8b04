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

export const CLASSES = 10;

/**
 * Six 3 × 3 convolutions with batch norm, of width, width, 2 width, 2 width, 4 width and 4 width channels, the first with
 * stride 2, max pooling behind the second and the fourth, the mean of each channel, and a dense layer.
 */
export function sceneNet(width: number): LayerRecord[] {
  const block = (inputs: number, outputs: number, stride = 1): LayerRecord[] => [
    conv2d(inputs, outputs, 3, { padding: 1, stride, bias: false }),
    batchNorm(outputs),
    activation("relu"),
  ];
  return [
    ...block(1, width, 2),
    ...block(width, width),
    maxPool2d(2),
    ...block(width, 2 * width),
    ...block(2 * width, 2 * width),
    maxPool2d(2),
    ...block(2 * width, 4 * width),
    ...block(4 * width, 4 * width),
    globalAvgPool2d(),
    dense(4 * width, CLASSES),
  ];
}
