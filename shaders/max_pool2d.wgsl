// Max pooling: the largest element of each window and where it stands.
//   y[n, c, Y, X] = max over the window of x[n, c, ·, ·]
//   argmax[n, c, Y, X] = row · width + column of the first that is as large
// The window covers rows Y · stride - padding … + kernel - 1 (columns alike), as far as they lie in x.
// x: [planes, height, width]; y, argmax: [planes, rows, columns].

struct Params {
  planes: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  kernel_y: u32,
  kernel_x: u32,
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
  let row = index / params.columns % params.rows * params.stride_y;
  let column = index % params.columns * params.stride_x;
  let plane_at = index / (params.columns * params.rows) * params.height * params.width;
  // max(row, padding) - padding is the window's first row in x, clipped without going below zero.
  let first_row = max(row, params.padding_y) - params.padding_y;
  let end_row = min(row + params.kernel_y - params.padding_y, params.height);
  let first_column = max(column, params.padding_x) - params.padding_x;
  let end_column = min(column + params.kernel_x - params.padding_x, params.width);
  var best_at = first_row * params.width + first_column;
  var best = x[plane_at + best_at];
  for (var i = first_row; i < end_row; i++) {
    for (var j = first_column; j < end_column; j++) {
      let at = i * params.width + j;
      let value = x[plane_at + at];
      if (value > best) {
        best = value;
        best_at = at;
      }
    }
  }
  y[index] = best;
  argmax[index] = best_at;
}
