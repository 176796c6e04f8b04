// Puts elements at their positions in each row: the gradient of take_along_rows.wgsl for positions that
// differ.
//   dx[row][indices[row][i]] = dy[row][i]
// dy, indices: [rows, k]; dx: [rows, n], zeros before.

struct Params {
  count: u32,
  n: u32,
  k: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    let index = indices[i];
    if (index < params.n) { dx[(i / params.k) * params.n + index] = dy[i]; }
  }
}
