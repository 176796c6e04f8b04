// Relevance over what it is shared out by, kept away from 0.
//   y[i] = r[i] / (z[i] + epsilon), or with z[i] < 0  r[i] / (z[i] - epsilon)
// r, z, y: [count].

struct Params {
  count: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<storage, read> r: array<f32>;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    y[i] = r[i] / (z[i] + select(params.epsilon, -params.epsilon, z[i] < 0.0));
  }
}
