// Every element times a number that another kernel computed, in place.
//   x *= factor[0]
// x: any shape; factor: [1].

// Four elements at a time; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
}

@group(0) @binding(0) var<storage, read> factor: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<Item>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let scale = factor[0];
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    x[i] *= scale;
  }
}
