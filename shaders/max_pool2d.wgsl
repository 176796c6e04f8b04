// Max pooling: the largest element of each window and where it stands.
//   y[n, c, Y, X] = max over the window of x[n, c, ·, ·]
//   argmax[n, c, Y, X] = row · width + column of the first that is as large
// The window covers rows Y · stride - padding … + kernel - 1 (columns alike), as far as they lie in x.
// x: [planes, height, width]; y, argmax: [planes, rows, columns]. Small windows are unrolled; where there is no padding
// (not PADDED) all windows lie in x as a whole.

// @constants
const KERNEL_Y: u32 = 2u;
const KERNEL_X: u32 = 2u;
const PADDED: bool = true;
const UNROLL: bool = true;
// @end

struct Params {
  planes: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  stride_y: u32,
  stride_x: u32,
  padding_y: u32,
  padding_x: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> argmax: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.planes * params.rows * params.columns) { return; }
  let line = index / params.columns;
  let plane = line / params.rows;
  // Of the window's corner, the padding counted in.
  let row = (line - plane * params.rows) * params.stride_y;
  let column = (index - line * params.columns) * params.stride_x;
  let plane_at = plane * params.height * params.width;
  // max(row, padding) - padding is the window's first row in x, clipped without going below zero.
  let first_row = max(row, params.padding_y) - params.padding_y;
  let first_column = max(column, params.padding_x) - params.padding_x;
  var best_at = first_row * params.width + first_column;
  var best = x[plane_at + best_at];
  // @unroll
  for (var i = 0u; i < KERNEL_Y; i++) {
    // @unroll
    for (var j = 0u; j < KERNEL_X; j++) {
      if (PADDED || i + j > 0u) {
        // As unsigned numbers, what lies before an edge is past the other one.
        let r = row + i - params.padding_y;
        let c = column + j - params.padding_x;
        let at = r * params.width + c;
        let value = x[plane_at + at];
        let is_inside = !PADDED || (r < params.height && c < params.width);
        let is_larger = is_inside && value > best;
        best = select(best, value, is_larger);
        best_at = select(best_at, at, is_larger);
      }
    }
  }
  y[index] = best;
  argmax[index] = best_at;
}
