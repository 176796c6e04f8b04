// Copies matrices to another size: vec4 kernels take rows that are multiples of 4, and this makes them so.
//   y[b][r][c] = x[b][r][c] where r < rows and c < columns, else 0
// x: [batch, rows, columns]; y: [batch, target_rows, target_columns], each larger or smaller.

struct Params {
  rows: u32,
  columns: u32,
  target_rows: u32,
  target_columns: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let column = index % params.target_columns;
  let row = (index / params.target_columns) % params.target_rows;
  let matrix = index / (params.target_columns * params.target_rows);
  var value = 0.0;
  if (row < params.rows && column < params.columns) {
    value = x[(matrix * params.rows + row) * params.columns + column];
  }
  y[index] = value;
}
