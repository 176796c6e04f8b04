// A transpose whose rows are filled up with zeros to a multiple of four, four by four elements an invocation.
//   y[column, row] = x[row, column], 0 from row `rows` on
// x: [rows, columns], columns a multiple of 4; y: [columns, rows rounded up to a multiple of 4].

struct Params {
  rows: u32,
  // vec4 a row of x and of y.
  x_pitch: u32,
  y_pitch: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

fn load(row: u32, column: u32) -> vec4f {
  let v = x[min(row, params.rows - 1u) * params.x_pitch + column];
  return select(vec4f(0.0), v, row < params.rows);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  // Neighboring invocations take tiles below each other, whose columns are neighbors in y.
  let row = index % params.y_pitch;
  let column = index / params.y_pitch;
  if (column >= params.x_pitch) { return; }
  let a = load(4u * row, column);
  let b = load(4u * row + 1u, column);
  let c = load(4u * row + 2u, column);
  let d = load(4u * row + 3u, column);
  let at = 4u * column * params.y_pitch + row;
  y[at] = vec4f(a.x, b.x, c.x, d.x);
  y[at + params.y_pitch] = vec4f(a.y, b.y, c.y, d.y);
  y[at + 2u * params.y_pitch] = vec4f(a.z, b.z, c.z, d.z);
  y[at + 3u * params.y_pitch] = vec4f(a.w, b.w, c.w, d.w);
}
