import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ConvSum, convForms } from "../src/ops/conv_forms.js";
import { type ConvWindowOptions, convGeometry } from "../src/ops/conv_geometry.js";

const test = suite("the form of a convolution");

const limits = { maxStorageBufferBindingSize: 2 ** 27, maxComputeWorkgroupsPerDimension: 65_535 };
const hardware = { software: false };

function names(
  traits: { software: boolean; deterministic?: boolean },
  direction: ConvSum,
  [x, w]: readonly [number[], number[]],
  options: ConvWindowOptions = {},
): string[] {
  const geometry = convGeometry({ op: "test", wide: ["x", x], weight: ["w", w] }, options);
  return convForms(traits, limits, direction, geometry).map(({ name }) => name);
}

const large = [
  [8, 32, 32, 32],
  [64, 32, 3, 3],
] as const as readonly [number[], number[]];

test("GPUs: tiles as large as the result fills, and every other form for the tuner", () => {
  const tiles = ["8×8 of 8×8", "4×4 of 16×16", "4×4 of 8×8"].map((tile) => `workgroup_tile ${tile}`);
  assert.equal(names(hardware, "toNarrow", large, { padding: 1 }), [...tiles, "direct", "columns"]);
  const small: [number[], number[]] = [
    [4, 32, 8, 8],
    [64, 32, 3, 3],
  ];
  for (const direction of ["toNarrow", "toWide", "weights"] as const) {
    const expected = [...tiles].reverse();
    assert.equal(names(hardware, direction, small, { padding: 1 }), [...expected, "direct", "columns"]);
  }
});

test("GPUs: directly where a side of the product is short", () => {
  const first: [number[], number[]] = [
    [128, 1, 28, 28],
    [16, 1, 4, 4],
  ];
  assert.is(names(hardware, "toNarrow", first, { stride: 2 })[0], "workgroup_tile 4×4 of 8×8");
  // One channel; and of 16 taps 4 meet each element of x.
  assert.is(names(hardware, "toWide", first, { stride: 2 })[0], "direct");
  const depthwise: [number[], number[]] = [
    [8, 64, 28, 28],
    [64, 1, 3, 3],
  ];
  assert.equal(names(hardware, "toNarrow", depthwise, { groups: 64 }), ["direct"]);
});

test("software adapters by columns where they pay, never by tiles; a deterministic device always directly", () => {
  assert.equal(names({ software: true }, "toNarrow", large, { padding: 1 }), ["columns", "direct"]);
  assert.equal(names({ software: true }, "toWide", large, { stride: 2 }), ["direct", "columns"]);
  assert.equal(names({ ...hardware, deterministic: true }, "toNarrow", large), ["direct"]);
});

test.run();
