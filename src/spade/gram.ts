/** The Hessians of a layer's inputs, H = 2/N Σ x xᵀ over all positions of all images, on the device. */
import distancesWgsl from "../../shaders/spade_gram_assemble_distances.wgsl";
import pairsWgsl from "../../shaders/spade_gram_assemble_pairs.wgsl";
import channelsLastWgsl from "../../shaders/spade_channels_last.wgsl";
import gramWgsl from "../../shaders/spade_gram.wgsl";
import quadWgsl from "../../shaders/spade_gram_quad.wgsl";
import subgroupWgsl from "../../shaders/spade_gram_subgroup.wgsl";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor, type Kernel, sizeOf } from "../gpu/kernel.js";
import type { Constants } from "../gpu/wgsl.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { type Tensor, tensor } from "../tensor.js";
import {
  endClass,
  firstClass,
  type GramShape,
  gramItems,
  gramWork,
  partSize,
  type Tile,
  WORDS_AN_ITEM,
} from "./gram_items.js";

/** No binding passes it. */
export const MOST_BYTES = 64 * 2 ** 20;
/** Positions that are added up one after the other, before the sums are added up. */
const POSITIONS_A_SLICE = 4096;

const channelsLast = defineKernel<GramShape>({
  name: "spade_channels_last",
  wgsl: channelsLastWgsl,
  bindings: { x: "read", y: "write" },
  shape: ({ x }, { groups, rows, columns, blocks }) => ({ y: [x[0], groups, rows, columns, 4 * blocks] }),
  uniforms: ({ x }, { groups, channels, blocks, rows, columns, inside }) => ({
    planes: x[0] * groups,
    channels,
    blocks,
    height: x[2],
    width: x[3],
    rows,
    columns,
    top: inside[0],
    left: inside[1],
  }),
  grid: ({ x }, limits, { groups, rows, blocks }) => gridFor(x[0] * groups * rows * blocks, 32, limits),
});

interface GramCall {
  readonly shape: GramShape;
  readonly samples: number;
  readonly items: number;
  readonly slices: number;
  readonly sliceImages: number;
  readonly plan: GramPlan;
}

/** Which kernel, and what one workgroup computes, in vec4 of rows and columns. */
interface GramPlan extends Tile {
  readonly kernel: Kernel<GramCall>;
  readonly constants: Constants;
}

function gramKernel(name: string, wgsl: string): Kernel<GramCall> {
  return defineKernel<GramCall>({
    name,
    wgsl,
    bindings: { x: "read", items: "read", parts: "write" },
    constants: (_shapes, { plan }) => plan.constants,
    shape: (_inputs, { shape, samples, slices }) => ({
      parts: [samples * shape.groups, slices, 4 * partSize(shape)],
    }),
    uniforms: (_shapes, { shape, samples, items, slices, sliceImages }) => {
      const plane = shape.rows * shape.columns * shape.blocks;
      return {
        items,
        slices,
        groups: shape.groups,
        problems: samples * shape.groups,
        group_step: plane,
        sample_step: shape.images * shape.groups * plane,
        slice_step: sliceImages * shape.groups * plane,
        images: shape.images,
        slice_images: sliceImages,
        part: partSize(shape),
      };
    },
    grid: (_shapes, limits, { shape, samples, items, slices }) =>
      gridFor(items * slices * samples * shape.groups, 1, limits),
    work: (_shapes, { shape, samples }) => samples * gramWork(shape),
  });
}

const quadKernel = gramKernel("spade_gram_quad", quadWgsl);
const subgroupKernel = gramKernel("spade_gram_subgroup", subgroupWgsl);
const plainKernel = gramKernel("spade_gram", gramWgsl);

/** As for matrix products: software adapters share loads between the lanes of a subgroup. */
export function gramPlan(gpu: Gpu, shape: GramShape): GramPlan {
  const { blocks } = shape;
  const { software, lanes } = adapterTraits(gpu);
  if (software && lanes === 4) {
    const tileM = blocks >= 8 ? 32 : 16;
    return { kernel: quadKernel, constants: { TILE_M: tileM, TILE_N: 8 }, rows: tileM / 4, columns: 8 };
  }
  if (software && (lanes === 8 || lanes === 16)) {
    const tileM = blocks >= 8 ? 32 : 16;
    const constants = { TILE_M: tileM, TILE_N: 4, LANES: lanes };
    return { kernel: subgroupKernel, constants, rows: tileM / 4, columns: lanes };
  }
  return plainPlan(shape);
}

interface AssembleCall extends GramCall {
  readonly scale: number;
  readonly accumulate: boolean;
}

