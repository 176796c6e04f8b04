import { suite } from "uvu";
import { byTiles } from "../src/ops/conv_forms.js";
import { type ConvSize, checkConvActivations, checkConvForm, checkConvSizes } from "./helpers/conv_form.js";
import { seededRandom } from "./helpers/shapes.js";

const test = suite("convolution by tiles in workgroup memory");

/** Every variant on its own: no software adapter's heuristic chooses them. */
const FORMS = [byTiles(4, 8), byTiles(4, 16), byTiles(8, 8)];

const SUMS = ["toNarrow", "toWide", "weights"] as const;

/** Tiles that are cut off, sums of one tap, one channel, strides with and without whole steps, groups. */
const SIZES: readonly ConvSize[] = [
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
  test(`${form.name}: written and random shapes`, () => checkConvSizes(form, SUMS, SIZES, 31));
}

test("activations in the epilogue", () => checkConvActivations(FORMS[0], 32));

test("a weight gradient in several parts, and a batch of no images", async () => {
  const random = seededRandom(33);
  const drawn = (x: number[], w: number[]) => {
    return { x: random.array(x), w: random.array(w), bias: random.array([w[0]]), options: { padding: 1 } };
  };
  await checkConvForm(FORMS[0], SUMS, random, drawn([4, 2, 64, 60], [3, 2, 3, 3]), "15,360 positions");
  await checkConvForm(FORMS[2], SUMS, random, drawn([0, 2, 6, 6], [3, 2, 3, 3]), "no images");
});

test.run();
