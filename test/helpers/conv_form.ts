// One form of a convolution against the float64 references.
import {
  type ConvForm,
  convolveWithForm,
  type ConvSum,
  weightGradWithForm,
} from "../../src/ops/conv_forms.js";
import { type ConvWindowOptions, convGeometry } from "../../src/ops/conv_geometry.js";
import { absolute, type Array64 } from "../reference/array64.js";
import * as reference from "../reference/convolution.js";
import { assertClose } from "./compare.js";
import { sharedGpu } from "./gpu.js";
import { conv2dCase, type Random, seededRandom } from "./shapes.js";
import { download, upload } from "./tensors.js";

interface Drawn {
  readonly x: Array64;
  readonly w: Array64;
  readonly bias: Array64;
  readonly options: ConvWindowOptions;
}

/** Shapes of x and w, and the window. */
export type ConvSize = readonly [x: number[], w: number[], options: ConvWindowOptions];

/** Each of the sums that the form has a kernel for, to within rounding of the absolute terms. */
export async function checkConvForm(
  form: ConvForm,
  sums: readonly ConvSum[],
  random: Random,
  { x, w, bias, options }: Drawn,
  what: string,
): Promise<void> {
  const gpu = await sharedGpu();
  const geometry = convGeometry({ op: "test", wide: ["x", x.shape], weight: ["w", w.shape] }, options);
  const y = reference.conv2d(x, w, { ...options, bias });
  const dy = random.array(y.shape);
  const tensors = [x, w, bias, dy].map((array) => upload(gpu, array));
  const [tx, tw, tbias, tdy] = tensors;
  const [ax, aw, ady] = [x, w, dy].map(absolute);
  const inputOptions = { ...options, inputShape: x.shape };
  const weightOptions = { ...options, weightShape: w.shape };
  const checks = {
    toNarrow: () => ({
      actual: convolveWithForm(form, "toNarrow", tx, tw, geometry, { bias: tbias }),
      expected: y,
      bound: reference.conv2d(ax, aw, { ...options, bias: absolute(bias) }),
    }),
    toWide: () => ({
      actual: convolveWithForm(form, "toWide", tdy, tw, geometry),
      expected: reference.conv2dInputGrad(dy, w, inputOptions),
      bound: reference.conv2dInputGrad(ady, aw, inputOptions),
    }),
    weights: () => ({
      actual: weightGradWithForm(form, tx, tdy, geometry),
      expected: reference.conv2dWeightGrad(x, dy, weightOptions),
      bound: reference.conv2dWeightGrad(ax, ady, weightOptions),
    }),
  };
  for (const sum of sums) {
    const { actual, expected, bound } = checks[sum]();
    assertClose(await download(actual), expected, { absolute: bound, what: `${form.name}: ${what} ${sum}` });
    actual.dispose();
  }
  for (const tensor of tensors) tensor.dispose();
}

/** The written sizes, then four that are drawn. */
export async function checkConvSizes(
  form: ConvForm,
  sums: readonly ConvSum[],
  sizes: readonly ConvSize[],
  seed: number,
): Promise<void> {
  const random = seededRandom(seed);
  for (const [xShape, wShape, options] of sizes) {
    const bias = random.array([wShape[0]]);
    const drawn = { x: random.array(xShape), w: random.array(wShape), bias, options };
    await checkConvForm(form, sums, random, drawn, `[${xShape}] with [${wShape}] ${JSON.stringify(options)}`);
  }
  for (let drawnSeed = 0; drawnSeed < 4; drawnSeed++) {
    const own = seededRandom(drawnSeed);
    const { x, w, bias, options } = conv2dCase(own);
    await checkConvForm(form, sums, own, { x, w, bias, options }, `seed ${drawnSeed}`);
  }
}

/** Every activation in the forward pass's epilogue. */
export async function checkConvActivations(form: ConvForm, seed: number): Promise<void> {
  const gpu = await sharedGpu();
  const random = seededRandom(seed);
  const [x, w, bias] = [random.array([2, 3, 6, 5]), random.array([9, 3, 3, 3]), random.array([9])];
  const geometry = convGeometry({ op: "test", wide: ["x", x.shape], weight: ["w", w.shape] }, {});
  const [tx, tw, tbias] = [x, w, bias].map((array) => upload(gpu, array));
  for (const activation of ["relu", "leakyRelu", "tanh", "sigmoid"] as const) {
    const y = convolveWithForm(form, "toNarrow", tx, tw, geometry, { bias: tbias, activation, slope: 0.3 });
    const expected = reference.conv2d(x, w, { bias, activation, slope: 0.3 });
    assertClose(await download(y), expected, { what: activation });
    y.dispose();
  }
  for (const tensor of [tx, tw, tbias]) tensor.dispose();
}
