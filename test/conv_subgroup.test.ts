import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tensor } from "handgrad";
import { bySubgroup, convolveWithForm } from "../src/ops/conv_forms.js";
import { type ConvWindowOptions, convGeometry } from "../src/ops/conv_geometry.js";
import { adapterTraits } from "../src/ops/matmul_plan.js";
import { assertClose } from "./helpers/compare.js";
import { sharedGpu } from "./helpers/gpu.js";
import { conv2dCase, type Random, seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import { absolute, type Array64 } from "./reference/array64.js";
import * as reference from "./reference/convolution.js";

const test = suite("convolution with weights that a subgroup shares");

/** Fewer channels than lanes, as many, and more; one block of positions and two. */
const TILES = [
  [2, 4],
  [8, 4],
  [16, 8],
] as const;

/** Lanes that surely form a subgroup here; 0 without the feature, where there is nothing to test. */
async function lanesHere(): Promise<number> {
  const { lanes } = adapterTraits(await sharedGpu());
  if (lanes === 0) console.log("not run: conv2d_subgroup takes subgroups, and this adapter has none");
  return lanes;
}

interface Drawn {
  readonly x: Array64;
  readonly w: Array64;
  readonly bias: Array64;
  readonly options: ConvWindowOptions;
}

/** Both directions by one tile against the references. */
async function check(
  [tileO, tileP]: readonly [number, number],
  random: Random,
  { x, w, bias, options }: Drawn,
  what: string,
): Promise<void> {
  const gpu = await sharedGpu();
  const form = bySubgroup(tileO, tileP, await lanesHere());
  const geometry = convGeometry({ op: "test", wide: ["x", x.shape], weight: ["w", w.shape] }, options);
  const y = reference.conv2d(x, w, { ...options, bias });
  const dy = random.array(y.shape);
  const tensors = [x, w, bias, dy].map((array) => upload(gpu, array));
  const [tx, tw, tbias, tdy] = tensors;
  const [ax, aw, ady] = [x, w, dy].map(absolute);
  const inputOptions = { ...options, inputShape: x.shape };
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
  ] as const;
  for (const [name, actual, expected, bound] of results) {
    assertClose(await download(actual), expected, { absolute: bound, what: `${form.name}: ${what} ${name}` });
    actual.dispose();
  }
  for (const tensor of tensors) tensor.dispose();
}

/**
 * One of everything; channels that four, the tile and the lanes do not divide; rows shorter than a lane's positions;
 * strides with and without whole steps, dilation, groups, phases without a tap, no images.
 */
const SIZES: readonly [x: number[], w: number[], options: ConvWindowOptions][] = [
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

for (const tile of TILES) {
  test(`${tile.join("×")}: written and random shapes`, async () => {
    if ((await lanesHere()) === 0) return;
    const random = seededRandom(41);
    for (const [xShape, wShape, options] of SIZES) {
      const bias = random.array([wShape[0]]);
      const drawn = { x: random.array(xShape), w: random.array(wShape), bias, options };
      await check(tile, random, drawn, `[${xShape}] with [${wShape}] ${JSON.stringify(options)}`);
    }
    for (let seed = 0; seed < 4; seed++) {
      const own = seededRandom(seed);
      const { x, w, bias, options } = conv2dCase(own);
      await check(tile, own, { x, w, bias, options }, `seed ${seed}`);
    }
  });
}

test("activations in the epilogue", async () => {
  const gpu = await sharedGpu();
  const lanes = await lanesHere();
  if (lanes === 0) return;
  const random = seededRandom(42);
  const [x, w, bias] = [random.array([2, 3, 6, 5]), random.array([9, 3, 3, 3]), random.array([9])];
  const geometry = convGeometry({ op: "test", wide: ["x", x.shape], weight: ["w", w.shape] }, {});
  const [tx, tw, tbias] = [x, w, bias].map((array) => upload(gpu, array));
  for (const activation of ["relu", "leakyRelu", "tanh", "sigmoid"] as const) {
    const ending = { bias: tbias, activation, slope: 0.3 };
    const y = convolveWithForm(bySubgroup(8, 4, lanes), "toNarrow", tx, tw, geometry, ending);
    const expected = reference.conv2d(x, w, { bias, activation, slope: 0.3 });
    assertClose(await download(y), expected, { what: activation });
    y.dispose();
  }
  for (const tensor of [tx, tw, tbias]) tensor.dispose();
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
  const y = convolveWithForm(bySubgroup(8, 4, lanes), "toNarrow", tx, tw, geometry);
  const expected = reference.conv2d(finite, w, { padding: 1 });
  const first = Array.from((await download(y)).data).slice(0, expected.data.length);
  assertClose({ shape: expected.shape, data: first }, expected, { what: "the finite image" });
  assert.ok(first.every(Number.isFinite));
  for (const tensor of [tx, tw, y]) tensor.dispose();
});

test.run();
