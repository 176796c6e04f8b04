import { type Grid, gridFor } from "../gpu/kernel.js";

/** The workgroup size of the kernels that walk their elements by the size of the grid. */
const WORKGROUP_SIZE = 64;
/** Software adapters pay for each workgroup as much as for a few elements of each of its invocations. */
const ELEMENTS_AN_INVOCATION = 4;

/**
 * The grid of a kernel whose invocations take every so many elements:
 * `for (var i = id.x + id.y * groups.x * 64u; i < count; i += groups.x * groups.y * 64u)`.
 */
export function strideGrid(count: number, limits: GPUSupportedLimits): Grid {
  return gridFor(Math.ceil(count / ELEMENTS_AN_INVOCATION), WORKGROUP_SIZE, limits);
}
