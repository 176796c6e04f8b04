// Rows copied to another length: cut, or filled up with zeros, so that kernels that load vec4 take any shape.
//   y[row, i] = x[row, i] for i < x_length, else 0
// x: [rows, x_length]; y: [rows, y_length]. Each invocation makes up to four neighboring values of a row.

struct Params {
  rows: u32,
  x_length: u32,
  y_length: u32,
  // Fours a row of y, the last one perhaps not full.
  fours: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let row = index / params.fours;
  if (row >= params.rows) { return; }
  let first = 4u * (index % params.fours);
  let end = min(first + 4u, params.y_length);
  for (var i = first; i < end; i++) {
    if (i < params.x_length) {
      y[row * params.y_length + i] = x[row * params.x_length + i];
    } else {
      y[row * params.y_length + i] = 0.0;
    }
  }
}
