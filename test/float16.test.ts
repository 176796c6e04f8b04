import {
  add,
  copy,
  fromBuffer,
  type Gpu,
  matmul,
  ShapeError,
  tensor,
  toF16,
  toF32,
  transpose,
  ValueError,
  zeros,
} from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { halfBits, halfToNumber } from "../src/float16.js";
import { matmulWithPlan } from "../src/ops/matmul.js";
import { adapterTraits, isAligned, type MatmulPlan } from "../src/ops/matmul_plan.js";
import { asWords } from "../src/ops/words.js";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";
import { matmulCase, seededRandom } from "./helpers/shapes.js";
import { upload } from "./helpers/tensors.js";
import { absolute, type Array64, map } from "./reference/array64.js";
import * as reference from "./reference/matmul.js";

/** f16 storage needs no feature of the adapter: all of this runs on every one. */
const halves = suite("float16");

/** What a float16 holds of a value. */
const rounded = (x: Array64): Array64 => map(x, (value) => halfToNumber(halfBits(value)));

/** Every finite float16, as numbers. */
const finite = Array.from({ length: 2 ** 16 }, (_, bits) => halfToNumber(bits)).filter(Number.isFinite);

/** On both sides of where rounding turns, and far from it; f32 exactly. */
function hardValues(): Float32Array {
  const values = [
    0,
    -0,
    Infinity,
    -Infinity,
    NaN,
    1e-45,
    2 ** -25,
    -(2 ** -26),
    65504,
    65519.996,
    65520,
    1e38,
  ];
  const sorted = [...new Set(finite)].filter((value) => value >= 0).sort((a, b) => a - b);
  for (let i = 0; i + 1 < sorted.length; i += 7) {
    const middle = (sorted[i] + sorted[i + 1]) / 2;
    values.push(sorted[i], middle, middle * (1 + 2 ** -20), -middle * (1 - 2 ** -20), -middle);
  }
  const random = seededRandom(3);
  for (let i = 0; i < 4001; i++) values.push((random.uniform() - 0.5) * 2 ** random.integer(-30, 20));
  return Float32Array.from(values);
}

async function bitsOf(gpu: Gpu, half: ReturnType<typeof toF16>): Promise<Uint16Array> {
  assert.is(half.dtype, "f16");
  assert.is(half.gpu, gpu);
  const words = asWords(half);
  const data = await words.data();
  words.dispose();
  return new Uint16Array(data.buffer).subarray(0, half.size);
}

halves("the host's rounding: every float16 is itself, the nearest is taken, of two the even one", () => {
  for (let bits = 0; bits < 2 ** 16; bits++) {
    const value = halfToNumber(bits);
    if (Number.isNaN(value)) assert.ok(Number.isNaN(halfToNumber(halfBits(value))));
    else assert.is(halfBits(value), bits);
  }
  const positive = Array.from({ length: 0x7c00 }, (_, bits) => halfToNumber(bits));
  for (let bits = 0; bits + 1 < positive.length; bits++) {
    const middle = (positive[bits] + positive[bits + 1]) / 2;
    assert.is(halfBits(middle), bits + (bits % 2));
    assert.is(halfBits(middle * (1 - 2 ** -40)), bits);
    assert.is(halfBits(-middle * (1 + 2 ** -40)), 0x8000 | (bits + 1));
  }
  assert.equal([65519.99, 65520, -1e300].map(halfBits), [0x7bff, 0x7c00, 0xfc00]);
});

halves("toF16 gives the host's bits, for odd counts and more than a dispatch holds", async () => {
  const gpu = await sharedGpu();
  const values = hardValues();
  const x = tensor(gpu, values, { checkFinite: false });
  const half = toF16(x);
  const bits = await bitsOf(gpu, half);
  for (let i = 0; i < values.length; i++) {
    // A load as a float may flush what is below 2^-126, which rounds to 0 anyhow.
    if (bits[i] !== halfBits(values[i])) assert.is(`${values[i]}: ${bits[i]}`, halfBits(values[i]));
  }
  const count = 65_535 * 64 * 2 + 131;
  const large = tensor(gpu, new Float32Array(count).fill(1.5, count - 3));
  const [many, back] = [toF16(large), toF32(toF16(large))];
  assert.is(many.byteLength, 4 * Math.ceil(count / 2));
  assert.equal([...(await bitsOf(gpu, many)).subarray(-5)], [0, 0, 0x3e00, 0x3e00, 0x3e00]);
  assert.equal([...(await back.data()).subarray(-5)], [0, 0, 1.5, 1.5, 1.5]);
  for (const t of [x, half, large, many, back]) t.dispose();
});

