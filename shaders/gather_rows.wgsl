// Takes rows by their numbers.
//   y[i][j] = x[rows[i]][j], or `missing` where rows[i] >= x_rows
// x: [x_rows, width], 32-bit words; rows: [n]; y: [n, width], count = n width.

struct Params {
  count: u32,
  x_rows: u32,
  width: u32,
  missing: u32,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    let item = i / params.width;
    let row = rows[item];
    var word = params.missing;
    if (row < params.x_rows) { word = x[row * params.width + i - item * params.width]; }
    y[i] = word;
  }
}
