/** The kernels of this folder as functions. */
import addRowsWgsl from "../../shaders/explain_add_rows.wgsl";
import maskWgsl from "../../shaders/explain_mask.wgsl";
import joinWgsl from "../../shaders/explain_join_channels.wgsl";
import pointsWgsl from "../../shaders/explain_points.wgsl";
import rescaleWgsl from "../../shaders/explain_rescale.wgsl";
import shareWgsl from "../../shaders/explain_stabilized_share.wgsl";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { strideGrid } from "../ops/stride_grid.js";
import { seedKey } from "../random.js";
import type { Tensor } from "../tensor.js";
import type { ChannelJoin, Sign } from "./definition.js";

const pointsKernel = defineKernel<{ seed: number; firstImage: number }>({
  name: "explain_points",
  wgsl: pointsWgsl,
  bindings: { x: "read", plan: "read", baselines: "optional", deviation: "optional", y: "write" },
  shape: ({ x, plan }) => ({ y: [plan[0], ...x.slice(1)] }),
  uniforms: ({ x, plan }, { seed, firstImage }) => {
    const size = sizeOf(x.slice(1));
    const blocks = Math.ceil(size / 4);
    const [low, high] = seedKey(seed);
    return { count: plan[0] * blocks, size, blocks, first_image: firstImage, key_low: low, key_high: high };
  },
  grid: ({ x, plan }, limits) => gridFor(plan[0] * Math.ceil(sizeOf(x.slice(1)) / 4), 64, limits),
  work: ({ y }) => 60 * sizeOf(y),
});

/**
 * Points between baselines and images, with noise.
 * @param inputs x [n, …], plan u32 [rows, 4] (image, baseline, draw, bits of alpha), baselines [m, …],
 *   deviation [n]
 */
export function pointsOf(
  inputs: { x: Tensor; plan: Tensor; baselines?: Tensor; deviation?: Tensor },
  options: { seed: number; firstImage: number },
): Tensor {
  return pointsKernel.run(inputs, options).y;
}

const addRowsKernel = defineKernel<{ copies: number; change: boolean }>({
  name: "explain_add_rows",
  wgsl: addRowsWgsl,
  bindings: {
    maps: "read",
    plan: "read",
    weights: "read",
    slots: "read",
    x: "read",
    baselines: "optional",
    total: "readWrite",
  },
  constants: (_shapes, { change }) => ({ CHANGE: change }),
  shape: () => ({}),
  uniforms: ({ slots, total }, { copies }) => {
    const size = sizeOf(total.slice(1));
    return { count: slots[0] * size, size, copies, images: total[0] };
  },
  grid: ({ slots, total }, limits) => gridFor(slots[0] * sizeOf(total.slice(1)), 64, limits),
  work: ({ maps }) => 4 * sizeOf(maps),
});

/** Adds weighted maps to the totals of their images; with `change` each first times x less its baseline. */
export function addRows(
  inputs: {
    maps: Tensor;
    plan: Tensor;
    weights: Tensor;
    slots: Tensor;
    x: Tensor;
    baselines?: Tensor;
    total: Tensor;
  },
  options: { copies: number; change: boolean },
): void {
  addRowsKernel.run(inputs, options);
}

const maskKernel = defineKernel({
  name: "explain_mask",
  wgsl: maskWgsl,
  bindings: { x: "read", baselines: "read", images: "read", keep: "read", segments: "read", y: "write" },
  shape: ({ x, images }) => ({ y: [images[0], ...x.slice(1)] }),
  uniforms: ({ x, baselines, keep, y }) => ({
    count: sizeOf(y),
    size: sizeOf(x.slice(2)),
    image_size: sizeOf(x.slice(1)),
    segment_count: keep[1],
    baselines: baselines[0],
  }),
  grid: ({ y }, limits) => strideGrid(sizeOf(y), limits),
});

/**
 * Images of which segments are replaced by a baseline.
 * @param inputs x [n, c, h, w], baselines [1 or n, c, h, w], images u32 [rows], keep [rows, segments] from
 *   0 to 1,
 *   segments u32 [h · w]
 * @returns [rows, c, h, w]
 */
export function maskSegments(inputs: {
  x: Tensor;
  baselines: Tensor;
  images: Tensor;
  keep: Tensor;
  segments: Tensor;
}): Tensor {
  return maskKernel.run(inputs).y;
}

const JOIN = { keep: 0, sum: 1, max: 2 } as const;
const SIGN = { signed: 0, absolute: 1, positive: 2, negative: 3 } as const;

const joinKernel = defineKernel<{ channels: ChannelJoin; sign: Sign }>({
  name: "explain_join_channels",
  wgsl: joinWgsl,
  bindings: { a: "read", y: "write" },
  constants: (_shapes, { channels, sign }) => ({ JOIN: JOIN[channels], SIGN: SIGN[sign] }),
  shape: ({ a }, { channels }) => ({ y: channels === "keep" ? a : [a[0], ...a.slice(2)] }),
  uniforms: ({ a, y }) => ({ count: sizeOf(y), channels: a[1], size: sizeOf(a.slice(2)) }),
  grid: ({ y }, limits) => gridFor(sizeOf(y), 64, limits),
});

/**
 * Joins the channels of maps, then takes the part that is wanted.
 * @param a [n, c, h, w]
 * @returns [n, h, w], or a's shape with "keep"
 */
export function joinChannels(a: Tensor, channels: ChannelJoin, sign: Sign): Tensor {
  return joinKernel.run({ a }, { channels, sign }).y;
}

const rescaleKernel = defineKernel({
  name: "explain_rescale",
  wgsl: rescaleWgsl,
  bindings: { flow: "read", near: "read", x: "read", x0: "read", dx: "write" },
  shape: ({ x }) => ({ dx: x }),
  uniforms: ({ x, x0 }) => ({ count: sizeOf(x), baseline_size: sizeOf(x0) }),
  grid: ({ x }, limits) => strideGrid(sizeOf(x), limits),
});

/** flow / (x - x0) where the two differ, else near; x0 may be one image for all. */
export function rescale(flow: Tensor, near: Tensor, x: Tensor, x0: Tensor): Tensor {
  return rescaleKernel.run({ flow, near, x, x0 }).dx;
}

const shareKernel = defineKernel<{ epsilon: number }>({
  name: "explain_stabilized_share",
  wgsl: shareWgsl,
  bindings: { r: "read", z: "read", y: "write" },
  shape: ({ r }) => ({ y: r }),
  uniforms: ({ r }, { epsilon }) => ({ count: sizeOf(r), epsilon }),
  grid: ({ r }, limits) => strideGrid(sizeOf(r), limits),
});

/** r / (z ± epsilon), away from 0. */
export function stabilizedShare(r: Tensor, z: Tensor, epsilon: number): Tensor {
  return shareKernel.run({ r, z }, { epsilon }).y;
}
