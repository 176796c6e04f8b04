// Gradient of max pooling, gathered: each element of dx looks at the windows that cover it and adds up dy of
// those that took it.
//   dx[n, c, h, w] = Σ dy[n, c, Y, X] over the windows with argmax[n, c, Y, X] = h · width + w
// dy, argmax: [planes, rows, columns]; dx: [planes, height, width]. Window Y covers rows Y · stride - padding
// … + kernel - 1, columns alike.

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

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> argmax: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.planes * params.height * params.width) { return; }
  let place = index % (params.height * params.width);
  let row = place / params.width + params.padding_y;
  let column = place % params.width + params.padding_x;
  let plane_at = index / (params.height * params.width) * params.rows * params.columns;
  // The first window that covers a row is the first one to end behind it.
  let past_row = max(row + 1u, params.kernel_y) - params.kernel_y;
  let first_row = (past_row + params.stride_y - 1u) / params.stride_y;
  let end_row = min(row / params.stride_y + 1u, params.rows);
  let past_column = max(column + 1u, params.kernel_x) - params.kernel_x;
  let first_column = (past_column + params.stride_x - 1u) / params.stride_x;
  let end_column = min(column / params.stride_x + 1u, params.columns);
  var sum = 0.0;
  for (var i = first_row; i < end_row; i++) {
    for (var j = first_column; j < end_column; j++) {
      let at = plane_at + i * params.columns + j;
      if (argmax[at] == place) { sum += dy[at]; }
    }
  }
  dx[index] = sum;
}
