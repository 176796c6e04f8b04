/** FastSPADE of several layers side by side, on software adapters: one workgroup a layer and sample. */
import layersWgsl from "../../shaders/spade_layers.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { empty, tensor } from "../tensor.js";
import { columnsTogether } from "./blocks.js";
import type { LayerJob } from "./fast_spade.js";
import { MOST_BYTES } from "./gram.js";
import type { Solution } from "./layer_problem.js";
import { packed, unpacked } from "./packing.js";

/** Of a block, and invocations, with four rows each. */
const MOST_COLUMNS = 16;
const MOST_INVOCATIONS = 64;
/** Of a subgroup. */
const LANES = [4, 8, 16];
/** Columns that take the errors of those before them at a time, at least. */
const WIDE = 24;

interface LayersCall {
  readonly problems: number;
  readonly quads: number;
  readonly lanes: number;
  readonly columns: number;
  readonly work: number;
}

/** Words of a record. */
const RECORD = 12;

const kernel = defineKernel<LayersCall>({
  name: "spade_layers",
  wgsl: layersWgsl,
  bindings: {
    records: "read",
    scale: "read",
    u: "read",
    w: "readWrite",
    mask: "readWrite",
    keys: "readWrite",
    errors: "readWrite",
  },
  constants: (_shapes, { quads, lanes, columns }) => ({
    WORKGROUP_SIZE: quads <= 16 ? 16 : MOST_INVOCATIONS,
    MOST_COLUMNS: lanes * Math.ceil(columns / lanes),
    LANES: lanes,
    WIDE: lanes * Math.ceil(WIDE / lanes),
  }),
  shape: () => ({}),
  uniforms: (_shapes, { problems }) => ({ problems }),
  grid: (_shapes, limits, { problems }) => gridFor(problems, 1, limits),
  work: (_shapes, { work }) => work,
});

/** Whether the kernel takes such a layer, on this adapter. */
export function isSolvedWhole({ problem: { groups, outputs, h }, blockSize }: LayerJob): boolean {
  const { software, lanes } = adapterTraits(h.gpu);
  const fits = groups === 1 && blockSize <= MOST_COLUMNS && Math.ceil(outputs / 4) <= MOST_INVOCATIONS;
  return software && LANES.includes(lanes) && fits;
}

/** As many layers together as fit into a binding. @returns in their order */
export function solveWhole(jobs: readonly LayerJob[]): Solution[] {
  const groups: LayerJob[][] = [];
  let room = 0;
  for (const job of jobs) {
    const bytes = job.factors.u.byteLength;
    if (bytes > room) {
      groups.push([]);
      room = MOST_BYTES;
    }
    groups[groups.length - 1].push(job);
    room -= bytes;
  }
  return groups.flatMap(solveTogether);
}

function solveTogether(jobs: readonly LayerJob[]): Solution[] {
  const { gpu } = jobs[0].problem.h;
  const { words, work, scratch } = recordsOf(jobs);
  const records = tensor(gpu, words, [words.length / 4, 4]);
  const { solutions } = gpu.scope(() => {
    const w = packed(jobs.map(({ problem }) => problem.dense));
    const mask = empty(gpu, w.shape);
    kernel.run(
      {
        records,
        scale: packed(jobs.map(({ factors }) => factors.scale)),
        u: packed(jobs.map(({ factors }) => factors.u)),
        w,
        mask,
        keys: empty(gpu, [scratch, 4], { dtype: "u32" }),
        errors: empty(gpu, [scratch, 4]),
      },
      {
        problems: words.length / RECORD,
        quads: Math.max(...jobs.map(({ problem }) => Math.ceil(problem.outputs / 4))),
        columns: Math.max(...jobs.map(({ blockSize }) => blockSize)),
        lanes: adapterTraits(gpu).lanes,
        work,
      },
    );
    let at = 0;
    return {
      solutions: jobs.map(({ problem: { dense } }) => {
        const [weights, own] = [unpacked(w, at, dense), unpacked(mask, at, dense)];
        at += dense.size;
        return { weights, mask: own };
      }),
    };
  });
  records.dispose();
  return solutions.map((solution, index) => ({ ...solution, damping: jobs[index].factors.damping }));
}

/** A record a layer and sample, and the vec4 of scratch that they take together. */
function recordsOf(jobs: readonly LayerJob[]) {
  const all: { readonly cost: number; readonly words: number[] }[] = [];
  let [weights, factors, inputs, scratch, work] = [0, 0, 0, 0, 0];
  for (const { problem, blockSize, removed } of jobs) {
    const { samples, size, outputs } = problem;
    const step = columnsTogether(blockSize);
    for (let sample = 0; sample < samples; sample++) {
      const places = [weights, factors, inputs, scratch];
      const words = [size, outputs, blockSize, removed, ...places, Math.min(step, size), 0, 0, 0];
      all.push({ cost: size * outputs, words });
      weights += size * outputs;
      factors += size * size;
      inputs += size;
      scratch += size * Math.ceil(outputs / 4);
      work += size * size * outputs + 100 * size * outputs;
    }
  }
  return { words: Uint32Array.from(dealt(all).flatMap(({ words }) => words)), work, scratch };
}

/**
 * In an order in which the first half takes about as long as the second: lavapipe gives each of two threads one of them.
 * The dearest goes to one half, the next two to the other one, and so on.
 */
function dealt<T extends { readonly cost: number }>(all: readonly T[]): T[] {
  const sorted = [...all].sort((a, b) => b.cost - a.cost);
  const isFirst = (index: number): boolean => index % 4 === 0 || index % 4 === 3;
  return [...sorted.filter((_, index) => isFirst(index)), ...sorted.filter((_, index) => !isFirst(index))];
}
