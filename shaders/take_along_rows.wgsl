// Takes elements of each row by their positions.
//   y[row][i] = x[row][indices[row][i]]
// x: [rows, n], 32-bit words; indices: [rows, k], below n; y: [rows, k].

struct Params {
  count: u32,
  n: u32,
  k: u32,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    y[i] = x[(i / params.k) * params.n + indices[i]];
  }
}
