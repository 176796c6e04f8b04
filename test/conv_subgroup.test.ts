import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tensor } from "handgrad";
import {
  byPositions,
  byQuad,
  byQuadOfFew,
  bySubgroup,
  bySubgroupOfFew,
  type ConvForm,
  convolveWithForm,
} from "../src/ops/conv_forms.js";
import { convGeometry } from "../src/ops/conv_geometry.js";
import { adapterTraits } from "../src/ops/matmul_plan.js";
import { assertClose } from "./helpers/compare.js";
import { type ConvSize, checkConvActivations, checkConvSizes } from "./helpers/conv_form.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import * as reference from "./reference/convolution.js";

const test = suite("convolution whose lanes share loads");

/** Fewer channels than lanes, as many, and more; one block of positions and two; with channels of the lane's own. */
const FORMS: readonly ((lanes: number) => ConvForm)[] = [
  (lanes) => bySubgroup(2, 4, lanes),
  (lanes) => bySubgroup(8, 4, lanes),
  (lanes) => bySubgroup(16, 8, lanes),
  (lanes) => byPositions(4, lanes, lanes),
  (lanes) => byPositions(8, 3 * lanes, lanes),
  () => byQuad(4, 16),
  () => byQuad(8, 48),
  () => byQuad(4, 64),
];
const NAMES = FORMS.map((form) => form(4).name.replace(/ of .*/, ""));

/** Lanes that surely form a subgroup here; 0 without the feature, where there is nothing to test. */
async function lanesHere(): Promise<number> {
  const { lanes } = adapterTraits(await sharedGpu());
  if (lanes === 0) console.log("not run: these kernels take subgroups, and this adapter has none");
  return lanes;
}

const SUMS = ["toNarrow", "toWide"] as const;

/**
 * One of everything; channels that four, the tile and the lanes do not divide; rows shorter than a lane's positions;
 * strides with and without whole steps, dilation, groups, phases without a tap, no images.
 */
const SIZES: readonly ConvSize[] = [
  [[1, 1, 1, 1], [1, 1, 1, 1], {}],
  [[2, 17, 9, 11], [35, 17, 3, 3], { padding: 1 }],
  [[2, 33, 7, 5], [19, 33, 1, 1], {}],
  [[3, 5, 14, 14], [18, 5, 4, 4], { stride: 2, padding: 1 }],
  [[2, 3, 19, 22], [5, 3, 4, 2], { stride: [3, 2], padding: [1, 3, 0, 2], dilation: [2, 1] }],
  [[2, 3, 16, 15], [4, 3, 3, 3], { stride: 6, dilation: 4 }],
  [[1, 2, 12, 9], [3, 2, 1, 2], { stride: [4, 5] }],
  [[2, 15, 8, 7], [27, 5, 3, 2], { groups: 3 }],
  [[5, 2, 41, 1], [3, 2, 5, 1], { padding: [2, 0] }],
  [[0, 4, 6, 6], [16, 4, 3, 3], { padding: 1 }],
];

FORMS.forEach((form, number) => {
  test(`${NAMES[number]}: written and random shapes`, async () => {
    const lanes = await lanesHere();
    if (lanes > 0) await checkConvSizes(form(lanes), SUMS, SIZES, 41 + number);
  });
});

/** Forward only. */
const FIRST_LAYERS: readonly ((lanes: number) => ConvForm)[] = [
  () => byQuadOfFew(4, 16),
  () => byQuadOfFew(8, 32),
  (lanes) => bySubgroupOfFew(16, 4, lanes),
  (lanes) => bySubgroupOfFew(5, 8, lanes),
];

for (const form of FIRST_LAYERS) {
  test(`${form(4).name.replace(/ of .*/, "")}: written and random shapes`, async () => {
    const lanes = await lanesHere();
    if (lanes > 0) await checkConvSizes(form(lanes), ["toNarrow"], SIZES, 61);
  });
}

test("the forms for few channels compute the forward direction only", async () => {
  const gpu = await sharedGpu();
  const [dy, w] = [
    upload(gpu, seededRandom(1).array([1, 9, 4, 4])),
    upload(gpu, seededRandom(2).array([9, 1, 3, 3])),
  ];
  const shapes = { wide: ["x", [1, 1, 4, 4]], weight: ["w", w.shape] } as const;
  const geometry = convGeometry({ op: "test", ...shapes }, { padding: 1 });
  for (const form of [byQuadOfFew(4, 16), bySubgroupOfFew(16, 4, 8)])
    assert.throws(() => convolveWithForm(form, "toWide", dy, w, geometry), /forward direction only/);
  for (const tensor of [dy, w]) tensor.dispose();
});

test("activations in the epilogue", async () => {
  const lanes = await lanesHere();
  if (lanes === 0) return;
  for (const form of [
    bySubgroup(8, 4, lanes),
    byPositions(4, lanes, lanes),
    byQuad(4, 16),
    byQuadOfFew(4, 16),
    bySubgroupOfFew(16, 4, lanes),
  ])
    await checkConvActivations(form, 42);
});

test("what lies past the last channel and beyond the edge is not looked at", async () => {
  const gpu = await sharedGpu();
  const lanes = await lanesHere();
  if (lanes === 0) return;
  // Five channels, so that the second step of four reaches into the next image, which is infinite.
  const random = seededRandom(43);
  const finite = random.array([1, 5, 4, 4]);
  const x = { shape: [2, 5, 4, 4], data: new Float64Array(160).fill(Infinity) };
  x.data.set(finite.data);
  const w = random.array([3, 5, 3, 3]);
  const geometry = convGeometry({ op: "test", wide: ["x", x.shape], weight: ["w", w.shape] }, { padding: 1 });
  const tx = tensor(gpu, Float32Array.from(x.data), x.shape, { checkFinite: false });
  const tw = upload(gpu, w);
  const expected = reference.conv2d(finite, w, { padding: 1 });
  for (const form of [
    bySubgroup(8, 4, lanes),
    byPositions(4, lanes, lanes),
    byQuad(4, 16),
    byQuadOfFew(4, 16),
    bySubgroupOfFew(16, 4, lanes),
  ]) {
    const y = convolveWithForm(form, "toNarrow", tx, tw, geometry);
    const first = Array.from((await download(y)).data).slice(0, expected.data.length);
    assertClose({ shape: expected.shape, data: first }, expected, { what: `${form.name}: the finite image` });
    assert.ok(first.every(Number.isFinite));
    y.dispose();
  }
  for (const tensor of [tx, tw]) tensor.dispose();
});

test.run();
