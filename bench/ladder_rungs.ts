/** The rungs of ladder.md: the matmul kernels in `shaders/`, each one idea further than the one before it. */
import type { Gpu, Tensor } from "handgrad";
import naiveWgsl from "../shaders/matmul_naive.wgsl";
import { matmulWithPlan } from "../src/ops/matmul.js";
import { adapterTraits, type MatmulPlan, matmulPlans } from "../src/ops/matmul_plan.js";

export interface Rung {
  readonly name: string;
  /** What is new against the rung before it. */
  readonly idea: string;
  run(): Tensor;
}

type Sizes = readonly [number, number];
type Step = readonly [plan: MatmulPlan, idea: string];

/** The kernels for y = a · b that this adapter can run; the library's own choice for the sizes is marked. */
export function rungs(gpu: Gpu, a: Tensor, b: Tensor): Rung[] {
  const adapter = adapterTraits(gpu);
  const shape = { m: a.shape[0], n: b.shape[1], k: a.shape[1], batch: 1 };
  const picked = matmulPlans(adapter, { ...shape, transposeA: false, transposeB: false })[0];
  const list = steps(adapter.lanes);
  if (!list.some(([plan]) => nameOf(plan) === nameOf(picked))) list.push([picked, "other sizes"]);
  const naive = naiveKernel(gpu);
  return [
    {
      name: "`matmul_naive`",
      idea: "one invocation an element",
      run: () => naive.run({ a, b }, undefined).y,
    },
    ...list.map(([plan, idea]) => ({
      name: nameOf(plan),
      idea: nameOf(plan) === nameOf(picked) ? `${idea}; what the library picks here` : idea,
      run: () => matmulWithPlan(a, b, {}, () => plan),
    })),
  ];
}

function steps(lanes: number): Step[] {
  const list: Step[] = [
    [plan("workgroup_tile", [1, 1], [16, 16]), "tiles in workgroup memory"],
    [plan("workgroup_tile", [4, 4], [8, 8]), "4×4 results an invocation"],
    [plan("any_shape", [4, 4], [4, 8]), "no workgroup memory, no barrier"],
    [plan("register_tile", [4, 4], [4, 4]), "vec4 loads"],
    [plan("register_tile", [8, 8], [4, 4]), "8×8 results"],
  ];
  // The lanes share the loads of a tile's rows, so a tile has at least as many rows as there are lanes.
  if (lanes !== 4 && lanes !== 8) return list;
  list.push([plan("subgroup", [8, 8], [1, lanes]), "a loaded once a subgroup, and broadcast"]);
  list.push([plan("subgroup", [16, 4], [1, lanes]), "as many results in a taller tile"]);
  if (lanes !== 4) return list;
  list.push([plan("quad", [16, 4], [1, lanes]), "b's values swapped within a quad in place of broadcasts"]);
  list.push([plan("quad", [16, 8], [1, lanes]), "16×8 results"]);
  list.push([plan("quad", [32, 8], [1, lanes]), "32×8 results"]);
  return list;
}

function plan(kernel: MatmulPlan["kernel"], tile: Sizes, group: Sizes): MatmulPlan {
  const [[tileM, tileN], [groupM, groupN]] = [tile, group];
  return { name: `ladder ${kernel}`, kernel, tileM, tileN, groupM, groupN, slices: 1 };
}

function nameOf({ kernel, tileM, tileN, groupM, groupN, slices }: MatmulPlan): string {
  const split = slices > 1 ? `, ${slices} slices of k` : "";
  return `\`matmul_${kernel}\` ${tileM}×${tileN} of ${groupM}×${groupN}${split}`;
}

function naiveKernel(gpu: Gpu) {
  return gpu.kernel({
    name: "matmul_naive",
    wgsl: naiveWgsl,
    bindings: { a: "read", b: "read", y: "write" },
    shape: ({ a, b }) => ({ y: [a[0], b[1]] }),
    uniforms: ({ a, b }) => ({ m: a[0], k: a[1], n: b[1] }),
    grid: ({ y }) => [Math.ceil(y[1] / 8), Math.ceil(y[0] / 8)],
    work: ({ a, b }) => 2 * a[0] * a[1] * b[1],
  });
}
