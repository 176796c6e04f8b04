/** FastSPADE of several layers side by side, on software adapters: one workgroup a layer and sample. */
import layersWgsl from "../../shaders/spade_layers.wgsl";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { empty, type Tensor, tensor } from "../tensor.js";
import { type ColumnRange, columnsTogether } from "./blocks.js";
import type { LayerJob } from "./fast_spade.js";
import { MOST_BYTES } from "./gram.js";
import type { Solution } from "./layer_problem.js";
import { packed, unpacked } from "./packing.js";
import { passOn } from "./tails.js";

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
  /** Of all problems; default: all columns, whose errors the kernel passes on itself. */
  readonly range?: ColumnRange;
}

/** What choosing costs a weight, in updates of one. */
const CHOICE = 400;
/** Words of a record. */
const RECORD = 12;

const layersKernel = defineKernel<LayersCall>({
  name: "spade_layers",
  wgsl: layersWgsl,
  bindings: {
    records: "read",
    scale: "read",
    u: "read",
    w: "readWrite",
    mask: "write",
    keys: "readWrite",
    errors: "readWrite",
  },
  constants: (_shapes, { quads, lanes, columns, range }) => ({
    WORKGROUP_SIZE: quads <= 16 ? 16 : MOST_INVOCATIONS,
    MOST_COLUMNS: lanes * Math.ceil(columns / lanes),
    LANES: lanes,
    STEPS: range !== undefined,
    WIDE: lanes * Math.ceil(WIDE / lanes),
  }),
  shape: ({ w }) => ({ mask: w }),
  uniforms: (_shapes, { problems, range }) => ({ problems, first: range?.first ?? 0, end: range?.end ?? 0 }),
  grid: (_shapes, limits, { problems }) => gridFor(problems, 1, limits),
  work: (_shapes, { work }) => work,
});

/** Whether the kernel takes such a layer, on this adapter. */
export function isSolvedWhole({ problem: { groups, outputs, h }, blockSize }: LayerJob): boolean {
  const { software, lanes } = adapterTraits(h.gpu);
  const fits = groups === 1 && blockSize <= MOST_COLUMNS && Math.ceil(outputs / 4) <= MOST_INVOCATIONS;
  return software && LANES.includes(lanes) && fits;
}

/** Updates of weights above which a layer of one sample wants all cores for passing its errors on. */
const LARGE = 2 ** 25;

function isLarge({ problem: { samples, size, outputs } }: LayerJob): boolean {
  return samples === 1 && size * size * outputs > LARGE;
}

/** As many layers together as fit into a binding; large ones by themselves. */
export function packs(jobs: readonly LayerJob[]): LayerJob[][] {
  const all: LayerJob[][] = [];
  let room = 0;
  for (const job of jobs) {
    const { samples, size, outputs, dense } = job.problem;
    const scratch = 16 * samples * size * Math.ceil(outputs / 4);
    const bytes = Math.max(job.factors.u.byteLength, dense.byteLength, scratch);
    if (bytes > room || isLarge(job)) {
      all.push([]);
      room = MOST_BYTES;
    }
    all[all.length - 1].push(job);
    room -= isLarge(job) ? MOST_BYTES : bytes;
  }
  return all;
}

/**
 * Of `packs`.
 * @param inSteps whether other kernels pass the errors on; default: where the layer is large
 * @returns in the order of the layers
 */
export function solvePacked(jobs: readonly LayerJob[], inSteps = isLarge(jobs[0])): Solution[] {
  const { gpu } = jobs[0].problem.h;
  const { words, work, scratch } = recordsOf(jobs);
  const records = tensor(gpu, words, [words.length / 4, 4]);
  // A single layer's tensors that are only read are where they are.
  const joined = (tensors: readonly Tensor[]): Tensor =>
    tensors.length === 1 ? tensors[0] : packed(tensors);
  const solve = () => {
    const w = packed(jobs.map(({ problem }) => problem.dense));
    const tensors = {
      records,
      scale: joined(jobs.map(({ factors }) => factors.scale)),
      u: joined(jobs.map(({ factors }) => factors.u)),
      w,
      // A limit a problem behind them.
      keys: empty(gpu, [scratch + words.length / RECORD, 4], { dtype: "u32" }),
      errors: empty(gpu, [scratch, 4]),
    };
    const call = {
      problems: words.length / RECORD,
      quads: Math.max(...jobs.map(({ problem }) => Math.ceil(problem.outputs / 4))),
      columns: Math.max(...jobs.map(({ blockSize }) => blockSize)),
      lanes: adapterTraits(gpu).lanes,
      work,
    };
    const { mask } = inSteps ? byAllCores(jobs[0], tensors, call) : layersKernel.run(tensors, call);
    let at = 0;
    return jobs.map(({ problem: { dense }, factors: { damping } }): Solution => {
      const [weights, own] = [unpacked(w, at, dense), unpacked(mask, at, dense)];
      at += dense.size;
      return { weights, mask: own, damping };
    });
  };
  try {
    return gpu.scope(solve);
  } finally {
    records.dispose();
  }
}

/** A single layer, a few blocks at a time. */
function byAllCores(
  { problem: { dense, samples, size }, blockSize }: LayerJob,
  tensors: Readonly<Record<"records" | "scale" | "u" | "w" | "keys" | "errors", Tensor>>,
  call: LayersCall,
): { mask: Tensor } {
  const mask = empty(dense.gpu, tensors.w.shape);
  const w = tensors.w.reshape(dense.shape);
  const errors = tensors.errors.reshape([samples, size, -1]);
  const step = columnsTogether(blockSize);
  for (let first = 0; first < size; first += step) {
    const range = { first, end: Math.min(first + step, size) };
    layersKernel.run(tensors, { ...call, range }, { out: { mask } });
    if (range.end < size) passOn({ errors, u: tensors.u, w }, { ...range, from: 0, software: true });
  }
  return { mask };
}

/** A record a layer and sample, and the vec4 of scratch that they take together. */
function recordsOf(jobs: readonly LayerJob[]) {
  const all: { readonly work: number; readonly words: number[] }[] = [];
  let [weights, factors, inputs, scratch] = [0, 0, 0, 0];
  for (const { problem, blockSize, removed } of jobs) {
    const { samples, size, outputs } = problem;
    for (let sample = 0; sample < samples; sample++) {
      const places = [weights, factors, inputs, scratch];
      const step = Math.min(columnsTogether(blockSize), size);
      const words = [size, outputs, blockSize, removed, ...places, step];
      all.push({ work: (size + CHOICE) * size * outputs, words });
      weights += size * outputs;
      factors += size * size;
      inputs += size;
      scratch += size * Math.ceil(outputs / 4);
    }
  }
  const sorted = all.sort((a, b) => b.work - a.work);
  const lines = dealt(sorted).map(({ words }, index) => [...words, scratch + index, 0, 0]);
  const words = Uint32Array.from(lines.flat());
  return { words, work: all.reduce((sum, { work }) => sum + work, 0), scratch };
}

/**
 * In an order in which the first half takes about as long as the second, and so on in each half: lavapipe gives each of its
 * threads one run of neighbors. The dearest goes to one half, the next two to the other one, and so on.
 * @param sorted from the dearest on
 */
function dealt<T>(sorted: readonly T[]): T[] {
  if (sorted.length <= 2) return [...sorted];
  const isFirst = (index: number): boolean => index % 4 === 0 || index % 4 === 3;
  const half = (first: boolean): T[] => dealt(sorted.filter((_, index) => isFirst(index) === first));
  return [...half(true), ...half(false)];
}
