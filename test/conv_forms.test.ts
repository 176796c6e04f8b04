import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ConvSum, convForms } from "../src/ops/conv_forms.js";
import { type ConvWindowOptions, convGeometry } from "../src/ops/conv_geometry.js";
import type { AdapterTraits } from "../src/ops/matmul_plan.js";

const test = suite("the form of a convolution");

const limits = { maxStorageBufferBindingSize: 2 ** 27, maxComputeWorkgroupsPerDimension: 65_535 };
const hardware = { software: false, lanes: 32 };
const [narrow, eight] = [4, 8].map((lanes) => ({ software: true, lanes }));

function names(
  traits: AdapterTraits,
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

test("software adapters without subgroups: by columns where they pay, never by tiles", () => {
  const without = { software: true, lanes: 0 };
  assert.equal(names(without, "toNarrow", large, { padding: 1 }), ["columns", "direct"]);
  assert.equal(names(without, "toWide", large, { stride: 2 }), ["direct", "columns"]);
});

test("8 lanes: positions are shared where every lane has channels of its own, weights else", () => {
  const [positions, weights, few] = [
    "subgroup_positions 4×24 of 8",
    "subgroup 16×4 of 8",
    "subgroup 8×4 of 8",
  ];
  const plain = ["columns", "direct"];
  assert.equal(names(eight, "toNarrow", large, { padding: 1 }), [positions, ...plain, weights, few]);
  assert.equal(names(eight, "toWide", large, { stride: 2 }), [positions, "direct", "columns", weights, few]);
  assert.equal(names(eight, "weights", large), plain);
  for (const [channels, form] of [
    [16, weights],
    [24, positions],
    [40, weights],
    [60, positions],
  ] as const) {
    const wide: [number[], number[]] = [
      [8, channels, 14, 14],
      [channels, channels, 3, 3],
    ];
    assert.is(names(eight, "toNarrow", wide)[0], form);
    assert.is(names(eight, "toWide", wide)[0], form);
  }
});

test("4 lanes: quads, tall ones for much work, wide ones for many channels", () => {
  assert.equal(names(narrow, "toNarrow", large), [
    "quad 8×48",
    "columns",
    "direct",
    "quad 8×32",
    "quad 8×16",
  ]);
  assert.is(names(narrow, "toWide", large)[0], "quad 8×48");
  const small: [number[], number[]] = [
    [1, 16, 20, 20],
    [16, 16, 3, 3],
  ];
  assert.is(names(narrow, "toNarrow", small)[0], "quad 4×32");
  // The choice may not depend on the batch.
  assert.equal(names({ ...narrow, deterministic: true }, "toNarrow", large), ["quad 8×32"]);
});

test("4 and 8 lanes: forms of their own for the first layer of a network", () => {
  const first: [number[], number[]] = [
    [128, 1, 28, 28],
    [16, 1, 4, 4],
  ];
  const quads = ["quad_few_channels 4×32", "quad_few_channels 4×64", "quad_few_channels 4×16"];
  const [best, ...others] = quads;
  assert.equal(names(narrow, "toNarrow", first, { stride: 2 }), [best, "direct", "columns", ...others]);
  const [low, high] = ["subgroup_few_channels 16×4 of 8", "subgroup_few_channels 32×4 of 8"];
  assert.equal(names(eight, "toNarrow", first, { stride: 2 }), [low, "direct", "columns", high]);
  const places = ["few_channels 4×4", "direct", "columns", "few_channels 2×4"];
  assert.equal(names(narrow, "toWide", first, { stride: 2 }), places);
  assert.is(names(eight, "toWide", first, { stride: 2 })[0], "direct");
  // Too large to be unrolled; the sums are long enough for columns.
  const large: [number[], number[]] = [
    [32, 3, 32, 32],
    [64, 3, 7, 7],
  ];
  assert.is(names(narrow, "toWide", large, { stride: 2, padding: 3 })[0], "columns");
  assert.is(names(eight, "toNarrow", large, { stride: 2, padding: 3 })[0], high);
});

test("with subgroups: columns where they need no copy, directly with few channels of the result", () => {
  const pointwise: [number[], number[]] = [
    [8, 32, 28, 28],
    [64, 32, 1, 1],
  ];
  assert.is(names(eight, "toNarrow", pointwise)[0], "columns");
  assert.is(names(eight, "toWide", pointwise)[0], "columns");
  const gray: [number[], number[]] = [
    [128, 1, 28, 28],
    [16, 1, 4, 4],
  ];
  const few: [number[], number[]] = [
    [128, 16, 28, 28],
    [4, 16, 4, 4],
  ];
  assert.equal(names(eight, "toNarrow", few, { stride: 2 }), ["direct", "columns"]);
  assert.equal(names(eight, "toWide", gray, { stride: 2 }), ["direct", "columns"]);
});

test("a deterministic device: one form for all batches", () => {
  assert.equal(names({ ...hardware, deterministic: true }, "toNarrow", large), ["direct"]);
  assert.equal(names({ ...eight, deterministic: true }, "toWide", large), ["subgroup_positions 4×24 of 8"]);
  assert.equal(names({ ...eight, deterministic: true }, "weights", large), ["direct"]);
});

test.run();
