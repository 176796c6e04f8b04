import { suite } from "uvu";
import { byTiles, convolveWithForm, weightGradWithForm } from "../src/ops/conv_forms.js";
import { type ConvWindowOptions, convGeometry } from "../src/ops/conv_geometry.js";
import { assertClose } from "./helpers/compare.js";
import { sharedGpu } from "./helpers/gpu.js";
import { conv2dCase, type Random, seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { absolute, type Array64 } from "./reference/array64.js";
import * as reference from "./reference/convolution.js";

const test = suite("convolution by tiles in workgroup memory");

/** Every variant on its own: no software adapter's heuristic chooses them. */
const FORMS = [byTiles(4, 8), byTiles(4, 16), byTiles(8, 8)];

/** Both directions and the weight gradient by one form against the references. */
async function check(
  form: (typeof FORMS)[number],
  random: Random,
  { x, w, bias, options }: { x: Array64; w: Array64; bias: Array64; options: ConvWindowOptions },
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
  const results = [
    [
      "y",
      convolveWithForm(form, "toNarrow", tx, tw, geometry, { bias: tbias }),
      y,
      reference.conv2d(ax, aw, { ...options, bias: absolute(bias) }),
    ],
    [
      "dx",
      convolveWithForm(form, "toWide", tdy, tw, geometry),
      reference.conv2dInputGrad(dy, w, inputOptions),
      reference.conv2dInputGrad(ady, aw, inputOptions),
    ],
    [
      "dw",
      weightGradWithForm(form, tx, tdy, geometry),
      reference.conv2dWeightGrad(x, dy, weightOptions),
      reference.conv2dWeightGrad(ax, ady, weightOptions),
    ],
  ] as const;
  for (const [name, actual, expected, bound] of results) {
    assertClose(await download(actual), expected, { absolute: bound, what: `${form.name}: ${what} ${name}` });
    actual.dispose();
  }
  for (const tensor of tensors) tensor.dispose();
}

/** Tiles that are cut off, sums of one tap, one channel, strides with and without whole steps, groups. */
const SIZES: readonly [x: number[], w: number[], options: ConvWindowOptions][] = [
  [[1, 1, 1, 1], [1, 1, 1, 1], {}],
  [[2, 17, 9, 11], [67, 17, 3, 3], { padding: 1 }],
  [[2, 65, 7, 5], [33, 65, 1, 1], {}],
  [[3, 1, 28, 28], [16, 1, 4, 4], { stride: 2, padding: 1 }],
  [[2, 3, 19, 22], [5, 3, 4, 2], { stride: [3, 2], padding: [1, 3, 0, 2], dilation: [2, 1] }],
  [[2, 3, 16, 15], [4, 3, 3, 3], { stride: 6, dilation: 4 }],
  [[1, 2, 12, 9], [3, 2, 1, 2], { stride: [4, 5] }],
  [[2, 15, 8, 7], [27, 5, 3, 2], { groups: 3 }],
  [[5, 2, 41, 1], [3, 2, 5, 1], { padding: [2, 0] }],
];

for (const form of FORMS) {
  test(`${form.name}: written and random shapes`, async () => {
    const random = seededRandom(31);
    for (const [xShape, wShape, options] of SIZES) {
      const bias = random.array([wShape[0]]);
      const drawn = { x: random.array(xShape), w: random.array(wShape), bias, options };
      await check(form, random, drawn, `[${xShape}] with [${wShape}] ${JSON.stringify(options)}`);
    }
    for (let seed = 0; seed < 4; seed++) {
      const own = seededRandom(seed);
      const { x, w, bias, options } = conv2dCase(own);
      await check(form, own, { x, w, bias, options }, `seed ${seed}`);
    }
  });
}

test("activations in the epilogue", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(32);
  const [x, w, bias] = [random.array([2, 3, 6, 5]), random.array([9, 3, 3, 3]), random.array([9])];
  const geometry = convGeometry({ op: "test", wide: ["x", x.shape], weight: ["w", w.shape] }, {});
  const [tx, tw, tbias] = [x, w, bias].map((array) => upload(gpu, array));
  for (const activation of ["relu", "leakyRelu", "tanh", "sigmoid"] as const) {
    const ending = { bias: tbias, activation, slope: 0.3 };
    const y = convolveWithForm(FORMS[0], "toNarrow", tx, tw, geometry, ending);
    const expected = reference.conv2d(x, w, { bias, activation, slope: 0.3 });
    assertClose(await download(y), expected, { what: activation });
    y.dispose();
  }
  for (const tensor of [tx, tw, tbias]) tensor.dispose();
});

test("a weight gradient in several parts, and a batch of no images", async () => {
  const random = seededRandom(33);
  const drawn = (x: number[], w: number[]) => {
    return { x: random.array(x), w: random.array(w), bias: random.array([w[0]]), options: { padding: 1 } };
  };
  await check(FORMS[0], random, drawn([4, 2, 64, 60], [3, 2, 3, 3]), "15,360 positions");
  await check(FORMS[2], random, drawn([0, 2, 6, 6], [3, 2, 3, 3]), "no images");
});

test.run();
