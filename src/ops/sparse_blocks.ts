/** Products with block-sparse weights and their weight gradient: index tensors and kernels. */
import matmulWgsl from "../../shaders/sparse_block_matmul.wgsl";
import subgroupWgsl from "../../shaders/sparse_block_subgroup.wgsl";
import weightGradWgsl from "../../shaders/sparse_block_weight_grad.wgsl";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor, type Kernel, type Shape } from "../gpu/kernel.js";
import { type Tensor, tensor } from "../tensor.js";
import { activationCode, DEFAULT_SLOPE } from "./activation_names.js";
import { adapterTraits } from "./matmul_plan.js";
import { type Activations, cutRows, padRows, type ProductOptions, upToFour } from "./sparse_layout.js";
import type { BlockSize, SparseMatrix } from "./sparse_matrix.js";
import { type BlockPlan, blockPlan, weightGradPart } from "./sparse_plan.js";

/** Where the blocks are, for the kernels: see the WGSL of each. */
export interface BlockIndex {
  readonly inputs: number;
  readonly outputs: number;
  readonly block: BlockSize;
  readonly count: number;
  readonly forward: Walk;
  readonly backward: Walk;
  /** [blocks, 2]: first input and first output of each block, divided by 4. */
  readonly places: Tensor;
}

/** The slabs of each block of results, [slabs, 2], and where they start. */
interface Walk {
  readonly slabs: Tensor;
  readonly starts: Tensor;
}

export function blockIndex(gpu: Gpu, { inputs, outputs, block, rows, starts }: SparseMatrix): BlockIndex {
  const [height, width] = block;
  const size = (height * width) / 4;
  const places: number[] = [];
  const down: number[][] = Array.from({ length: Math.ceil(outputs / width) }, () => []);
  const across: number[][] = Array.from({ length: Math.ceil(inputs / height) }, () => []);
  for (let column = 0; column < down.length; column++) {
    for (let i = starts[column]; i < starts[column + 1]; i++) {
      const [input, output] = [rows[i] * height, column * width];
      places.push(input / 4, output / 4);
      // Slabs that lie past the edge as a whole are left out.
      for (let p = 0; p < height && input + p < inputs; p += 4)
        down[column].push(i * size + (p * width) / 4, (input + p) / 4);
      for (let j = 0; j < width && output + j < outputs; j += 4)
        across[rows[i]].push(i * size + j / 4, (output + j) / 4);
    }
  }
  const pairs = (numbers: number[]): Tensor =>
    tensor(gpu, Uint32Array.from(numbers), [numbers.length / 2, 2]);
  const walk = (lists: number[][]): Walk => {
    const ends = new Uint32Array(lists.length + 1);
    lists.forEach((list, i) => {
      ends[i + 1] = ends[i] + list.length / 2;
    });
    return { slabs: pairs(lists.flat()), starts: tensor(gpu, ends) };
  };
  const count = rows.length;
  return {
    inputs,
    outputs,
    block,
    count,
    forward: walk(down),
    backward: walk(across),
    places: pairs(places),
  };
}

export function indexTensors({ forward, backward, places }: BlockIndex): Tensor[] {
  return [forward.slabs, forward.starts, backward.slabs, backward.starts, places];
}

/** Sizes of one product as the kernels see them; `rows` in vec4 if the channels come first. */
interface ProductCall extends Pick<ProductOptions, "activation" | "slope"> {
  readonly plan: BlockPlan;
  readonly y: Shape;
  readonly transpose: boolean;
  readonly channelsFirst: boolean;
  readonly images: number;
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly tiles: number;
  readonly columns: number;
  readonly split: number;
  readonly pitch: number;
  readonly work: number;
}

const bindings = {
  x: "read",
  values: "read",
  slabs: "read",
  starts: "read",
  bias: "optional",
  y: "write",
} as const;

function product(name: string, wgsl: string, group: string, inGroup: boolean): Kernel<ProductCall> {
  return defineKernel<ProductCall>({
    name,
    wgsl,
    bindings,
    constants: (_shapes, { plan, transpose, channelsFirst, activation }) => ({
      TILE: plan.tile,
      WIDTH: plan.width,
      [group]: plan.group,
      TRANSPOSE: transpose,
      CHANNELS_FIRST: channelsFirst,
      ACTIVATION: activationCode(activation),
    }),
    shape: (_inputs, { y }) => ({ y }),
    uniforms: (
      _shapes,
      { rows, inputs, outputs, tiles, images, columns, split, pitch, slope = DEFAULT_SLOPE },
    ) => ({
      rows,
      inputs,
      outputs,
      tiles,
      images,
      columns,
      split,
      pitch,
      slope,
    }),
    grid: (_shapes, limits, { plan, tiles, images, columns }) =>
      inGroup
        ? gridFor(tiles * images * columns, plan.group, limits)
        : gridFor(Math.ceil((tiles * images) / plan.group) * columns, 1, limits),
    work: (_shapes, { work }) => work,
  });
}

