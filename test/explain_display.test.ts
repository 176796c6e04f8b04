import { ShapeError, tensor, ValueError } from "handgrad";
import {
  alphaScaled,
  blendedHeatMap,
  colorMaps,
  heatMap,
  hostMaps,
  mapsToJson,
  mapsToNpy,
  maskedImage,
  normalizedMap,
  pictureSheet,
  plainImage,
} from "handgrad/explain";
import { decodeNpy, decodePng, encodePng } from "handgrad/io";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { colorOf } from "../src/explain/colors.js";
import { drawText, textWidth } from "../src/explain/font.js";
import { assertClose } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";

const display = suite("explain: display");

const MAP = { shape: [2, 3], data: Float32Array.from([-2, -1, 0, 1, 2, 4]) };
const IMAGE = { shape: [2, 3], data: Float32Array.from([0, 0.2, 0.4, 0.6, 0.8, 1]) };

const pixel = ({ data, channels }: { data: Uint8Array; channels: number }, at: number): number[] =>
  Array.from(data.subarray(channels * at, channels * (at + 1)));

display("maps are scaled by their sign and clipped at the outliers", () => {
  const all = { outlierPercentile: 0 };
  assertClose(normalizedMap(MAP.data, all), [-0.5, -0.25, 0, 0.25, 0.5, 1]);
  assertClose(normalizedMap(MAP.data, { ...all, sign: "absolute" }), [0.5, 0.25, 0, 0.25, 0.5, 1]);
  assertClose(normalizedMap(MAP.data, { ...all, sign: "positive" }), [0, 0, 0, 0.25, 0.5, 1]);
  assertClose(normalizedMap(MAP.data, { ...all, sign: "negative" }), [1, 0.5, 0, 0, 0, 0]);
  // Sizes 0 1 1 2 2 4 of sum 10: 6 of them are below the largest 40 %.
  assertClose(normalizedMap(MAP.data, { outlierPercentile: 40 }), [-1, -0.5, 0, 0.5, 1, 1]);
  assert.equal([...normalizedMap(new Float32Array(4))], [0, 0, 0, 0]);
});

display("heat maps in color, signed ones around white", () => {
  const signed = heatMap(MAP, { outlierPercentile: 0 });
  assert.equal([signed.width, signed.height, signed.channels], [3, 2, 3]);
  assert.ok(pixel(signed, 2).every((byte) => byte >= 225));
  const [red, , blue] = pixel(signed, 5);
  assert.ok(red > blue + 60, "4 speaks for the class");
  const [red0, , blue0] = pixel(signed, 0);
  assert.ok(blue0 > red0, "-2 speaks against it");
  assert.equal(pixel(heatMap(MAP, { sign: "absolute", outlierPercentile: 0 }), 5), [
    ...colorOf("inferno", 1),
  ]);
  for (const colors of colorMaps) {
    assert.equal(pixel(heatMap(MAP, { sign: "positive", colors }), 0), [...colorOf(colors, 0)], colors);
  }
  const large = heatMap(MAP, { zoom: 3 });
  assert.equal([large.width, large.height], [9, 6]);
  assert.equal(pixel(large, 8 + 5 * 9), pixel(heatMap(MAP), 5));
});

display("brightness grows along every color map but the one around white", () => {
  for (const colors of colorMaps.filter((name) => name !== "redBlue")) {
    const lumas = Array.from({ length: 9 }, (_, i) => {
      const [r, g, b] = colorOf(colors, i / 8);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    });
    for (let i = 1; i < 9; i++) assert.ok(lumas[i] > lumas[i - 1], `${colors} at ${i}: ${lumas}`);
  }
});

