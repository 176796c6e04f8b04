/** Climbs the ladder of ladder.md on this machine: the matmul kernels in `shaders/`, one idea each. `npm run ladder`. */
import { mkdir, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { type Gpu, openGpu, type Tensor } from "handgrad";
import naiveWgsl from "../shaders/matmul_naive.wgsl";
import { matmulWithPlan } from "../src/ops/matmul.js";
import { adapterTraits, type MatmulPlan, matmulPlans } from "../src/ops/matmul_plan.js";
import { cases, uploadInputs } from "./cases.js";
import { measureRoof } from "./roof.js";

const { values } = parseArgs({
  options: {
    adapter: { type: "string" },
    size: { type: "string", default: "512" },
    rounds: { type: "string", default: "7" },
  },
});
const size = Number(values.size);

const plan = (kernel: MatmulPlan["kernel"], tile: [number, number], group: [number, number]): MatmulPlan => ({
  name: `${kernel} ${tile.join("×")} of ${group.join("×")}`,
  kernel,
  tileM: tile[0],
  tileN: tile[1],
  groupM: group[0],
  groupN: group[1],
  slices: 1,
});

interface Rung {
  readonly name: string;
  readonly idea: string;
  run(): Tensor;
}

function rungs(gpu: Gpu, a: Tensor, b: Tensor): Rung[] {
  const naive = gpu.kernel({
    name: "matmul_naive",
    wgsl: naiveWgsl,
    bindings: { a: "read", b: "read", y: "write" },
    shape: ({ a: left, b: right }) => ({ y: [left[0], right[1]] }),
    uniforms: ({ a: left, b: right }) => ({ m: left[0], k: left[1], n: right[1] }),
    grid: ({ y }) => [Math.ceil(y[1] / 8), Math.ceil(y[0] / 8)],
    work: () => 2 * size ** 3,
  });
  const step = (chosen: MatmulPlan, idea: string): Rung => ({
    name: chosen.name,
    idea,
    run: () => matmulWithPlan(a, b, {}, () => chosen),
  });
  const adapter = adapterTraits(gpu);
  const list: Rung[] = [
    { name: "naive", idea: "one invocation an element", run: () => naive.run({ a, b }, undefined).y },
    step(plan("workgroup_tile", [1, 1], [16, 16]), "tiles in workgroup memory"),
    step(plan("workgroup_tile", [4, 4], [8, 8]), "… and 4×4 results an invocation"),
    step(plan("any_shape", [4, 4], [4, 8]), "4×4 results in registers, no barrier"),
    step(plan("register_tile", [4, 4], [4, 4]), "vec4 loads"),
    step(plan("register_tile", [8, 8], [4, 4]), "8×8 results"),
  ];
  if (adapter.lanes >= 4 && adapter.lanes <= 16) {
    const { lanes } = adapter;
    list.push(step(plan("subgroup", [8, 4], [1, lanes]), "a shared by broadcast in the subgroup"));
    list.push(step(plan("subgroup", [16, 4], [1, lanes]), "… 16×4 results"));
    if (lanes === 4) list.push(step(plan("subgroup", [32, 8], [1, lanes]), "… 32×8 results"));
  }
  const shipped = matmulPlans(adapter, {
    m: size,
    n: size,
    k: size,
    batch: 1,
    transposeA: false,
    transposeB: false,
  })[0];
  list.push(step(shipped, "what the library picks here"));
  return list;
}

async function time(gpu: Gpu, rung: Rung): Promise<number> {
  const start = performance.now();
  rung.run().dispose();
  await gpu.finish();
  return performance.now() - start;
}

async function main(): Promise<void> {
  const gpu = await openGpu({ adapter: values.adapter });
  try {
    const roof = await measureRoof(gpu, { quick: true });
    const square = cases.find(({ name }) => name === `matmul ${size}×${size}×${size}`);
    if (!square) throw new Error(`--size ${values.size}: 128, 256, 512 or 1024`);
    const inputs = square.inputs();
    const [a, b] = uploadInputs(gpu, inputs);
    const list = rungs(gpu, a, b);
    const first: number[] = [];
    const times: number[][] = list.map(() => []);
    for (const rung of list) {
      const start = performance.now();
      const y = rung.run();
      const error = square.check([(await y.data()) as Float32Array], inputs);
      first.push(performance.now() - start);
      y.dispose();
      if (!(error <= square.tolerance))
        throw new Error(`${rung.name} is wrong: relative error ${error.toExponential(1)}`);
    }
    for (let round = 0; round < Number(values.rounds); round++) {
      for (let i = 0; i < list.length; i++) times[i].push(await time(gpu, list[i]));
    }
    const { vendor, architecture, description } = gpu.info;
    console.log(
      `adapter: ${[vendor, architecture, description].filter(Boolean).join(", ")}; roof ${roof.gflops.toFixed(1)} GFLOP/s; ${size}³\n`,
    );
    console.log(
      "| rung | idea | GFLOP/s | of roof | over naive | first run, ms |\n|---|---|---|---|---|---|",
    );
    // The fastest round: on a shared machine the one that was disturbed least.
    const best = times.map((samples) => Math.min(...samples));
    const rows = list.map(({ name, idea }, i) => {
      const gflops = (2 * size ** 3) / best[i] / 1e6;
      const share = ((100 * gflops) / roof.gflops).toFixed(0);
      console.log(
        `| ${name} | ${idea} | ${gflops.toFixed(2)} | ${share} % | ${(best[0] / best[i]).toFixed(1)}× | ${first[i].toFixed(0)} |`,
      );
      return { name, idea, ms: best[i], gflops, roofShare: gflops / roof.gflops, firstMs: first[i] };
    });
    await mkdir("out", { recursive: true });
    await writeFile(
      "out/ladder.json",
      `${JSON.stringify({ adapter: gpu.info, roof, size, rungs: rows }, null, 2)}\n`,
    );
  } finally {
    gpu.dispose();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
