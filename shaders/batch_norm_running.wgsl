// Takes a batch's statistics into the running ones.
//   running_mean = (1 - momentum) running_mean + momentum mean
//   running_var = (1 - momentum) running_var + momentum correction variance, correction = n / (n - 1)
// All: [channels].

struct Params {
  channels: u32,
  momentum: f32,
  correction: f32,
}

@group(0) @binding(0) var<storage, read> mean: array<f32>;
@group(0) @binding(1) var<storage, read> variance: array<f32>;
@group(0) @binding(2) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let c = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (c >= params.channels) { return; }
  let kept = 1.0 - params.momentum;
  running_mean[c] = kept * running_mean[c] + params.momentum * mean[c];
  running_var[c] = kept * running_var[c] + params.momentum * (params.correction * variance[c]);
}
