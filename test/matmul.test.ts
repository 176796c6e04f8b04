import { type Gpu, matmul, type MatmulOptions, ShapeError, tensor, ValueError, zeros } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { matmulWithPlan } from "../src/ops/matmul.js";
import { adapterTraits, isAligned, type MatmulKernel, type MatmulPlan } from "../src/ops/matmul_plan.js";
import { assertClose, assertExact } from "./helpers/compare.js";
import { assertRejects } from "./helpers/errors.js";
import { goldenCases } from "./helpers/golden.js";
import { sharedGpu } from "./helpers/gpu.js";
import { matmulCase, seededRandom } from "./helpers/shapes.js";
import { upload } from "./helpers/tensors.js";
import { absolute, type Array64 } from "./reference/array64.js";
import * as reference from "./reference/matmul.js";

const product = suite("matmul");

type Options = Pick<MatmulOptions, "transposeA" | "transposeB" | "activation" | "slope">;

/** One product against the reference, by `matmul` or by a plan. */
async function check(
  gpu: Gpu,
  { a, b, bias }: { a: Array64; b: Array64; bias?: Array64 },
  options: Options,
  what: string,
  plan?: MatmulPlan,
): Promise<void> {
  const tensors = [a, b, bias].map((array) => array && upload(gpu, array));
  const [ta, tb, tbias] = tensors;
  const all = { ...options, bias: tbias };
  const y = plan ? matmulWithPlan(ta!, tb!, all, () => plan) : matmul(ta!, tb!, all);
  const expected = reference.matmul(a, b, { ...options, bias });
  const { activation, slope, ...transposes } = options;
  const bound = reference.matmul(absolute(a), absolute(b), { ...transposes, bias: bias && absolute(bias) });
  const inner = options.transposeA ? a.shape.at(-2)! : a.shape.at(-1)!;
  assert.equal([...y.shape], expected.shape, what);
  assertClose(await y.data(), expected, {
    what,
    absolute: activation ? undefined : bound,
    tolerance: inner > 10_000 ? 1e-4 : 1e-5,
  });
  for (const t of [...tensors, y]) t?.dispose();
}

for (const { name, params, inputs, outputs } of goldenCases("matmul")) {
  product(`${name}: PyTorch's`, async () => {
    const gpu = await sharedGpu();
    const [a, b, bias] = [inputs.a, inputs.b, inputs.bias].map((array) => upload(gpu, array));
    assertClose(await matmul(a, b, params).data(), outputs.y, { what: "y" });
    assertClose(await matmul(a, b, { ...params, bias }).data(), outputs.yBias, { what: "with bias" });
    const relu = matmul(a, b, { ...params, bias, activation: "relu" });
    assertClose(await relu.data(), outputs.yBiasRelu, { what: "with bias and relu" });
  });
}

for (const { name, inputs, outputs } of goldenCases("matmulBroadcast")) {
  product(`${name}: batch dimensions broadcast`, async () => {
    const gpu = await sharedGpu();
    const y = matmul(upload(gpu, inputs.a), upload(gpu, inputs.b));
    assert.equal([...y.shape], outputs.y.shape);
    assertClose(await y.data(), outputs.y);
  });
}

product("random shapes, transposes and batches", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(21);
  for (let i = 0; i < 30; i++) {
    const { a, b, bias, options } = matmulCase(random);
    const shapes = `[${a.shape}] × [${b.shape}] ${JSON.stringify(options)}`;
    await check(gpu, { a, b, bias: i % 3 ? bias : undefined }, options, shapes);
  }
});

product("activations in the epilogue, finite far from zero", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(2);
  for (const activation of ["relu", "leakyRelu", "tanh", "sigmoid"] as const) {
    const a = random.array([9, 6]);
    a.data.fill(1000, 0, 6);
    a.data.fill(-1000, 6, 12);
    const operands = { a, b: random.array([6, 7]), bias: random.array([7]) };
    await check(gpu, operands, { activation, slope: 0.3 }, activation);
  }
});