display("overlays: blended, masked, as opaque as the map", () => {
  const options = { outlierPercentile: 0, sign: "absolute" } as const;
  const gray = blendedHeatMap(IMAGE, MAP, { ...options, opacity: 0 });
  assert.equal(pixel(gray, 3), [153, 153, 153]);
  assert.equal(blendedHeatMap(IMAGE, MAP, { ...options, opacity: 1 }).data, heatMap(MAP, options).data);
  assert.equal(pixel(maskedImage(IMAGE, MAP, options), 4), [102, 102, 102]);
  const scaled = alphaScaled(IMAGE, MAP, options);
  assert.equal(pixel(scaled, 4), [204, 204, 204, 128]);
  const color = { shape: [3, 1, 2], data: Float32Array.from([1, 0, 0.5, 0, 0, 2]) };
  assert.equal([...plainImage(color).data], [255, 128, 0, 0, 0, 255]);
});

display("sheets: labels, captions, empty places; files that decode to the same", async () => {
  const cell = heatMap(MAP, { zoom: 8 });
  const sheet = pictureSheet(
    [
      { label: "lrp", pictures: [cell, undefined], captions: ["97.1"] },
      { label: "saliency", pictures: [alphaScaled(IMAGE, MAP), cell] },
    ],
    { title: "image 7", columns: ["dense", "trace"] },
  );
  assert.is(sheet.data.length, 3 * sheet.width * sheet.height);
  const dark = Array.from({ length: sheet.width * sheet.height }, (_, at) => pixel(sheet, at)).filter(
    ([r, g, b]) => r === 32 && g === 36 && b === 44,
  ).length;
  let drawn = 0;
  for (const text of ["image 7", "dense", "trace", "lrp", "saliency", "97.1"]) drawText(text, () => drawn++);
  assert.is(dark, 4 * drawn);
  const decoded = await decodePng(await encodePng(sheet), { channels: 3 });
  assert.equal(decoded.data, sheet.data);
  await assertRejects(() => pictureSheet([]), ShapeError, /no pictures/);
});

display("letters differ from each other and from the unknown one", () => {
  const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,-+%()[]/:=_|<>?!'#*&é";
  const pictures = [...characters].map((character) => {
    const dots: string[] = [];
    drawText(character, (x, y) => {
      assert.ok(x >= 0 && x < 5 && y >= 0 && y < 8);
      dots.push(`${x},${y}`);
    });
    return dots.join(" ");
  });
  assert.is(new Set(pictures).size, characters.length);
  assert.is(textWidth("abc"), 17);
});

display("maps of a tensor, as npy and json", async () => {
  const gpu = await sharedGpu();
  const maps = tensor(
    gpu,
    Float32Array.from({ length: 12 }, (_, i) => i / 7 - 1),
    [2, 2, 3],
  );
  const [first, second] = await hostMaps(maps);
  assert.equal([first.shape, second.data.length], [[2, 3], 6]);
  const back = decodeNpy(await mapsToNpy(maps));
  assert.equal(back.shape, [2, 2, 3]);
  assert.equal([...back.data], [...first.data, ...second.data]);
  const record = JSON.parse(JSON.stringify(await mapsToJson(maps, { method: "lrp", target: 3 })));
  assert.equal([record.shape, record.facts], [[2, 2, 3], { method: "lrp", target: 3 }]);
  assertClose(record.values, back.data, { tolerance: 1e-5 });
  maps.dispose();
});

display("what is refused", async () => {
  const nan = { shape: [1, 2], data: Float32Array.from([1, Number.NaN]) };
  await assertRejects(() => heatMap(nan), ValueError, /nan at index 1/i);
  await assertRejects(
    () => heatMap({ shape: [3], data: new Float32Array(3) }),
    ShapeError,
    /\[h, w\] is taken/,
  );
  await assertRejects(() => heatMap(MAP, { outlierPercentile: 100 }), ValueError, /outlierPercentile is 100/);
  await assertRejects(() => heatMap(MAP, { colors: "jet" as never }), ValueError, /colors is "jet"/);
  await assertRejects(() => heatMap(MAP, { zoom: 0.5 }), ValueError, /zoom is 0.5/);
  const small = { shape: [1, 2], data: new Float32Array(2) };
  await assertRejects(() => blendedHeatMap(small, MAP), ShapeError, /image is \[1, 2\] and the map \[2,3\]/);
});

display.run();