const registerTile = product("sparse_block_matmul", matmulWgsl, "GROUP", true);
const subgroup = product("sparse_block_subgroup", subgroupWgsl, "LANES", false);

/** y = activation(x W + bias), or with `transpose` x Wᵀ, in the scope of the caller. */
export function blockProduct(
  x: Tensor,
  values: Tensor,
  index: BlockIndex,
  view: Activations,
  options: ProductOptions,
  chosen?: BlockPlan,
): Tensor {
  const { transpose = false, bias, activation, slope, out, shape } = options;
  const { images, plane, channelsFirst } = view;
  const side = index.block[transpose ? 0 : 1];
  const [inputs, outputs] = transpose ? [index.outputs, index.inputs] : [index.inputs, index.outputs];
  const plan = chosen ?? blockPlan(adapterTraits(x.gpu), images * plane, side, channelsFirst);
  const fours = upToFour(plane);
  const [from, to] = channelsFirst ? [plane, plane] : [inputs, outputs];
  const source = padRows(x, from);
  const aligned = to % 4 === 0;
  const count = channelsFirst ? fours / 4 : plane;
  const split = side / plan.width;
  const call: ProductCall = {
    plan,
    transpose,
    channelsFirst,
    activation,
    slope,
    images,
    rows: count,
    inputs: channelsFirst ? inputs : upToFour(inputs),
    outputs: channelsFirst ? outputs : upToFour(outputs),
    tiles: Math.ceil(count / (channelsFirst ? plan.tile / 4 : plan.tile)),
    columns: Math.ceil(outputs / side) * split,
    split,
    pitch: index.block[1] / 4,
    y: aligned ? shape : [(images * plane * outputs) / to, upToFour(to)],
    work: 2 * images * plane * Math.max(values.size, outputs),
  };
  const kernel = plan.kernel === "subgroup" ? subgroup : registerTile;
  const inputsOf = { x: source, values, ...(transpose ? index.backward : index.forward), bias };
  const { y } = kernel.run(inputsOf, call, { out: { y: aligned ? out : undefined } });
  if (source !== x) source.dispose();
  if (aligned) return y;
  const cut = cutRows(y, to, shape, out);
  y.dispose();
  return cut;
}

interface WeightGradCall {
  readonly height: number;
  readonly width: number;
  readonly group: number;
  readonly channelsFirst: boolean;
  readonly images: number;
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly block: BlockSize;
  readonly parts: number;
  readonly shape: Shape;
  readonly work: number;
}

const weightGrad = defineKernel<WeightGradCall>({
  name: "sparse_block_weight_grad",
  wgsl: weightGradWgsl,
  bindings: { x: "read", dy: "read", places: "read", mask: "optional", dvalues: "write" },
  constants: (_shapes, { height, width, group, channelsFirst }) => ({
    HEIGHT: height,
    WIDTH: width,
    GROUP: group,
    CHANNELS_FIRST: channelsFirst,
  }),
  shape: (_inputs, { shape }) => ({ dvalues: shape }),
  uniforms: (_shapes, { height, width, block, rows, inputs, outputs, images, parts }) => ({
    rows,
    inputs,
    outputs,
    images,
    parts,
    split_in: block[0] / height,
    split_out: block[1] / width,
    pitch: block[1] / 4,
    block_size: (block[0] * block[1]) / 4,
  }),
  grid: (_shapes, limits, { parts, group }) => gridFor(parts, group, limits),
  work: (_shapes, { work }) => work,
});

/** dvalues at the stored blocks, 0 where the mask is; in the scope of the caller. */
export function blockWeightGrad(
  x: Tensor,
  dy: Tensor,
  index: BlockIndex,
  { images, plane, channelsFirst }: Activations,
  { mask, shape, out }: { mask?: Tensor; shape: Shape; out?: Tensor },
  part?: readonly [number, number],
): Tensor {
  const { inputs, outputs, block, count } = index;
  const traits = adapterTraits(x.gpu);
  const [height, width] = part ?? weightGradPart(traits, block, channelsFirst);
  const source = padRows(x, channelsFirst ? plane : inputs);
  const gradient = padRows(dy, channelsFirst ? plane : outputs);
  const call: WeightGradCall = {
    height,
    width,
    group: traits.software ? 8 : 64,
    channelsFirst,
    images,
    rows: channelsFirst ? upToFour(plane) / 4 : plane,
    inputs: channelsFirst ? inputs : upToFour(inputs),
    outputs: channelsFirst ? outputs : upToFour(outputs),
    block,
    parts: (count * block[0] * block[1]) / (height * width),
    shape,
    work: 2 * images * plane * count * block[0] * block[1],
  };
  const { dvalues } = weightGrad.run({ x: source, dy: gradient, places: index.places, mask }, call, {
    out: { dvalues: out },
  });
  if (source !== x) source.dispose();
  if (gradient !== dy) gradient.dispose();
  return dvalues;
}
