// Adds up the parts of a gradient in their order, so that the sum is the same in every run.
//   y[i] = Σ_s parts[s, i]
// parts: [chunks, size], y: [size].

struct Params {
  chunks: u32,
  size: u32,
}

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.size) { return; }
  var sum = 0.0;
  for (var at = index; at < params.chunks * params.size; at += params.size) { sum += parts[at]; }
  y[index] = sum;
}
