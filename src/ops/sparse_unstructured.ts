/** Products with unstructured sparse weights and their weight gradient: index tensors and kernels. */
import gatherWgsl from "../../shaders/sparse_gather.wgsl";
import matmulWgsl from "../../shaders/sparse_unstructured_matmul.wgsl";
import weightGradWgsl from "../../shaders/sparse_unstructured_weight_grad.wgsl";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor, type Shape } from "../gpu/kernel.js";
import { type Tensor, tensor } from "../tensor.js";
import { activationCode, DEFAULT_SLOPE } from "./activation_names.js";
import {
  type Activations,
  padRows,
  type ProductOptions,
  transposeToFours,
  upToFour,
} from "./sparse_layout.js";
import { adapterTraits } from "./matmul_plan.js";
import type { SparseMatrix } from "./sparse_matrix.js";
import { type UnstructuredPlan, unstructuredPlan } from "./sparse_plan.js";

/** Where the weights are: groups of four of one output, the last of an output filled up by repeating its input. */
export interface UnstructuredIndex {
  readonly inputs: number;
  readonly outputs: number;
  readonly groups: number;
  readonly forward: Lists;
  readonly backward: Lists;
  /** [groups]: the output of each group. */
  readonly owners: Tensor;
  /** [groups of the transpose, 4]: where each weight of the transpose stands in the values. */
  readonly positions: Tensor;
}

interface Lists {
  readonly inputs_of: Tensor;
  readonly starts: Tensor;
}

const NOTHING = 0xffffffff;
const WORKGROUP_SIZE = 64;

export function unstructuredIndex(
  gpu: Gpu,
  { inputs, outputs, rows, starts }: SparseMatrix,
): UnstructuredIndex {
  const place = groupedPlaces(starts);
  const columns: { other: number; position: number }[][] = Array.from({ length: inputs }, () => []);
  const lists: { other: number; position: number }[][] = Array.from({ length: outputs }, () => []);
  for (let output = 0; output < outputs; output++) {
    for (let i = starts[output]; i < starts[output + 1]; i++) {
      lists[output].push({ other: rows[i], position: place[i] });
      columns[rows[i]].push({ other: output, position: place[i] });
    }
  }
  const forward = grouped(lists);
  const backward = grouped(columns);
  const fours = (numbers: Uint32Array): Tensor => tensor(gpu, numbers, [numbers.length / 4, 4]);
  return {
    inputs,
    outputs,
    groups: forward.owners.length,
    forward: { inputs_of: fours(forward.others), starts: tensor(gpu, forward.starts) },
    backward: { inputs_of: fours(backward.others), starts: tensor(gpu, backward.starts) },
    owners: tensor(gpu, forward.owners),
    positions: fours(backward.positions),
  };
}

export function unstructuredTensors({ forward, backward, owners, positions }: UnstructuredIndex): Tensor[] {
  return [forward.inputs_of, forward.starts, backward.inputs_of, backward.starts, owners, positions];
}

/** Where each kept weight stands among the groups of four. */
export function groupedPlaces(starts: Uint32Array): Uint32Array {
  const places = new Uint32Array(starts[starts.length - 1]);
  let group = 0;
  for (let output = 0; output + 1 < starts.length; output++) {
    const [start, end] = [starts[output], starts[output + 1]];
    for (let i = start; i < end; i++) places[i] = 4 * group + (i - start);
    group += Math.ceil((end - start) / 4);
  }
  return places;
}

function grouped(lists: readonly { other: number; position: number }[][]) {
  const starts = new Uint32Array(lists.length + 1);
  lists.forEach((list, i) => {
    starts[i + 1] = starts[i] + Math.ceil(list.length / 4);
  });
  const groups = starts[lists.length];
  const others = new Uint32Array(4 * groups);
  const positions = new Uint32Array(4 * groups).fill(NOTHING);
  const owners = new Uint32Array(groups);
  lists.forEach((list, i) => {
    owners.fill(i, starts[i], starts[i + 1]);
    for (let slot = 4 * starts[i]; slot < 4 * starts[i + 1]; slot++) {
      const entry = list[slot - 4 * starts[i]];
      others[slot] = (entry ?? list[list.length - 1]).other;
      if (entry) positions[slot] = entry.position;
    }
  });
  return { starts, others, positions, owners };
}

interface MatmulCall extends Pick<ProductOptions, "activation" | "slope"> {
  readonly channelsFirst: boolean;
  readonly images: number;
  readonly plane: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly y: Shape;
  readonly plan: UnstructuredPlan;
  readonly work: number;
}

const tilesOf = ({ plane, plan }: MatmulCall): number => Math.ceil(upToFour(plane) / plan.tile);