function assembleKernel(
  name: string,
  wgsl: string,
  constants: (shape: GramShape) => Constants,
  /** Distances or pairs of taps. */
  parts: (kernel: GramShape["kernel"]) => number,
): Kernel<AssembleCall> {
  return defineKernel<AssembleCall>({
    name,
    wgsl,
    bindings: { parts: "read", h: "readWrite" },
    constants: (_shapes, { shape, accumulate }) => ({ ...constants(shape), ACCUMULATE: accumulate }),
    shape: () => ({}),
    uniforms: ({ h }, { shape, slices, scale }) => ({
      problems: h[0],
      slices,
      channels: shape.channels,
      padded: 4 * shape.blocks,
      part: 4 * partSize(shape),
      scale,
    }),
    grid: ({ h: [problems] }, limits, { shape: { channels, blocks, kernel } }) => {
      const most = limits.maxComputeWorkgroupsPerDimension;
      // Neighbors differ by distance, so that any run of workgroups has some of all, long and short.
      return [Math.min(parts(kernel), most), Math.min(Math.ceil((problems * channels * blocks) / 64), most)];
    },
    work: ({ h }, { slices }) => 20 * slices * sizeOf(h),
  });
}

/** Kernels of more taps would take long to compile. */
const MOST_UNROLLED = 25;

const assembleDistances = assembleKernel(
  "spade_gram_assemble_distances",
  distancesWgsl,
  ({ kernel: [height, width], positions, inside }) => ({
    KERNEL_HEIGHT: height,
    KERNEL_WIDTH: width,
    FIRST_Y: firstClass(inside[0], height),
    END_Y: endClass(inside[2], height, positions[0]),
    FIRST_X: firstClass(inside[1], width),
    END_X: endClass(inside[3], width, positions[1]),
    UNROLL: height * width <= MOST_UNROLLED,
  }),
  ([height, width]) => height * (2 * width - 1) - width + 1,
);

const assemblePairs = assembleKernel(
  "spade_gram_assemble_pairs",
  pairsWgsl,
  ({ kernel: [height, width] }) => ({ TAPS: height * width }),
  ([height, width]) => (height * width * (height * width + 1)) / 2,
);

export interface GramOptions {
  readonly samples: number;
  /** What the sum is multiplied by. */
  readonly scale: number;
  /** Add to what `h` holds. */
  readonly accumulate: boolean;
  /** Default: what suits the adapter. */
  readonly plan?: GramPlan;
}

/**
 * h (+)= scale · Σ x xᵀ, x the windows of the images.
 * @param x [samples · images, groups · channels, height, width]
 * @param h [samples · groups, d, d], d = channels · kernel height · kernel width, in PyTorch's order (c, i, j)
 */
export function addGram(x: Tensor, h: Tensor, shape: GramShape, options: GramOptions): void {
  const { gpu } = x;
  const { samples, scale, accumulate } = options;
  const plan = options.plan ?? gramPlan(gpu, shape);
  const table = gramItems(shape, plan);
  const items = tensor(gpu, table);
  const sliceImages = imagesASlice(shape, samples);
  const slices = Math.ceil(shape.images / sliceImages);
  const call = { shape, samples, items: table.length / WORDS_AN_ITEM, slices, sliceImages, plan };
  gpu.scope(() => {
    const images = isChannelsLast(x, shape) ? x : channelsLast.run({ x }, shape).y;
    const { parts } = plan.kernel.run({ x: images, items }, call);
    const assemble = shape.shared ? assembleDistances : assemblePairs;
    assemble.run({ parts, h }, { ...call, scale, accumulate });
  });
  items.dispose();
}

/** Rows of a dense layer need no other order. */
function isChannelsLast(x: Tensor, { channels, groups, rows, columns, inside, blocks }: GramShape): boolean {
  return (
    rows * columns * groups === 1 &&
    channels === 4 * blocks &&
    inside[0] === 0 &&
    x.shape[2] * x.shape[3] === 1
  );
}

function imagesASlice(shape: GramShape, samples: number): number {
  const { images, positions, groups } = shape;
  const most = Math.max(1, Math.floor(MOST_BYTES / (16 * partSize(shape) * samples * groups)));
  const wanted = Math.max(1, Math.floor(POSITIONS_A_SLICE / (positions[0] * positions[1])));
  const slices = Math.min(Math.ceil(images / wanted), most);
  const fair = Math.ceil(images / slices);
  // Whole fours, which are taken at a time where positions are few.
  return fair < images ? Math.min(4 * Math.ceil(fair / 4), images) : images;
}

/** The plan of adapters that do not gain by subgroups, or have none. */
export function plainPlan({ blocks }: GramShape): GramPlan {
  const groupM = Math.min(8, Math.ceil(blocks / 2));
  return { kernel: plainKernel, constants: { GROUP_M: groupM, GROUP_N: 8 }, rows: 2 * groupM, columns: 8 };
}