halves("toF32 gives every float16's value, and its own input back for f32", async () => {
  const gpu = await sharedGpu();
  const half = tensor(gpu, Float64Array.from(finite), { dtype: "f16" });
  const whole = toF32(half);
  assert.is(whole.dtype, "f32");
  assertExact(await whole.data(), finite);
  assertExact(await half.data(), finite);
  const again = toF32(whole);
  assertExact(await again.data(), finite);
  const special = tensor(gpu, [Infinity, -Infinity, NaN], { dtype: "f16", checkFinite: false });
  assert.equal([...(await toF32(special).data())], [Infinity, -Infinity, NaN]);
  for (const t of [half, whole, again, special]) t.dispose();
});

halves(
  "a tensor of f16: nested arrays, odd sizes, write, reshape, copy, zeros, the caller's buffer",
  async () => {
    const gpu = await sharedGpu();
    const start = gpu.memory();
    const x = tensor(gpu, [[1, 0.1, -3]], { dtype: "f16" });
    assert.is(x.byteLength, 8);
    const expected = [1, halfToNumber(halfBits(0.1)), -3];
    assertExact(await x.data(), expected);
    const y = copy(x.reshape([3, 1]));
    assert.is(y.dtype, "f16");
    assertExact(await y.data(), expected);
    x.write([[7, 8, 9.5]]);
    assertExact(await x.data(), [7, 8, 9.5]);
    const nothing = zeros(gpu, [5], { dtype: "f16" });
    assertExact(await nothing.data(), [0, 0, 0, 0, 0]);
    assert.is((await zeros(gpu, [0, 3], { dtype: "f16" }).data()).length, 0);
    const one = tensor(gpu, 2.5, { dtype: "f16" });
    assert.is(await one.item(), 2.5);
    const buffer = gpu.device.createBuffer({ size: 8, usage: 0x80 | 4 | 8 });
    const joined = fromBuffer(gpu, buffer, [3], { dtype: "f16" });
    toF16(tensor(gpu, [1, 2, 3]), { out: joined });
    assertExact(await joined.data(), [1, 2, 3]);
    assert.ok(gpu.memory().tensors > start.tensors);
    for (const t of [x, y, nothing, one, joined]) t.dispose();
    buffer.destroy();
  },
);

halves("numbers are rounded once, and what no float16 holds is refused", async () => {
  const gpu = await sharedGpu();
  // Above the middle of two float16 by less than a float32 tells.
  const above = 1 + 2 ** -11 + 2 ** -40;
  assert.is(await tensor(gpu, [above], { dtype: "f16" }).item(), 1 + 2 ** -10);
  for (const value of [65520, -1e9, NaN, Infinity]) {
    await assertRejects(
      () => tensor(gpu, [1, value], { dtype: "f16" }),
      ValueError,
      /at index 1 is not a finite float16; .*checkFinite/,
    );
  }
  const x = tensor(gpu, [65519], { dtype: "f16" });
  await assertRejects(() => x.write([65521]), ValueError, /not a finite float16/);
  assert.is(await x.item(), 65504);
  x.dispose();
});

halves("what takes no f16 says so and what to do", async () => {
  const gpu = await sharedGpu();
  const [x, half, words] = [
    zeros(gpu, [4, 4]),
    zeros(gpu, [4, 4], { dtype: "f16" }),
    zeros(gpu, [4, 4], { dtype: "u32" }),
  ];
  const before = gpu.memory().tensors;
  const wrong: [() => unknown, RegExp][] = [
    [() => add(x, half), /is f16, and f32 is taken; cast it with toF32\(\)/],
    [() => matmul(half, x), /"a" is f16, and f32 is taken; cast it with toF32\(\)/],
    [() => matmul(x, words), /"b" is u32, and f32 is taken/],
    [() => matmul(x, x, { bias: zeros(gpu, [4], { dtype: "f16" }) }), /"bias" is f16/],
    [() => matmul(x, x, { out: half }), /"out.y" is f16, and f32 is taken/],
    [() => transpose(half), /"x" is f16, and f32 or u32 is taken; cast it with toF32\(\)/],
    [() => toF16(half), /"x" is f16, and f32 is taken/],
    [() => toF16(x, { out: x }), /out is f32 \[4,4\], and f16 \[4,4\] is taken/],
    [() => toF16(x, { out: zeros(gpu, [16], { dtype: "f16" }) }), /out is f16 \[16\]/],
    [() => toF32(words), /"x" is u32, and f32 is taken/],
  ];
  for (const [run, message] of wrong) await assertRejects(() => gpu.scope(run), ShapeError, message);
  assert.is(gpu.memory().tensors, before);
  for (const t of [x, half, words]) t.dispose();
});

