// The gradient of dropout.
//   dx = dy * mask
// dy, mask, dx: [count].

struct Params {
  count: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> mask: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    dx[i] = dy[i] * mask[i];
  }
}
