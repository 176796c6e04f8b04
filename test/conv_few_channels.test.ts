import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tensor } from "handgrad";
import { type PlaceTile, placeTiles } from "../src/ops/conv_few_channels.js";
import { byPlaces, convolveWithForm } from "../src/ops/conv_forms.js";
import { type ConvGeometry, convGeometry, type ConvWindowOptions } from "../src/ops/conv_geometry.js";
import { adapterTraits } from "../src/ops/matmul_plan.js";
import { assertClose } from "./helpers/compare.js";
import { type ConvSize, checkConvForm } from "./helpers/conv_form.js";
import { sharedGpu } from "./helpers/gpu.js";
import { seededRandom } from "./helpers/shapes.js";
import { download, upload } from "./helpers/tensors.js";
import * as reference from "./reference/convolution.js";

const test = suite("input gradient with few channels of the result");

/**
 * One of everything; channels that four does not divide; strides with and without taps for every phase, above the
 * kernel, uneven; padding beyond what is read, more on one side; groups; places that no tile divides; no images.
 */
const SIZES: readonly ConvSize[] = [
  [[1, 1, 1, 1], [1, 1, 1, 1], {}],
  [[2, 1, 28, 28], [16, 1, 3, 3], { stride: 2, padding: 1 }],
  [[3, 2, 11, 7], [17, 2, 3, 3], { padding: 1 }],
  [[2, 1, 13, 17], [10, 1, 5, 5], { stride: 2, padding: 2 }],
  [[2, 3, 9, 10], [12, 3, 4, 4], { stride: 2, padding: 1 }],
  [[2, 4, 7, 6], [9, 4, 2, 3], { padding: [1, 0] }],
  [[1, 3, 12, 11], [5, 3, 2, 2], { stride: 3 }],
  [[2, 1, 19, 22], [6, 1, 4, 2], { stride: [3, 2], padding: [1, 3, 0, 2] }],
  [[2, 6, 8, 9], [15, 2, 3, 3], { groups: 3, padding: 2 }],
  [[7, 1, 41, 1], [11, 1, 5, 1], { padding: [2, 0] }],
  [[0, 1, 6, 6], [16, 1, 3, 3], { padding: 1 }],
];

const geometryOf = (x: readonly number[], w: readonly number[], options: ConvWindowOptions) =>
  convGeometry({ op: "test", wide: ["x", x], weight: ["w", w] }, options);

/** On 8 lanes a small one: lavapipe, for which the form is not picked, compiles the others for ten seconds each. */
async function tilesHere(geometry: ConvGeometry): Promise<readonly PlaceTile[]> {
  const tiles = placeTiles(geometry);
  const { lanes } = adapterTraits(await sharedGpu());
  return lanes === 8 && tiles.length > 0 ? [{ tileY: 1, tileX: 2 }] : tiles;
}

test("written shapes, by every tile that is offered", async () => {
  const random = seededRandom(71);
  for (const [xShape, wShape, options] of SIZES) {
    const tiles = await tilesHere(geometryOf(xShape, wShape, options));
    assert.ok(tiles.length > 0, `[${wShape}]`);
    for (const tile of tiles) {
      const drawn = {
        x: random.array(xShape),
        w: random.array(wShape),
        bias: random.array([wShape[0]]),
        options,
      };
      await checkConvForm(byPlaces(tile), ["toWide"], random, drawn, `[${xShape}] with [${wShape}]`);
    }
  }
});

test("drawn shapes", async () => {
  const random = seededRandom(72);
  for (let draw = 0; draw < 12; draw++) {
    const kernel = [random.integer(1, 5), random.integer(1, 4)];
    const channels = random.integer(1, 4);
    const x = [random.integer(1, 3), channels, random.integer(kernel[0], 30), random.integer(kernel[1], 30)];
    const w = [random.integer(1, 20), channels, ...kernel];
    const stride = [random.integer(1, 3), random.integer(1, 3)] as const;
    const options = { stride, padding: random.integer(0, 2) };
    for (const tile of await tilesHere(geometryOf(x, w, options))) {
      const drawn = { x: random.array(x), w: random.array(w), bias: random.array([w[0]]), options };
      await checkConvForm(byPlaces(tile), ["toWide"], random, drawn, `draw ${draw}`);
    }
  }
});

test("bias and activation, as a transposed convolution has them", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(73);
  const [x, w, bias] = [random.array([2, 10, 5, 4]), random.array([10, 3, 4, 4]), random.array([3])];
  const geometry = geometryOf([2, 3, 10, 8], w.shape, { stride: 2, padding: 1 });
  const tensors = [x, w, bias].map((array) => upload(gpu, array));
  const [tx, tw, tbias] = tensors;
  for (const activation of ["relu", "leakyRelu", "tanh", "sigmoid"] as const) {
    for (const tile of await tilesHere(geometry)) {
      const epilogue = { bias: tbias, activation, slope: 0.3 };
      const y = convolveWithForm(byPlaces(tile), "toWide", tx, tw, geometry, epilogue);
      const expected = reference.convTranspose2d(x, w, {
        stride: 2,
        padding: 1,
        bias,
        activation,
        slope: 0.3,
      });
      assertClose(await download(y), expected, { what: activation });
      y.dispose();
    }
  }
  for (const held of tensors) held.dispose();
});

test("what lies past the last channel and beyond the edge is not looked at", async () => {
  const gpu = await sharedGpu();
  // Five channels, so that the second step of four reaches into the next image, which is infinite.
  const random = seededRandom(74);
  const finite = random.array([1, 5, 4, 4]);
  const dy = new Float32Array(160).fill(Infinity);
  dy.set(finite.data);
  const w = random.array([5, 2, 3, 3]);
  const geometry = geometryOf([2, 2, 4, 4], w.shape, { padding: 1 });
  const tdy = tensor(gpu, dy, [2, 5, 4, 4], { checkFinite: false });
  const tw = upload(gpu, w);
  const expected = reference.conv2dInputGrad(finite, w, { padding: 1, inputShape: [1, 2, 4, 4] });
  const dx = convolveWithForm(byPlaces((await tilesHere(geometry))[0]), "toWide", tdy, tw, geometry);
  const first = Array.from((await download(dx)).data).slice(0, expected.data.length);
  assertClose({ shape: expected.shape, data: first }, expected, { what: "the finite image" });
  for (const held of [tdy, tw, dx]) held.dispose();
});

test("no tile for many channels, dilation, or a kernel too large to unroll", () => {
  const tiles = (channels: number, kernel: number, options: ConvWindowOptions = {}): number =>
    placeTiles(geometryOf([1, channels, 32, 32], [16, channels, kernel, kernel], options)).length;
  assert.is(tiles(1, 3), 2);
  assert.is(tiles(3, 4, { stride: 2 }), 1);
  assert.is(tiles(5, 3), 0);
  assert.is(tiles(1, 3, { dilation: 2 }), 0);
  assert.is(tiles(1, 9), 0);
});

test("the form computes nothing else", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(75);
  const [x, w] = [upload(gpu, random.array([1, 1, 4, 4])), upload(gpu, random.array([9, 1, 3, 3]))];
  const geometry = geometryOf(x.shape, w.shape, { padding: 1 });
  const form = byPlaces((await tilesHere(geometry))[0]);
  assert.throws(() => convolveWithForm(form, "toNarrow", x, w, geometry), /input gradient only/);
  for (const held of [x, w]) held.dispose();
});

test.run();
