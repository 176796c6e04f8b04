import { type Gpu, tensor, zeros } from "handgrad";
import { suite } from "uvu";
import { convolveToNarrow, convolveToWide, weightGradByColumns } from "../src/ops/conv_columns.js";
import { type ConvWindowOptions, convGeometry } from "../src/ops/conv_geometry.js";
import { assertClose } from "./helpers/compare.js";
import { sharedGpu } from "./helpers/gpu.js";
import * as reference from "./reference/index.js";

const test = suite("convolution by columns");

function random(gpu: Gpu, shape: readonly number[], seed: number) {
  let state = seed;
  const next = (): number => {
    state = (state * 16807) % 2147483647;
    return (2 * state) / 2147483647 - 1;
  };
  const data = Float32Array.from({ length: reference.sizeOf(shape) }, next);
  return { device: tensor(gpu, data, shape), host: reference.array64(shape, data) };
}

/** Odd sizes, sizes that vec4 loads divide, one channel, uneven padding, dilation, and kernels of one element. */
const sizes: readonly [x: number[], w: number[], options: ConvWindowOptions][] = [
  [[2, 3, 9, 7], [5, 3, 3, 3], { padding: 1 }],
  [[3, 4, 6, 6], [8, 4, 1, 1], {}],
  [[2, 3, 5, 5], [4, 3, 1, 1], {}],
  [[2, 1, 12, 11], [4, 1, 5, 5], { stride: 2, padding: 2 }],
  [[1, 5, 10, 10], [7, 5, 3, 2], { stride: [2, 1], padding: [1, 0, 2, 1], dilation: [1, 2] }],
  [[2, 4, 7, 7], [3, 4, 1, 1], { stride: 2 }],
];

for (const [xShape, wShape, options] of sizes) {
  test(`[${xShape}] with [${wShape}] ${JSON.stringify(options)}, both directions and the weight gradient`, async () => {
    const gpu = await sharedGpu();
    const [x, w, bias] = [random(gpu, xShape, 1), random(gpu, wShape, 2), random(gpu, [wShape[0]], 3)];
    const geometry = convGeometry({ op: "test", wide: ["x", xShape], weight: ["w", wShape] }, options);
    const plain = reference.conv2d(x.host, w.host, options);
    const full = reference.conv2d(x.host, w.host, { ...options, bias: bias.host, activation: "relu" });
    const dy = random(gpu, plain.shape, 4);
    const dx = reference.conv2dInputGrad(dy.host, w.host, { ...options, inputShape: xShape });
    const dw = reference.conv2dWeightGrad(x.host, dy.host, { ...options, weightShape: wShape });
    const ending = { bias: bias.device, activation: "relu", slope: 0 } as const;
    const results = [
      ["forward", convolveToNarrow(x.device, w.device, geometry, { slope: 0 }), plain],
      ["forward with bias and relu", convolveToNarrow(x.device, w.device, geometry, ending), full],
      [
        "forward into out",
        convolveToNarrow(x.device, w.device, geometry, { slope: 0 }, zeros(gpu, plain.shape)),
        plain,
      ],
      ["input gradient", convolveToWide(dy.device, w.device, geometry, { slope: 0 }), dx],
      [
        "input gradient into out",
        convolveToWide(dy.device, w.device, geometry, { slope: 0 }, zeros(gpu, xShape)),
        dx,
      ],
      ["weight gradient", weightGradByColumns(x.device, dy.device, geometry), dw],
      [
        "weight gradient into out",
        weightGradByColumns(x.device, dy.device, geometry, zeros(gpu, wShape)),
        dw,
      ],
    ] as const;
    for (const [what, result, expected] of results) {
      assertClose({ shape: result.shape, data: await result.data() }, expected, { what });
      result.dispose();
    }
    for (const { device } of [x, w, bias, dy]) device.dispose();
  });
}

test.run();
