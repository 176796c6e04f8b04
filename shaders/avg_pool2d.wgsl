// Average pooling; padding counts as zeros.
//   y[n, c, Y, X] = Σ over the window of x[n, c, ·, ·] / (kernel_y · kernel_x)
// The window covers rows Y · stride - padding … + kernel - 1, columns alike.
// x: [planes, height, width]; y: [planes, rows, columns].

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
@group(0) @binding(2) var<uniform> params: Params;

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
  // A sum a row first: long sums in one go would lose digits.
  var sum = 0.0;
  for (var i = first_row; i < end_row; i++) {
    var row_sum = 0.0;
    for (var j = first_column; j < end_column; j++) { row_sum += x[plane_at + i * params.width + j]; }
    sum += row_sum;
  }
  y[index] = sum / f32(params.kernel_y * params.kernel_x);
}
