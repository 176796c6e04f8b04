/** A stream's data on the device: images, what each task makes of them, and which outputs compete. */
import viewWgsl from "../../shaders/view_images.wgsl";
import type { Dataset } from "../data/dataset.js";
import { ShapeError, ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, sizeOf } from "../gpu/kernel.js";
import type { Saved } from "../layers/layer.js";
import type { Sequential } from "../layers/sequential.js";
import { add } from "../ops/elementwise.js";
import { gatherRows } from "../ops/gather.js";
import { strideGrid } from "../ops/stride_grid.js";
import { type Tensor, tensor } from "../tensor.js";
import { type Stream, viewTable } from "./stream.js";

const viewKernel = defineKernel<{ n: number; tasks: number }>({
  name: "view_images",
  wgsl: viewWgsl,
  bindings: { images: "read", codes: "read", sources: "optional", weights: "optional", x: "write" },
  shape: ({ images, codes }) => {
    if (images.length !== 2 || codes.length !== 2) {
      throw new ShapeError(
        `viewImages: images have shape [${images}] and codes [${codes}]; [images, pixels] and [members, n] are taken`,
      );
    }
    return { x: [...codes, images[1]] };
  },
  uniforms: ({ images, sources, x }, { n, tasks }) => ({
    count: sizeOf(x),
    n,
    images: images[0],
    pixels: images[1],
    views: sources?.[0] ?? 1,
    tasks,
    taps: sources?.[3] ?? 1,
  }),
  grid: ({ x }, limits) => strideGrid(sizeOf(x), limits),
});

/** Samples are named by codes, task · images + image; a code past the last has no label and is never correct. */
export class StreamSet {
  private readonly images: Tensor;
  /** [tasks · images], u32 */
  private readonly targets: Tensor;
  /** [tasks · images, outputs], 0 or `OUT_OF_PLAY`; only where some outputs do not compete. */
  private readonly handicaps?: Tensor;
  private readonly sources?: Tensor;
  private readonly weights?: Tensor;

  /** @param seeds of the members: each sees permutations of its own */
  constructor(
    gpu: Gpu,
    readonly stream: Stream,
    private readonly data: Dataset,
    seeds: readonly number[],
  ) {
    const { tasks } = stream;
    const classes = tasks[0].targets.length;
    if (classes !== data.classNames.length) {
      throw new ValueError(
        `continual: the stream is of ${classes} classes, and the data have ${data.classNames.length}; make it with { classes }`,
      );
    }
    const table = viewTable(stream, data.shape, seeds);
    this.images = tensor(gpu, data.toFloat().images as Float32Array, [data.count, data.imageSize]);
    this.targets = tensor(gpu, targetsOf(stream, data.labels), { dtype: "u32" });
    const handicaps = handicapsOf(stream, data.count);
    if (handicaps) this.handicaps = tensor(gpu, handicaps, [tasks.length * data.count, stream.outputs]);
    if (!table) return;
    const shape = [table.views, tasks.length, data.imageSize, table.taps];
    this.sources = tensor(gpu, table.sources, shape);
    if (table.weights) this.weights = tensor(gpu, table.weights, shape);
  }

  /**
   * @param codes u32 [members, n]
   * @returns logits [members, n, outputs] with those that do not compete set aside; `rows` the same as [members · n, outputs]
   */
  forward(model: Sequential, codes: Tensor): { saved: Saved; logits: Tensor; rows: Tensor } {
    const [members, n] = codes.shape;
    const { images, sources, weights, handicaps, stream } = this;
    const { x } = viewKernel.run({ images, codes, sources, weights }, { n, tasks: stream.tasks.length });
    const { y, saved } = model.forward(x, { training: true });
    const plain = y.reshape([members * n, stream.outputs]);
    const rows = handicaps ? add(plain, gatherRows(handicaps, codes.reshape([codes.size]))) : plain;
    return { saved, logits: rows.reshape(y.shape), rows };
  }

  /** The output that stands for each sample's class: u32 [members · n]. */
  labels(codes: Tensor): Tensor {
    return gatherRows(this.targets, codes.reshape([codes.size]));
  }

  /** Codes of those of `images` that a task shows. @throws ValueError if there are none */
  codesOf(task: number, images: ArrayLike<number>): number[] {
    const { labels, count } = this.data;
    const { classes } = this.stream.tasks[task];
    const own = Array.from(images).filter((image) => classes.includes(labels[image]));
    if (own.length === 0)
      throw new ValueError(`continual: there is no image of task ${task + 1} to evaluate on`);
    return own.map((image) => task * count + image);
  }

  /** A code without a sample. */
  get nothing(): number {
    return this.stream.tasks.length * this.data.count;
  }

  dispose(): void {
    for (const part of [this.images, this.targets, this.handicaps, this.sources, this.weights])
      part?.dispose();
  }
}

function targetsOf({ tasks }: Stream, labels: Uint32Array): Uint32Array {
  const targets = new Uint32Array(tasks.length * labels.length);
  for (const [task, own] of tasks.entries()) {
    // No class at all: such a sample would make its loss NaN, and none is planned.
    for (const [image, label] of labels.entries())
      targets[task * labels.length + image] = own.targets[label] >>> 0;
  }
  return targets;
}

/** What stands beside a logit that does not compete: its probability is exactly 0. */
const OUT_OF_PLAY = -1e30;

function handicapsOf({ tasks, outputs }: Stream, count: number): Float32Array | undefined {
  if (tasks.every(({ active }) => active.length === outputs)) return undefined;
  const values = new Float32Array(tasks.length * count * outputs);
  for (const [task, { active }] of tasks.entries()) {
    const row = Float32Array.from({ length: outputs }, (_, i) => (active.includes(i) ? 0 : OUT_OF_PLAY));
    for (let image = 0; image < count; image++) values.set(row, (task * count + image) * outputs);
  }
  return values;
}
