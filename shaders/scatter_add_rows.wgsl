// The gradient of gathering rows: every row gets the sum of the gradients of those that were taken of it.
//   dx[r][j] = Σ_{i : rows[i] = r} dy[i][j], summed in the order of i
// dy: [n, width]; rows, order: [n], order the stable argsort of rows; dx: [x_rows, width], zeros before.
// Equal row numbers stand together in the order; the first of each run adds up the run, so there are no
// atomics.

struct Params {
  n: u32,
  x_rows: u32,
  width: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let flat = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let place = flat / params.width;
  let j = flat % params.width;
  if (place >= params.n) { return; }
  let row = rows[order[place]];
  if (row >= params.x_rows) { return; }
  if (place > 0u && rows[order[place - 1u]] == row) { return; }
  var sum = 0.0;
  for (var k = place; k < params.n; k++) {
    let i = order[k];
    if (rows[i] != row) { break; }
    sum += dy[i * params.width + j];
  }
  dx[row * params.width + j] = sum;
}
