/** Rows by their numbers, and the gradient, which adds up in a fixed order. */
import gatherRowsWgsl from "../../shaders/gather_rows.wgsl";
import scatterAddRowsWgsl from "../../shaders/scatter_add_rows.wgsl";
import { ShapeError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Shape, sizeOf } from "../gpu/kernel.js";
import { clear, type DType, type Tensor, zeros } from "../tensor.js";
import { refuseShared } from "./aliasing.js";
import { orderOfRows } from "./radix_sort.js";
import { strideGrid } from "./stride_grid.js";
import { fromWords, withWords } from "./words.js";

/** The bits of a NaN, and of the largest u32: what stands for a row that x does not have. */
const missingOf = (dtype: DType): number => (dtype === "f32" ? 0x7fc00000 : 0xffffffff);

const gatherKernel = defineKernel<{ missing: number }>({
  name: "gather_rows",
  wgsl: gatherRowsWgsl,
  bindings: { x: "read", rows: "read", y: "write" },
  shape: ({ x, rows }) => {
    if (x.length === 0)
      throw new ShapeError("gatherRows: x is a scalar, and at least one dimension is taken");
    return { y: [...rows, ...x.slice(1)] };
  },
  uniforms: ({ x, y }, { missing }) => ({
    count: sizeOf(y),
    x_rows: x[0],
    width: sizeOf(x.slice(1)),
    missing,
  }),
  grid: ({ y }, limits) => strideGrid(sizeOf(y), limits),
});

const scatterKernel = defineKernel<{ width: number }>({
  name: "scatter_add_rows",
  wgsl: scatterAddRowsWgsl,
  bindings: { dy: "read", rows: "read", order: "read", dx: "readWrite" },
  shape: () => ({}),
  uniforms: ({ order, dx }, { width }) => ({ n: order[0], x_rows: dx[0], width }),
  grid: ({ order }, limits, { width }) => gridFor(order[0] * width, 64, limits),
  work: ({ dy }) => 12 * sizeOf(dy),
});

/**
 * Rows of x by their numbers: y[i, ...] = x[rows[i], ...].
 * @param x [rows, ...], f32 or u32
 * @param rows u32, any shape, below x's first dimension: a greater one gives NaN (of u32 the largest), which
 *   debug mode reports
 * @returns [...rows.shape, ...], of x's dtype
 * @throws ShapeError for a scalar x, a wrong dtype, or an `out` of another shape or dtype
 * @example
 * const batch = gatherRows(images, tensor(gpu, [5, 0, 5], { dtype: "u32" })); // [3, ...]
 */
export function gatherRows(x: Tensor, rows: Tensor, { out }: { readonly out?: Tensor } = {}): Tensor {
  const result = withWords({ x, out }, (words) => {
    const inputs = { x: words.x, rows };
    const { y } = gatherKernel.run(inputs, { missing: missingOf(x.dtype) }, { out: { y: words.out } });
    return fromWords(y, x.dtype, out);
  });
  x.gpu.scanForNonFinite("gather_rows", "y", result);
  return result;
}

/**
 * dx of `gatherRows`: each row of dy added to the row that it came from. The sums go by the order of `rows`,
 * so they are the same in every run.
 * @param dy [...rows.shape, ...]
 * @param rows the forward op's; numbers past the last row are left out
 * @param options `inputShape`: the shape of the forward op's x
 * @throws ShapeError if the shapes do not fit each other
 * @example
 * const dembedding = gatherRowsGrad(dy, tokens, { inputShape: embedding.shape });
 */
export function gatherRowsGrad(
  dy: Tensor,
  rows: Tensor,
  { inputShape, out }: { readonly inputShape: Shape; readonly out?: Tensor },
): Tensor {
  if (inputShape.length === 0 || dy.shape.join() !== [...rows.shape, ...inputShape.slice(1)].join()) {
    throw new ShapeError(
      `gatherRowsGrad: dy has shape [${dy.shape}], and the shape of rows [${rows.shape}] followed by that ` +
        `of one row of inputShape [${inputShape}] is taken`,
    );
  }
  if (out && out.shape.join() !== inputShape.join()) {
    throw new ShapeError(
      `gatherRowsGrad: out has shape [${out.shape}], and inputShape [${inputShape}] is taken`,
    );
  }
  refuseShared("gatherRowsGrad", out, { dy, rows });
  return dy.gpu.scope(() => {
    const flatRows = rows.reshape([rows.size]);
    const order = orderOfRows(flatRows, { limit: inputShape[0] });
    const dx = out ?? zeros(dy.gpu, inputShape);
    if (out) clear(out);
    scatterKernel.run({ dy, rows: flatRows, order, dx }, { width: sizeOf(inputShape.slice(1)) });
    return dx;
  });
}