interface TestedVariant {
  readonly kernel: MatmulKernel;
  readonly tile: readonly [number, number];
  /** Without it: the lanes of a subgroup. */
  readonly group?: readonly [number, number];
  /** Loads vec4, so takes rows that are multiples of 4 only. */
  readonly vec4?: boolean;
  /** Another tile of a kernel that is tested before: a new pipeline costs seconds in all. */
  readonly quick?: boolean;
}

/** Every kernel on its own, with tiles that the heuristic may not choose on this adapter. */
const VARIANTS: readonly TestedVariant[] = [
  { kernel: "register_tile", tile: [4, 8], group: [2, 4], vec4: true },
  { kernel: "workgroup_tile", tile: [4, 4], group: [8, 8] },
  { kernel: "workgroup_tile", tile: [8, 8], group: [8, 8], quick: true },
  { kernel: "workgroup_tile", tile: [4, 4], group: [16, 16], quick: true },
  { kernel: "vector", tile: [4, 1], group: [1, 16] },
  { kernel: "any_shape", tile: [4, 4], group: [2, 4] },
  { kernel: "subgroup", tile: [8, 4], vec4: true },
  { kernel: "subgroup", tile: [24, 4], vec4: true, quick: true },
  { kernel: "quad", tile: [16, 4], group: [1, 4], vec4: true },
  { kernel: "quad", tile: [32, 8], group: [1, 4], vec4: true, quick: true },
  { kernel: "quad", tile: [64, 8], group: [1, 4], vec4: true, quick: true },
  { kernel: "subgroup_any_shape", tile: [8, 3] },
  { kernel: "subgroup_any_shape", tile: [16, 4], quick: true },
];

const SPLITTING = ["subgroup", "quad", "subgroup_any_shape", "workgroup_tile"];

for (const { kernel, tile, group, vec4, quick } of VARIANTS) {
  const [tileM, tileN] = tile;
  product(
    `kernel ${kernel}, tile ${tile.join("×")}: every transpose, aligned and not, whole and split`,
    async () => {
      const gpu = await sharedGpu();
      const { lanes } = adapterTraits(gpu);
      // Large tiles are for 4 lanes only: elsewhere they are not picked, and take many seconds to compile.
      const quads = kernel === "quad" && (tileM > 16 ? lanes === 4 : lanes >= 4);
      if (!quads && (kernel === "quad" || (!group && ![4, 8, 16].includes(lanes)))) {
        // A capability: without such subgroups the library never picks the kernel.
        console.log(
          `not run: ${kernel} ${tile.join("×")} is not for this adapter's subgroups of ${lanes} lanes`,
        );
        return;
      }
      const [groupM, groupN] = group ?? [1, lanes];
      const random = seededRandom(5);
      for (const [transposeA, transposeB] of quick
        ? [[false, false]]
        : [
            [false, false],
            [false, true],
            [true, false],
            [true, true],
          ]) {
        for (const [m, n, k, slices] of [
          [16, 24, 32, 1],
          [13, 7, 37, 1],
          [1, 1, 1, 1],
          [35, 77, 3, 1],
          [52, 40, 24, 1],
          [5, 36, 700, 3],
        ]) {
          if (slices > 1 && !SPLITTING.includes(kernel)) continue;
          if (vec4 && !isAligned({ m, n, k, batch: 2, transposeA, transposeB })) continue;
          const plan = { name: kernel, kernel, tileM, tileN, groupM, groupN, slices };
          const a = random.array([2, ...(transposeA ? [k, m] : [m, k])]);
          const b = random.array(transposeB ? [n, k] : [k, n]);
          const what = `${m}×${k}×${n} ${transposeA} ${transposeB}`;
          await check(gpu, { a, b, bias: random.array([n]) }, { transposeA, transposeB }, what, plan);
        }
      }
    },
  );
}

product("the heuristic's choice for few rows and few columns", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(6);
  for (const [m, n, k] of [
    [1, 64, 40],
    [1, 33, 21],
    [40, 10, 24],
    [33, 3, 7],
  ]) {
    await check(gpu, { a: random.array([m, k]), b: random.array([k, n]) }, {}, `${m}×${k}×${n}`);
  }
});