/** A product with b as f16 against float64 on the rounded b. */
async function check(
  gpu: Gpu,
  { a, b, bias }: { a: Array64; b: Array64; bias?: Array64 },
  options: { transposeA?: boolean; transposeB?: boolean },
  what: string,
  plan?: MatmulPlan,
): Promise<void> {
  const [ta, tbias] = [a, bias].map((array) => array && upload(gpu, array));
  const tb = tensor(gpu, b.data, b.shape, { dtype: "f16" });
  const all = { ...options, bias: tbias };
  const y = plan ? matmulWithPlan(ta!, tb, all, () => plan) : matmul(ta!, tb, all);
  assert.is(y.dtype, "f32");
  const nearest = rounded(b);
  assertClose(await y.data(), reference.matmul(a, nearest, { ...options, bias }), {
    what,
    absolute: reference.matmul(absolute(a), absolute(nearest), {
      ...options,
      bias: bias && absolute(bias),
    }),
  });
  for (const t of [ta, tb, tbias, y]) t?.dispose();
}

const KERNELS = [
  { kernel: "register_tile", tile: [1, 4], group: [1, 32] },
  { kernel: "register_tile", tile: [4, 8], group: [2, 4] },
  { kernel: "workgroup_tile", tile: [4, 4], group: [8, 8] },
  { kernel: "vector", tile: [4, 1], group: [1, 16] },
  { kernel: "any_shape", tile: [4, 4], group: [2, 4] },
  { kernel: "subgroup", tile: [8, 4] },
  { kernel: "quad", tile: [16, 4], group: [1, 4] },
  { kernel: "subgroup_any_shape", tile: [8, 3] },
] as const;

for (const { kernel, tile, ...given } of KERNELS) {
  halves(`kernel ${kernel}, tile ${tile.join("×")}: b stored as f16, as it is and transposed`, async () => {
    const gpu = await sharedGpu();
    const { lanes } = adapterTraits(gpu);
    if (kernel === "quad" ? lanes < 4 : !("group" in given) && ![4, 8, 16].includes(lanes)) {
      console.log(`not run: ${kernel} takes subgroups of 4, 8 or 16 lanes, and this adapter has ${lanes}`);
      return;
    }
    const [groupM, groupN] = "group" in given ? given.group : [1, lanes];
    const random = seededRandom(15);
    let checked = 0;
    for (const transposeB of [false, true]) {
      for (const [m, n, k] of [
        [16, 24, 32],
        [1, 4, 8],
        [37, 44, 24],
        [40, 8, 8],
        [13, 7, 37],
        [1, 1, 1],
        [3, 77, 3],
      ]) {
        const vec4 = kernel === "register_tile" || kernel === "subgroup" || kernel === "quad";
        if (vec4 && !isAligned({ m, n, k, batch: 2, transposeA: false, transposeB })) continue;
        const plan = { name: kernel, kernel, tileM: tile[0], tileN: tile[1], groupM, groupN, slices: 1 };
        const a = random.array([2, m, k]);
        const b = random.array([2, ...(transposeB ? [n, k] : [k, n])]);
        await check(
          gpu,
          { a, b, bias: random.array([n]) },
          { transposeB },
          `${m}×${k}×${n} ${transposeB}`,
          plan,
        );
        checked++;
      }
    }
    assert.ok(checked >= 4);
  });
}

halves("matmul with b as f16: random shapes, transposes, batches, as the heuristic picks", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(41);
  for (let i = 0; i < 12; i++) {
    const { a, b, bias, options } = matmulCase(random);
    const { transposeA, transposeB } = options;
    const batchB = b.shape.slice(0, -2);
    // Written out along some batch dimensions b would have to be f32.
    const whole = batchB.every((size) => size === 1) || `${batchB}` === `${a.shape.slice(0, -2)}`;
    if (!whole) continue;
    const shapes = `[${a.shape}] × [${b.shape}] ${JSON.stringify({ transposeA, transposeB })}`;
    await check(gpu, { a, b, bias: i % 3 ? bias : undefined }, { transposeA, transposeB }, shapes);
  }
  await check(gpu, { a: random.array([1, 512]), b: random.array([512, 260]) }, {}, "a single row");
});

halves("in a program, weights that are cast anew at each run", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(9);
  const [a, b] = [random.array([3, 5]), random.array([5, 7])];
  const [ta, tb] = [upload(gpu, a), upload(gpu, b)];
  const program = gpu.program(() => matmul(ta, toF16(tb)));
  assertClose(await program.result.data(), reference.matmul(a, rounded(b)));
  const other = random.array([5, 7]);
  tb.write(Float32Array.from(other.data));
  assertClose(await program.run().data(), reference.matmul(a, rounded(other)));
  program.dispose();
  for (const t of [ta, tb]) t.dispose();
});

halves.run();
