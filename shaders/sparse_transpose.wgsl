// A transpose whose rows are filled up with zeros to a multiple of four, for kernels that load vec4.
//   y[column, row] = x[row, column], 0 from row `rows` on
// x: [rows, columns]; y: [columns, filled], where filled is rows rounded up to a multiple of 4. Each invocation makes
// four neighboring values of y.

struct Params {
  rows: u32,
  columns: u32,
  // vec4 a row of y.
  quads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  // Neighboring invocations read neighboring columns.
  let column = index % params.columns;
  let quad = index / params.columns;
  if (quad >= params.quads) { return; }
  let row = vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u);
  let at = min(row, vec4u(params.rows - 1u)) * params.columns + column;
  let v = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
  y[column * params.quads + quad] = select(vec4f(0.0), v, row < vec4u(params.rows));
}