product("a plan for vec4 loads says which rows it takes", async () => {
  const gpu = await sharedGpu();
  const plan = {
    name: "tile",
    kernel: "register_tile" as const,
    tileM: 4,
    tileN: 4,
    groupM: 4,
    groupN: 4,
    slices: 1,
  };
  await assertRejects(
    () => matmulWithPlan(zeros(gpu, [4, 4]), zeros(gpu, [4, 6]), {}, () => plan),
    ValueError,
    /plan "tile" takes rows that are multiples of 4, and got m 4, n 6, k 4/,
  );
});

product("a sum of more than 10,000 terms, many rows, many matrices", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(8);
  const cases: [number[], number[]][] = [
    [
      [3, 20_011],
      [20_011, 5],
    ],
    [
      [70_001, 3],
      [3, 2],
    ],
    [
      [2, 3],
      [3, 70_003],
    ],
    [
      [66_003, 2, 3],
      [3, 2],
    ],
  ];
  for (const [shapeA, shapeB] of cases) {
    await check(gpu, { a: random.array(shapeA), b: random.array(shapeB) }, {}, `[${shapeA}] × [${shapeB}]`);
  }
});

product("tanh of tiny sums keeps its relative accuracy", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(4);
  const operands = { a: random.array([8, 12], { low: -0.01, high: 0.01 }), b: random.array([12, 8]) };
  await check(gpu, operands, { activation: "tanh" }, "tanh near 0");
});

product("no inner dimension gives the bias, no rows give nothing", async () => {
  const gpu = await sharedGpu();
  const bias = tensor(gpu, [3, 4]);
  assertExact(await matmul(zeros(gpu, [2, 0]), zeros(gpu, [0, 2]), { bias }).data(), [3, 4, 3, 4]);
  assert.is((await matmul(zeros(gpu, [0, 5]), zeros(gpu, [5, 2])).data()).length, 0);
});

product("the same call gives the same bits", async () => {
  const gpu = await sharedGpu();
  const random = seededRandom(13);
  const [a, b] = [upload(gpu, random.array([67, 129])), upload(gpu, random.array([129, 31]))];
  const first = await matmul(a, b).data();
  for (let i = 0; i < 3; i++) assertExact(await matmul(a, b).data(), first);
});

product("out takes the result, and shapes that do not fit are named", async () => {
  const gpu = await sharedGpu();
  const [a, b] = [
    tensor(gpu, [
      [1, 2],
      [3, 4],
    ]),
    tensor(gpu, [
      [5, 6],
      [7, 8],
    ]),
  ];
  const out = zeros(gpu, [2, 2]);
  assert.is(matmul(a, b, { out }), out);
  assertExact(await out.data(), [19, 22, 43, 50]);
  await assertRejects(() => matmul(a, b, { out: a }), ShapeError, /shares its buffer/);
  await assertRejects(
    () => matmul(a, zeros(gpu, [3, 2])),
    ShapeError,
    /inner dimensions differ, 2 of a .* 3 of b/,
  );
  await assertRejects(
    () => matmul(a, b, { bias: zeros(gpu, [3]) }),
    ShapeError,
    /bias has shape \[3\], and \[2\]/,
  );
  await assertRejects(() => matmul(a, b, { out: zeros(gpu, [3, 2]) }), ShapeError, /out "y"/);
  await assertRejects(
    () => matmul(zeros(gpu, [2, 2, 2]), zeros(gpu, [3, 2, 2])),
    ShapeError,
    /batch dimensions/,
  );
  await assertRejects(() => matmul(zeros(gpu, [2]), b), ShapeError, /at least two dimensions/);
  await assertRejects(
    () => matmul(a, b, { activation: "swish" as "relu" }),
    ValueError,
    /matmul: activation is "swish", and one of relu/,
  );
  await assertRejects(
    () => matmul(a, b, { activation: "leakyRelu", slope: -1 }),
    ValueError,
    /matmul: slope is -1/,
  );
});

product.run();