const matmul = defineKernel<MatmulCall>({
  name: "sparse_unstructured_matmul",
  wgsl: matmulWgsl,
  bindings: { x: "read", values: "read", inputs_of: "read", starts: "read", bias: "optional", y: "write" },
  constants: (_shapes, { channelsFirst, activation, plan }) => ({
    TILE: plan.tile,
    GROUP: plan.group,
    ROWS: !channelsFirst,
    ACTIVATION: activationCode(activation),
  }),
  shape: (_inputs, { y }) => ({ y }),
  uniforms: (_shapes, call) => ({
    plane: upToFour(call.plane) / 4,
    rows: call.plane,
    inputs: call.inputs,
    outputs: call.outputs,
    tiles: tilesOf(call),
    images: call.images,
    slope: call.slope ?? DEFAULT_SLOPE,
  }),
  grid: (_shapes, limits, call) =>
    gridFor(Math.ceil((tilesOf(call) * call.images) / call.plan.group) * call.outputs, 1, limits),
  work: (_shapes, { work }) => work,
});

const gather = defineKernel({
  name: "sparse_gather",
  wgsl: gatherWgsl,
  bindings: { values: "read", positions: "read", y: "write" },
  shape: ({ positions }) => ({ y: positions }),
  uniforms: ({ positions }) => ({ count: 4 * positions[0] }),
  grid: ({ positions }, limits) => gridFor(4 * positions[0], WORKGROUP_SIZE, limits),
});

/** Activations with the channels first and planes of a multiple of 4, as the kernels take them. */
function channelPlanes(x: Tensor, channels: number, { channelsFirst, plane }: Activations): Tensor {
  if (!channelsFirst) return transposeToFours(x, plane, channels);
  return padRows(x, plane);
}

/** y = activation(x W + bias), or with `transpose` x Wᵀ, in the scope of the caller. */
export function unstructuredProduct(
  x: Tensor,
  values: Tensor,
  index: UnstructuredIndex,
  view: Activations,
  options: ProductOptions,
  chosen?: UnstructuredPlan,
): Tensor {
  const { transpose = false, bias, activation, slope, shape, out } = options;
  const [inputs, outputs] = transpose ? [index.outputs, index.inputs] : [index.inputs, index.outputs];
  const source = channelPlanes(x, inputs, view);
  const weights = transpose ? gather.run({ values, positions: index.positions }).y : values;
  const call: MatmulCall = {
    ...view,
    inputs,
    outputs,
    activation,
    slope,
    y: shape,
    plan: chosen ?? unstructuredPlan(adapterTraits(x.gpu), view.plane),
    work: 2 * view.images * view.plane * Math.max(4 * values.size, outputs),
  };
  const lists = transpose ? index.backward : index.forward;
  const { y } = matmul.run({ x: source, values: weights, ...lists, bias }, call, { out: { y: out } });
  if (source !== x) source.dispose();
  if (weights !== values) weights.dispose();
  return y;
}

interface WeightGradCall {
  readonly images: number;
  readonly plane: number;
  readonly index: UnstructuredIndex;
  readonly group: number;
}

const weightGrad = defineKernel<WeightGradCall>({
  name: "sparse_unstructured_weight_grad",
  wgsl: weightGradWgsl,
  bindings: { x: "read", dy: "read", inputs_of: "read", outputs_of: "read", dvalues: "write" },
  constants: (_shapes, { group }) => ({ GROUP: group }),
  shape: ({ inputs_of }) => ({ dvalues: inputs_of }),
  uniforms: (_shapes, { images, plane, index: { inputs, outputs, groups } }) => ({
    plane: upToFour(plane) / 4,
    inputs,
    outputs,
    images,
    count: groups,
  }),
  grid: (_shapes, limits, { index, group }) => gridFor(index.groups, group, limits),
  work: (_shapes, { images, plane, index }) => 32 * images * plane * index.groups,
});

/** The gradient of each kept weight, in the scope of the caller. */
export function unstructuredWeightGrad(
  x: Tensor,
  dy: Tensor,
  index: UnstructuredIndex,
  view: Activations,
  out?: Tensor,
): Tensor {
  const source = channelPlanes(x, index.inputs, view);
  const gradient = channelPlanes(dy, index.outputs, view);
  const { group } = unstructuredPlan(adapterTraits(x.gpu), view.plane);
  const { dvalues } = weightGrad.run(
    { x: source, dy: gradient, inputs_of: index.forward.inputs_of, outputs_of: index.owners },
    { images: view.images, plane: view.plane, index, group },
    { out: { dvalues: out } },
  );
  if (source !== x) source.dispose();
  if (gradient !== dy) gradient.dispose();
  return dvalues;
}
