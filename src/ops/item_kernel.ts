/**
 * Kernels that update tensors element by element, written for four elements at a time (`alias Item =
 * vec4f;`), which loads fastest. Sizes that 4 does not divide take the same text with f32 in its place.
 */
import { defineKernel, type Kernel, type KernelRecord, type Shapes, sizeOf } from "../gpu/kernel.js";
import { oneByOne } from "./pointwise.js";
import { strideGrid } from "./stride_grid.js";

/** A kernel's record; the uniform `count` and (if none is given) the grid come of the items of `over`. */
export interface ItemRecord<Options> extends Omit<KernelRecord<Options>, "grid"> {
  readonly grid?: KernelRecord<Options>["grid"];
  /** The binding whose elements are walked. */
  readonly over: string;
}

/** The form of a kernel for a number of elements, and how many of them are an item. */
export class ItemKernel<Options = undefined> {
  private readonly fours: Kernel<Options>;
  private readonly ones: Kernel<Options>;

  /** @throws KernelError if the WGSL has no alias of four to replace */
  constructor(record: ItemRecord<Options>) {
    this.fours = defineKernel(withItems(record, record.wgsl, 4));
    this.ones = defineKernel(withItems(record, oneByOne(record.name, record.wgsl), 1));
  }

  of(elements: number): Kernel<Options> {
    return elements % 4 === 0 ? this.fours : this.ones;
  }
}

function withItems<Options>(record: ItemRecord<Options>, wgsl: string, width: number): KernelRecord<Options> {
  const { over, uniforms, ...rest } = record;
  const count = (shapes: Shapes): number => sizeOf(shapes[over]) / width;
  return {
    grid: (shapes, limits) => strideGrid(count(shapes), limits),
    ...rest,
    wgsl,
    uniforms: (shapes, options) => ({ ...uniforms?.(shapes, options), count: count(shapes) }),
  };
}
