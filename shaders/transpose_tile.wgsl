// Swaps the last two axes, four by four elements an invocation.
//   y[b][j][i] = x[b][i][j]
// x: [batch, m, n], y: [batch, n, m], 32-bit words; m and n are multiples of 4.

struct Params {
  batch: u32,
  rows: u32, // m / 4
  columns: u32, // n / 4
}

@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let flat = id.x + id.y * groups.x * WORKGROUP_SIZE;
  // Neighboring invocations take tiles below each other, whose columns are neighbors in y.
  let row = flat % params.rows;
  let column = (flat / params.rows) % params.columns;
  let matrix = flat / (params.rows * params.columns);
  if (matrix >= params.batch) { return; }
  let tiles = matrix * params.rows * params.columns * 4u;
  let source_at = tiles + row * 4u * params.columns + column;
  let a = x[source_at];
  let b = x[source_at + params.columns];
  let c = x[source_at + 2u * params.columns];
  let d = x[source_at + 3u * params.columns];
  let target_at = tiles + column * 4u * params.rows + row;
  y[target_at] = vec4u(a.x, b.x, c.x, d.x);
  y[target_at + params.rows] = vec4u(a.y, b.y, c.y, d.y);
  y[target_at + 2u * params.rows] = vec4u(a.z, b.z, c.z, d.z);
  y[target_at + 3u * params.rows] = vec4u(a.w, b.w, c.w, d.w);
}
