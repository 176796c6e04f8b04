/** Rows that a mask names, copied. */
import copyRowsWgsl from "../../shaders/copy_rows_where.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, sizeOf } from "../gpu/kernel.js";
import { strideGrid } from "../ops/stride_grid.js";
import { withWords } from "../ops/words.js";
import type { Tensor } from "../tensor.js";

const copyKernel = defineKernel({
  name: "copy_rows_where",
  wgsl: copyRowsWgsl,
  bindings: { source: "read", mask: "read", slots: "optional", target_rows: "readWrite" },
  shape: ({ source, mask, slots, target_rows: target }) => {
    const widths = [source, target].map((shape) => shape.slice(1).join());
    if (source.length === 0 || widths[0] !== widths[1])
      throw new ShapeError(`copyRowsWhere: rows of [${source}] do not fit into [${target}]`);
    for (const [name, shape] of Object.entries({ mask, slots })) {
      if (shape && (shape.length !== 1 || shape[0] !== source[0]))
        throw new ShapeError(`copyRowsWhere: ${name} has shape [${shape}], and [${source[0]}] is taken`);
    }
    return {};
  },
  uniforms: ({ source, target_rows: target }) => ({
    count: sizeOf(source),
    width: sizeOf(source.slice(1)),
    rows: target[0],
  }),
  grid: ({ source }, limits) => strideGrid(sizeOf(source), limits),
});

/**
 * target[row] = source[row] where mask[row] is not 0; with `slots` target[slots[row]], those past the end
 * left out.
 * @param source [n, …], f32 or u32
 * @param mask u32 [n]
 * @param target [rows, …] of source's dtype, changed in place
 */
export function copyRowsWhere(source: Tensor, mask: Tensor, target: Tensor, slots?: Tensor): void {
  withWords({ source, target_rows: target }, (words) => copyKernel.run({ ...words, mask, slots }, undefined));
}
