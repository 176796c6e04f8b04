/** FastSPADE of several layers side by side, on software adapters: one workgroup a layer and sample. */
import layersWgsl from "../../shaders/spade_layers.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { empty, tensor } from "../tensor.js";
import { MOST_COLUMNS, MOST_LANES } from "./blocks.js";
import { TOGETHER } from "./fast_spade.js";
import type { Factors, LayerProblem, Solution } from "./layer_problem.js";
import { packed, unpacked } from "./packing.js";

/** A layer of some samples, whose weights compete with each other. */
export interface LayerJob {
  readonly problem: LayerProblem;
  readonly factors: Factors;
  /** Columns a block. */
  readonly blockSize: number;
  /** Weights to remove of each sample. */
  readonly removed: number;
}

interface LayersCall {
  readonly problems: number;
  readonly quads: number;
  readonly lanes: number;
  readonly columns: number;
  readonly work: number;
}

/** Columns that take the errors of those before them at a time. */
const WIDE = 24;

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
    WORKGROUP_SIZE: quads <= 16 ? 16 : MOST_LANES,
    MOST_COLUMNS: lanes * Math.ceil(columns / lanes),
    LANES: lanes,
    WIDE,
  }),
  shape: () => ({}),
  uniforms: (_shapes, { problems }) => ({ problems }),
  grid: (_shapes, limits, { problems }) => gridFor(problems, 1, limits),
  work: (_shapes, { work }) => work,
});

/** Inputs above which passing errors on takes so long that a layer wants all cores for itself. */
const MOST_INPUTS = 1024;

/** Whether the kernel takes such a layer, and gains by it. */
export function isSolvedBeside({ groups, size, outputs, h }: LayerProblem, blockSize: number): boolean {
  const { software, lanes } = adapterTraits(h.gpu);
  const fits = groups === 1 && blockSize <= MOST_COLUMNS && Math.ceil(outputs / 4) <= MOST_LANES;
  return software && lanes === 8 && fits && size <= MOST_INPUTS;
}

/** Layers of as many samples each; threshold by layer. @returns in their order */
export function solveTogether(jobs: readonly LayerJob[]): Solution[] {
  const [{ problem: first }] = jobs;
  const { gpu } = first.h;
  const { lanes } = adapterTraits(gpu);
  const { words, work, scratch } = recordsOf(jobs);
  const records = tensor(gpu, words, [words.length / 4, 4]);
  const solved = gpu.scope(() => {
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
        lanes,
        work,
      },
    );
    let at = 0;
    const solutions = jobs.map(({ problem }) => {
      const weights = unpacked(w, at, problem.dense);
      const own = unpacked(mask, at, problem.dense);
      at += problem.dense.size;
      return { weights, mask: own };
    });
    return { solutions };
  });
  records.dispose();
  return solved.solutions.map((solution, index) => ({ ...solution, damping: jobs[index].factors.damping }));
}

/** A record a layer and sample, and the vec4 of scratch that they take together. */
function recordsOf(jobs: readonly LayerJob[]) {
  const all: { readonly cost: number; readonly words: number[] }[] = [];
  let [weights, factors, inputs, scratch, work] = [0, 0, 0, 0, 0];
  for (const { problem, blockSize, removed } of jobs) {
    const { samples, size, outputs } = problem;
    const step = blockSize * Math.max(1, Math.round(TOGETHER / blockSize));
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
